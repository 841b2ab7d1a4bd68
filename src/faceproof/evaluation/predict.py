"""`predict` runs a detector on a data set under conditions into a predictions table.

A condition degrades the whole picture. The largest face of the degraded picture then goes through
the same preprocessing as in use. A split is read only for its own purpose.

Each picture is decoded, degraded and searched for faces once. All detectors get the same crop,
normalised for their own networks.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from faceproof.data.manifest import Manifest, Row
from faceproof.detector import Calibration, Detector, DetectorSpec, calibrate
from faceproof.detector.detector import crop_difference, renormalise
from faceproof.errors import ManifestError, SourceError, UsageError
from faceproof.evaluation import predictions
from faceproof.evaluation.formulas import Floats
from faceproof.evaluation.predictions import Origin, Prediction, Status, make_table
from faceproof.imaging.decode import Picture, load
from faceproof.imaging.degradations import DEGRADATIONS
from faceproof.imaging.faces import FaceFinder, YuNet
from faceproof.imaging.preprocessing import Preprocessing, prepare
from faceproof.pipeline import batch_by_weight, map_in_order
from faceproof.tables import choose

if TYPE_CHECKING:
    import pyarrow as pa


Input = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Points = NDArray[np.float32] | None
Find = Callable[[Pixels], list[Points]]


class Predictor(Protocol):
    """Interface for inference: a `faceproof.detector.Detector`, or a test double."""

    @property
    def sha256(self) -> str: ...  # noqa: D102
    @property
    def spec(self) -> DetectorSpec: ...  # noqa: D102
    @property
    def preprocessing(self) -> Preprocessing: ...  # noqa: D102
    def logits(self, inputs: Input, /) -> NDArray[np.float64]: ...  # noqa: D102


@dataclass(frozen=True)
class _Face:
    """A row under a condition with its network input, or its failure status."""

    row: Row
    condition: str
    status: Status
    input: Input | None = None


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
        ManifestError: a file's SHA-256 differs from its row.
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
        find=partial(largest_face, finder or YuNet()),
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
    find: Find,
    workers: int = 2,
    batch_size: int = 32,
    progress: Callable[[int], None] | None = None,
) -> pa.Table:
    """Return the predictions table of the given rows; otherwise like `predict`.

    ``find`` selects the face of a picture: `largest_face` with a finder, or `_whole_picture`.
    """
    for name in conditions:
        choose(DEGRADATIONS, name, what="condition")
    look = partial(_read_faces, root, find, detector.preprocessing, list(dict.fromkeys(conditions)))
    answers: list[Prediction] = []
    with closing(map_in_order(look, rows, workers=workers, ahead=2 * batch_size + workers)) as seen:
        for batch in batch_by_weight(seen, len, weight=batch_size):
            answers += _predict_batch(detector, [face for faces in batch for face in faces])
            if progress:
                progress(len(answers))
    return make_table(answers, origin)


def largest_face(finder: FaceFinder, pixels: Pixels) -> list[Points]:
    """Return the landmarks of the largest face, an empty list without a face."""
    return [face.landmarks for face in finder.find(pixels)[:1]]


def _whole_picture(_: Pixels) -> list[Points]:
    """Return one face without landmarks, for a picture that is already a face crop."""
    return [None]


def _find_largest_face() -> Find:
    return partial(largest_face, YuNet())


def _find_whole_picture() -> Find:
    return _whole_picture


FACES: dict[str, Callable[[], Find]] = {"largest": _find_largest_face, "whole": _find_whole_picture}
"""Which face of a picture is judged."""


def _make_origin(detector: Predictor, manifest: Manifest, purpose: str) -> Origin:
    return Origin(detector_sha256=detector.sha256, data_sha256=manifest.sha256, purpose=purpose)


def _read_faces(
    root: Path, find: Find, spec: Preprocessing, conditions: Sequence[str], row: Row
) -> list[_Face]:
    """Return the row's face under each condition."""
    try:
        picture = load(root / row.path).require_whole(row.path)
        if row.sha256 and picture.sha256 != row.sha256:
            raise ManifestError(
                f"{row.path} has changed: its SHA-256 is {picture.sha256[:12]}..., the manifest "
                f"has {row.sha256[:12]}...; create the manifest again"
            )
        return [_degraded_face(picture, find, spec, name, row) for name in conditions]
    except (SourceError, OSError, cv2.error):
        return [_Face(row, name, "error") for name in conditions]


def _degraded_face(
    picture: Picture, find: Find, spec: Preprocessing, condition: str, row: Row
) -> _Face:
    """Return the face of the picture degraded by the condition."""
    seed = [int(picture.sha256[:16], 16), zlib.crc32(condition.encode())]
    degraded = DEGRADATIONS[condition](picture.pixels, np.random.default_rng(seed))
    found = find(degraded)
    if not found:
        return _Face(row, condition, "no_face")
    return _Face(row, condition, "ok", prepare(degraded, found[0], spec))


def _predict_batch(detector: Predictor, faces: Sequence[_Face]) -> Iterator[Prediction]:
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
            generator=face.row.generator,
            label=face.row.label,
            split=face.row.split,
            group=face.row.group,
            condition=face.condition,
            logit=logit,
            fake_probability=probability,
            status=face.status,
        )


class _DetectorGroup:
    """Detectors with the same crop as one judge: returns the first's logits, stores all."""

    def __init__(self, detectors: Sequence[Detector]) -> None:
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
    detectors: Sequence[Detector],
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
    """Return ``table`` with another detector's logits and probabilities.

    ``logits`` float64 [judged] are in the order of the rows with status ``ok``.
    """
    judged = np.array([status == "ok" for status in table["status"].to_pylist()], dtype=bool)
    columns = {"logit": logits, "fake_probability": calibrate(logits, calibration)}
    rows = table.to_pylist()
    for name, values in columns.items():
        for place, value in zip(np.flatnonzero(judged), values.tolist(), strict=True):
            rows[place][name] = value
    origin = predictions.origin_of(table)
    theirs = Origin(
        detector_sha256=detector_sha256, data_sha256=origin.data_sha256, purpose=origin.purpose
    )
    return predictions.make_table((predictions.Prediction(**row) for row in rows), theirs)
