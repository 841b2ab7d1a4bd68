"""FaceForensics++: originals and five manipulations of each, as videos or frames."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from faceproof.data.layouts.identities import Identities
from faceproof.data.layouts.listing import (
    Entry,
    Listed,
    ListingOptions,
    Note,
    is_video,
    refuse_unused,
)
from faceproof.data.layouts.signs import misplaced, unexpected
from faceproof.data.layouts.tree import Tree, read_tree
from faceproof.data.layouts.video_sets import NOT_FACES, below, video_name
from faceproof.errors import ManifestError

_TOPS = frozenset({"original_sequences", "manipulated_sequences"})
_COMPRESSIONS = frozenset({"raw", "c0", "c23", "c40"})
_SPLIT_FILES = {"train.json": "train", "val.json": "validation", "test.json": "test"}
#: 000 and 000_003 (target_source); of actors 01__walking and 01_02__walking__YVGY8LOK.
_YOUTUBE = re.compile(r"\d{3}(?:_\d{3})?")
_ACTORS = re.compile(r"\d{2}(?:_\d{2})?__\w+")
_PLACE = (
    "{original_sequences/{youtube,actors},manipulated_sequences/METHOD}/{raw,c23,c40}/"
    "{videos,images}/..."
)


@dataclass(frozen=True, slots=True)
class _Seen:
    """One file and what its place says."""

    path: str
    method: str
    compression: str
    video: str
    people: tuple[str, ...]


def faceforensics(source: Path, options: ListingOptions) -> Iterator[Entry]:
    """Yield FaceForensics++ (with DeepFakeDetection), as downloaded or cut into frames.

    The fake 000_003 shows 003's face moved onto 000, so whoever stands in one pair is one group,
    over all methods and compressions; the official splits never part a pair. They are read from
    train.json, val.json and test.json where those lie below the folder.

    Source: Roessler et al., FaceForensics++, ICCV 2019, arXiv:1901.08971; dataset/README.md of
    ondyari/FaceForensics. DeepFakeDetection's names (01_02__meeting_serious__YVGY8LOK) and the form
    of the split files are as public code that reads the set has them.
    """
    refuse_unused(options, "faceforensics")
    tree = read_tree(source, tables=lambda name: name in _SPLIT_FILES)
    if not any(below(path, _TOPS) for path in tree.media):
        raise unexpected(source, "faceforensics", _PLACE, tree)
    masks = [path for path in tree.media if NOT_FACES & set(below(path, _TOPS))]
    seen = {path: _seen(path) for path in tree.media if path not in set(masks)}
    splits = _official_splits(tree)
    yield from _notes(masks, splits)
    people = Identities()
    for one in filter(None, seen.values()):
        people.join(one.people)
    for path, found in seen.items():
        yield _listed(found, people, splits) if found else misplaced(path, _PLACE)
    yield from tree.problems


def _seen(path: str) -> _Seen | None:
    """Return what the place of a file says, or nothing where it is not one of the set's."""
    top, *folders = below(path, _TOPS) or ("",)
    compression = next((name for name in folders if name in _COMPRESSIONS), "")
    method = folders[0] if folders and folders[0] != compression else "youtube"
    actors = method in {"actors", "deepfakedetection"}
    video = video_name(path, _ACTORS if actors else _YOUTUBE)
    if not (top and compression and video) or (top.startswith("manip") and method == "youtube"):
        return None
    kind = "actors" if actors else "youtube"
    people = tuple(f"{kind}/{number}" for number in video.partition("__")[0].split("_"))
    return _Seen(path, method, compression, video, people)


def _listed(seen: _Seen, people: Identities, splits: dict[str, str]) -> Listed:
    """Return a file as a row."""
    real = seen.method in {"youtube", "actors"}
    return Listed(
        seen.path,
        label="real" if real else "fake",
        generator="none" if real else seen.method,
        group=people.group(seen.people[0]),
        split=splits.get(seen.people[0], ""),
        attributes={
            "method": seen.method,
            "compression": seen.compression,
            "video": seen.video,
        },
        video=is_video(seen.path),
    )


def _official_splits(tree: Tree) -> dict[str, str]:
    """Return the split of each person that the official files name."""
    found: dict[str, str] = {}
    for table in tree.tables:
        split = _SPLIT_FILES[table.rpartition("/")[2]]
        for pair in _pairs(tree.root / table):
            found |= {f"youtube/{number}": split for number in pair}
    return found


def _pairs(path: Path) -> list[list[str]]:
    """Return the pairs of one split file, such as [["720", "672"], ...].

    Raises:
        ManifestError: it holds something else.
    """
    try:
        pairs = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ManifestError(f"{path}: no JSON ({error}): fetch the split file again") from error
    if not isinstance(pairs, list) or not all(isinstance(pair, list) for pair in pairs):
        expected = 'pairs of numbers such as [["720", "672"]]'
        raise ManifestError(f"{path}: expected {expected}: fetch the split file again")
    return [[str(number) for number in pair] for pair in pairs]


def _notes(masks: list[str], splits: dict[str, str]) -> Iterator[Note]:
    """Yield what was left out by its folder, and whether the official splits were found."""
    kinds = Counter(next(iter(NOT_FACES & set(below(path, _TOPS)))) for path in masks)
    for kind, count in sorted(kinds.items()):
        yield Note(f"{count} files in folders called {kind!r} show no faces and are not listed")
    if not splits:
        yield Note("no train.json, val.json, test.json here, so no official split is set")
