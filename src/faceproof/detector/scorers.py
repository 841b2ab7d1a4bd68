"""OnnxScorer and TorchScorer: run a member's network on onnxruntime, or on torch if installed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from faceproof.detector.bundle import Bundle, put_weights
from faceproof.detector.onnx_file import insert_weights, refuse_unsafe
from faceproof.detector.spec import Member
from faceproof.errors import BundleError, NoHeatMapError, UsageError
from faceproof.networks import build
from faceproof.records import Record
from faceproof.tables import choose

if TYPE_CHECKING:
    import onnxruntime
    from torch import nn


_SILENT = 4  # onnxruntime raises its errors; its log on standard error adds no information


def import_onnxruntime() -> ModuleType:
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

    def explain(self, inputs: Inputs) -> tuple[Logits, Maps]:
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
        self._input, self._outputs = _find_inputs_and_outputs(self._session, name)

    @classmethod
    def open(cls, bundle: Bundle, member: Member, options: RunOptions) -> OnnxScorer:
        """Return the scorer of a member's ONNX file.

        Raises:
            BundleError: the file cannot be run, or lacks the heat maps that the bundle declares.
        """
        data = member_onnx(bundle, member)
        opened = cls(data, name=member.onnx.name, options=options)
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

    def explain(self, inputs: Inputs) -> tuple[Logits, Maps]:
        """Return the logits, float64 [N], and heat maps, float64 [N, h, w]."""
        if not self.has_maps:
            raise no_heatmap_error(self._name)
        if not len(inputs):
            return np.empty(0), np.empty((0, 1, 1))
        try:
            logits, maps = self._session.run(self._outputs, {self._input: inputs})
            return np.asarray(logits, np.float64).reshape(len(inputs)), _validate_maps(
                maps, len(inputs)
            )
        except Exception as error:  # onnxruntime's errors share no base but this one
            raise BundleError(f"{self._name} returned no heat map per picture: {error}") from error


def member_onnx(bundle: Bundle, member: Member) -> bytes:
    """Return a member's ONNX file with all its weights inside, from its two verified files.

    Raises:
        BundleError: a file is missing or not the one that was named, or the ONNX file refers to
            weights that are not in the member's safetensors file.
    """
    data = bundle.read_file(member.onnx)
    name = member.weights.name
    return insert_weights(
        data, lambda: bundle.read_file(member.weights), name=member.onnx.name, weights_name=name
    )


class TorchScorer:
    """Runs a torch network, float32 [N, 3, S, S] to logits [N]."""

    def __init__(self, network: nn.Module, *, options: RunOptions) -> None:
        self._device = options.device
        self._with_maps: dict[int, nn.Module | None] = {}
        try:
            self._network = network.eval().to(options.device)
        except (RuntimeError, AssertionError) as error:
            raise UsageError(f"torch cannot use device {options.device!r}: {error}") from error

    @classmethod
    def open(cls, bundle: Bundle, member: Member, options: RunOptions) -> TorchScorer:
        """Return the scorer of a member's safetensors file."""
        return cls(member_network(bundle, member), options=options)

    def __call__(self, inputs: Inputs) -> Logits:
        """Return the logits, float64 [N]."""
        import torch

        if not len(inputs):
            return np.empty(0)
        with torch.inference_mode():
            logits = self._network(torch.from_numpy(inputs).to(self._device))
            return np.asarray(logits.double().cpu().numpy()).reshape(len(inputs))

    def explain(self, inputs: Inputs) -> tuple[Logits, Maps]:
        """Return the logits, float64 [N], and heat maps, float64 [N, h, w]."""
        import torch

        whole = self._add_heatmaps(inputs.shape[-1])
        if whole is None:
            raise no_heatmap_error(type(self._network).__name__)
        if not len(inputs):
            return np.empty(0), np.empty((0, 1, 1))
        with torch.inference_mode():
            logits, maps = whole(torch.from_numpy(inputs).to(self._device))
        found = logits.double().cpu().numpy().reshape(len(inputs))
        return np.asarray(found), _validate_maps(maps.cpu().numpy(), len(inputs))

    def _add_heatmaps(self, side: int) -> nn.Module | None:
        """Return the network with heat maps, or None if it has none; made once for each side."""
        from faceproof.networks.gradcam import add_heatmaps

        if side not in self._with_maps:
            self._with_maps[side] = add_heatmaps(self._network, side=side)
        return self._with_maps[side]


def member_network(bundle: Bundle, member: Member) -> nn.Module:
    """Return a member's torch network with the weights of its verified safetensors file.

    Raises:
        BundleError: the file is missing, not the one that was named, or of another network.
        MissingExtraError, UnknownChoiceError: torch or the network is not installed.
    """
    network = build(member.network, head=member.head)
    put_weights(network, bundle.read_file(member.weights), name=member.weights.name)
    return network


SCORERS: Mapping[str, type[OnnxScorer] | type[TorchScorer]] = {
    "onnxruntime": OnnxScorer,
    "torch": TorchScorer,
}


def _session(data: bytes, name: str, options: RunOptions) -> onnxruntime.InferenceSession:
    """Return a session, without logging, over the bytes that were verified."""
    onnxruntime = import_onnxruntime()
    provider = choose(PROVIDERS, options.device, what="device")
    if provider not in onnxruntime.get_available_providers():
        raise UsageError(_no_provider_message(options.device))
    try:
        session = onnxruntime.InferenceSession(
            data, sess_options=_session_options(onnxruntime, options), providers=[provider]
        )
    except Exception as error:  # onnxruntime's errors share no base but this one
        raise BundleError(f"{name} cannot be run by onnxruntime: {error}") from error
    if session.get_providers()[0] != provider:  # it drops a provider that cannot start
        raise UsageError(_no_provider_message(options.device))
    return session


def _no_provider_message(device: str) -> str:
    return (
        f"the installed onnxruntime cannot use device {device!r}: choose 'cpu', or replace "
        "onnxruntime by its package for that device, and install the driver"
    )


def _session_options(onnxruntime: Any, options: RunOptions) -> Any:
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


def no_heatmap_error(name: str) -> NoHeatMapError:
    """Return the error for a network without heat maps, with cause and fix."""
    return NoHeatMapError(
        f"{name} has no heat maps: an earlier version exported it, or it does not average "
        "a feature map at its end (vision transformers do not). Check without heat maps, choose "
        "another detector, or export this one again: faceproof export --detector OLD -o NEW"
    )


def _validate_maps(answers: object, count: int) -> Maps:
    """Return heat maps as float64 [count, h, w]; raise ValueError for another shape."""
    maps = np.asarray(answers, np.float64)
    if maps.ndim != 3 or len(maps) != count or not maps.size:
        raise ValueError(f"heat maps of shape {list(maps.shape)} for {count} pictures")
    return maps


def _find_inputs_and_outputs(
    session: onnxruntime.InferenceSession, name: str
) -> tuple[str, list[str]]:
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
