"""Checkpoints of others: read as tensors and nothing else, from a file or from timm's hub."""

from __future__ import annotations

import struct
import warnings
from hashlib import sha256
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from faceproof.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Where training scripts put the state dict among the rest of what they save."""

UNREADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    UnpicklingError,
    ValueError,
    struct.error,
)
"""What torch raises, by experiment, on files with flipped bytes or without their end."""


def read(path: Path) -> dict[str, Tensor]:
    """Return the file's tensors by name; nothing in it is ever executed.

    Raises:
        TrainingError: the file is damaged, holds code, or holds no tensors.
    """
    state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    for wrapper in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not _is_state_dict(state):
        raise TrainingError(
            f"{path} holds no state dict (names and tensors): save network.state_dict(), "
            "best as safetensors"
        )
    return dict(state)


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, *UNREADABLE) as error:
        raise TrainingError(
            f"{path} cannot be read as safetensors: the file is damaged or cut short; "
            "fetch it again"
        ) from error


def _read_torch(path: Path) -> Any:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # odd pickle protocols: refused anyway
            return torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise TrainingError(
            f"{path} cannot be read as weights: it is damaged, or holds more than tensors, which "
            "could run code. Save the state dict as safetensors and name that file"
        ) from error


def _is_state_dict(loaded: Any) -> bool:
    import torch

    return (
        isinstance(loaded, dict)
        and len(loaded) > 0
        and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in loaded.items())
    )


def is_on_hub(name: str) -> bool:
    """Return whether timm knows published weights by this name."""
    import timm

    return bool(name in timm.list_models(pretrained=True))


def download(name: str) -> dict[str, Tensor]:
    """Return the tensors that timm's hub holds under a name such as ``densenet121.tv_in1k``.

    Raises:
        TrainingError: the hub cannot be reached.
    """
    import timm
    from timm.models import load_state_dict_from_hf

    origin = timm.create_model(name, pretrained=False).pretrained_cfg["hf_hub_id"]
    try:
        return dict(load_state_dict_from_hf(origin, weights_only=True))
    except UNREADABLE as error:
        raise TrainingError(
            f"the weights {name!r} could not be fetched from {origin}: check the connection, "
            "or name a local .safetensors or .pt file"
        ) from error


def tensors_sha256(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256, in hexadecimal, of the tensors written as safetensors."""
    from safetensors.torch import save

    return sha256(save({name: value.contiguous() for name, value in state.items()})).hexdigest()


def misfit(source: str, faults: Mapping[str, Sequence[str]]) -> TrainingError:
    """Return the error for a checkpoint of another network: how many tensors, and some names.

    >>> str(misfit("a.pt", {"missing": ["x", "y"], "unknown": []})).partition(". ")[0]
    'a.pt does not fit the network: 2 missing (x, y)'
    """
    told = [
        f"{len(names)} {fault} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for fault, names in faults.items()
        if names
    ]
    return TrainingError(
        f"{source} does not fit the network: {'; '.join(told)}. Nothing was loaded; "
        "name a checkpoint of the same network, or build the network it was saved from"
    )
