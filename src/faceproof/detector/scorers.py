"""Scorers: run a member's network on onnxruntime, OpenVINO or torch, whichever is installed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from faceproof.detector.bundle import Bundle, put_weights
from faceproof.detector.onnx_file import refuse_unsafe
from faceproof.detector.openvino_scorer import (
    OPENVINO_DEVICE,
    OpenVinoBf16Scorer,
    OpenVinoScorer,
)
from faceproof.detector.scorer import (
    Inputs,
    Logits,
    Maps,
    NetworkEnd,
    RunOptions,
    Scorer,
    check_ends,
    member_onnx,
    no_heatmap_error,
    require_declared_maps,
    usable_cores,
    validate_maps,
)
from faceproof.detector.spec import Member
from faceproof.errors import BundleError, UsageError
from faceproof.imaging.onnx_runtime import import_onnxruntime, session_options
from faceproof.networks import build
from faceproof.tables import choose

if TYPE_CHECKING:
    import onnxruntime
    from torch import nn

__all__ = [
    "AUTO",
    "DEVICES",
    "PROVIDERS",
    "SCORERS",
    "Inputs",
    "Logits",
    "Maps",
    "OnnxScorer",
    "OpenVinoBf16Scorer",
    "OpenVinoScorer",
    "RunOptions",
    "Scorer",
    "TorchScorer",
    "import_onnxruntime",
    "member_network",
    "member_onnx",
    "no_heatmap_error",
    "select_scorer",
    "usable_cores",
]

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "rocm": "ROCMExecutionProvider",
}


#: The scorer that `select_scorer` chooses by device.
AUTO = "auto"
_TORCH_DEVICE = re.compile(r"cpu|mps|(cuda|xpu)(:\d+)?")


class OnnxScorer:
    """Runs an ONNX network, given as bytes, on onnxruntime."""

    def __init__(self, data: bytes, *, name: str, options: RunOptions) -> None:
        refuse_unsafe(data, name)
        self._name = name
        self._session = _session(data, name, options)
        self._input, self._outputs = _find_inputs_and_outputs(self._session, name)

    @staticmethod
    def can_use(device: str) -> bool:
        """Return whether the installed onnxruntime has the provider of a device."""
        return PROVIDERS.get(device) in import_onnxruntime().get_available_providers()

    @classmethod
    def open(cls, bundle: Bundle, member: Member, options: RunOptions) -> OnnxScorer:
        """Return the scorer of a member's ONNX file.

        Raises:
            BundleError: the file cannot be run, or lacks the heat maps that the bundle declares.
        """
        data = member_onnx(bundle, member)
        opened = cls(data, name=member.onnx.name, options=options)
        require_declared_maps(member, has_maps=opened.has_maps)
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
            return np.asarray(logits, np.float64).reshape(len(inputs)), validate_maps(
                maps, len(inputs)
            )
        except Exception as error:  # onnxruntime's errors share no base but this one
            raise BundleError(f"{self._name} returned no heat map per picture: {error}") from error


class TorchScorer:
    """Runs a torch network, float32 [N, 3, S, S] to logits [N]."""

    def __init__(self, network: nn.Module, *, options: RunOptions) -> None:
        self._device = options.device
        self._with_maps: dict[int, nn.Module | None] = {}
        try:
            self._network = network.eval().to(options.device)
        except (RuntimeError, AssertionError) as error:
            raise UsageError(f"torch cannot use device {options.device!r}: {error}") from error

    @staticmethod
    def can_use(device: str) -> bool:
        """Return whether torch is installed and can use a device."""
        if not _TORCH_DEVICE.fullmatch(device) or find_spec("torch") is None:
            return False
        import torch

        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError):
            return False
        return True

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
        return np.asarray(found), validate_maps(maps.cpu().numpy(), len(inputs))

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


#: In the order in which `select_scorer` asks them: with float32 on a CPU the first is the fastest
#: (docs/decisions/0014-inference-backends.md). The last has no device that no other one has.
SCORERS: Mapping[str, type[OnnxScorer] | type[OpenVinoScorer] | type[TorchScorer]] = {
    "onnxruntime": OnnxScorer,
    "openvino": OpenVinoScorer,
    "torch": TorchScorer,
    "openvino-bf16": OpenVinoBf16Scorer,
}


DEVICES = (*PROVIDERS, "gpu", "npu", "mps", "xpu")
"""The kinds of devices that a scorer may know; a number may follow, as in ``gpu.1``."""


def select_scorer(name: str, device: str) -> str:
    """Return the name of an entry of `SCORERS`; `AUTO` is the first that can use the device.

    Raises:
        UnknownChoiceError: no such scorer or device.
        UsageError: no installed scorer can use the device.
    """
    choose({AUTO: None, **SCORERS}, name, what="scorer")
    if name != AUTO:
        return name
    found = next((one for one, scorer in SCORERS.items() if scorer.can_use(device)), None)
    if found is None:
        if not (OPENVINO_DEVICE.fullmatch(device) or _TORCH_DEVICE.fullmatch(device)):
            choose(dict.fromkeys(DEVICES), device, what="device")
        raise UsageError(
            f"no installed scorer can use device {device!r}: choose 'cpu', or install the driver "
            "and a library for that device (onnxruntime's own package for it, OpenVINO or torch); "
            "`faceproof doctor` lists the devices"
        )
    return found


def _session(data: bytes, name: str, options: RunOptions) -> onnxruntime.InferenceSession:
    """Return a session, without logging, over the bytes that were verified."""
    onnxruntime = import_onnxruntime()
    provider = choose(PROVIDERS, options.device, what="device")
    if provider not in onnxruntime.get_available_providers():
        raise UsageError(_no_provider_message(options.device))
    try:
        session = onnxruntime.InferenceSession(
            data, sess_options=session_options(options.threads), providers=[provider]
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


def _find_inputs_and_outputs(
    session: onnxruntime.InferenceSession, name: str
) -> tuple[str, list[str]]:
    """Return the name of the one input, and those of the outputs: logit and perhaps heat map.

    Raises:
        BundleError: as `check_ends` does.
    """
    inputs = [_end_of(end) for end in session.get_inputs()]
    outputs = [_end_of(end) for end in session.get_outputs()]
    check_ends(inputs, outputs, name)
    return inputs[0].name, [end.name for end in outputs]


def _end_of(end: Any) -> NetworkEnd:
    """Return an input or output of a session."""
    return NetworkEnd(end.name, end.type == "tensor(float)", len(end.shape))
