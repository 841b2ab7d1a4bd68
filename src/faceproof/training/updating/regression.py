"""Feedback as a regression set of an update: judged by both detectors, learned by neither."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from faceproof.detector import Detector
from faceproof.detector.bundle import Bundle
from faceproof.detector.scorers import usable_cores
from faceproof.evaluation import predictions
from faceproof.evaluation.feedback import Box, Feedback
from faceproof.evaluation.feedback_set import Case, FeedbackSet, feedback_set, in_words
from faceproof.evaluation.gate import Gate
from faceproof.evaluation.paired import Pair, paired
from faceproof.evaluation.predict import Pixels, Points, largest, predict_rows
from faceproof.evaluation.predictions import Origin
from faceproof.evaluation.update_record import Regression
from faceproof.imaging.faces import FaceFinder, YuNet
from faceproof.training.answers import kept
from faceproof.training.updating.known import known_pictures, unhashed
from faceproof.training.updating.sets import PictureSet

if TYPE_CHECKING:
    import pyarrow as pa

Progress = Callable[[str], None]

PURPOSE = "regression"
CONDITIONS = ("clean",)
MOST_NAMED = 100

_SAME_FACE = 0.5


@dataclass(frozen=True)
class Told:
    """Feedback, where it comes from, and the folder of the pictures that were kept for it."""

    feedback: tuple[Feedback, ...]
    name: str
    pictures: Path


def cases(told: Told, sets: Sequence[PictureSet], progress: Progress) -> FeedbackSet:
    """Return the cases that the gate judges; what is left out is said.

    Raises:
        ManifestError: there is no folder of pictures.
    """
    found = feedback_set(told.feedback, told.pictures, name=told.name)
    found = found.without(known_pictures(found, sets, finder=YuNet()))
    progress(f"feedback of {told.name}: {in_words(found.counts, len(found.cases))}")
    if count := unhashed(sets):
        progress(
            f"{count} pictures of the update have no perceptual hash: whether feedback shows them "
            "saved again, nobody knows"
        )
    return found


def judged(found: FeedbackSet, bundle: Bundle, file: Path, *, finder: FaceFinder) -> pa.Table:
    """Return a detector's answers about every case: those in the file, or new ones kept there."""
    origin = Origin(detector_sha256=bundle.sha256, data_sha256=found.sha256, purpose=PURPOSE)
    if (known := kept(file, origin, CONDITIONS)) is not None:
        return known
    detector = Detector.load(bundle.folder, threads=usable_cores())
    made = _joined([_answers(detector, part, origin, finder, found.root) for part in _parts(found)])
    predictions.write(made, file)
    return made


@dataclass(frozen=True)
class Compared:
    """What both detectors say of every case, in the order of the set."""

    old: pa.Table
    new: pa.Table

    @property
    def pair(self) -> Pair:
        """The cases that both have judged."""
        return paired(self.old, self.new)


def compared(found: FeedbackSet | None, old: Bundle, new: Bundle, folder: Path) -> Compared | None:
    """Return what both detectors say of the cases, None where there is no case."""
    if found is None or not found.cases:
        return None
    finder = YuNet()
    tables = [
        judged(found, bundle, folder / f"predictions-feedback-{who}.parquet", finder=finder)
        for who, bundle in (("old", old), ("new", new))
    ]
    return Compared(*tables)


def cautions(found: FeedbackSet | None, answers: Compared | None) -> tuple[str, ...]:
    """Return what a reader of the gate's decision must know of the feedback."""
    if found is None or (answers is not None and len(answers.pair.old)):
        return ()
    return (
        f"none of the {found.counts.told} pieces of feedback could be judged: it has decided "
        "nothing here",
    )


def regression(found: FeedbackSet, answers: Compared | None, decided: Gate) -> Regression:
    """Return the record of feedback in an update: what was left out, what got worse or better."""
    right = [] if answers is None else list(_right(answers, decided))
    worse = [name for name, before, after in right if before and not after]
    return Regression(
        name=found.name,
        data_sha256=found.sha256,
        **asdict(found.counts),
        judged=len(right),
        wrong_before=sum(not before for _, before, _ in right),
        wrong_after=sum(not after for _, _, after in right),
        newly_wrong=len(worse),
        newly_wrong_names=tuple(worse[:MOST_NAMED]),
    )


def the_face(box: Box, finder: FaceFinder, pixels: Pixels) -> list[Points]:
    """Return the landmarks of the face that stands in a box, nothing where none is found there."""
    faces = finder.find(pixels)
    best = max(faces, key=lambda face: overlap(face.box, box), default=None)
    return [best.landmarks] if best and overlap(best.box, box) >= _SAME_FACE else []


def overlap(one: Box, other: Box) -> float:
    """Return the shared area of two boxes as a share of what they cover together, in [0, 1].

    >>> overlap((0, 0, 2, 2), (1, 0, 2, 2))
    0.3333333333333333
    """
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    together = one[2] * one[3] + other[2] * other[3] - shared
    return shared / together if together > 0 else 0.0


def _right(answers: Compared, decided: Gate) -> Iterator[tuple[str, bool, bool]]:
    """Yield each case that both have judged: its name, and whether old and new judged rightly."""
    columns = ("path", "label", "fake_probability")
    old, new = (
        zip(*(table[name].to_pylist() for name in columns), strict=True)
        for table in (answers.old, answers.new)
    )
    for (name, label, before), (_, _, after) in zip(old, new, strict=True):
        if before is not None and after is not None:
            fake = label == "fake"
            yield (
                name,
                fake == (before >= decided.old_point.fake_from),
                fake == (after >= decided.new_point.fake_from),
            )


def _parts(found: FeedbackSet) -> Iterator[tuple[Case, ...]]:
    """Yield the cases whose largest face is meant together, and each of the others alone."""
    if together := tuple(case for case in found.cases if case.box is None):
        yield together
    for case in found.cases:
        if case.box is not None:
            yield (case,)


def _answers(
    detector: Detector, cases: Sequence[Case], origin: Origin, finder: FaceFinder, root: Path
) -> pa.Table:
    """Return the predictions of cases that look for their face alike, under the cases' names."""
    box = cases[0].box
    find = partial(largest, finder) if box is None else partial(the_face, box, finder)
    rows = [case.row for case in cases]
    made = predict_rows(
        detector, rows, origin, CONDITIONS, root=root, find=find, workers=usable_cores()
    )
    where = made.column_names.index("path")
    return made.set_column(where, made.field("path"), [[case.name for case in cases]])


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    import pyarrow as pa

    return pa.concat_tables(tables)
