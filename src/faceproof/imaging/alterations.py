"""How a copy of a face is made to differ from its picture: in other colours, of another texture.

Source: Shiohara and Yamasaki, "Detecting Deepfakes with Self-Blended Images", CVPR 2022.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

from faceproof.imaging.degradations import jpeg, sharpen
from faceproof.imaging.face_masks import Pixels


def altered(pixels: Pixels, rng: Generator, strength: float) -> Pixels:
    """Return the pixels in other colours and of another texture."""
    pixels = _recoloured(pixels, rng, strength)
    return TEXTURES[str(rng.choice(list(TEXTURES)))](pixels, rng)


def _recoloured(pixels: Pixels, rng: Generator, strength: float) -> Pixels:
    """Return the pixels with another brightness, contrast, gamma, white balance, saturation."""
    levels = np.linspace(0, 1, 256)[:, None] ** np.exp(rng.uniform(-0.15, 0.15) * strength)
    # Never near zero: a copy that nobody can tell from the original is no fake.
    shift = (_signed(rng, 0.02, 0.07) + rng.uniform(-0.03, 0.03, 3)) * strength
    curve = (levels - 0.5) * np.exp(rng.uniform(-0.12, 0.12) * strength) + 0.5 + shift
    table = np.rint(curve * 255).clip(0, 255).astype(np.uint8)[None]
    toned = cv2.LUT(np.ascontiguousarray(pixels), table)
    keep = np.exp(rng.uniform(-0.3, 0.3) * strength)
    grey = np.array([0.299, 0.587, 0.114])
    return np.asarray(cv2.transform(toned, keep * np.eye(3) + (1 - keep) * grey), np.uint8)


def _signed(rng: Generator, low: float, high: float) -> float:
    """Return a number whose size lies in [low, high), of either sign."""
    return float(rng.uniform(low, high) * rng.choice([-1, 1]))


def _unchanged(pixels: Pixels, _rng: Generator) -> Pixels:
    return pixels


def _softened(pixels: Pixels, rng: Generator) -> Pixels:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.5)), np.uint8)


def _sharpened(pixels: Pixels, rng: Generator) -> Pixels:
    sigma = float(rng.uniform(0.7, 1.5))
    return sharpen(pixels, float(rng.uniform(0.2, 0.9)), sigma)


def _resampled(pixels: Pixels, rng: Generator) -> Pixels:
    height, width = pixels.shape[:2]
    share = rng.uniform(0.35, 0.9)
    smaller = (max(1, round(width * share)), max(1, round(height * share)))
    shrunk = cv2.resize(pixels, smaller, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def _coarsened(pixels: Pixels, rng: Generator) -> Pixels:
    """Return every second or fourth pixel, enlarged again: how the paper takes sharpness away."""
    height, width = pixels.shape[:2]
    step = int(rng.choice((2, 4)))
    smaller = (max(1, width // step), max(1, height // step))
    shrunk = cv2.resize(pixels, smaller, interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _recompressed(pixels: Pixels, rng: Generator) -> Pixels:
    return jpeg(pixels, int(rng.integers(40, 90)))


#: How the copy's texture differs from the picture around it.
TEXTURES: dict[str, Callable[[Pixels, Generator], Pixels]] = {
    "unchanged": _unchanged,
    "softened": _softened,
    "sharpened": _sharpened,
    "resampled": _resampled,
    "recompressed": _recompressed,
    "coarsened": _coarsened,
}
