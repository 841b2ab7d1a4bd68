"""A detector's folder as starting weights: the member that fits, its file verified.

What a bundle is stands in `faceproof.detector`, which is built on networks. Here only so much of
detector.json is read as names each member's weights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field, ValidationError

from faceproof.errors import BundleHashError, BundleSchemaError, TrainingError
from faceproof.networks.checkpoints import read

if TYPE_CHECKING:
    from torch import Tensor

SPEC_FILE = "detector.json"
_DRIVE = re.compile(r"\A[A-Za-z]\Z")


class _File(BaseModel):
    name: str = Field(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]*\.safetensors\z")
    sha256: str


class _Member(BaseModel):
    name: str
    network: str
    weights: _File


class _Spec(BaseModel):
    members: list[_Member]


def bundle_and_member(source: str | Path) -> tuple[Path, str] | None:
    """Return the folder of a detector and the member named after a colon, "" where none is.

    None where ``source`` is something else.

    >>> bundle_and_member("densenet121.tv_in1k") is None
    True
    """
    if (Path(source) / SPEC_FILE).is_file():
        return Path(source), ""
    folder, colon, member = str(source).rpartition(":")
    is_bundle = colon and not _DRIVE.match(folder) and (Path(folder) / SPEC_FILE).is_file()
    return (Path(folder), member) if is_bundle else None


def member_weights(
    folder: Path, member: str, backbone: Mapping[str, Tensor]
) -> tuple[str, dict[str, Tensor], str]:
    """Return a member's name, its tensors, and the SHA-256 of its file.

    It is the member of this name; where the name is "", the only one with the tensors of
    ``backbone``.

    Raises:
        BundleSchemaError, BundleHashError: the folder is not the bundle that it says it is.
        TrainingError: there is no such member, or not exactly one that fits.
    """
    members = _members(folder)
    if not member and len(members) > 1:
        fitting = [one.name for one in members if _fits(_tensors(folder, one)[0], backbone)]
        if len(fitting) != 1:
            raise TrainingError(_which(folder, members, fitting))
        (member,) = fitting
    elif not member and members:
        member = members[0].name
    chosen = next((one for one in members if one.name == member), None)
    if chosen is None:
        raise TrainingError(_which(folder, members, []))
    return chosen.name, *_tensors(folder, chosen)


def _members(folder: Path) -> list[_Member]:
    path = folder / SPEC_FILE
    try:
        return _Spec.model_validate(json.loads(path.read_bytes())).members
    except (ValidationError, ValueError, RecursionError) as error:
        raise BundleSchemaError(f"{path} does not name the weights of its members") from error


def _tensors(folder: Path, member: _Member) -> tuple[dict[str, Tensor], str]:
    """Return a member's tensors and the SHA-256 of its file, which is the one that it names."""
    path = folder / member.weights.name
    tensors = read(path)
    found = sha256(path.read_bytes()).hexdigest()
    if found != member.weights.sha256:
        raise BundleHashError(
            f"{path} is not the file that {SPEC_FILE} names: expected SHA-256 "
            f"{member.weights.sha256}, found {found}; get the whole bundle again"
        )
    return tensors, found


def _fits(tensors: Mapping[str, Tensor], backbone: Mapping[str, Tensor]) -> bool:
    own = {
        name.removeprefix("backbone."): tensor.shape
        for name, tensor in tensors.items()
        if name.startswith("backbone.")
    }
    return own == {name: tensor.shape for name, tensor in backbone.items()}


def _which(folder: Path, members: list[_Member], fitting: list[str]) -> str:
    names = ", ".join(f"{folder}:{one.name} ({one.network})" for one in members)
    fit = f"{len(fitting)} of them fit the network" if fitting else "none of that name fits"
    return f"{folder} has {len(members)} members and {fit}; name one: {names}"
