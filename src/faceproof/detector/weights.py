"""Weights on disk: safetensors, half precision where that loses nothing that matters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from faceproof.errors import BundleError
from faceproof.networks.requirements import require

if TYPE_CHECKING:
    import torch
    from torch import nn

MAX_LOSS = 1e-3


def save_weights(network: nn.Module, path: Path) -> Path:
    """Write a network's weights as safetensors and return the path; see `rounded`."""
    path.write_bytes(weights_bytes(network))
    return path


def load_weights(network: nn.Module, path: Path) -> None:
    """Put a file's weights into the network, in the network's own precision.

    Raises:
        BundleError: the file is not safetensors, or its tensors are not the network's.
    """
    put_weights(network, path.read_bytes(), name=path.name)


def weights_bytes(network: nn.Module) -> bytes:
    """Return what `save_weights` writes; equal weights give equal bytes."""
    require("torch", "safetensors")
    from safetensors.torch import save

    return save(rounded(network.state_dict()))


def put_weights(network: nn.Module, data: bytes, *, name: str = "weights") -> None:
    """Put the weights in safetensors bytes into the network, in the network's own precision.

    Raises:
        BundleError: the bytes are not safetensors, or their tensors are not the network's.
    """
    require("torch", "safetensors")
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        network.load_state_dict(load(data))
    except SafetensorError as error:
        raise BundleError(f"{name} is no safetensors file: {error}") from error
    except RuntimeError as error:
        raise BundleError(f"{name} holds the weights of another network: {error}") from error


def rounded(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors as they are stored: on the CPU, contiguous, fp16 where `fits_half`."""
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(state.items())}
    return {name: t.half() if fits_half(t) else t.clone() for name, t in ready.items()}


def fits_half(tensor: torch.Tensor) -> bool:
    """Return whether a tensor is stored as fp16.

    Kernels and matrices are, unless rounding moves an element by more than `MAX_LOSS` of the
    largest. Biases, scales and the statistics of batch normalisation stay as they are: they
    are few, and a running variance may be larger or smaller than fp16 can say.
    """
    if not tensor.is_floating_point() or tensor.ndim < 2 or not tensor.numel():
        return False
    exact = tensor.double()
    loss = (tensor.half().double() - exact).abs().max()
    return bool(loss <= MAX_LOSS * exact.abs().max())
