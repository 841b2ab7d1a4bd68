"""Starting weights: a public checkpoint into a network's backbone, all of it or an error."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from faceproof.errors import SourceNotFoundError
from faceproof.networks.bundle_weights import bundle_and_member, member_weights
from faceproof.networks.checkpoints import download, is_on_hub, misfit, read, tensors_sha256
from faceproof.networks.requirements import require
from faceproof.records import Record

if TYPE_CHECKING:
    from torch import Tensor

    from faceproof.networks.network import Network

OLD_DENSENET_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""Old torchvision files say ``denselayer1.norm.1.weight`` for ``denselayer1.norm1.weight``."""

PREFIXES = ("_orig_mod.", "module.", "model.")
"""What torch.compile, data parallelism and training scripts put before every name."""

COUNTER = "num_batches_tracked"
"""Missing from files older than torch 0.4.1; counts batches and carries no weight."""


class StartingWeights(Record):
    """What was read: where from, its SHA-256, the tensors used and those left aside.

    ``sha256`` is the file's; for a name of timm's hub, that of the tensors written as safetensors.

    >>> str(StartingWeights(source="a.pt", sha256="0", used=("w",), ignored=("classifier.bias",)))
    'a.pt: 1 tensor used, left aside: classifier.bias'
    """

    source: str
    sha256: str
    used: tuple[str, ...]
    ignored: tuple[str, ...]

    def __str__(self) -> str:
        count = f"{len(self.used)} tensor{'' if len(self.used) == 1 else 's'} used"
        aside = f", left aside: {', '.join(self.ignored)}" if self.ignored else ""
        return f"{self.source}: {count}{aside}"


def load_starting_weights(network: Network, path: str | Path) -> StartingWeights:
    """Return what was read from a checkpoint into the network, all of it or nothing.

    ``path`` is a safetensors file, a ``.pt`` with tensors alone, a name of timm's hub such as
    ``densenet121.tv_in1k``, or the folder of a detector, with ``:member`` behind it where several
    would do. It fills the backbone, and the checkpoint's own last layer is left aside; a file that
    was saved from one of our networks fills the head as well. A detector fills the head where
    that is alike, and else leaves its own aside.

    Raises:
        SourceNotFoundError: neither a file, nor a detector, nor a name of timm's hub.
        TrainingError: the file is no checkpoint, holds code, or does not fit the network.
        BundleError: the detector's folder cannot be trusted.
    """
    require("torch", "timm", "safetensors")
    if found_bundle := bundle_and_member(path):
        return _from_bundle(network, *found_bundle)
    state, digest = _fetch(path)
    found = _today(state)
    whole = any(name.startswith("backbone.") for name in found)
    ignored = [name for name in found if name.rpartition(".")[0] in network.classifier]
    used = {name: value for name, value in found.items() if name not in ignored}
    _fill((network if whole else network.backbone).state_dict(), used, source=str(path))
    return StartingWeights(
        source=Path(path).name, sha256=digest, used=tuple(used), ignored=tuple(ignored)
    )


def _from_bundle(network: Network, folder: Path, member: str) -> StartingWeights:
    """Return what was read from a member of a detector: its backbone, and its head if alike."""
    name, found, digest = member_weights(folder, member, network.backbone.state_dict())
    source = f"{folder.resolve().name}:{name}"
    head = {key: tensor for key, tensor in found.items() if key.startswith("head.")}
    alike = _shapes(head) == _shapes(
        {f"head.{key}": tensor for key, tensor in network.head.state_dict().items()}
    )
    used = {key: tensor for key, tensor in found.items() if alike or key not in head}
    if alike:
        _fill(network.state_dict(), used, source=source)
    else:
        bare = {key.removeprefix("backbone."): tensor for key, tensor in used.items()}
        _fill(network.backbone.state_dict(), bare, source=source)
    ignored = tuple(key for key in found if key not in used)
    return StartingWeights(source=source, sha256=digest, used=tuple(used), ignored=ignored)


def _shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _fetch(source: str | Path) -> tuple[dict[str, Tensor], str]:
    """Return the tensors and the SHA-256 of a file, or of a name of timm's hub."""
    path = Path(source)
    if path.is_file():
        return read(path), sha256(path.read_bytes()).hexdigest()
    if is_on_hub(str(source)):
        state = download(str(source))
        return state, tensors_sha256(state)
    raise SourceNotFoundError(
        f"no starting weights at {source}: name a .safetensors or .pt file, a detector's folder, "
        "or a pretrained network of timm's such as 'densenet121.tv_in1k'"
    )


def _today(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under the names of today, without what once wrapped the network."""
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return {OLD_DENSENET_NAME.sub(r"\1\2", name): value for name, value in state.items()}


def _fill(target: dict[str, Tensor], used: dict[str, Tensor], *, source: str) -> None:
    """Copy ``used`` into ``target`` after every name, shape and number was found right."""
    import torch

    both = [name for name in used if name in target]
    faults = {
        "missing": [n for n in target if n not in used and not n.endswith(COUNTER)],
        "unknown": [n for n in used if n not in target],
        "of another shape": [n for n in both if target[n].shape != used[n].shape],
        "not finite": [n for n in both if not torch.isfinite(used[n]).all()],
    }
    if any(faults.values()):
        raise misfit(source, faults)
    with torch.no_grad():
        for name in both:
            target[name].copy_(used[name])
