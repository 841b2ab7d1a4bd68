"""Layouts of manipulated videos: Celeb-DF and FaceForensics++, as videos or frames."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from faceproof.data.layouts.listing import (
    Entry,
    ListedFile,
    ListingOptions,
    ListingProblem,
    Note,
    Tree,
    is_video,
    read_tree,
    refuse_unused,
    strip_suffix,
)
from faceproof.data.layouts.words import Identities, misplaced_problem, unexpected_layout_error
from faceproof.errors import ManifestError

#: Folders of such sets with pictures that do not show faces.
_NOT_FACES = frozenset({"masks", "mask", "models", "landmarks", "bounding_boxes"})


def video_name(path: str, pattern: re.Pattern[str]) -> str:
    r"""Return the name of a video, or of a frame's video; an empty string if unclear.

    A frame's video names its folder (000_003/0001.png) or begins its name (000_003_0001.png).

    >>> video_name("videos/000_003.mp4", re.compile(r"\d{3}(_\d{3})?"))
    '000_003'
    >>> video_name("images/000/0001.png", re.compile(r"\d{3}(_\d{3})?"))
    '000'
    >>> video_name("images/portrait.png", re.compile(r"\d{3}(_\d{3})?"))
    ''
    """
    place = PurePosixPath(path)
    stem = strip_suffix(place.name)
    if is_video(path):
        return stem if pattern.fullmatch(stem) else ""
    if pattern.fullmatch(place.parent.name):
        return place.parent.name
    begins = re.match(f"({pattern.pattern})(?![0-9a-zA-Z])", stem)
    return begins[1] if begins else ""


def _folders_from(path: str, names: frozenset[str]) -> tuple[str, ...]:
    """Return the folders of a path from the first that has one of these names, in lower case.

    >>> _folders_from("FF/Original_Sequences/youtube/raw/1.png", frozenset({"original_sequences"}))
    ('original_sequences', 'youtube', 'raw')
    """
    folders = PurePosixPath(path.lower()).parent.parts
    start = next((index for index, name in enumerate(folders) if name in names), len(folders))
    return folders[start:]


_TEST_LIST = "list_of_testing_videos.txt"
_PATTERNS = {
    "celeb-real": re.compile(r"id\d+_\d+"),
    "celeb-synthesis": re.compile(r"id\d+_id\d+_\d+"),
    "youtube-real": re.compile(r"\d{5}"),
}
_TOPS = frozenset(_PATTERNS)
_PLACE = "{Celeb-real,YouTube-real}/*.mp4 and Celeb-synthesis/id0_id1_0000.mp4, or their frames"


@dataclass(frozen=True, slots=True)
class _CelebDfFile:
    """One file and the facts from its path."""

    path: str
    folder: str
    video: str

    @property
    def people(self) -> list[str]:
        """The identities in the name; a video from YouTube is its own identity."""
        return re.findall(r"id\d+", self.video) or [f"{self.folder}/{self.video}"]


def celeb_df(source: Path, options: ListingOptions) -> Iterator[Entry]:
    """Yield Celeb-DF: Celeb-real, YouTube-real and Celeb-synthesis, as videos or frames.

    id0_id1_0000 shows two people, so all people in one name are one group; the whole set has few
    groups. Videos of List_of_testing_videos.txt (1 = real) are the split `test`, the others have
    none.

    Source: Li et al., Celeb-DF, CVPR 2020, arXiv:1909.12962; home yuezunli/celeb-deepfakeforensics.
    That the first version has the same names is from memory.
    """
    refuse_unused(options, "celeb-df")
    tree = read_tree(source, tables=lambda name: name.lower() == _TEST_LIST)
    if not any(_folders_from(path, _TOPS) for path in tree.media):
        raise unexpected_layout_error(source, "celeb-df", _PLACE, tree)
    masks = [path for path in tree.media if _NOT_FACES & set(_folders_from(path, _TOPS))]
    seen = {path: _parse_celeb_df_path(path) for path in tree.media if path not in set(masks)}
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
            yield misplaced_problem(path, _PLACE)
        elif (found.folder, found.video) not in official.torn:
            yield _list_celeb_df(found, people, official.videos)
    yield from tree.problems


def _parse_celeb_df_path(path: str) -> _CelebDfFile | None:
    """Return the facts from the path of a file, or None if it is not in the set."""
    folder = next(iter(_folders_from(path, _TOPS)), "")
    video = video_name(path, _PATTERNS[folder]) if folder else ""
    return _CelebDfFile(path, folder, video) if video else None


def _list_celeb_df(
    seen: _CelebDfFile, people: Identities, tested: set[tuple[str, str]]
) -> ListedFile:
    """Return a file as a row."""
    fake = seen.folder == "celeb-synthesis"
    return ListedFile(
        seen.path,
        label="fake" if fake else "real",
        generator="celeb-df-swap" if fake else "none",
        group=people.group(seen.people[0]),
        split="test" if (seen.folder, seen.video) in tested else "",
        attributes={"video": seen.video, "part": seen.folder},
        video=is_video(seen.path),
    )


class _TestList:
    """The official test list, with lines such as "1 YouTube-real/00170.mp4"; 1 is real."""

    def __init__(self, tree: Tree, known: set[tuple[str, str]]) -> None:
        self.videos: set[tuple[str, str]] = set()
        self.torn: set[tuple[str, str]] = set()
        self.entries: list[Note | ListingProblem] = []
        self._known = known
        if not tree.tables:
            note = "no List_of_testing_videos.txt here, so no official split is set"
            self.entries.append(Note(note))
        for place in tree.tables:
            lines = (tree.root / place).read_text(encoding="utf-8-sig").splitlines()
            for row, line in enumerate(lines, start=1):
                self.entries += [ListingProblem(place, *wrong, row) for wrong in self._read(line)]

    def _read(self, line: str) -> Iterator[tuple[str, str]]:
        """Parse one line; yield the code and the reason of an error in it."""
        label, _, name = line.strip().partition(" ")
        folder, _, file = name.strip().rpartition("/")
        video = (folder.lower(), strip_suffix(file))
        if label not in ("0", "1") or video[0] not in _TOPS:
            if line.strip():
                yield "bad_row", f"{line!r}: expected '1 YouTube-real/00170.mp4': correct the line"
            return
        self.videos.add(video)
        if (label == "0") != (video[0] == "celeb-synthesis"):
            self.torn.add(video)
            reason = f"{line!r}: 1 is real, 0 is fake, and the folder has the opposite"
            yield "label_conflict", f"{reason}: not listed; correct the wrong one"
        elif video not in self._known:
            yield "missing_file", f"{name!r}: neither the video nor its frames exist"


_FACEFORENSICS_TOPS = frozenset({"original_sequences", "manipulated_sequences"})
_COMPRESSIONS = frozenset({"raw", "c0", "c23", "c40"})
_SPLIT_FILES = {"train.json": "train", "val.json": "validation", "test.json": "test"}
#: 000 and 000_003 (target_source); of actors 01__walking and 01_02__walking__YVGY8LOK.
_YOUTUBE = re.compile(r"\d{3}(?:_\d{3})?")
_ACTORS = re.compile(r"\d{2}(?:_\d{2})?__\w+")
_FACEFORENSICS_PLACE = (
    "{original_sequences/{youtube,actors},manipulated_sequences/METHOD}/{raw,c23,c40}/"
    "{videos,images}/..."
)


@dataclass(frozen=True, slots=True)
class _FaceForensicsFile:
    """One file and the facts from its path."""

    path: str
    method: str
    compression: str
    video: str
    people: tuple[str, ...]


def faceforensics(source: Path, options: ListingOptions) -> Iterator[Entry]:
    """Yield FaceForensics++ (with DeepFakeDetection), as downloaded or cut into frames.

    The fake 000_003 shows the face of 003 on 000, so all people in one pair are one group, over all
    methods and compressions; the official splits never divide a pair. They are read from
    train.json, val.json and test.json below the folder.

    Source: Roessler et al., FaceForensics++, ICCV 2019, arXiv:1901.08971; dataset/README.md of
    ondyari/FaceForensics. DeepFakeDetection's names (01_02__meeting_serious__YVGY8LOK) and the
    format of the split files are those of public code that reads the set.
    """
    refuse_unused(options, "faceforensics")
    tree = read_tree(source, tables=lambda name: name in _SPLIT_FILES)
    if not any(_folders_from(path, _FACEFORENSICS_TOPS) for path in tree.media):
        raise unexpected_layout_error(source, "faceforensics", _FACEFORENSICS_PLACE, tree)
    masks = [
        path for path in tree.media if _NOT_FACES & set(_folders_from(path, _FACEFORENSICS_TOPS))
    ]
    seen = {path: _parse_faceforensics_path(path) for path in tree.media if path not in set(masks)}
    splits = _official_splits(tree)
    yield from _faceforensics_notes(masks, splits)
    people = Identities()
    for one in filter(None, seen.values()):
        people.join(one.people)
    for path, found in seen.items():
        yield (
            _list_faceforensics(found, people, splits)
            if found
            else misplaced_problem(path, _FACEFORENSICS_PLACE)
        )
    yield from tree.problems


def _parse_faceforensics_path(path: str) -> _FaceForensicsFile | None:
    """Return the facts from the path of a file, or None if it is not in the set."""
    top, *folders = _folders_from(path, _FACEFORENSICS_TOPS) or ("",)
    compression = next((name for name in folders if name in _COMPRESSIONS), "")
    method = folders[0] if folders and folders[0] != compression else "youtube"
    actors = method in {"actors", "deepfakedetection"}
    video = video_name(path, _ACTORS if actors else _YOUTUBE)
    if not (top and compression and video) or (top.startswith("manip") and method == "youtube"):
        return None
    kind = "actors" if actors else "youtube"
    people = tuple(f"{kind}/{number}" for number in video.partition("__")[0].split("_"))
    return _FaceForensicsFile(path, method, compression, video, people)


def _list_faceforensics(
    seen: _FaceForensicsFile, people: Identities, splits: dict[str, str]
) -> ListedFile:
    """Return a file as a row."""
    real = seen.method in {"youtube", "actors"}
    return ListedFile(
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
        for pair in _read_pairs(tree.root / table):
            found |= {f"youtube/{number}": split for number in pair}
    return found


def _read_pairs(path: Path) -> list[list[str]]:
    """Return the pairs of one split file, such as [["720", "672"], ...].

    Raises:
        ManifestError: it has other content.
    """
    try:
        pairs = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ManifestError(
            f"{path}: invalid JSON ({error}): fetch the split file again"
        ) from error
    if not isinstance(pairs, list) or not all(isinstance(pair, list) for pair in pairs):
        expected = 'pairs of numbers such as [["720", "672"]]'
        raise ManifestError(f"{path}: expected {expected}: fetch the split file again")
    return [[str(number) for number in pair] for pair in pairs]


def _faceforensics_notes(masks: list[str], splits: dict[str, str]) -> Iterator[Note]:
    """Yield the folders that were excluded, and whether the official splits were found."""
    kinds = Counter(
        next(iter(_NOT_FACES & set(_folders_from(path, _FACEFORENSICS_TOPS)))) for path in masks
    )
    for kind, count in sorted(kinds.items()):
        yield Note(f"{count} files in folders called {kind!r} show no faces and are not listed")
    if not splits:
        yield Note("no train.json, val.json, test.json here, so no official split is set")
