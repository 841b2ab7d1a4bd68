"""What the networks say of faces: probabilities, and heat maps where they are asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faceproof.detector import Detector, calibrate


@dataclass(frozen=True)
class TestedMap:
    """A heat map ``values`` float64 [h, w] and how it stood its test, as in `HeatMap`."""

    values: npt.NDArray[np.float64]
    reliable: bool
    hottest_deleted: float
    random_deleted: float


@dataclass(frozen=True)
class Score:
    """What is said of one face."""

    fake_probability: float
    heatmap: TestedMap | None = None


def scores(detector: Detector, inputs: npt.NDArray[np.float32], *, heatmaps: bool) -> list[Score]:
    """Return what the detector says of each face, float32 [N, 3, S, S].

    Raises:
        NoHeatMapError: heat maps are asked for, and the detector has none.
    """
    if not heatmaps:
        return [Score(one) for one in detector.fake_probabilities(inputs).tolist()]
    found = detector.explained(inputs)
    columns = (found.values, found.reliable, found.hottest_deleted, found.random_deleted)
    maps = [
        TestedMap(values, bool(reliable), float(hottest), float(random))
        for values, reliable, hottest, random in zip(*columns, strict=True)
    ]
    probabilities = calibrate(found.logits, detector.spec.calibration).tolist()
    return [Score(*one) for one in zip(probabilities, maps, strict=True)]
