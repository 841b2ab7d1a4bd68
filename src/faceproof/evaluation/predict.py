"""Inference for evaluation: a detector, a data set and conditions become a predictions table.

A picture is worn as a whole, its largest face is then looked for in the worn picture, and that
face goes through the one function from picture to network input: what is measured is what happens
in use. A split is read only for the purpose it was made for.

Each picture is opened, worn and searched for its face once, and all detectors see the same crop,
each normalised as its own networks read it.
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
from faceproof.detector.detector import crop_difference, renormalised
from faceproof.errors import ManifestError, SourceError, UsageError
from faceproof.evaluation import predictions
from faceproof.evaluation.formulas import Floats
from faceproof.evaluation.predictions import Origin, Prediction, Status, table
from faceproof.imaging.decode import Picture, load
from faceproof.imaging.degradations import DEGRADATIONS
from faceproof.imaging.faces import FaceFinder, YuNet
from faceproof.imaging.preprocessing import Preprocessing, prepare
from faceproof.pipeline import in_batches, in_order
from faceproof.tables import choose

if TYPE_CHECKING:
    import pyarrow as pa


Input = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Points = NDArray[np.float32] | None
Find = Callable[[Pixels], list[Points]]


class Judge(Protocol):
    """What answers: a `faceproof.detector.Detector`, or a stand-in for tests."""

    @property
    def sha256(self) -> str: ...  # noqa: D102
    @property
    def spec(self) -> DetectorSpec: ...  # noqa: D102
    @property
    def preprocessing(self) -> Preprocessing: ...  # noqa: D102
    def logits(self, inputs: Input, /) -> NDArray[np.float64]: ...  # noqa: D102


@dataclass(frozen=True)
class _Face:
    """A row under a condition, ready for the network, or why it is not."""

    row: Row
    condition: str
    status: Status
    input: Input | None = None


def predict(
    detector: Judge,
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
    """Return the predictions table of one split's rows under every condition, in their order.

    ``root`` is the folder that the manifest's paths start from. ``progress`` is told the number
    of answers after each batch.

    Raises:
        SplitUseError: when ``split`` may not be read for this ``purpose`` (`Manifest.take`).
        UnknownChoiceError: when there is no such condition.
        ManifestError: when a file is not the one that its row names.
        UsageError: when the split is empty.
    """
    rows = manifest.take(split, purpose=purpose)
    if not rows:
        raise UsageError(f"nothing to predict: the manifest has no row in the split {split!r}")
    return predict_rows(
        detector,
        rows,
        _origin(detector, manifest, purpose),
        conditions,
        root=root,
        find=partial(largest, finder or YuNet()),
        workers=workers,
        batch_size=batch_size,
        progress=progress,
    )


def predict_rows(
    detector: Judge,
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
    """Return the predictions table of rows that the caller may read; the rest is as `predict`.

    ``find`` says which face of a picture is judged: `largest` with a finder, or `whole`.
    """
    for name in conditions:
        choose(DEGRADATIONS, name, what="condition")
    look = partial(_look, root, find, detector.preprocessing, list(dict.fromkeys(conditions)))
    answers: list[Prediction] = []
    with closing(in_order(look, rows, workers=workers, ahead=2 * batch_size + workers)) as seen:
        for batch in in_batches(seen, len, weight=batch_size):
            answers += _answers(detector, [face for faces in batch for face in faces])
            if progress:
                progress(len(answers))
    return table(answers, origin)


def largest(finder: FaceFinder, pixels: Pixels) -> list[Points]:
    """Return the landmarks of the largest face, nothing where there is no face."""
    return [face.landmarks for face in finder.find(pixels)[:1]]


def whole(_: Pixels) -> list[Points]:
    """Return the one face of a picture that is a face crop already: it has no landmarks."""
    return [None]


def _largest() -> Find:
    return partial(largest, YuNet())


def _whole() -> Find:
    return whole


FACES: dict[str, Callable[[], Find]] = {"largest": _largest, "whole": _whole}
"""Which face of a picture is judged."""


def _origin(detector: Judge, manifest: Manifest, purpose: str) -> Origin:
    return Origin(detector_sha256=detector.sha256, data_sha256=manifest.sha256, purpose=purpose)


def _look(
    root: Path, find: Find, spec: Preprocessing, conditions: Sequence[str], row: Row
) -> list[_Face]:
    """Return the row's face under each condition."""
    try:
        picture = load(root / row.path)
        if row.sha256 and picture.sha256 != row.sha256:
            raise ManifestError(
                f"{row.path} has SHA-256 {picture.sha256[:12]}..., but the manifest says "
                f"{row.sha256[:12]}...: the file has changed; make the manifest again"
            )
        return [_worn(picture, find, spec, name, row) for name in conditions]
    except (SourceError, OSError, cv2.error):
        return [_Face(row, name, "error") for name in conditions]


def _worn(picture: Picture, find: Find, spec: Preprocessing, condition: str, row: Row) -> _Face:
    """Return the face of the picture as it looks under the condition."""
    seed = [int(picture.sha256[:16], 16), zlib.crc32(condition.encode())]
    worn = DEGRADATIONS[condition](picture.pixels, np.random.default_rng(seed))
    found = find(worn)
    if not found:
        return _Face(row, condition, "no_face")
    return _Face(row, condition, "ok", prepare(worn, found[0], spec))


def _answers(detector: Judge, faces: Sequence[_Face]) -> Iterator[Prediction]:
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


class Panel:
    """Detectors of one crop as one judge: the first one's answers are given, all are kept."""

    def __init__(self, detectors: Sequence[Detector]) -> None:
        """Take detectors that read the same crop.

        Raises:
            UsageError: one of them reads another, naming what differs.
        """
        self._detectors = tuple(detectors)
        self._answers: list[Floats] = [np.empty((len(self._detectors), 0))]
        for detector in self._detectors[1:]:
            if differs := crop_difference(detector.preprocessing.crop, self.preprocessing.crop):
                raise UsageError(
                    f"detectors {detector.spec.name!r} and {self.spec.name!r} do not read the "
                    f"same crop: {differs}. Train one of them at the crop of the other"
                )

    @property
    def sha256(self) -> str:
        """The SHA-256 of the first detector."""
        return self._detectors[0].sha256

    @property
    def spec(self) -> DetectorSpec:
        """What the first detector says of itself."""
        return self._detectors[0].spec

    @property
    def preprocessing(self) -> Preprocessing:
        """What stands between a picture and `logits`: the first detector's."""
        return self._detectors[0].preprocessing

    @property
    def answers(self) -> Floats:
        """The logits of all that was judged, float64 [detectors, N], in the order of the calls."""
        return np.concatenate(self._answers, axis=1)

    def logits(self, inputs: Input) -> Floats:
        """Return the first detector's logits, float64 [N]."""
        first = self.preprocessing.input
        every = np.stack(
            [
                one.logits(renormalised(inputs, first, one.preprocessing.input))
                for one in self._detectors
            ]
        )
        self._answers.append(every)
        return np.asarray(every[0])


def predict_together(
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
    """Return the predictions table of each detector, the same as `predict` gives it alone.

    Raises:
        UsageError: when the detectors do not read the same crop, and as `predict` does.
    """
    panel = Panel(detectors)
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
        answered(table, logits, detector.spec.calibration, detector_sha256=detector.sha256)
        for detector, logits in zip(detectors, panel.answers, strict=True)
    ]


def answered(
    table: pa.Table, logits: Floats, calibration: Calibration, *, detector_sha256: str
) -> pa.Table:
    """Return ``table`` with the answers of another detector to the faces that were judged in it.

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
    return predictions.table((predictions.Prediction(**row) for row in rows), theirs)
