"""Pictures of a data set, opened in one pass: sampling, integrity, faces and features."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import polars as pl

from faceproof.data.duplicates import perceptual_hash
from faceproof.data.inspection.record import MOST_EXAMPLES, DataFault, OpenedSample, make_fault
from faceproof.data.inspection.rows import MANIFEST, InputManifest, row_examples
from faceproof.data.manifest import LABELS
from faceproof.data.shortcuts.features import (
    FEATURES,
    FLOOR,
    as_row,
    floor_features,
    measure_shortcuts,
)
from faceproof.data.shortcuts.probe import MOST, probe
from faceproof.data.shortcuts.probe import sample as drawn
from faceproof.data.shortcuts.result import ProbeResult
from faceproof.errors import DataError, PictureError, SourceError, SourceNotFoundError
from faceproof.imaging.decode import DEFAULT_LIMITS, Picture, decode, read_file
from faceproof.imaging.degradations import reduce_to
from faceproof.imaging.faces import Face, YuNet
from faceproof.messages import count_noun
from faceproof.pipeline import map_in_order

_ELSEWHERE = r"^[/\\]|^[A-Za-z]:[/\\]|(^|[/\\])\.\.([/\\]|$)"


def _check_presence(
    table: pl.DataFrame, roots: Sequence[Path | None]
) -> Iterator[tuple[str, int, str]]:
    """Yield kind of fault, place in the table and reason for missing or changed files.

    A path outside the data folder is not opened.
    """
    inside = (pl.col("path") != "") & ~pl.col("path").str.contains(_ELSEWHERE)
    rows = table.select(MANIFEST, "path", "bytes", inside.alias("inside")).with_row_index("#at")
    folders = [os.fspath(root or Path()) for root in roots]
    for place, manifest, path, size, is_inside in rows.iter_rows():
        if is_inside and (trouble := _find_trouble(f"{folders[manifest]}/{path}", size)):
            yield trouble[0], place, trouble[1]


def _find_trouble(path: str, size: int | None) -> tuple[str, str] | None:
    """Return the fault of a file that the file system shows."""
    try:
        found = os.stat(path).st_size  # noqa: PTH116 (a million rows: three times as fast)
    except FileNotFoundError:
        return "missing", "no such file"
    except (OSError, ValueError) as error:
        return "unreadable", getattr(error, "strerror", None) or str(error)
    if size is not None and found != size:
        return "changed", f"{found:,} bytes, but {size:,} in the manifest"
    return None


def sample(table: pl.DataFrame, *, n: int, seed: int) -> npt.NDArray[np.int64]:
    """Return int64 places in the table, ascending: ``n`` of them, or all if that is 0 or less.

    Half are from each class if it has enough, and within a class each generator and source has the
    same number.
    """
    if n == 0 or table.height <= n:
        return np.arange(table.height)
    classes = _number_combinations(table, "label")
    kinds = _number_combinations(table, "label", "generator", "source")
    shuffled = np.random.default_rng(seed).permutation(table.height)
    taken = []
    for number, half in enumerate(even_shares(np.bincount(classes).tolist(), n)):
        own = shuffled[classes[shuffled] == number]
        sizes = np.bincount(kinds[own], minlength=int(kinds.max()) + 1)
        for kind, share in enumerate(even_shares(sizes.tolist(), half)):
            taken.append(own[kinds[own] == kind][:share])
    return np.sort(np.concatenate(taken))


def _number_combinations(table: pl.DataFrame, *columns: str) -> npt.NDArray[np.int64]:
    """Return int64 [N]: for each row the number of its combination of these columns, from 0."""
    ranks = table.select(pl.struct(columns).rank("dense")).to_series()
    return ranks.to_numpy().astype(np.int64) - 1


def even_shares(sizes: list[int], total: int) -> list[int]:
    """Return how many to take of each, as evenly as the sizes allow; their sum is ``total``.

    >>> even_shares([100, 2, 50], 40)
    [19, 2, 19]
    """
    shares = [0] * len(sizes)
    left = min(total, sum(sizes))
    for rank, kind in enumerate(sorted(range(len(sizes)), key=lambda kind: sizes[kind])):
        shares[kind] = min(sizes[kind], left // (len(sizes) - rank))
        left -= shares[kind]
    return shares


Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

#: Faces are detected in a copy of this side first, and at full size if it has none: faces fill most
#: pictures of a face set, and the small copy takes a third of the time.
FIRST_SIDE = 128
_DARKEST_LUMA = 25.0


@dataclass(frozen=True, slots=True)
class _PictureRequest:
    """A picture to open: its row's place in the table, its path and its expected facts.

    ``probe_it`` requests the features of the shortcut probe, which take most of the time.
    """

    place: int
    path: Path
    sha256: str
    hash_it: bool = False
    probe_it: bool = True


@dataclass(frozen=True, slots=True)
class PictureReading:
    """The result for one picture; ``trouble`` is the kind of fault if it changed or is unreadable.

    ``features`` is float64 [F] of the shortcut probe, ``floor`` float64 [5]; both None if not
    requested. ``shape`` is (width, height), zero if the picture could not be read.
    """

    place: int
    trouble: str = ""
    reason: str = ""
    faces: int = 0
    luma: float = math.nan
    shape: tuple[int, int] = (0, 0)
    format: str = ""
    bytes: int = 0
    phash: str | None = None
    features: Floats | None = field(default=None, repr=False)
    floor: Floats | None = field(default=None, repr=False)

    @property
    def is_read(self) -> bool:
        """Whether the picture was decoded."""
        return self.shape != (0, 0)


def _look_at_all(
    wanted: Sequence[_PictureRequest], *, done: Callable[[object], None] = lambda _: None
) -> list[PictureReading]:
    """Return the result of each picture; ``done`` is called after each."""
    workers = min(16, os.cpu_count() or 1)
    looks = []
    one = partial(look_at, finder=YuNet())
    with closing(map_in_order(one, wanted, workers=workers, ahead=8 * workers)) as found:
        for look in found:
            looks.append(look)
            done(look)
    return looks


def look_at(wanted: _PictureRequest, *, finder: YuNet) -> PictureReading:
    """Return the result of one picture."""
    try:
        data = read_file(wanted.path, DEFAULT_LIMITS)
    except SourceNotFoundError:
        return PictureReading(wanted.place, "missing", "no such file")
    except SourceError as error:
        return PictureReading(wanted.place, "unreadable", _brief_message(error, wanted.path))
    changed = hashlib.sha256(data).hexdigest() != wanted.sha256
    try:
        picture = decode(data).require_whole()
    except PictureError as error:
        reason = f"{_brief_message(error, wanted.path)}{', and its bytes have changed' * changed}"
        return PictureReading(wanted.place, "unreadable", reason)
    return _measure_picture(wanted, data, picture, finder, "changed" if changed else "")


def find_faces(pixels: Pixels, finder: YuNet) -> list[Face]:
    """Return the faces of uint8 [H, W, 3] sRGB, the largest first; a small copy is tried first."""
    small = reduce_to(pixels, FIRST_SIDE)
    faces = finder.find(small)
    if small.shape == pixels.shape:
        return faces
    ratio = np.array([pixels.shape[1] / small.shape[1], pixels.shape[0] / small.shape[0]])
    return [_enlarge_face(face, ratio) for face in faces] or finder.find(pixels)


def thumbnail(path: Path, *, side: int, quality: int = 70) -> bytes | None:
    """Return a WebP of at most ``side`` px; None if the picture cannot be read."""
    try:
        pixels = decode(read_file(path, DEFAULT_LIMITS)).pixels
    except SourceError:
        return None
    small = cv2.cvtColor(reduce_to(pixels, side), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".webp", small, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()


def _measure_picture(
    wanted: _PictureRequest, data: bytes, picture: Picture, finder: YuNet, trouble: str
) -> PictureReading:
    """Return the result of a readable picture."""
    faces = find_faces(picture.pixels, finder)
    features, floor = _probe_inputs(data, picture, faces) if wanted.probe_it else (None, None)
    return PictureReading(
        wanted.place,
        trouble=trouble,
        reason="its sha256 differs from the manifest's" if trouble else "",
        faces=len(faces),
        luma=float(cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2GRAY).mean()),
        shape=(picture.width, picture.height),
        format=picture.format,
        bytes=len(data),
        phash=perceptual_hash(picture.pixels).hex() if wanted.hash_it else None,
        features=features,
        floor=floor,
    )


def _probe_inputs(data: bytes, picture: Picture, faces: Sequence[Face]) -> tuple[Floats, Floats]:
    """Return the input of the shortcut probe: features and floor."""
    features = as_row(measure_shortcuts(data, picture=picture, faces=faces))
    return features, as_row(floor_features(picture), tuple(FLOOR))


def _enlarge_face(face: Face, ratio: npt.NDArray[np.float64]) -> Face:
    """Return a face found in a small copy in the picture's own coordinates."""
    (x, y), (width, height) = np.array(face.box).reshape(2, 2) * ratio
    points = (face.landmarks * ratio).astype(np.float32)
    return Face((float(x), float(y), float(width), float(height)), points, face.detection_score)


def _brief_message(error: SourceError, path: Path) -> str:
    """Return an error's code and message, without the path."""
    return f"{error.code}: {str(error).removeprefix(f'{path}: ')}"


_TROUBLES = {
    "missing": "{count} not there.",
    "unreadable": "{count} not readable.",
    "changed": "{count} with another sha256 than in the manifest.",
}
_MEASURED = ("phash", "width", "height", "bytes", "format")


@dataclass(frozen=True)
class PictureInspection:
    """The opened pictures, and all missing ones (place -> reason)."""

    sample: OpenedSample | None = None
    looks: tuple[PictureReading, ...] = ()
    troubles: tuple[tuple[str, int, str], ...] = ()
    """Kind of fault, place in the table, reason."""
    shortcut: ProbeResult | None = None
    shortcut_note: str = "no picture was opened"

    def fill_facts(self, table: pl.DataFrame) -> pl.DataFrame:
        """Return the table with missing facts filled in from the opened pictures."""
        read = [look for look in self.looks if look.is_read]
        if not read:
            return table
        measured = pl.DataFrame(
            {
                "#at": [look.place for look in read],
                "phash": [look.phash for look in read],
                "width": [look.shape[0] for look in read],
                "height": [look.shape[1] for look in read],
                "bytes": [look.bytes for look in read],
                "format": [look.format for look in read],
            },
            schema={"#at": pl.UInt32, **{name: table.schema[name] for name in _MEASURED}},
        )
        joined = table.with_row_index("#at").join(
            measured, on="#at", how="left", suffix="#new", maintain_order="left"
        )
        return joined.select(
            pl.coalesce(name, f"{name}#new").alias(name) if name in _MEASURED else name
            for name in table.columns
        )

    def faults(self, table: pl.DataFrame) -> Iterator[DataFault]:
        """Yield the faults of files and pictures."""
        for kind, meaning in _TROUBLES.items():
            found = [(place, reason) for trouble, place, reason in self.troubles if trouble == kind]
            if found:
                places, reasons = zip(*found[:MOST_EXAMPLES], strict=True)
                where = row_examples(table, places, reasons)
                message = meaning.format(count=count_noun(len(found), "picture"))
                yield make_fault(kind, message, where, count=len(found))
        yield from self._content_faults(table)
        yield from self._shortcut_faults()

    def _content_faults(self, table: pl.DataFrame) -> Iterator[DataFault]:
        """Yield the faults in the content of pictures."""
        read = [look for look in self.looks if look.is_read]
        dark = [look for look in read if look.luma < _DARKEST_LUMA]
        without = [look for look in read if not look.faces]
        of = f"of {count_noun(len(read), 'opened picture')}"
        if without:
            places = [look.place for look in without]
            message = f"{len(without):,} {of} without a face."
            where = row_examples(table, places[:MOST_EXAMPLES])
            yield make_fault("non-face", message, where, count=len(without))
        if dark:
            darkest = sorted(dark, key=lambda look: look.luma)[:MOST_EXAMPLES]
            lumas = [f"mean brightness {look.luma:.0f} of 255" for look in darkest]
            message = f"{len(dark):,} {of} darker than {_DARKEST_LUMA:g} of 255 on average."
            where = row_examples(table, [look.place for look in darkest], lumas)
            yield make_fault("dark", message, where, count=len(dark))

    def _shortcut_faults(self) -> Iterator[DataFault]:
        """Yield the faults from a grave result of the probe."""
        kinds = {"severe": "shortcut", "warning": "weak-shortcut"}
        found = self.shortcut
        if found is None or found.severity not in kinds:
            return
        guilty = "; ".join(one.says for one in found.guilty[:3])
        message = (
            f"Without a look at faces, ROC-AUC {found.auc:.3f} [{found.low:.3f}, {found.high:.3f}] "
            f"(n = {found.n_real + found.n_fake:,}, as the files are)"
            f"{f': {guilty}' if guilty else ''}."
        )
        yield make_fault(kinds[found.severity], message, [], count=len(found.guilty))


NOT_OPENED = PictureInspection()


def open_pictures(
    table: pl.DataFrame,
    given: Sequence[InputManifest],
    n: int,
    seed: int,
    done: Callable[[object], None],
) -> PictureInspection:
    """Return the results of ``n`` pictures (0: all), and all missing files."""
    absent = _check_presence(table, [one.root for one in given])
    wanted = _plan_requests(table, given, sample(table, n=n, seed=seed).tolist(), seed)
    looks = _look_at_all(wanted, done=done)
    shortcut, note = _run_probe(table, looks, seed)
    taken = {look.place for look in looks}
    troubles = [
        *((look.trouble, look.place, look.reason) for look in looks if look.trouble),
        *((kind, place, reason) for kind, place, reason in absent if place not in taken),
    ]
    return PictureInspection(
        sample=OpenedSample(
            n=len(looks),
            rows=table.height,
            seed=seed,
            unreadable=sum(not look.is_read for look in looks),
            without_face=sum(look.is_read and not look.faces for look in looks),
        ),
        looks=tuple(looks),
        troubles=tuple(sorted(troubles, key=lambda trouble: trouble[1])),
        shortcut=shortcut,
        shortcut_note=note,
    )


def _plan_requests(
    table: pl.DataFrame, given: Sequence[InputManifest], places: list[int], seed: int
) -> list[_PictureRequest]:
    """Return the pictures to open; paths outside the data folder are faults of the contract."""
    rows = table.select(MANIFEST, "path", "sha256", pl.col("phash").is_null())[places].rows()
    probed = _choose_probed(table, places, seed)
    return [
        _PictureRequest(
            place,
            (given[manifest].root or Path()) / path,
            sha256,
            hash_it=hash_it,
            probe_it=place in probed,
        )
        for place, (manifest, path, sha256, hash_it) in zip(places, rows, strict=True)
        if is_inside(path)
    ]


def _choose_probed(table: pl.DataFrame, places: list[int], seed: int) -> set[int]:
    """Return the places that the shortcut probe uses; others are not measured."""
    labels = table["label"]
    known = np.array([place for place in places if labels[place] in LABELS], np.int64)
    fake = np.array([labels[int(place)] == "fake" for place in known], np.bool_)
    return set(known[drawn(fake, most=MOST, seed=seed)].tolist())


def is_inside(path: str) -> bool:
    """Return whether a row's path stays inside the data folder.

    >>> is_inside("a/b.jpg"), is_inside("../b.jpg"), is_inside("/b.jpg")
    (True, False, False)
    """
    return bool(path) and not Path(path).is_absolute() and ".." not in Path(path).parts


def _run_probe(
    table: pl.DataFrame, looks: Sequence[PictureReading], seed: int
) -> tuple[ProbeResult | None, str]:
    """Return the result of the shortcut probe, or None and the reason why it was skipped."""
    labels = table["label"].to_list()
    read = [look for look in looks if look.features is not None and labels[look.place] in LABELS]
    places = [look.place for look in read]
    fakes = np.array([labels[place] == "fake" for place in places], np.bool_)
    if not fakes.any() or fakes.all():
        return None, "the probe needs pictures of both classes"
    groups = table["group"][places]
    measured = np.array([look.features for look in read], np.float64)
    floor = np.array([look.floor for look in read], np.float64)
    try:
        found = probe(measured, FEATURES, fakes, groups.to_numpy(), floor=floor, seed=seed)
    except DataError as error:
        return None, str(error)
    return found, ""
