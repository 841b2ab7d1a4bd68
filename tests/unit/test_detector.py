"""Detector: from inputs to calibrated probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from faceproof.detector import Detector, decide
from faceproof.imaging.preprocessing import prepare


def test_bright_is_fake_and_dark_is_real(tiny_bundle: Path) -> None:
    detector = Detector.load(tiny_bundle)
    pictures = [np.full((50, 50, 3), level, np.uint8) for level in (0, 127, 255)]
    inputs = np.stack([prepare(picture, None, detector.preprocessing) for picture in pictures])
    probabilities = detector.fake_probabilities(inputs)
    point = detector.operating_point()
    assert [decide(p, point) for p in probabilities] == ["real", "unsure", "fake"]
