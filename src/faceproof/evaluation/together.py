"""Several detectors judge the same faces in one pass: a predictions table for each.

Each picture is opened, worn and searched for its face once, and all detectors see the same crop,
each normalised as its own networks read it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceproof.data.manifest import Manifest
from faceproof.detector import Calibration, Detector, DetectorSpec, calibrate
from faceproof.detector.inputs import crop_difference, renormalised
from faceproof.errors import UsageError
from faceproof.evaluation import predictions
from faceproof.evaluation.predict import predict
from faceproof.evaluation.predictions import Origin
from faceproof.evaluation.tally import Floats
from faceproof.imaging.faces import FaceFinder
from faceproof.imaging.preprocessing import Preprocessing

if TYPE_CHECKING:
    import pyarrow as pa

Input = NDArray[np.float32]


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
