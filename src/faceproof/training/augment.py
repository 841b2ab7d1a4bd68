"""What a training picture goes through before it is cropped exactly as in use.

Both classes go through the same distribution of histories; the only step that looks at the
label makes a fake out of a real picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from faceproof.imaging.blending import self_blend, swap_face
from faceproof.imaging.degradations import blur, noise, random_history, tone
from faceproof.imaging.preprocessing import CropSpec, crop_face
from faceproof.training.recipe import AugmentRecipe

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float32]
Generator = np.random.Generator


@dataclass(frozen=True)
class Sample:
    """A decoded picture, its landmarks float32 [5, 2] and its class."""

    pixels: Pixels
    landmarks: Points
    is_fake: bool


def augmented_crop(
    sample: Sample,
    donor: Callable[[], Sample],
    recipe: AugmentRecipe,
    crop: CropSpec,
    rng: Generator,
) -> tuple[Pixels, bool]:
    """Return an augmented face crop, uint8 [S, S, 3], and whether it is fake.

    ``donor`` is asked for another real face when a swap is drawn.
    """
    sample = forged(sample, donor, recipe, rng) if not sample.is_fake else sample
    sample = cut_out(sample, rng) if rng.random() < recipe.cut else sample
    sample = worn(sample, recipe, rng)
    points = jittered(sample.landmarks, recipe, rng)
    face = crop_face(sample.pixels, points, crop)
    if rng.random() < recipe.flip:
        face = np.ascontiguousarray(face[:, ::-1])
    return face, sample.is_fake


def forged(
    real: Sample, donor: Callable[[], Sample], recipe: AugmentRecipe, rng: Generator
) -> Sample:
    """Return the real sample, or now and then a fake made of it."""
    drawn = rng.random()
    if drawn < recipe.self_blend:
        return Sample(self_blend(real.pixels, real.landmarks, rng), real.landmarks, is_fake=True)
    if drawn < recipe.self_blend + recipe.swap:
        other = donor()
        mixed = swap_face(real.pixels, real.landmarks, other.pixels, other.landmarks, rng)
        return Sample(mixed, real.landmarks, is_fake=True)
    return real


def cut_out(sample: Sample, rng: Generator) -> Sample:
    """Return the sample cut at random near the face, so that borders say nothing of the class."""
    height, width = sample.pixels.shape[:2]
    low, high = sample.landmarks.min(axis=0), sample.landmarks.max(axis=0)
    reach = float((high - low).max()) * rng.uniform(0.35, 1.5, 4)
    left, top = (int(max(0, v)) for v in (low[0] - reach[0], low[1] - reach[1]))
    right, bottom = (
        int(min(width, high[0] + reach[2] + 1)),
        int(min(height, high[1] + reach[3] + 1)),
    )
    if right - left < 32 or bottom - top < 32:
        return sample
    part = np.ascontiguousarray(sample.pixels[top:bottom, left:right])
    return replace(
        sample, pixels=part, landmarks=sample.landmarks - np.array([left, top], np.float32)
    )


def worn(sample: Sample, recipe: AugmentRecipe, rng: Generator) -> Sample:
    """Return the sample after colour changes, blur, noise and a random file history."""
    pixels = sample.pixels
    if rng.random() < recipe.colour:
        pixels = recoloured(pixels, rng)
    if rng.random() < recipe.grey:
        pixels = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if rng.random() < recipe.blur:
        pixels = blur(pixels, float(rng.uniform(0.3, 1.3)))
    if rng.random() < recipe.noise:
        pixels = noise(pixels, float(rng.uniform(1, 7)), rng)
    after = random_history(pixels, rng, steps=recipe.history_steps)
    ratio = np.array(after.shape[1::-1], np.float32) / np.array(pixels.shape[1::-1], np.float32)
    return replace(
        sample, pixels=after, landmarks=((sample.landmarks + 0.5) * ratio - 0.5).astype(np.float32)
    )


def recoloured(pixels: Pixels, rng: Generator) -> Pixels:
    """Return the picture with another brightness, contrast, gamma and saturation."""
    toned = tone(
        pixels,
        gain=float(rng.uniform(0.6, 1.25)),
        offset=float(rng.uniform(-0.05, 0.05)),
        gamma=float(np.exp(rng.uniform(-0.3, 0.3))),
    )
    grey = cv2.cvtColor(cv2.cvtColor(toned, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    keep = float(rng.uniform(0.6, 1.3))
    return np.asarray(cv2.addWeighted(toned, keep, grey, 1 - keep, 0), np.uint8)


def jittered(landmarks: Points, recipe: AugmentRecipe, rng: Generator) -> Points:
    """Return the landmarks shifted, scaled and turned a little, as if found by another."""
    centre = landmarks.mean(axis=0)
    span = float(np.linalg.norm(landmarks - centre, axis=1).mean())
    angle = np.radians(rng.uniform(-1, 1) * recipe.turn_degrees)
    scale = np.exp(rng.uniform(-1, 1) * recipe.scale)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    # A share of the crop's side; the side is about four mean distances of a landmark.
    shift = rng.uniform(-1, 1, 2) * recipe.shift * 4 * span
    return np.asarray((landmarks - centre) @ turn.T + centre + shift, np.float32)
