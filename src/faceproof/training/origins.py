"""`resolve_origin`: name and licence of starting weights, as the weights themselves state them.

A detector's folder, one of its files, a checkpoint in a run folder, a name on timm's hub and
metadata in a file state an origin. A recipe must not contradict it. Only a file that states
nothing takes name and licence from the recipe.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, TypeAdapter

from faceproof.detector.bundle import Bundle
from faceproof.detector.detector import detectors, locate
from faceproof.detector.spec import DetectorSpec, StartingPoint, Text
from faceproof.errors import BundleError, RecipeError
from faceproof.networks.weights import bundle_and_member, hub_licence, read_statements
from faceproof.outputs import atomic_write
from faceproof.runs import SNAPSHOTS

RECORD = "started_from.json"
"""The file of a run folder with the starting weights and their own origins."""

# Words of recipes that nobody has filled in, without "the", "your", "add" and the like.
_PLACEHOLDERS = re.compile(
    r"(?:the|your|my|some|any|no|add|insert|set|choose)?(?:licence|name|source|origin|weights)?"
    r"(?:here|name|todo|tbd)?"
    r"|to ?do|tb[acd]|fixme|x+|n/?a|nil|null|none|no|yes|other|test|example|placeholder"
    r"|un(?:known|clear|defined|specified|decided|set)|not(?:known|set|yet|specified|stated)"
    r"|(?:change|replace|fill)(?:me|in|this)|tobe(?:decided|defined|determined|added)"
)
_UNFILLED = re.compile(
    r"(?i)^\W*(?:say here|to ?do\b|tbd\b|fix ?me\b|insert\b|fill in\b)|^[<\[{][^<>\[\]{}]*[>\]}]$"
)


def is_placeholder(text: str) -> bool:
    """Return whether a text only holds the place of a name or a licence.

    >>> [is_placeholder(text) for text in ("TODO", "?", "<licence>", "MIT", "All rights reserved")]
    [True, True, True, False, False]
    """
    letters = re.sub(r"[\W_]", "", text).casefold().replace("license", "licence")
    return bool(_PLACEHOLDERS.fullmatch(letters) or _UNFILLED.search(text.strip()))


def _refuse_placeholder(text: str) -> str:
    if is_placeholder(text):
        raise ValueError(
            f"{text!r} is a placeholder: write what applies, for example 'CC-BY-4.0', "
            "'Research use only' or 'Private: not for distribution'"
        )
    return text


Statement = Annotated[Text, AfterValidator(_refuse_placeholder)]
"""A name or a licence in a recipe; a placeholder is refused."""


@dataclass(frozen=True)
class StatedOrigin:
    """What weights state about themselves; None where they state nothing.

    ``kind`` says where it is stated, and ``keyword`` is the part of the name that a recipe's own
    words must contain. ``ancestors`` are what these weights started from.
    """

    kind: str
    name: str | None = None
    licence: str | None = None
    keyword: str = ""
    ancestors: tuple[StartingPoint, ...] = ()


def resolve_origin(source: str, name: str | None, licence: str | None) -> tuple[StartingPoint, ...]:
    """Return the origin of starting weights and of what those started from, without hashes.

    ``name`` and ``licence`` are those of the recipe, None if it leaves them out.

    Raises:
        RecipeError: the recipe contradicts the weights, or both state nothing.
        BundleError: ``source`` is the folder of a detector, which is invalid.
    """
    stated = read_origin(source)
    _refuse_contradiction(source, stated, name, licence)
    own_name, own_licence = stated.name or name, stated.licence or licence
    if own_name is None or own_licence is None:
        keys = {"network.started_from": own_name, "network.started_from_licence": own_licence}
        missing = " and ".join(key for key, value in keys.items() if value is None)
        raise RecipeError(
            f"{source} does not state its origin: set {missing}, which the detector's card repeats"
        )
    start = StartingPoint(name=own_name, licence=own_licence, source=stated.kind)
    return tuple(dict.fromkeys((start, *stated.ancestors)))


def averaged_origins(others: Sequence[str]) -> tuple[StartingPoint, ...]:
    """Return the origins of weights that are averaged with trained ones, and what those began with.

    Raises:
        RecipeError: one does not state its origin.
        BundleError: one is the folder of a detector, which is invalid.
    """
    points: list[StartingPoint] = []
    for other in others:
        stated = read_origin(other)
        if stated.name is None or stated.licence is None:
            raise RecipeError(
                f"network.averaged_with: {other} does not state its name and licence: name a "
                "detector, or a file whose metadata have both"
            )
        points.append(StartingPoint(name=stated.name, licence=stated.licence, source=stated.kind))
        points.extend(stated.ancestors)
    return tuple(dict.fromkeys(points))


def _refuse_contradiction(
    source: str, stated: StatedOrigin, name: str | None, licence: str | None
) -> None:
    """Refuse words of the recipe that are not those of the weights."""
    said = {"started_from": name, "started_from_licence": licence}
    wrong = [
        f"network.{key} is {said[key]!r}"
        for key, agrees in (
            ("started_from", stated.keyword.casefold() in (name or stated.keyword).casefold()),
            ("started_from_licence", _same_licence(licence, stated.licence)),
        )
        if not agrees
    ]
    if wrong:
        facts = {"name": stated.name, "licence": stated.licence}
        own = ", ".join(f"{key} {value!r}" for key, value in facts.items() if value)
        raise RecipeError(
            f"{' and '.join(wrong)}, but network.starting_weights = {source} is of another origin "
            f"({stated.kind}: {own}). Delete network.started_from and "
            'network.started_from_licence or set both to "auto": the card names the true origin'
        )


def _same_licence(said: str | None, own: str | None) -> bool:
    """Return whether two licences are the same but for spelling, or one is not given.

    >>> _same_licence("Apache License 2.0", "apache-2.0"), _same_licence("MIT", "GPL-3.0")
    (True, False)
    """
    if said is None or own is None:
        return True
    return _plain(said) == _plain(own)


def _plain(licence: str) -> str:
    words = re.sub(r"\b(?:the|licen[cs]e|version|v)\b", "", licence.casefold())
    return re.sub(r"[\W_]", "", words)


def read_origin(source: str) -> StatedOrigin:
    """Return what starting weights state about themselves.

    Raises:
        BundleError: ``source`` is the folder of a detector, which is invalid.
    """
    if source in detectors():
        return _of_detector(Bundle.read(locate(source)).spec)
    if found := bundle_and_member(source):
        return _of_detector(Bundle.read(found[0]).spec, found[1])
    path = Path(source)
    if not path.is_file():
        licence = hub_licence(source)
        return StatedOrigin("timm's hub", source, _given(licence), source)
    return (
        _of_detectors_file(path)
        or _of_run(path)
        or _of_metadata(read_statements(path))
        or StatedOrigin("file")
    )


def _of_detector(spec: DetectorSpec, member: str = "") -> StatedOrigin:
    of_member = f", member {member}" if member and len(spec.members) > 1 else ""
    return StatedOrigin(
        kind="detector",
        name=f"{spec.name} {spec.version}{of_member}",
        licence=_given(spec.licence),
        keyword=spec.name,
        ancestors=spec.started_from,
    )


def _of_detectors_file(path: Path) -> StatedOrigin | None:
    """Return the origin of a file that a detector names by its hash: one beside it, or embedded."""
    digest = sha256(path.read_bytes()).hexdigest()
    for folder in (path.parent, *map(locate, detectors())):
        try:
            spec = Bundle.read(folder).spec
        except BundleError:  # a folder without a detector, or a file of that name from elsewhere
            continue
        for member in spec.members:
            if member.weights.sha256 == digest:
                return _of_detector(spec, member.name)
        for start in spec.started_from:
            if start.sha256 == digest:
                kind = f"recorded by {spec.name} {spec.version}"
                return StatedOrigin(kind, start.name, _given(start.licence))
    return None


def _of_run(path: Path) -> StatedOrigin | None:
    """Return the origin of a checkpoint, or a snapshot, that is still in its run folder."""
    run = path.parent.parent if path.parent.name == SNAPSHOTS else path.parent
    try:
        recipe = json.loads((run / "run.json").read_bytes())[-1]["recipe"]
        export, licence = recipe["export"], str(recipe["data"]["licence"])
        name, version = str(export["name"]), str(export["version"])
        ancestors = read_starting_points(run)
    except (OSError, ValueError, LookupError, TypeError):
        return None
    whole = f"{name} {version}, checkpoint {path.name}"
    return StatedOrigin("training run", whole, _given(licence), name, ancestors)


def _of_metadata(statements: Mapping[str, str]) -> StatedOrigin | None:
    """Return the origin in a file's own metadata, under the keys that tools write."""
    found = {key.casefold().rpartition(".")[2]: value.strip() for key, value in statements.items()}
    name = _given(found.get("name") or found.get("title"))
    licence = _given(found.get("licence") or found.get("license"))
    if name is None and licence is None:
        return None
    return StatedOrigin("metadata of the file", name, licence, name or "")


def _given(text: str | None) -> str | None:
    """Return a text, or None if it is missing or a placeholder."""
    return None if text is None or is_placeholder(text) else text


_POINTS = TypeAdapter(tuple[StartingPoint, ...])


def write_starting_points(folder: Path, points: tuple[StartingPoint, ...], digest: str) -> None:
    """Write the origins into a run folder, with the hash of the weights that were loaded."""
    first = points[0].model_copy(update={"sha256": digest})
    with atomic_write(folder / RECORD) as file:
        file.write(_POINTS.dump_json((first, *points[1:]), indent=2))


def read_starting_points(folder: Path) -> tuple[StartingPoint, ...]:
    """Return the origins that a run folder records, empty for random weights.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / RECORD
    if not path.exists():
        return ()
    content: Any = json.loads(path.read_bytes())
    return _POINTS.validate_python([content] if isinstance(content, dict) else content)
