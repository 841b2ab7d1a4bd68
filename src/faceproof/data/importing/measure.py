"""`PictureFacts`: read listed files, measure each picture, and build the manifest's table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import polars as pl

from faceproof.data.duplicates import perceptual_hash
from faceproof.data.importing.videos import sample_video
from faceproof.data.layouts.listing import RESERVED, ListedFile, ListingProblem
from faceproof.data.manifest import CONTRACT, FACTS, SPLITS
from faceproof.errors import SourceError, SourceUnreadableError, TruncatedPictureError, UsageError
from faceproof.imaging.containers.base import Container
from faceproof.imaging.decode import DEFAULT_LIMITS, decode, read_file
from faceproof.imaging.formats import FORMATS, SUFFIXES
from faceproof.outputs import atomic_write
from faceproof.sources import to_printable


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """The facts of a picture file: its hash, perceptual hash, size and JPEG quality.

    ``width`` and ``height`` are those of the upright picture; ``jpeg_quality`` is 1 to 100, and
    None if the file is not a JPEG.
    """

    sha256: str
    phash: str
    width: int
    height: int
    bytes: int
    format: str
    jpeg_quality: int | None


def measure(data: bytes, name: str) -> PictureFacts:
    """Return the facts of the bytes of a picture's file; ``name`` is for messages.

    Raises:
        PictureError: the bytes are not a usable picture; the subclass is the reason.
    """
    picture = decode(data, name=name).require_whole(name)
    return PictureFacts(
        sha256=picture.sha256,
        phash=perceptual_hash(picture.pixels).hex(),
        width=picture.width,
        height=picture.height,
        bytes=len(data),
        format=picture.format,
        jpeg_quality=jpeg_quality(picture.container),
    )


def jpeg_quality(container: Container | None) -> int | None:
    """Return the libjpeg quality, 1 to 100, nearest to a file's luma table.

    None if the file is not a JPEG, or has no table.
    """
    header = container.jpeg_header if container else None
    return int(header.quality) if header and header.luma else None


#: The fix for a file, by the error's code, if the message does not contain it.
_REMEDIES = {
    "corrupt_picture": "fetch the file again, or delete it",
    "empty_file": "fetch the file again, or delete it",
    "mislabelled_file": "rename it, or delete it",
    "source_not_found": "fetch the missing files, or remove the row from the source's table",
    "source_unreadable": "check permissions and disk space, then import again",
    "truncated_picture": "fetch the file again, or delete it",
}


@dataclass(frozen=True, slots=True)
class _MeasuredPicture:
    """One picture: its listed entry, its path (below the source, or extracted) and its facts."""

    item: ListedFile
    path: str
    extracted: bool
    facts: PictureFacts
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImportTask:
    """A listed entry, and its name if it is extracted."""

    item: ListedFile
    place: str = ""


@dataclass(frozen=True)
class Reader:
    """Reads the entries below ``folder``; writes frames and embedded pictures to ``extract``."""

    folder: Path
    extract: Path
    frames: int

    def read(self, task: ImportTask | ListingProblem) -> list[_MeasuredPicture | ListingProblem]:
        """Return the pictures of a task, or the problems in their place."""
        if isinstance(task, ListingProblem):
            return [task]
        try:
            return list(self._read(task))
        except SourceError as error:
            return [self._make_problem(task.item, error)]
        except OSError as error:  # from writing; reading raises ours
            message = f"{error.filename}: cannot be written ({error.strerror or error})"
            return [self._make_problem(task.item, SourceUnreadableError(message))]

    def _read(self, task: ImportTask) -> Iterator[_MeasuredPicture | ListingProblem]:
        item = task.item
        if item.video:
            yield from self._measure_frames(task)
        elif item.data is not None:
            yield self._measure_embedded(task, item.data)
        else:
            data = read_file(self.folder / item.path, DEFAULT_LIMITS)
            yield _MeasuredPicture(item, item.path, extracted=False, facts=measure(data, item.path))

    def _measure_embedded(self, task: ImportTask, data: bytes) -> _MeasuredPicture:
        """Write embedded bytes unchanged, after decoding them as a picture."""
        facts = measure(data, task.item.path)
        path = _add_suffix(task.place, facts.format)
        _write(self.extract / path, data)
        return _MeasuredPicture(task.item, path, extracted=True, facts=facts)

    def _measure_frames(self, task: ImportTask) -> Iterator[_MeasuredPicture | ListingProblem]:
        """Yield the frames of a video, and a problem if some could not be decoded."""
        item, folder = task.item, self.extract / task.place
        sampled = sample_video(self.folder / item.path, folder, self.frames)
        for frame in sampled.frames:
            path = f"{task.place}/{frame.file}"
            facts = measure(read_file(self.extract / path, DEFAULT_LIMITS), path)
            frame_facts = {"frame": str(frame.number), "seconds": f"{frame.seconds:.3f}"}
            attributes = {"video": item.path, **frame_facts}
            yield _MeasuredPicture(item, path, extracted=True, facts=facts, attributes=attributes)
        if sampled.missing:
            yield self._make_problem(item, TruncatedPictureError(sampled.missing))

    def _make_problem(self, item: ListedFile, error: SourceError) -> ListingProblem:
        """Return an error as a problem: the reason and the fix, without the name."""
        path = self.folder / item.path
        reason = str(error).removeprefix(f"{item.path}: ").removeprefix(f"{path}: ")
        remedy = _REMEDIES.get(error.code)
        message = f"{reason}; {remedy}" if remedy else reason
        return ListingProblem(to_printable(item.path), error.code, to_printable(message))


def _add_suffix(place: str, kind: str) -> str:
    """Return the name with a suffix of its format.

    >>> _add_suffix("train/7.png", "JPEG"), _add_suffix("v1.5", "PNG")
    ('train/7.jpg', 'v1.5.png')
    """
    suffixes = FORMATS[kind].suffixes
    own = PurePosixPath(place).suffix
    if own.lower() in suffixes:
        return place
    return (place.removesuffix(own) if own.lower() in SUFFIXES else place) + suffixes[0]


def _write(path: Path, data: bytes) -> None:
    """Write a file atomically; an existing file with the same content is not rewritten.

    The next import verifies the content, so that no file waits for the disk.
    """
    if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, sync=False) as file:
        file.write(data)


#: Names of splits in sources; any other name is kept, but is not one of our splits.
_SPLIT_NAMES = {
    **{name: name for name in SPLITS},
    **dict.fromkeys(("training", "tr"), "train"),
    **dict.fromkeys(("valid", "val", "validate", "dev", "development"), "validation"),
    **dict.fromkeys(("testing", "eval", "evaluation"), "test"),
    **dict.fromkeys(("calib", "cal"), "calibration"),
}
OFFICIAL = "official_split"

_MEASURED = ("phash", "width", "height", "bytes", "format", "jpeg_quality")
_CHUNK_ROWS = 8192
_EXTRACTED = "_extracted"


class RowCollector:
    """Collects measured pictures one at a time, stored as columns."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._chunks: list[pl.DataFrame] = []
        self._open: list[_MeasuredPicture] = []

    def add(self, measured: _MeasuredPicture) -> None:
        """Add one picture."""
        self._open.append(measured)
        if len(self._open) >= _CHUNK_ROWS:
            self._close()

    def table(self, folder: Path, extract: Path) -> tuple[pl.DataFrame, Path]:
        """Return the table so far, and the folder that its paths are relative to.

        That is ``folder`` or ``extract``, or their common parent if pictures are in both.
        """
        self._close()
        table = pl.concat(self._chunks, how="diagonal")
        kinds = set(table[_EXTRACTED].unique())
        root = _data_root(folder, extract, kinds)
        prefixes = {True: _path_prefix(extract, root), False: _path_prefix(folder, root)}
        prefix = pl.col(_EXTRACTED).replace_strict(prefixes, return_dtype=pl.String)
        return table.with_columns(path=prefix + pl.col("path")).drop(_EXTRACTED), root

    def _close(self) -> None:
        """Convert the pending rows to columns."""
        names = dict.fromkeys(name for row in self._open for name in _attributes(row))
        found = [_attributes(row) for row in self._open]
        rows = [_contract_values(row, self._source) for row in self._open]
        facts = {name: [getattr(row.facts, name) for row in self._open] for name in _MEASURED}
        columns = {name: [row[place] for row in rows] for place, name in enumerate(CONTRACT)}
        self._chunks.append(
            pl.DataFrame(
                {
                    **columns,
                    **facts,
                    **{name: [row.get(name, "") for row in found] for name in names},
                    _EXTRACTED: [row.extracted for row in self._open],
                },
                schema={
                    **dict.fromkeys(CONTRACT, pl.String),
                    **{name: FACTS[name] for name in _MEASURED},
                    **dict.fromkeys(names, pl.String),
                    _EXTRACTED: pl.Boolean,
                },
            )
        )
        self._open = []


def settle_splits(table: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Return the table with official splits under our names, and notes about them.

    Official splits are not usable if the same picture or group is in two of them, or if a name is
    not one of ours. Then ``split`` is emptied and they stay in the column ``official_split``.
    """
    renamed = table.with_columns(split=pl.col("split").str.to_lowercase().replace(_SPLIT_NAMES))
    notes = [*_unknown_split_notes(renamed), *_split_leak_notes(renamed)]
    if not notes:
        return renamed, []
    kept = table.with_columns(pl.lit("").alias("split"), pl.col("split").alias(OFFICIAL))
    note = (
        f"{'; '.join(notes)}: the official split is kept in the column {OFFICIAL}, and split is "
        "left empty, for `faceproof data split` to fill"
    )
    return kept, [note]


def _unknown_split_notes(table: pl.DataFrame) -> list[str]:
    """Return a note about official splits with unknown names."""
    names = sorted(set(table["split"].unique()) - {"", *SPLITS})
    return [f"no split of ours is called {' or '.join(map(repr, names))}"] if names else []


def _split_leak_notes(table: pl.DataFrame) -> list[str]:
    """Return notes about pictures and groups that are in two official splits."""
    standing = table.filter(pl.col("split") != "")
    notes = []
    for key, what in (("sha256", "file"), ("group", "group")):
        splits = standing.group_by(key).agg(pl.col("split").n_unique())
        twice = splits.filter(pl.col("split") > 1).height
        if twice:
            stand = f"{what}s occur" if twice > 1 else f"{what} occurs"
            notes.append(f"{twice} {stand} in more than one official split")
    return notes


def _contract_values(row: _MeasuredPicture, source: str) -> tuple[str, ...]:
    """Return the values of `CONTRACT`, in its order."""
    item = row.item
    known = {
        "path": row.path,
        "label": item.label,
        "generator": item.generator,
        "source": source,
        "group": f"{source}/{item.group or item.path}",
        "sha256": row.facts.sha256,
        "split": item.split,
    }
    return tuple(known[name] for name in CONTRACT)


def _attributes(row: _MeasuredPicture) -> dict[str, str]:
    """Return the attributes of a picture from the layout, and from its extraction."""
    both = {**row.item.attributes, **row.attributes}
    taken = RESERVED | {OFFICIAL, _EXTRACTED}
    return {f"table_{name}" if name in taken else name: value for name, value in both.items()}


def _data_root(folder: Path, extract: Path, kinds: set[bool]) -> Path:
    """Return the data folder: the folder of the pictures, or the common parent of both."""
    if kinds <= {False}:
        return folder
    if kinds == {True}:
        return extract
    try:
        return Path(os.path.commonpath([folder.absolute(), extract.absolute()]))
    except ValueError as error:  # two drives of Windows
        raise UsageError(
            f"{folder} and {extract} are on two drives: set a folder on the first with --extract"
        ) from error


def _path_prefix(place: Path, root: Path) -> str:
    """Return the prefix of paths below ``place``, relative to ``root``."""
    if place == root:
        return ""
    try:
        inner = place.absolute().relative_to(root.absolute()).as_posix()
    except ValueError:  # no picture is there
        return ""
    return "" if inner == "." else f"{inner}/"
