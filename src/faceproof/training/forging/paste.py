"""The *paste*: a face at the low resolution of a face swapper, enlarged and pasted back.

Most face swappers work at a fixed size of 112 to 256 px, enlarge their result and blend it into the
picture. A detector sees a face that is softer than its surroundings, slightly displaced, in
slightly other colours, inside a soft edge. A paste makes these traces with the person's own face.

Source: Li and Lyu, "Exposing DeepFake Videos By Detecting Face Warping Artifacts", CVPR Workshops
2019; Shiohara and Yamasaki, "Detecting Deepfakes with Self-Blended Images", CVPR 2022.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from faceproof.training.forging.masks import Patch, Pixels, Points, Weights, face_patch

SIDES_PX = (56, 128)
"""From where to where the longer side of the reduced face is drawn, in pixels."""

# A face that is already small is still reduced, so that a trace remains.
_LARGEST_SHARE = 0.8
_SMOOTHED = 0.5
_SIGMA_PX = (0.4, 1.2)
_MOVE_SHARE = 0.02
_GAIN = 0.05
_SHIFT_LEVELS = 5.0
_INTERPOLATIONS = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


def paste_face(pixels: Pixels, landmarks: Points, rng: Generator) -> Pixels:
    """Return the picture with its own face pasted back, uint8 [H, W, 3] in its own shape.

    ``landmarks`` are float32 [5, 2] in pixels. The face is reduced to `SIDES_PX` (at most four
    fifths of its size), smoothed half of the time, enlarged by a random interpolation, moved by up
    to 2 % of its size and recoloured by up to 5 %. The mask is the first thing drawn, so
    `face_mask` with an equal generator returns it; where the mask is zero no pixel changes. A face
    outside of the picture leaves it unchanged.
    """
    patch = face_patch(landmarks, (pixels.shape[0], pixels.shape[1]), rng)
    if patch is None:
        return pixels.copy()
    below = patch.view_of(pixels).astype(np.float32)
    coarse = _reduce_face(below, rng)
    source = _recolour(_enlarge_face(coarse, patch, rng), rng)
    mixed = below + patch.weights[..., None] * (source - below)
    result = pixels.copy()
    patch.view_of(result)[:] = np.rint(mixed).clip(0, 255).astype(np.uint8)
    return result


def _reduce_face(face: Weights, rng: Generator) -> Weights:
    """Return the face at the size of a swapper, smoothed or not, float32 [h, w, 3]."""
    height, width = face.shape[:2]
    side = float(rng.uniform(*SIDES_PX))
    share = min(side / max(height, width), _LARGEST_SHARE)
    smaller = (max(1, round(width * share)), max(1, round(height * share)))
    small = cv2.resize(face, smaller, interpolation=cv2.INTER_AREA)
    sigma = float(rng.uniform(*_SIGMA_PX))
    if rng.random() < _SMOOTHED:
        small = cv2.GaussianBlur(small, (0, 0), sigma)
    return np.asarray(small, np.float32)


def _enlarge_face(coarse: Weights, patch: Patch, rng: Generator) -> Weights:
    """Return the reduced face as large as the patch, moved by a few pixels."""
    width, height = patch.size
    flags = int(rng.choice(_INTERPOLATIONS))
    ratio = np.array([width / coarse.shape[1], height / coarse.shape[0]])
    move = rng.uniform(-_MOVE_SHARE, _MOVE_SHARE, 2) * max(width, height)
    # Pixel centres: (x + 0.5) * ratio - 0.5.
    matrix = np.column_stack([np.diag(ratio), 0.5 * ratio - 0.5 + move])
    moved = cv2.warpAffine(
        coarse, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, np.float32)


def _recolour(face: Weights, rng: Generator) -> npt.NDArray[np.float32]:
    """Return the face with another contrast and brightness, each channel by itself."""
    gain = np.exp(rng.uniform(-_GAIN, _GAIN, 3))
    shift = rng.uniform(-_SHIFT_LEVELS, _SHIFT_LEVELS, 3)
    return np.asarray(face * gain + shift, np.float32)
