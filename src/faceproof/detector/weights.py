"""Weights on disk: safetensors, half precision where that loses nothing that matters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from faceproof.errors import BundleError, MissingExtraError

if TYPE_CHECKING:
    import torch

MAX_LOSS = 1e-3
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def save_weights(network: torch.nn.Module, path: Path) -> Path:
    """Write a network's weights as safetensors and return the path.

    A tensor is stored as fp16 where rounding moves no element by more than `MAX_LOSS` of
    the tensor's largest; statistics of batch normalisation stay fp32.
    """
    path.write_bytes(weights_to_bytes(network))
    return path


def load_weights(network: torch.nn.Module, path: Path) -> None:
    """Put a file's weights into the network, in the network's own precision.

    Raises:
        BundleError: the file is not safetensors, or its tensors are not the network's.
    """
    weights_from_bytes(network, path.read_bytes(), name=path.name)


def weights_to_bytes(network: torch.nn.Module) -> bytes:
    """Return the bytes that `save_weights` writes; equal weights give equal bytes."""
    _require_safetensors()
    from safetensors.torch import save

    return save(stored(network.state_dict()))


def weights_from_bytes(network: torch.nn.Module, data: bytes, *, name: str = "weights") -> None:
    """Put the weights in safetensors bytes into the network, in the network's own precision.

    Raises:
        BundleError: the bytes are not safetensors, or their tensors are not the network's.
    """
    _require_safetensors()
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        network.load_state_dict(load(data))
    except SafetensorError as error:
        raise BundleError(f"{name} is no safetensors file: {error}") from error
    except RuntimeError as error:
        raise BundleError(f"{name} holds the weights of another network: {error}") from error


def stored(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors as they are stored: fp16 where `fits_half`, contiguous, on the CPU."""
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(state.items())}
    return {name: t.half() if fits_half(name, t) else t.clone() for name, t in ready.items()}


def fits_half(name: str, tensor: torch.Tensor) -> bool:
    """Return whether fp16 keeps the tensor; never for statistics of batch normalisation."""
    if not tensor.is_floating_point() or name.endswith(STATISTICS) or not tensor.numel():
        return False
    wide = tensor.double()
    largest = wide.abs().max()
    return bool((tensor.half().double() - wide).abs().max() <= MAX_LOSS * largest)


def _require_safetensors() -> None:
    try:
        import safetensors  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("safetensors", extra="train") from error
