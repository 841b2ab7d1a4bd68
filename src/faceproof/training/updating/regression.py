"""`collect_gate_cases` and `compare_predictions`: feedback as a regression set of an update.

A face detected again in a re-encoded picture is cropped slightly differently, which changes its
perceptual hash. For 30 prepared faces at 0.7 of their size and JPEG quality 60 no hash matched, but
29 matched after aligning one crop with the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
import polars as pl

from faceproof.data.duplicates import NEAR_BITS, hash_array, near_pairs_between, perceptual_hash
from faceproof.data.hamming import Bytes
from faceproof.detector import Detector
from faceproof.detector.bundle import Bundle
from faceproof.detector.scorers import usable_cores
from faceproof.errors import SourceError
from faceproof.evaluation import predictions
from faceproof.evaluation.feedback import Box, Feedback
from faceproof.evaluation.feedback_set import (
    FeedbackCase,
    FeedbackSet,
    collect_cases,
    describe_counts,
)
from faceproof.evaluation.gate import Gate, Regression
from faceproof.evaluation.paired import Pair, pair_predictions
from faceproof.evaluation.predict import predict_rows
from faceproof.evaluation.predictions import Origin, withholds_verdict
from faceproof.evaluation.scored_faces import FaceSearch, Pixels, closest_face, search_faces
from faceproof.imaging.decode import load
from faceproof.imaging.faces import Face, FaceFinder, YuNet
from faceproof.imaging.preprocessing import CropSpec, crop_face
from faceproof.training.finish import saved_predictions
from faceproof.training.updating.sets import PictureSet, record_of

if TYPE_CHECKING:
    import pyarrow as pa


_CANDIDATES = 50
"""Number of known faces to compare, nearest by hash."""

_SIDE, _RIM = 96, 8
_STEPS, _ENOUGH = 60, 1e-5
_BLUR = 5


def _nearest_rows(look: bytes, known: Bytes) -> list[int]:
    """Return the rows of uint8 [N, 32] with the nearest hashes, nearest first."""
    differing = np.bitwise_count(known ^ np.frombuffer(look, np.uint8)).sum(axis=1)
    return [int(row) for row in np.argsort(differing, kind="stable")[:_CANDIDATES]]


def _is_same_crop(one: Pixels, other: Pixels) -> bool:
    """Return whether two crops show the same picture after alignment.

    Source: Evangelidis and Psarakis 2008, IEEE TPAMI 30:1858 (enhanced correlation coefficient).
    """
    first, second = _small_grey(one), _small_grey(other)
    start = np.eye(2, 3, dtype=np.float32)
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _STEPS, _ENOUGH)
    try:
        _, move = cv2.findTransformECC(
            first, second, start, cv2.MOTION_AFFINE, stop, np.array([]), _BLUR
        )
    except cv2.error:  # no alignment found
        return False
    moved = cv2.warpAffine(
        second,
        move,
        (_SIDE, _SIDE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return _differing_bits(_strip_rim(first), _strip_rim(moved)) <= NEAR_BITS


def _small_grey(pixels: Pixels) -> npt.NDArray[np.uint8]:
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _strip_rim(grey: npt.ArrayLike) -> Pixels:
    """Return the crop without its rim of padded pixels, as colour."""
    inside = np.asarray(grey, np.uint8)[_RIM:-_RIM, _RIM:-_RIM]
    return np.repeat(inside[:, :, None], 3, axis=2)


def _differing_bits(one: Pixels, other: Pixels) -> int:
    first, second = (int.from_bytes(perceptual_hash(pixels), "big") for pixels in (one, other))
    return (first ^ second).bit_count()


_HASHES = ("sha256", "origin_sha256")
_IS_HASH = pl.col("phash").str.contains("^[0-9a-f]{64}$").fill_null(value=False)


def seen_pictures(
    found: FeedbackSet, sets: Sequence[PictureSet], *, finder: FaceFinder
) -> set[str]:
    """Return the paths of pictures that the update uses for training, selection or test.

    The same file is matched by its SHA-256, before or after preparation. A re-encoded file is
    matched by its content, with faces cropped as in the set, if the set has perceptual hashes
    (`count_unhashed` counts the rest).
    """
    digests = {digest for part in sets for digest in _digests(part.manifest.table)}
    same = {case.path for case in found.cases if case.row.sha256 in digests}
    rest = sorted({case.path for case in found.cases} - same)
    alike = (path for part in sets for path in _find_alike(found.root, rest, part, finder))
    return same | set(alike)


def count_unhashed(sets: Iterable[PictureSet]) -> int:
    """Return the number of pictures of the sets without a perceptual hash."""
    return sum(len(part.manifest) - _hashed_rows(part).height for part in sets)


def _digests(table: pl.DataFrame) -> Iterator[str]:
    for name in _HASHES:
        if name in table.columns:
            yield from table[name]


def _hashed_rows(part: PictureSet) -> pl.DataFrame:
    """Return the rows of a set with a perceptual hash."""
    table = part.manifest.table
    return table.filter(_IS_HASH) if "phash" in table.columns else table.clear()


def _find_alike(
    root: Path, paths: Sequence[str], part: PictureSet, finder: FaceFinder
) -> Iterator[str]:
    """Yield the paths of pictures that look like one of a set."""
    rows = _hashed_rows(part)
    if rows.is_empty():
        return
    known = hash_array(rows["phash"])
    files = [part.root / name for name in rows["path"]]
    crop = _crop(part)
    for path in paths:
        pixels = _pixels(root / path)
        if pixels is None:
            continue
        if crop is None:
            found = len(near_pairs_between(_look(pixels), known, distance=NEAR_BITS)) > 0
        else:
            cuts = [crop_face(pixels, face.landmarks, crop) for face in finder.find(pixels)]
            found = any(_is_cut_there(cut, known, files) for cut in cuts)
        if found:
            yield path


def _crop(part: PictureSet) -> CropSpec | None:
    """Return the crop of a set's pictures and hashes, None for whole pictures."""
    known = record_of(part.root)
    return None if known is None or known.spec.keep != "crop" else known.spec.crop


def _is_cut_there(cut: Pixels, known: Bytes, files: Sequence[Path]) -> bool:
    """Return whether a cropped face matches one of the files, given their hashes."""
    rows = _nearest_rows(perceptual_hash(cut), known)
    others = (_pixels(files[row]) for row in rows)
    return any(other is not None and _is_same_crop(other, cut) for other in others)


def _look(pixels: Pixels) -> Bytes:
    return np.frombuffer(perceptual_hash(pixels), np.uint8).reshape(1, -1)


def _pixels(path: Path) -> Pixels | None:
    """Return the pixels of a picture, None if it cannot be read (it is not judged either)."""
    try:
        return load(path).pixels
    except SourceError:
        return None


Progress = Callable[[str], None]

PURPOSE = "regression"
CONDITIONS = ("clean",)
_MOST_NAMED = 100

_SAME_FACE = 0.5


@dataclass(frozen=True)
class FeedbackSource:
    """Feedback, its origin, and the folder of its pictures."""

    feedback: tuple[Feedback, ...]
    name: str
    pictures: Path


def collect_gate_cases(
    source: FeedbackSource, sets: Sequence[PictureSet], progress: Progress
) -> FeedbackSet:
    """Return the cases for the gate; report the excluded ones.

    Raises:
        ManifestError: the folder of pictures does not exist.
    """
    found = collect_cases(source.feedback, source.pictures, name=source.name)
    found = found.without(seen_pictures(found, sets, finder=YuNet()))
    progress(f"feedback of {source.name}: {describe_counts(found.counts, len(found.cases))}")
    if count := count_unhashed(sets):
        progress(
            f"{count} pictures of the update have no perceptual hash: feedback cannot be checked "
            "for re-encoded copies of them"
        )
    return found


def predict_cases(
    found: FeedbackSet, bundle: Bundle, file: Path, *, finder: FaceFinder
) -> pa.Table:
    """Return a detector's predictions of every case, loaded from the file or saved there."""
    origin = Origin(detector_sha256=bundle.sha256, data_sha256=found.sha256, purpose=PURPOSE)
    if (known := saved_predictions(file, origin, CONDITIONS)) is not None:
        return known
    detector = Detector.load(bundle.folder, threads=usable_cores())
    made = _join_tables(
        [
            _predict_part(detector, part, origin, finder, found.root)
            for part in _group_by_face(found)
        ]
    )
    predictions.write_table(made, file)
    return made


@dataclass(frozen=True)
class ComparedPredictions:
    """Predictions of both detectors for every case, in the order of the set."""

    old: pa.Table
    new: pa.Table

    @property
    def pair(self) -> Pair:
        """The cases judged by both detectors."""
        return pair_predictions(self.old, self.new)


def compare_predictions(
    found: FeedbackSet | None, old: Bundle, new: Bundle, folder: Path
) -> ComparedPredictions | None:
    """Return both detectors' predictions of the cases, None without cases."""
    if found is None or not found.cases:
        return None
    finder = YuNet()
    tables = [
        predict_cases(found, bundle, folder / f"predictions-feedback-{who}.parquet", finder=finder)
        for who, bundle in (("old", old), ("new", new))
    ]
    return ComparedPredictions(*tables)


def feedback_cautions(
    found: FeedbackSet | None, answers: ComparedPredictions | None
) -> tuple[str, ...]:
    """Return warnings about the feedback in the gate's decision."""
    if found is None or (answers is not None and len(answers.pair.old)):
        return ()
    return (
        f"none of the {found.counts.told} feedback entries could be judged: feedback had no "
        "effect on the decision",
    )


def summarise_regression(
    found: FeedbackSet, answers: ComparedPredictions | None, decided: Gate
) -> Regression:
    """Return the record of feedback in an update: exclusions, regressions and corrections."""
    right = [] if answers is None else list(_judged_cases(answers, decided))
    worse = [name for name, before, after in right if before and not after]
    return Regression(
        name=found.name,
        data_sha256=found.sha256,
        **asdict(found.counts),
        judged=len(right),
        wrong_before=sum(not before for _, before, _ in right),
        wrong_after=sum(not after for _, _, after in right),
        newly_wrong=len(worse),
        newly_wrong_names=tuple(worse[:_MOST_NAMED]),
    )


def find_face_in_box(box: Box, finder: FaceFinder, pixels: Pixels) -> list[Face]:
    """Return the face in a box, an empty list if none is detected there."""
    best = closest_face(finder.find(pixels), box, _SAME_FACE)
    return [] if best is None else [best]


def _judged_cases(answers: ComparedPredictions, decided: Gate) -> Iterator[tuple[str, bool, bool]]:
    """Yield each case judged by both: its name, and whether old and new are correct."""
    columns = ("path", "label", "fake_probability", "status", "cautions")
    old, new = (
        zip(*(table[name].to_pylist() for name in columns), strict=True)
        for table in (answers.old, answers.new)
    )
    for (name, label, before, *mark), (_, _, after, *_) in zip(old, new, strict=True):
        if before is not None and after is not None:
            fake, judgeable = label == "fake", not withholds_verdict(*mark)
            yield (
                name,
                fake == (judgeable and before >= decided.old_point.fake_from),
                fake == (judgeable and after >= decided.new_point.fake_from),
            )


def _group_by_face(found: FeedbackSet) -> Iterator[tuple[FeedbackCase, ...]]:
    """Yield all cases of the largest face together, and each other case separately."""
    if together := tuple(case for case in found.cases if case.box is None):
        yield together
    for case in found.cases:
        if case.box is not None:
            yield (case,)


def _predict_part(
    detector: Detector,
    cases: Sequence[FeedbackCase],
    origin: Origin,
    finder: FaceFinder,
    root: Path,
) -> pa.Table:
    """Return the predictions of cases with the same face selection, under the cases' names."""
    box = cases[0].box
    find = (
        search_faces(finder) if box is None else FaceSearch(partial(find_face_in_box, box, finder))
    )
    rows = [case.row for case in cases]
    made = predict_rows(
        detector, rows, origin, CONDITIONS, root=root, find=find, workers=usable_cores()
    )
    where = made.column_names.index("path")
    return made.set_column(where, made.field("path"), [[case.name for case in cases]])


def _join_tables(tables: Sequence[pa.Table]) -> pa.Table:
    import pyarrow as pa

    return pa.concat_tables(tables)
