"""OnnxScorer and TorchScorer: run a member's network on onnxruntime, or on torch if installed.

onnxruntime follows references from an ONNX file to other files. A bundle's file must contain all
its weights, and may use only standard operators. This module validates the bytes before onnxruntime
parses them.

Source: the Protocol Buffers encoding, and onnx.proto (field numbers) of ONNX 1.17.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from faceproof.detector.bundle import Bundle, put_weights
from faceproof.detector.spec import Member
from faceproof.errors import BundleError, NoHeatMapError, UsageError
from faceproof.networks import build
from faceproof.records import Record
from faceproof.tables import choose

if TYPE_CHECKING:
    import onnxruntime
    from torch import nn


_SILENT = 4  # onnxruntime raises its errors; its log on standard error adds no information


def quiet_onnxruntime() -> ModuleType:
    """Import onnxruntime without logging, device id or telemetry, and return it.

    Since 1.31 at the latest, importing it writes a database and an id below the home folder, so
    that the environment variable must be set before. A value set by the user is kept.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    onnxruntime.set_default_logger_severity(_SILENT)
    onnxruntime.disable_telemetry_events()
    module: ModuleType = onnxruntime
    return module


_MAX_DEPTH = 40
_STANDARD_DOMAINS = (b"", b"ai.onnx")


@dataclass(frozen=True)
class _Message:
    """The relevant fields of one kind of message; every other field is skipped."""

    inside: dict[int, str] = field(default_factory=dict)
    forbidden: dict[int, Literal["nonzero", "any", "foreign"]] = field(default_factory=dict)


_MESSAGES: dict[str, _Message] = {
    "model": _Message({7: "graph", 8: "opset", 20: "training", 25: "function"}),
    "opset": _Message({}, {1: "foreign"}),
    "training": _Message({1: "graph", 2: "graph"}),
    "function": _Message({7: "node", 9: "opset", 11: "attribute"}, {10: "foreign"}),
    "graph": _Message({1: "node", 5: "tensor", 15: "sparse"}),
    "node": _Message({5: "attribute"}, {7: "foreign"}),
    "attribute": _Message(
        {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"}
    ),
    "sparse": _Message({1: "tensor", 2: "tensor"}),
    "tensor": _Message({}, {13: "any", 14: "nonzero"}),
}


def refuse_unsafe(data: bytes, name: str) -> None:
    """Reject an ONNX file that refers to other files or uses non-standard operators.

    Raises:
        BundleError: naming the file and the reason.
    """
    try:
        _walk(memoryview(data), "model", 0)
    except (ValueError, IndexError) as error:
        raise BundleError(f"{name} is rejected: {error}; export the network again") from error


def _walk(data: memoryview, kind: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError("its graphs are nested too deeply")
    message = _MESSAGES[kind]
    for number, value in _fields(data):
        if number in message.forbidden:
            _refuse(message.forbidden[number], value)
        elif number in message.inside:
            if isinstance(value, int):
                raise ValueError("it is not an ONNX file")
            _walk(value, message.inside[number], depth + 1)


def _refuse(rule: Literal["nonzero", "any", "foreign"], value: int | memoryview) -> None:
    if rule == "foreign":
        if isinstance(value, int) or bytes(value) not in _STANDARD_DOMAINS:
            raise ValueError("it uses operators that are not in the ONNX standard")
    elif rule == "any" or value != 0:
        raise ValueError("it keeps weights in another file (external data)")


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield field number and value: an int, or the bytes of a length-delimited or fixed field."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if not 0 < number < 2**29:
            raise ValueError("it is not an ONNX file")
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        length, at = _length(data, at, wire)
        if length > len(data) - at:
            raise ValueError("it is truncated or not an ONNX file")
        yield number, data[at : at + length]
        at += length


def _length(data: memoryview, at: int, wire: int) -> tuple[int, int]:
    if wire == 2:
        return _varint(data, at)
    if wire in (1, 5):
        return (8 if wire == 1 else 4), at
    raise ValueError("it is not an ONNX file")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("it is not an ONNX file")


Inputs = npt.NDArray[np.float32]
Logits = npt.NDArray[np.float64]
Maps = npt.NDArray[np.float64]

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "rocm": "ROCMExecutionProvider",
}


class RunOptions(Record):
    """Device and number of ``threads`` (cores) of one call.

    One is the default: concurrent calls, as in `Checker.check_many`, use the cores better than one
    call on all cores, whose threads wait for each other in every layer.
    """

    device: str = "cpu"
    threads: int = Field(default=1, ge=1)


class Scorer(Protocol):
    """A network that is ready to run; thread-safe."""

    def __call__(self, inputs: Inputs) -> Logits:
        """Return the logits, float64 [N], for float32 [N, 3, S, S]; positive means fake."""

    def explained(self, inputs: Inputs) -> tuple[Logits, Maps]:
        """Return the same logits, and their heat maps, float64 [N, h, w].

        Raises:
            NoHeatMapError: the network has none.
        """


class OnnxScorer:
    """Runs an ONNX network, given as bytes, on onnxruntime."""

    def __init__(self, data: bytes, *, name: str, options: RunOptions) -> None:
        refuse_unsafe(data, name)
        self._name = name
        self._session = _session(data, name, options)
        self._input, self._outputs = _ends(self._session, name)

    @classmethod
    def open(cls, bundle: Bundle, member: Member, options: RunOptions) -> OnnxScorer:
        """Return the scorer of a member's ONNX file.

        Raises:
            BundleError: the file cannot be run, or lacks the heat maps that the bundle declares.
        """
        opened = cls(bundle.read_file(member.onnx), name=member.onnx.name, options=options)
        if member.onnx.heatmap and not opened.has_maps:
            raise BundleError(f"{member.onnx.name} lacks the heat maps that the bundle declares")
        return opened

    @property
    def has_maps(self) -> bool:
        """Whether the network has heat maps."""
        return len(self._outputs) == 2

    def __call__(self, inputs: Inputs) -> Logits:
        """Return the logits, float64 [N]."""
        if not len(inputs):
            return np.empty(0)
        try:
            (answers,) = self._session.run(self._outputs[:1], {self._input: inputs})
            return np.asarray(answers, np.float64).reshape(len(inputs))
        except Exception as error:  # onnxruntime's errors share no base but this one
            raise BundleError(f"{self._name} returned no logit per picture: {error}") from error

    def explained(self, inputs: Inputs) -> tuple[Logits, Maps]:
        """Return the logits, float64 [N], and heat maps, float64 [N, h, w]."""
        if not self.has_maps:
            raise no_maps(self._name)
        if not len(inputs):
            return np.empty(0), np.empty((0, 1, 1))
        try:
            logits, maps = self._session.run(self._outputs, {self._input: inputs})
            return np.asarray(logits, np.float64).reshape(len(inputs)), _maps(maps, len(inputs))
        except Exception as error:  # onnxruntime's errors share no base but this one
            raise BundleError(f"{self._name} returned no heat map per picture: {error}") from error


class TorchScorer:
    """Runs a torch network, float32 [N, 3, S, S] to logits [N]."""

    def __init__(self, network: nn.Module, *, options: RunOptions) -> None:
        self._device = options.device
        try:
            self._network = network.eval().to(options.device)
        except (RuntimeError, AssertionError) as error:
            raise UsageError(f"torch cannot use device {options.device!r}: {error}") from error

    @classmethod
    def open(cls, bundle: Bundle, member: Member, options: RunOptions) -> TorchScorer:
        """Return the scorer of a member's safetensors file."""
        network = build(member.network, head=member.head)
        put_weights(network, bundle.read_file(member.weights), name=member.weights.name)
        return cls(network, options=options)

    def __call__(self, inputs: Inputs) -> Logits:
        """Return the logits, float64 [N]."""
        import torch

        if not len(inputs):
            return np.empty(0)
        with torch.inference_mode():
            logits = self._network(torch.from_numpy(inputs).to(self._device))
            return np.asarray(logits.double().cpu().numpy()).reshape(len(inputs))

    def explained(self, inputs: Inputs) -> tuple[Logits, Maps]:
        """Return the logits, float64 [N], and heat maps, float64 [N, h, w]."""
        import torch

        from faceproof.networks.gradcam import explained

        whole = explained(self._network, side=inputs.shape[-1])
        if whole is None:
            raise no_maps(type(self._network).__name__)
        if not len(inputs):
            return np.empty(0), np.empty((0, 1, 1))
        with torch.inference_mode():
            logits, maps = whole(torch.from_numpy(inputs).to(self._device))
        found = logits.double().cpu().numpy().reshape(len(inputs))
        return np.asarray(found), _maps(maps.cpu().numpy(), len(inputs))


SCORERS: Mapping[str, type[OnnxScorer] | type[TorchScorer]] = {
    "onnxruntime": OnnxScorer,
    "torch": TorchScorer,
}


def _session(data: bytes, name: str, options: RunOptions) -> onnxruntime.InferenceSession:
    """Return a session, without logging, over the bytes that were verified."""
    onnxruntime = quiet_onnxruntime()
    provider = choose(PROVIDERS, options.device, what="device")
    if provider not in onnxruntime.get_available_providers():
        raise UsageError(_no_provider(options.device))
    try:
        session = onnxruntime.InferenceSession(
            data, sess_options=_settings(onnxruntime, options), providers=[provider]
        )
    except Exception as error:  # onnxruntime's errors share no base but this one
        raise BundleError(f"{name} cannot be run by onnxruntime: {error}") from error
    if session.get_providers()[0] != provider:  # it drops a provider that cannot start
        raise UsageError(_no_provider(options.device))
    return session


def _no_provider(device: str) -> str:
    return (
        f"the installed onnxruntime cannot use device {device!r}: choose 'cpu', or replace "
        "onnxruntime by its package for that device, and install the driver"
    )


def _settings(onnxruntime: Any, options: RunOptions) -> Any:
    """Return the session's settings.

    All graph optimisations: they add 0.07 s of CPU to the start of a DenseNet121 and save 0.02 s on
    each picture. An explicit thread count: by default onnxruntime pins threads to cores that a
    container may not have. No spinning: waiting threads would take the cores from decoding.
    """
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = _SILENT
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return settings


def no_maps(name: str) -> NoHeatMapError:
    """Return the error for a network without heat maps, with cause and fix."""
    return NoHeatMapError(
        f"{name} has no heat maps: an earlier version exported it, or it does not average "
        "a feature map at its end (vision transformers do not). Check without heat maps, choose "
        "another detector, or export this one again: faceproof export --detector OLD -o NEW"
    )


def _maps(answers: object, count: int) -> Maps:
    """Return heat maps as float64 [count, h, w]; raise ValueError for another shape."""
    maps = np.asarray(answers, np.float64)
    if maps.ndim != 3 or len(maps) != count or not maps.size:
        raise ValueError(f"heat maps of shape {list(maps.shape)} for {count} pictures")
    return maps


def _ends(session: onnxruntime.InferenceSession, name: str) -> tuple[str, list[str]]:
    """Return the name of the one input, and those of the outputs: logit and perhaps heat map.

    Raises:
        BundleError: there are other inputs or outputs, or not float32 pictures, logits and maps.
    """
    inputs, outputs = session.get_inputs(), session.get_outputs()
    kinds = [(end.type, len(end.shape)) for end in (*inputs, *outputs)]
    known = [("tensor(float)", 4), ("tensor(float)", 1), ("tensor(float)", 3)]
    named = [end.name for end in outputs[1:]] in ([], ["heatmap"])
    if len(inputs) != 1 or len(kinds) < 2 or kinds != known[: len(kinds)] or not named:
        raise BundleError(
            f"{name} does not take float32 [N, 3, S, S] to float32 logits [N], with or without "
            "a second output `heatmap`, float32 [N, h, w]"
        )
    return inputs[0].name, [end.name for end in outputs]


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
