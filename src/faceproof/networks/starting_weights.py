"""Starting weights: a public checkpoint into a network's backbone, all of it or an error."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from faceproof.errors import SourceNotFoundError, TrainingError
from faceproof.networks.requirements import require
from faceproof.records import Record

if TYPE_CHECKING:
    from torch import Tensor

    from faceproof.networks.network import Network

OLD_DENSENET_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""torchvision before 0.3 wrote ``denselayer1.norm.1.weight`` for today's ``denselayer1.norm1.weight``."""

WRAPPERS = ("state_dict", "model_state_dict", "model")
PREFIXES = ("module.", "model.", "_orig_mod.")


class StartingWeights(Record):
    """What was read: the file and its hash, the tensors that were used, and those left aside."""

    source: str
    sha256: str
    used: tuple[str, ...]
    ignored: tuple[str, ...]

    def __str__(self) -> str:
        left = f", left aside {', '.join(self.ignored)}" if self.ignored else ""
        return f"{self.source}: {len(self.used)} tensors used{left}"


def load_starting_weights(network: Network, path: str | Path) -> StartingWeights:
    """Return what was read from a checkpoint into the network's backbone, all of it or nothing.

    ``path`` is a safetensors file or a ``.pt`` with tensors alone. The checkpoint's own last
    layer is left aside. A file of one of our networks fills the head as well.

    Raises:
        SourceNotFoundError: no such file.
        TrainingError: the file is no checkpoint, holds code, or does not fit the network.
    """
    require("torch", "safetensors")
    path = Path(path)
    if not path.is_file():
        raise SourceNotFoundError(f"no starting weights at {path}: name a .safetensors or .pt file")
    found = {_today(name): value for name, value in _read(path).items()}
    target = network if any(name.startswith("backbone.") for name in found) else network.backbone
    ignored = tuple(name for name in found if name.rpartition(".")[0] in network.classifier)
    used = {name: value for name, value in found.items() if name not in ignored}
    _fill(target.state_dict(), used, path)
    return StartingWeights(
        source=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        used=tuple(used),
        ignored=ignored,
    )


def _read(path: Path) -> dict[str, Tensor]:
    """Return the file's tensors by name; nothing in it is ever executed."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, SafetensorError, RuntimeError, EOFError, OSError) as error:
        raise TrainingError(
            f"{path} cannot be read as weights: it is damaged, or holds more than tensors. "
            "Save the state dict as safetensors and name that file"
        ) from error
    return _tensors(loaded, path)


def _tensors(loaded: Any, path: Path) -> dict[str, Tensor]:
    import torch

    for wrapper in WRAPPERS:
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
    if not isinstance(loaded, dict) or not all(
        isinstance(v, torch.Tensor) for v in loaded.values()
    ):
        raise TrainingError(
            f"{path} holds no state dict (names and tensors); save one with safetensors"
        )
    return loaded


def _today(name: str) -> str:
    """Return a tensor's name as it is written today, without what wrapped the network."""
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return OLD_DENSENET_NAME.sub(r"\1\2", name)


def _fill(target: dict[str, Tensor], used: dict[str, Tensor], path: Path) -> None:
    """Copy ``used`` into ``target`` after every name, shape and number was found right."""
    import torch

    # Counters of batches seen are missing from files older than torch 0.4.1; they carry no weight.
    needed = {name for name in target if not name.endswith("num_batches_tracked")}
    both = target.keys() & used.keys()
    faults = {
        "missing": sorted(needed - used.keys()),
        "unknown": sorted(used.keys() - target.keys()),
        "of another shape": sorted(n for n in both if target[n].shape != used[n].shape),
        "not finite": sorted(n for n in both if not torch.isfinite(used[n]).all()),
    }
    told = [
        f"{len(names)} {fault} ({', '.join(names[:3])})" for fault, names in faults.items() if names
    ]
    if told:
        raise TrainingError(
            f"{path} does not fit the network: {'; '.join(told)}. "
            "Name a checkpoint of the same network, or another network"
        )
    with torch.no_grad():
        for name in both:
            target[name].copy_(used[name])
