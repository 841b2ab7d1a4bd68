"""What a detector costs: processor time for each face, measured side by side.

Processor time and not the clock's: what else the machine does then matters least.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from faceproof.detector import Detector
from faceproof.imaging.preprocessing import network_input

#: With nine repeats, the second lowest and the second highest hold the median in 96 % of cases.
REPEATS, OUTER = 9, 1
FACES = 8


@dataclass(frozen=True)
class Speed:
    """Milliseconds of processor time for a face: median of the repeats and its interval."""

    median: float
    low: float
    high: float
    faces: int
    """How many faces were judged for it."""


def cpu_ms(
    detectors: Sequence[Detector], *, repeats: int = REPEATS, faces: int = FACES
) -> list[Speed]:
    """Return the speed of each detector, from inputs of noise to its logits.

    They take turns, so that a slow minute of the machine falls on all of them; each is asked once
    before, as its first answer takes longer.
    """
    inputs = [_noise(detector, faces) for detector in detectors]
    spent = np.array(
        [
            [_seconds(one, noise) for one, noise in zip(detectors, inputs, strict=True)]
            for _ in range(1 + repeats)
        ]
    )[1:]
    return [_speed(column, faces) for column in np.sort(1000 * spent / faces, axis=0).T]


def _noise(detector: Detector, faces: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    side = detector.preprocessing.crop.size
    crops = np.random.default_rng(0).integers(0, 256, (faces, side, side, 3), dtype=np.uint8)
    return network_input(crops, detector.preprocessing.input)


def _seconds(
    detector: Detector, inputs: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> float:
    start = time.process_time()
    detector.logits(inputs)
    return time.process_time() - start


def _speed(rising: np.ndarray[tuple[int, ...], np.dtype[np.float64]], faces: int) -> Speed:
    """Return the median of rising values [repeats], and the values one from either end."""
    outer = min(OUTER, (len(rising) - 1) // 2)
    return Speed(
        median=float(np.median(rising)),
        low=float(rising[outer]),
        high=float(rising[-1 - outer]),
        faces=faces * len(rising),
    )
