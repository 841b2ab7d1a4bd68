"""`load_starting_weights`: weights of a detector's folder, a public checkpoint or timm's hub.

`faceproof.detector`, which imports this package, defines bundles. This module reads only the fields
of detector.json that name each member's weights.
"""

from __future__ import annotations

import json
import re
import struct
import warnings
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from pickle import UnpicklingError
from threading import Thread
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, ValidationError

from faceproof.errors import BundleHashError, BundleSchemaError, SourceNotFoundError, TrainingError
from faceproof.messages import count_noun
from faceproof.records import Record
from faceproof.tables import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from faceproof.networks.modules import Network


_WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts save the state dict."""

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
"""What torch raises, by experiment, on corrupt and truncated files."""


def read(path: Path) -> dict[str, Tensor]:
    """Return the file's tensors by name; no code in it is executed.

    Raises:
        TrainingError: the file is damaged, holds code, or holds no tensors.
    """
    state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    for wrapper in _WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not _is_state_dict(state):
        raise TrainingError(
            f"{path} does not contain a state dict (names and tensors): save network.state_dict(), "
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
            f"{path} cannot be read as safetensors: the file is corrupt or truncated; "
            "download it again"
        ) from error


def _read_torch(path: Path) -> Any:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # unusual pickle protocols, rejected below
            return torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise TrainingError(
            f"{path} cannot be read as weights: it is corrupt, or has more than tensors, which "
            "could run code. Save the state dict as safetensors and name that file"
        ) from error


def _is_state_dict(loaded: Any) -> bool:
    import torch

    return (
        isinstance(loaded, dict)
        and len(loaded) > 0
        and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in loaded.items())
    )


def _is_on_hub(name: str) -> bool:
    """Return whether timm has published weights of this name."""
    import timm

    return bool(name in timm.list_models(pretrained=True))


HUB_SECONDS = 4.0
"""How long the hub may take to answer before it counts as out of reach."""


def download(name: str) -> dict[str, Tensor]:
    """Return the tensors of a name on timm's hub, such as ``densenet121.tv_in1k``.

    A copy in the hub's cache is used without a connection.

    Raises:
        TrainingError: the hub cannot be reached within `HUB_SECONDS`.
    """
    import timm
    from huggingface_hub import try_to_load_from_cache
    from timm.models import load_state_dict_from_hf

    origin = timm.create_model(name, pretrained=False).pretrained_cfg["hf_hub_id"]
    repository, _, revision = origin.partition("@")
    cached = try_to_load_from_cache(repository, _HUB_FILE, revision=revision or None)
    if isinstance(cached, str):
        return read(Path(cached))
    error: BaseException | None = _reach_hub(repository, revision or None)
    if error is None:
        try:
            return dict(load_state_dict_from_hf(origin, weights_only=True))
        except UNREADABLE as failed:
            error = failed
    raise TrainingError(
        f"the weights {name!r} could not be fetched from {origin}: check the connection, "
        f"or name a local .safetensors or .pt file{_embedded_alternative(name)}"
    ) from error


_HUB_FILE = "model.safetensors"


def _reach_hub(repository: str, revision: str | None) -> BaseException | None:
    """Return None if the hub answers in time, whatever it answers; else why it does not.

    The hub's own download waits and tries again for up to a minute. Resolving a name has no time
    limit, so it happens in a thread.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError

    answers: list[BaseException | None] = []

    def ask() -> None:
        try:
            url = hf_hub_url(repository, _HUB_FILE, revision=revision)
            get_hf_file_metadata(url, timeout=HUB_SECONDS)
            answers.append(None)
        except HfHubHTTPError:  # an answer all the same, which the download reports
            answers.append(None)
        except Exception as error:  # noqa: BLE001 - of network libraries, which share no base
            answers.append(error)

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(HUB_SECONDS)
    return answers[0] if answers else TimeoutError(f"no answer within {HUB_SECONDS:g} s")


def _embedded_alternative(name: str) -> str:
    """Return the shipped detectors with the network of these weights, as an alternative."""
    network = name.partition(".")[0]
    fitting = [
        folder.name
        for folder in sorted(path.parent for path in _EMBEDDED.glob(f"*/{SPEC_FILE}"))
        if any(member.network == network for member in _members(folder))
    ]
    if not fitting:
        return ""
    return (
        f", or start from the shipped detector: network.starting_weights = {fitting[0]!r} "
        f"(--set network.starting_weights={fitting[0]})"
    )


def hub_licence(name: str) -> str | None:
    """Return the licence of weights on timm's hub as timm records it, None if it records none.

    Raises:
        SourceNotFoundError: ``name`` is neither a file nor on the hub.
    """
    require("torch", "timm")
    if not _is_on_hub(name):
        raise _not_found_error(name)
    from timm.models import get_pretrained_cfg

    recorded = get_pretrained_cfg(name)
    return recorded.license if recorded is not None else None


def read_statements(path: Path) -> dict[str, str]:
    """Return the texts beside the tensors of a weights file, empty if it has none.

    They are safetensors' metadata, or texts at the top of a ``.pt`` file.
    """
    if path.suffix == ".safetensors":
        return _safetensors_metadata(path)
    try:
        state = _read_torch(path)
    except TrainingError:  # loading the weights says why
        return {}
    items = state.items() if isinstance(state, dict) else ()
    return {key: value for key, value in items if isinstance(key, str) and isinstance(value, str)}


def _safetensors_metadata(path: Path) -> dict[str, str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, *UNREADABLE):
        return {}


def _tensors_sha256(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256, in hexadecimal, of the tensors written as safetensors."""
    from safetensors.torch import save

    return sha256(save({name: value.contiguous() for name, value in state.items()})).hexdigest()


def misfit_error(source: str, faults: Mapping[str, Sequence[str]]) -> TrainingError:
    """Return the error for a checkpoint of another network: how many tensors, and some names.

    >>> str(misfit_error("a.pt", {"missing": ["x", "y"], "unknown": []})).partition(". ")[0]
    'a.pt does not fit the network: 2 missing (x, y)'
    """
    parts = [
        f"{len(names)} {fault} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for fault, names in faults.items()
        if names
    ]
    return TrainingError(
        f"{source} does not fit the network: {'; '.join(parts)}. Nothing was loaded; "
        "name a checkpoint of the same network, or build the network it was saved from"
    )


SPEC_FILE = "detector.json"
#: Where the package has its own detectors, in folders of their names.
_EMBEDDED = Path(__file__).parents[1] / "detector"
_DRIVE = re.compile(r"\A[A-Za-z]\Z")


class _MemberFile(BaseModel):
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.safetensors$")
    sha256: str


class _Member(BaseModel):
    name: str
    network: str
    weights: _MemberFile


class _Spec(BaseModel):
    members: list[_Member]


def bundle_and_member(source: str | Path) -> tuple[Path, str] | None:
    """Return the folder of a detector and the member named after a colon, "" without one.

    A detector that the package ships has a name: ``default``. None if ``source`` is something else.

    >>> bundle_and_member("densenet121.tv_in1k") is None
    True
    >>> folder, member = bundle_and_member("default:densenet121") or (Path(), "")
    >>> folder.name, member
    ('default', 'densenet121')
    """
    if found := _detector_folder(str(source)):
        return found, ""
    name, colon, member = str(source).rpartition(":")
    folder = _detector_folder(name) if colon and not _DRIVE.match(name) else None
    return (folder, member) if folder else None


def _detector_folder(source: str) -> Path | None:
    """Return the folder of a shipped detector's name, or of a detector; None if it is neither."""
    shipped = _EMBEDDED / source
    if source and shipped.parent == _EMBEDDED and (shipped / SPEC_FILE).is_file():
        return shipped
    return Path(source) if (Path(source) / SPEC_FILE).is_file() else None


def _member_weights(
    folder: Path, member: str, backbone: Mapping[str, Tensor]
) -> tuple[str, dict[str, Tensor], str]:
    """Return a member's name, its tensors, and the SHA-256 of its file.

    It is the member of this name, or, if the name is "", the only one with the tensors of
    ``backbone``.

    Raises:
        BundleSchemaError, BundleHashError: the folder is not a valid bundle.
        TrainingError: there is no such member, or not exactly one that fits.
    """
    members = _members(folder)
    if not member and len(members) > 1:
        fitting = [
            one.name for one in members if _has_same_shapes(_tensors(folder, one)[0], backbone)
        ]
        if len(fitting) != 1:
            raise TrainingError(_choose_member(folder, members, fitting))
        (member,) = fitting
    elif not member and members:
        member = members[0].name
    chosen = next((one for one in members if one.name == member), None)
    if chosen is None:
        raise TrainingError(_choose_member(folder, members, []))
    return chosen.name, *_tensors(folder, chosen)


def _members(folder: Path) -> list[_Member]:
    path = folder / SPEC_FILE
    try:
        return _Spec.model_validate(json.loads(path.read_bytes())).members
    except (ValidationError, ValueError, RecursionError) as error:
        raise BundleSchemaError(f"{path} does not name the weights of its members") from error


def _tensors(folder: Path, member: _Member) -> tuple[dict[str, Tensor], str]:
    """Return a member's tensors and the verified SHA-256 of its file."""
    path = folder / member.weights.name
    tensors = read(path)
    found = sha256(path.read_bytes()).hexdigest()
    if found != member.weights.sha256:
        raise BundleHashError(
            f"{path} is not the file that {SPEC_FILE} names: expected SHA-256 "
            f"{member.weights.sha256}, found {found}; download the whole bundle again"
        )
    return tensors, found


def _has_same_shapes(tensors: Mapping[str, Tensor], backbone: Mapping[str, Tensor]) -> bool:
    own = {
        name.removeprefix("backbone."): tensor.shape
        for name, tensor in tensors.items()
        if name.startswith("backbone.")
    }
    return own == {name: tensor.shape for name, tensor in backbone.items()}


def _choose_member(folder: Path, members: list[_Member], fitting: list[str]) -> str:
    names = ", ".join(f"{folder}:{one.name} ({one.network})" for one in members)
    fit = f"{len(fitting)} of them fit the network" if fitting else "none of that name fits"
    return f"{folder} has {len(members)} members and {fit}; name one: {names}"


_OLD_DENSENET_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""Old torchvision files use ``denselayer1.norm.1.weight`` for ``denselayer1.norm1.weight``."""

_PREFIXES = ("_orig_mod.", "module.", "model.")
"""Prefixes that torch.compile, data parallelism and training scripts add to every name."""

_COUNTER = "num_batches_tracked"
"""Missing from files older than torch 0.4.1; a count of batches, not a weight."""


class StartingWeights(Record):
    """Loaded weights: the source, its SHA-256, the tensors used and those ignored.

    ``sha256`` is the file's; for a name of timm's hub, that of the tensors written as safetensors.

    >>> str(StartingWeights(source="a.pt", sha256="0", used=("w",), ignored=("classifier.bias",)))
    'a.pt: 1 tensor used, left aside: classifier.bias'
    """

    source: str
    sha256: str
    used: tuple[str, ...]
    ignored: tuple[str, ...]

    def __str__(self) -> str:
        count = count_noun(len(self.used), "tensor", separator="")
        aside = f", left aside: {', '.join(self.ignored)}" if self.ignored else ""
        return f"{self.source}: {count} used{aside}"


def load_starting_weights(network: Network, path: str | Path) -> StartingWeights:
    """Load a checkpoint into the network, all of it or nothing, and return what was loaded.

    ``path`` is a safetensors file, a ``.pt`` with only tensors, a name on timm's hub such as
    ``densenet121.tv_in1k``, the folder of a detector, or ``default``, the shipped one. ``:member``
    after a detector selects one of several members. The checkpoint fills the backbone, and its own
    last layer is ignored. A file saved from a faceproof network fills the head as well. A detector
    fills the head if its own has the same shape.

    Raises:
        SourceNotFoundError: neither a file, nor a detector, nor a name on timm's hub.
        TrainingError: the file is not a checkpoint, contains code, or does not fit the network.
        BundleError: the detector's folder cannot be trusted.
    """
    require("torch", "timm", "safetensors")
    if found_bundle := bundle_and_member(path):
        return _load_from_bundle(network, *found_bundle)
    state, digest = _fetch(path)
    found = _rename_tensors(state)
    whole = any(name.startswith("backbone.") for name in found)
    ignored = [name for name in found if name.rpartition(".")[0] in network.classifier]
    used = {name: value for name, value in found.items() if name not in ignored}
    _fill((network if whole else network.backbone).state_dict(), used, source=str(path))
    return StartingWeights(
        source=Path(path).name, sha256=digest, used=tuple(used), ignored=tuple(ignored)
    )


def _load_from_bundle(network: Network, folder: Path, member: str) -> StartingWeights:
    """Load the backbone of a detector's member, and its head if it has the same shape."""
    name, found, digest = _member_weights(folder, member, network.backbone.state_dict())
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
    """Return the tensors and the SHA-256 of a file, or of a name on timm's hub."""
    path = Path(source)
    if path.is_file():
        return read(path), sha256(path.read_bytes()).hexdigest()
    if _is_on_hub(str(source)):
        state = download(str(source))
        return state, _tensors_sha256(state)
    raise _not_found_error(source)


def _not_found_error(source: str | Path) -> SourceNotFoundError:
    return SourceNotFoundError(
        f"no starting weights at {source}: name a .safetensors or .pt file, a detector's folder, "
        "'default' for the shipped one, or a pretrained network of timm such as "
        "'densenet121.tv_in1k'"
    )


def _rename_tensors(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under current names, without the prefixes of wrappers."""
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return {_OLD_DENSENET_NAME.sub(r"\1\2", name): value for name, value in state.items()}


def _fill(target: dict[str, Tensor], used: dict[str, Tensor], *, source: str) -> None:
    """Copy ``used`` into ``target`` after validating every name, shape and number."""
    import torch

    both = [name for name in used if name in target]
    faults = {
        "missing": [n for n in target if n not in used and not n.endswith(_COUNTER)],
        "unknown": [n for n in used if n not in target],
        "of another shape": [n for n in both if target[n].shape != used[n].shape],
        "not finite": [n for n in both if not torch.isfinite(used[n]).all()],
    }
    if any(faults.values()):
        raise misfit_error(source, faults)
    with torch.no_grad():
        for name in both:
            target[name].copy_(used[name])
