"""Celeb-DF, first and second version: interviews of celebrities and face swaps between them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from faceproof.data.layouts.identities import Identities
from faceproof.data.layouts.listing import (
    Entry,
    Listed,
    ListingOptions,
    Note,
    Problem,
    is_video,
    refuse_unused,
    without_suffix,
)
from faceproof.data.layouts.signs import misplaced, unexpected
from faceproof.data.layouts.tree import Tree, read_tree
from faceproof.data.layouts.video_sets import NOT_FACES, below, video_name

_TEST_LIST = "list_of_testing_videos.txt"
_PATTERNS = {
    "celeb-real": re.compile(r"id\d+_\d+"),
    "celeb-synthesis": re.compile(r"id\d+_id\d+_\d+"),
    "youtube-real": re.compile(r"\d{5}"),
}
_TOPS = frozenset(_PATTERNS)
_PLACE = "{Celeb-real,YouTube-real}/*.mp4 and Celeb-synthesis/id0_id1_0000.mp4, or their frames"


@dataclass(frozen=True, slots=True)
class _Seen:
    """One file and what its place says."""

    path: str
    folder: str
    video: str

    @property
    def people(self) -> list[str]:
        """The identities in the name; a video from YouTube is one of its own."""
        return re.findall(r"id\d+", self.video) or [f"{self.folder}/{self.video}"]


def celeb_df(source: Path, options: ListingOptions) -> Iterator[Entry]:
    """Yield Celeb-DF: Celeb-real, YouTube-real and Celeb-synthesis, as videos or frames.

    id0_id1_0000 shows two people, so whoever stands in one name is one group; the whole set has
    few of them. Videos of List_of_testing_videos.txt (1 = real) are the split `test`, the others
    have none.

    Source: Li et al., Celeb-DF, CVPR 2020, arXiv:1909.12962; home yuezunli/celeb-deepfakeforensics.
    That the first version has the same names is taken from memory.
    """
    refuse_unused(options, "celeb-df")
    tree = read_tree(source, tables=lambda name: name.lower() == _TEST_LIST)
    if not any(below(path, _TOPS) for path in tree.media):
        raise unexpected(source, "celeb-df", _PLACE, tree)
    masks = [path for path in tree.media if NOT_FACES & set(below(path, _TOPS))]
    seen = {path: _seen(path) for path in tree.media if path not in set(masks)}
    known = [one for one in seen.values() if one]
    official = _TestList(tree, {(one.folder, one.video) for one in known})
    yield from official.entries
    if masks:
        yield Note(f"{len(masks)} files in folders of masks or landmarks are not listed")
    people = Identities()
    for one in known:
        people.join(one.people)
    for path, found in seen.items():
        if not found:
            yield misplaced(path, _PLACE)
        elif (found.folder, found.video) not in official.torn:
            yield _listed(found, people, official.videos)
    yield from tree.problems


def _seen(path: str) -> _Seen | None:
    """Return what the place of a file says, or nothing where it is not one of the set's."""
    folder = next(iter(below(path, _TOPS)), "")
    video = video_name(path, _PATTERNS[folder]) if folder else ""
    return _Seen(path, folder, video) if video else None


def _listed(seen: _Seen, people: Identities, tested: set[tuple[str, str]]) -> Listed:
    """Return a file as a row."""
    fake = seen.folder == "celeb-synthesis"
    return Listed(
        seen.path,
        label="fake" if fake else "real",
        generator="celeb-df-swap" if fake else "none",
        group=people.group(seen.people[0]),
        split="test" if (seen.folder, seen.video) in tested else "",
        attributes={"video": seen.video, "part": seen.folder},
        video=is_video(seen.path),
    )


class _TestList:
    """The official test list, whose lines are like "1 YouTube-real/00170.mp4"; 1 is real."""

    def __init__(self, tree: Tree, known: set[tuple[str, str]]) -> None:
        self.videos: set[tuple[str, str]] = set()
        self.torn: set[tuple[str, str]] = set()
        self.entries: list[Note | Problem] = []
        self._known = known
        if not tree.tables:
            note = "no List_of_testing_videos.txt here, so no official split is set"
            self.entries.append(Note(note))
        for place in tree.tables:
            lines = (tree.root / place).read_text(encoding="utf-8-sig").splitlines()
            for row, line in enumerate(lines, start=1):
                self.entries += [Problem(place, *wrong, row) for wrong in self._read(line)]

    def _read(self, line: str) -> Iterator[tuple[str, str]]:
        """Take one line in; yield the code and the reason where something is wrong with it."""
        label, _, name = line.strip().partition(" ")
        folder, _, file = name.strip().rpartition("/")
        video = (folder.lower(), without_suffix(file))
        if label not in ("0", "1") or video[0] not in _TOPS:
            if line.strip():
                yield "bad_row", f"{line!r}: expected '1 YouTube-real/00170.mp4': mend the line"
            return
        self.videos.add(video)
        if (label == "0") != (video[0] == "celeb-synthesis"):
            self.torn.add(video)
            reason = f"{line!r}: 1 is real, 0 is fake, and the folder says the opposite"
            yield "label_conflict", f"{reason}: not listed; mend whichever is wrong"
        elif video not in self._known:
            yield "missing_file", f"{name!r}: neither the video nor its frames are here"
