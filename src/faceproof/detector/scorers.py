"""What runs a member's network: onnxruntime everywhere, torch where it is installed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from faceproof.detector.bundle import Bundle
from faceproof.detector.onnx_file import refuse_unsafe
from faceproof.detector.spec import Member
from faceproof.detector.weights import put_weights
from faceproof.errors import BundleError, MissingExtraError
from faceproof.networks import build
from faceproof.records import Record
from faceproof.tables import choose

if TYPE_CHECKING:
    import onnxruntime
    from torch import nn

Inputs = npt.NDArray[np.float32]
Logits = npt.NDArray[np.float64]

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "rocm": "ROCMExecutionProvider",
}


class RunOptions(Record):
    """Where and how wide to run; `threads` None means one per usable core."""

    device: str = "cpu"
    threads: int | None = Field(default=None, ge=1)


class Scorer(Protocol):
    """A network that is ready to run; safe to call from several threads."""

    def __call__(self, inputs: Inputs) -> Logits:
        """Return the logits, float64 [N], for float32 [N, 3, S, S]; positive means fake."""


class OnnxScorer:
    """Runs an ONNX network, given as bytes, on onnxruntime."""

    def __init__(self, data: bytes, *, name: str, options: RunOptions) -> None:
        refuse_unsafe(data, name)
        self._session = _session(data, name, options)
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name

    @classmethod
    def open(cls, bundle: Bundle, member: Member, options: RunOptions) -> OnnxScorer:
        """Return the scorer of a member's ONNX file."""
        return cls(bundle.read_file(member.onnx), name=member.onnx.name, options=options)

    def __call__(self, inputs: Inputs) -> Logits:
        """Return the logits, float64 [N]."""
        if not len(inputs):
            return np.empty(0)
        (answers,) = self._session.run([self._output], {self._input: inputs})
        return np.asarray(answers, np.float64).reshape(len(inputs))


class TorchScorer:
    """Runs a torch network, float32 [N, 3, S, S] to logits [N]."""

    def __init__(self, network: nn.Module, *, options: RunOptions) -> None:
        self._network = network.eval().to(options.device)
        self._device = options.device

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


SCORERS: Mapping[str, type[OnnxScorer] | type[TorchScorer]] = {
    "onnxruntime": OnnxScorer,
    "torch": TorchScorer,
}


def _session(data: bytes, name: str, options: RunOptions) -> onnxruntime.InferenceSession:
    """Return a quiet session over the very bytes that were verified."""
    import onnxruntime

    provider = choose(PROVIDERS, options.device, what="device")
    if provider not in onnxruntime.get_available_providers():
        raise MissingExtraError(f"onnxruntime for {options.device}", extra=options.device)
    onnxruntime.set_default_logger_severity(4)
    onnxruntime.disable_telemetry_events()
    try:
        return onnxruntime.InferenceSession(
            data, sess_options=_session_options(onnxruntime, options), providers=[provider]
        )
    except Exception as error:  # onnxruntime's errors share no base but this one
        raise BundleError(f"{name} is no network that onnxruntime can run: {error}") from error


def _session_options(onnxruntime: Any, options: RunOptions) -> Any:
    """Return the session's settings: silent, and with a thread count of our own.

    Left to itself, onnxruntime pins threads to cores that a container may not have.
    """
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    settings.intra_op_num_threads = options.threads or usable_cores()
    settings.inter_op_num_threads = 1
    return settings


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
