"""`predict` runs a detector on a data set under conditions into a predictions table.

A condition degrades the whole picture. The labelled face of the degraded picture then goes through
the same preprocessing as in use (`scored_faces`). A split is read only for its own purpose.

Each picture is decoded, degraded and searched for faces once. All detectors get the same crop,
normalised for their own networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from faceproof.data.manifest import Manifest, Row
from faceproof.detector import Calibration, DetectorSpec, OperatingPoint, calibrate
from faceproof.detector.detector import crop_difference, renormalise
from faceproof.detector.spec import Verdict
from faceproof.errors import UsageError
from faceproof.evaluation import predictions
from faceproof.evaluation.formulas import Floats
from faceproof.evaluation.partial_predictions import PartialPredictions, pictures_in_part
from faceproof.evaluation.predictions import Origin, Prediction, make_table
from faceproof.evaluation.scored_faces import (
    BOX_COLUMNS,
    FaceSearch,
    ScoredFace,
    group_by_picture,
    read_faces,
    search_faces,
)
from faceproof.imaging.degradations import DEGRADATIONS
from faceproof.imaging.faces import FaceFinder
from faceproof.imaging.preprocessing import Preprocessing
from faceproof.imaging.quality import Quality
from faceproof.pipeline import batch_by_weight, map_in_order
from faceproof.results import face_verdict
from faceproof.tables import choose

if TYPE_CHECKING:
    import pyarrow as pa


Input = NDArray[np.float32]


class Predictor(Protocol):
    """Interface for inference: a `faceproof.detector.Detector`, a checkpoint, or a test double."""

    @property
    def sha256(self) -> str: ...  # noqa: D102
    @property
    def spec(self) -> DetectorSpec: ...  # noqa: D102
    @property
    def preprocessing(self) -> Preprocessing: ...  # noqa: D102
    def logits(self, inputs: Input, /) -> NDArray[np.float64]: ...  # noqa: D102


def predict(
    detector: Predictor,
    manifest: Manifest,
    conditions: Sequence[str] = ("clean",),
    *,
    split: str,
    purpose: str,
    root: Path,
    finder: FaceFinder | None = None,
    workers: int = 2,
    batch_size: int = 32,
    progress: Callable[[int], None] | None = None,
) -> pa.Table:
    """Return the predictions table of a split's rows under every condition, in order.

    ``root`` is the base folder of the manifest's paths. ``progress`` is called with the number of
    predictions after each batch.

    Raises:
        SplitUseError: ``split`` must not be read for this ``purpose`` (`Manifest.take`).
        UnknownChoiceError: a condition is unknown.
        ManifestError: a picture has several rows that do not differ in their boxes.
        UsageError: the split is empty.
    """
    rows = manifest.take(split, purpose=purpose)
    if not rows:
        raise UsageError(f"nothing to predict: the manifest has no rows in the split {split!r}")
    return predict_rows(
        detector,
        rows,
        _make_origin(detector, manifest, purpose),
        conditions,
        root=root,
        find=search_faces(finder),
        workers=workers,
        batch_size=batch_size,
        progress=progress,
    )


def predict_rows(
    detector: Predictor,
    rows: Sequence[Row],
    origin: Origin,
    conditions: Sequence[str],
    *,
    root: Path,
    find: FaceSearch,
    at: OperatingPoint | None = None,
    others: bool = False,
    partial_folder: Path | None = None,
    workers: int = 2,
    batch_size: int = 32,
    progress: Callable[[int], None] | None = None,
) -> pa.Table:
    """Return the predictions table of the given rows; otherwise like `predict`.

    ``find`` finds the faces of a picture, as an entry of `FACES` does. ``at`` is the operating
    point of the verdicts; without it there are none. ``others`` keeps the faces without a label.
    In ``partial_folder`` the predictions are saved from time to time: the same call after a kill
    resumes from them, and removes the folder at the end.
    """
    names = list(dict.fromkeys(conditions))
    for name in names:
        choose(DEGRADATIONS, name, what="condition")
    pictures = group_by_picture(rows)
    look = partial(read_faces, root, find, detector.preprocessing, names, others=others)
    judge = partial(_predict_batch, detector, at)
    saved = _open_partial(partial_folder, origin, rows, names, at, others=others)
    answers, done = saved.load() if saved else ([], 0)
    counter = _Counter(progress, len(names) * sum(map(len, pictures[:done])))
    size = pictures_in_part(len(names))
    for start in range(done, len(pictures), size):
        part, made = pictures[start : start + size], list[Prediction]()
        with closing(
            map_in_order(look, part, workers=workers, ahead=2 * batch_size + workers)
        ) as seen:
            for batch in batch_by_weight(seen, len, weight=batch_size):
                made += judge([face for faces in batch for face in faces])
                counter.add(sum(face.labelled for faces in batch for face in faces))
        answers += made
        if saved:
            saved.save(made, len(part))
    table = make_table(answers, origin)
    if saved:
        saved.remove()
    return table


def check_batch_size(batch_size: int) -> None:
    """Reject a batch without a face.

    Raises:
        UsageError: naming the number.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}; a batch needs at least 1 face")


class _Counter:
    """Calls ``progress`` with the number of labelled faces that are done."""

    def __init__(self, progress: Callable[[int], None] | None, done: int) -> None:
        self._progress, self._count = progress or (lambda _: None), 0
        if done:
            self.add(done)

    def add(self, number: int) -> None:
        """Add faces and report their number."""
        self._count += number
        self._progress(self._count)


def _open_partial(
    folder: Path | None,
    origin: Origin,
    rows: Sequence[Row],
    conditions: Sequence[str],
    at: OperatingPoint | None,
    *,
    others: bool,
) -> PartialPredictions | None:
    """Return what saves the predictions of this call, None without a folder."""
    if folder is None:
        return None
    return PartialPredictions.open(
        folder, origin, [rows, conditions, at, others], pictures_in_part(len(conditions))
    )


def _make_origin(detector: Predictor, manifest: Manifest, purpose: str) -> Origin:
    return Origin(detector_sha256=detector.sha256, data_sha256=manifest.sha256, purpose=purpose)


def _predict_batch(
    detector: Predictor, at: OperatingPoint | None, faces: Sequence[ScoredFace]
) -> Iterator[Prediction]:
    """Yield the predictions of one batch, in order."""
    inputs = [face.input for face in faces if face.input is not None]
    logits = detector.logits(np.stack(inputs)) if inputs else np.empty(0)
    judged = zip(
        logits.tolist(), calibrate(logits, detector.spec.calibration).tolist(), strict=True
    )
    for face in faces:
        logit, probability = (None, None) if face.input is None else next(judged)
        yield Prediction(
            path=face.row.path,
            source=face.row.source,
            generator=face.row.generator if face.labelled else "",
            label=face.row.label if face.labelled else "",
            split=face.row.split,
            group=face.row.group,
            condition=face.condition,
            logit=logit,
            fake_probability=probability,
            status=face.status,
            face=face.number,
            box=face.box,
            verdict=verdict_at(at, probability, face.cautions),
            cautions=",".join(face.cautions),
            reason=face.reason,
            attributes=attributes_of(face.row) if face.labelled else {},
        )


def verdict_at(
    at: OperatingPoint | None, fake_probability: float | None, cautions: Sequence[str]
) -> Verdict | None:
    """Return the verdict of `Checker`, ``unsure`` where a caution withholds one; None without."""
    if at is None or fake_probability is None:
        return None
    return face_verdict(fake_probability, Quality(side_px=0, cautions=tuple(cautions)), at)


def attributes_of(row: Row) -> dict[str, str]:
    """Return the attributes of a row without its box, which is a column of its own."""
    return {name: value for name, value in row.attributes.items() if name not in BOX_COLUMNS}


class _DetectorGroup:
    """Detectors with the same crop as one judge: returns the first's logits, stores all."""

    def __init__(self, detectors: Sequence[Predictor]) -> None:
        """Store detectors with the same crop.

        Raises:
            UsageError: their crops differ, with the difference.
        """
        self._detectors = tuple(detectors)
        self._answers: list[Floats] = [np.empty((len(self._detectors), 0))]
        for detector in self._detectors[1:]:
            if differs := crop_difference(detector.preprocessing.crop, self.preprocessing.crop):
                raise UsageError(
                    f"detectors {detector.spec.name!r} and {self.spec.name!r} have different "
                    f"crops: {differs}. Train one of them with the crop of the other"
                )

    @property
    def sha256(self) -> str:
        """The SHA-256 of the first detector."""
        return self._detectors[0].sha256

    @property
    def spec(self) -> DetectorSpec:
        """The first detector's spec."""
        return self._detectors[0].spec

    @property
    def preprocessing(self) -> Preprocessing:
        """The first detector's preprocessing from picture to network input."""
        return self._detectors[0].preprocessing

    @property
    def answers(self) -> Floats:
        """The logits of all judged faces, float64 [detectors, N], in the order of the calls."""
        return np.concatenate(self._answers, axis=1)

    def logits(self, inputs: Input) -> Floats:
        """Return the first detector's logits, float64 [N]."""
        first = self.preprocessing.input
        every = np.stack(
            [
                one.logits(renormalise(inputs, first, one.preprocessing.input))
                for one in self._detectors
            ]
        )
        self._answers.append(every)
        return np.asarray(every[0])


def predict_with_all(
    detectors: Sequence[Predictor],
    manifest: Manifest,
    conditions: Sequence[str],
    *,
    split: str,
    purpose: str,
    root: Path,
    finder: FaceFinder | None = None,
    workers: int = 2,
    progress: Callable[[int], None] | None = None,
) -> list[pa.Table]:
    """Return the predictions table of each detector, equal to a separate `predict`.

    Raises:
        UsageError: the detectors' crops differ; and the errors of `predict`.
    """
    panel = _DetectorGroup(detectors)
    table = predict(
        panel,
        manifest,
        conditions,
        split=split,
        purpose=purpose,
        root=root,
        finder=finder,
        workers=workers,
        progress=progress,
    )
    return [
        replace_scores(table, logits, detector.spec.calibration, detector_sha256=detector.sha256)
        for detector, logits in zip(detectors, panel.answers, strict=True)
    ]


def replace_scores(
    table: pa.Table, logits: Floats, calibration: Calibration, *, detector_sha256: str
) -> pa.Table:
    """Return ``table`` with another detector's logits and probabilities, without verdicts.

    ``logits`` float64 [judged] are in the order of the rows with status ``ok``.
    """
    scores = zip(logits.tolist(), calibrate(logits, calibration).tolist(), strict=True)
    made = []
    for row in predictions.rows_of(table):
        logit, probability = next(scores) if row.status == "ok" else (None, None)
        made.append(replace(row, logit=logit, fake_probability=probability, verdict=None))
    if next(scores, None) is not None:
        raise ValueError(f"{len(logits)} logits for fewer judged rows")
    origin = predictions.origin_of(table)
    theirs = Origin(
        detector_sha256=detector_sha256, data_sha256=origin.data_sha256, purpose=origin.purpose
    )
    return make_table(made, theirs)
