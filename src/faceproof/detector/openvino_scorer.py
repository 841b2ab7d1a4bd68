"""Scorers that run a member's ONNX network on OpenVINO, from the extra `openvino`."""

from __future__ import annotations

import re
import sys
import threading
from importlib.util import find_spec
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from faceproof.detector.bundle import Bundle
from faceproof.detector.onnx_file import refuse_unsafe
from faceproof.detector.scorer import (
    HEATMAP,
    Inputs,
    Logits,
    Maps,
    NetworkEnd,
    RunOptions,
    check_ends,
    member_onnx,
    no_heatmap_error,
    require_declared_maps,
    usable_cores,
    validate_maps,
)
from faceproof.detector.spec import Member
from faceproof.errors import BundleError, UsageError
from faceproof.tables import require

#: Devices as `RunOptions` names them.
OPENVINO_DEVICE = re.compile(r"cpu|npu|gpu(\.\d+)?")


def import_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry, and return it.

    Importing it reports the import to its makers unless the user has opted out, and writes an id
    below the home folder. While ``openvino_telemetry`` cannot be imported, it uses a stub.

    Raises:
        MissingExtraError: it is not installed.
    """
    require("openvino", extra="openvino")
    imported_before = "openvino_telemetry" in sys.modules
    if not imported_before:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        if not imported_before:
            sys.modules.pop("openvino_telemetry", None)
    module: ModuleType = openvino
    return module


class OpenVinoScorer:
    """Runs an ONNX network, given as bytes, on OpenVINO, with float32 on every device.

    OpenVINO chooses a smaller type on some CPUs and on GPUs, which changes the answers; a device
    that has no float32 is refused.
    """

    #: OpenVINO's name of the type that the network computes with.
    precision: ClassVar[str] = "f32"

    def __init__(self, data: bytes, *, name: str, options: RunOptions) -> None:
        refuse_unsafe(data, name)
        if not self.can_use(options.device):
            raise UsageError(self.refusal(options.device))
        self._name = name
        self._model = _compile(data, name, options, self.precision)
        self.has_maps = len(self._model.outputs) == 2
        self._local = threading.local()

    @classmethod
    def can_use(cls, device: str) -> bool:
        """Return whether OpenVINO is installed and finds a device."""
        if not OPENVINO_DEVICE.fullmatch(device) or find_spec("openvino") is None:
            return False
        found = openvino_devices()
        return device in found or f"{device}.0" in found

    @classmethod
    def refusal(cls, device: str) -> str:
        """Return what to say of a device that cannot be used."""
        return (
            f"OpenVINO cannot use device {device!r}: it finds {', '.join(openvino_devices())}; "
            "choose one of these, or install the driver of the device"
        )

    @classmethod
    def open(cls, bundle: Bundle, member: Member, options: RunOptions) -> OpenVinoScorer:
        """Return the scorer of a member's ONNX file.

        Raises:
            BundleError: the file cannot be run, or lacks the heat maps that the bundle declares.
            MissingExtraError: OpenVINO is not installed.
        """
        data = member_onnx(bundle, member)
        opened = cls(data, name=member.onnx.name, options=options)
        require_declared_maps(member, has_maps=opened.has_maps)
        return opened

    def __call__(self, inputs: Inputs) -> Logits:
        """Return the logits, float64 [N]."""
        return self._run(inputs)[0] if len(inputs) else np.empty(0)

    def explain(self, inputs: Inputs) -> tuple[Logits, Maps]:
        """Return the logits, float64 [N], and heat maps, float64 [N, h, w]."""
        if not self.has_maps:
            raise no_heatmap_error(self._name)
        if not len(inputs):
            return np.empty(0), np.empty((0, 1, 1))
        logits, maps = self._run(inputs)
        return logits, validate_maps(maps, len(inputs))

    def _run(self, inputs: Inputs) -> list[Logits]:
        """Return all outputs as float64, the logits [N] first."""
        try:
            found = self._request().infer([np.ascontiguousarray(inputs)])
            answers = [np.asarray(found[end], np.float64) for end in self._model.outputs]
            return [answers[0].reshape(len(inputs)), *answers[1:]]
        except Exception as error:  # OpenVINO's errors share no base but this one
            raise BundleError(f"{self._name} returned no logit per picture: {error}") from error

    def _request(self) -> Any:
        """Return this thread's inference request: a request runs one inference at a time."""
        if not hasattr(self._local, "request"):
            self._local.request = self._model.create_infer_request()
        return self._local.request


class OpenVinoBf16Scorer(OpenVinoScorer):
    """Runs the network with bfloat16, on CPUs that have instructions for it.

    Nearly twice as fast as float32 there; few verdicts differ
    (docs/decisions/0014-inference-backends.md). `select_scorer` never chooses it by itself.
    """

    precision: ClassVar[str] = "bf16"

    @classmethod
    def can_use(cls, device: str) -> bool:
        """Return whether OpenVINO finds the device, and bfloat16 on it."""
        if not super().can_use(device):
            return False
        found = import_openvino().Core().get_property(device.upper(), "OPTIMIZATION_CAPABILITIES")
        return "BF16" in found

    @classmethod
    def refusal(cls, device: str) -> str:
        """Return what to say of a device that cannot be used."""
        if not super().can_use(device):
            return super().refusal(device)
        return f"device {device!r} has no instructions for bfloat16: choose --scorer openvino"


def openvino_devices() -> tuple[str, ...]:
    """Return the devices that OpenVINO finds, as `RunOptions` names them.

    Raises:
        MissingExtraError: OpenVINO is not installed.
    """
    return tuple(name.lower() for name in import_openvino().Core().available_devices)


def _compile(data: bytes, name: str, options: RunOptions, precision: str) -> Any:
    """Return OpenVINO's compiled network of the bytes that were verified."""
    core = import_openvino().Core()
    device = options.device
    try:
        model = core.read_model(data, b"")
        outputs = [_end_of(end) for end in model.outputs]
        check_ends([_end_of(end) for end in model.inputs], outputs, name)
        return core.compile_model(model, device.upper(), _openvino_properties(options, precision))
    except RuntimeError as error:
        raise BundleError(f"{name} cannot be run by OpenVINO on {device}: {error}") from error


def _openvino_properties(options: RunOptions, precision: str) -> dict[str, object]:
    """Return the settings of a network: precision, and on a CPU as many streams as cores allow.

    A stream runs one inference at a time on its own ``threads``. Threads are not pinned to cores,
    which a container may not have.
    """
    settings: dict[str, object] = {"INFERENCE_PRECISION_HINT": precision}
    if options.device == "cpu":
        streams = max(1, usable_cores() // options.threads)
        settings |= {
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": streams * options.threads,
            "ENABLE_CPU_PINNING": False,
        }
    return settings


def _end_of(end: Any) -> NetworkEnd:
    """Return an input or output of OpenVINO's model; its tensor may have several names."""
    names = sorted(end.get_names())
    name = HEATMAP if HEATMAP in names else (names or [""])[0]
    shape = end.get_partial_shape()
    dimensions = len(shape) if shape.rank.is_static else 0
    return NetworkEnd(name, end.get_element_type().get_type_name() == "f32", dimensions)
