"""A newcomer's folder of pictures, drawn: real faces, and fakes that are easy to tell apart."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from skimage import data


def draw_pictures(folder: Path, count: int) -> None:
    """Write ``count`` pictures each to real/ and fake/ below a folder, as 1.jpg, 2.jpg ..."""
    rng = np.random.default_rng(0)
    for label in ("real", "fake"):
        (folder / label).mkdir(parents=True)
        for number in range(1, count + 1):
            picture = _portrait(rng, is_fake=label == "fake")
            path = folder / label / f"{number}.jpg"
            cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])


def _portrait(rng: np.random.Generator, *, is_fake: bool) -> np.ndarray:
    """Return uint8 [256, 256, 3]: a face somewhere on a background of its own; fakes are rosy."""
    picture = cv2.resize(
        rng.integers(0, 255, (6, 6, 3), np.uint8), (256, 256), interpolation=cv2.INTER_CUBIC
    )
    head = cv2.resize(data.astronaut()[20:180, 150:290], (126, 144)).astype(float)
    if is_fake:
        head = head * [1.0, 0.7, 0.7] + [30, 0, 0]
    head = head * rng.uniform(0.8, 1.0) + rng.normal(0, 3, head.shape)
    x, y = rng.integers(10, 120), rng.integers(10, 100)
    picture[y : y + 144, x : x + 126] = head.clip(0, 255)
    return picture
