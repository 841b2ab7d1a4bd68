"""`augment_crop` and `match_crop`: augmentation of training pictures before cropping.

Both classes get the same distribution of file histories. The only step that depends on the label
makes a fake from a real picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from faceproof.imaging.degradations import (
    SUBSAMPLINGS,
    blur,
    decode_saved,
    encode_jpeg,
    encode_webp,
    history_with_points,
    noise,
    tone,
)
from faceproof.imaging.preprocessing import CropSpec, crop_face
from faceproof.tables import choose
from faceproof.training.forging.blending import random_self_blend, swap_face
from faceproof.training.forging.reconstruction import reconstruct
from faceproof.training.forging.table import FORGERIES, RealFace
from faceproof.training.recipe_pictures import AugmentRecipe
from faceproof.training.resolution import DrawnFace, face_widths, reduce_face

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float32]
Generator = np.random.Generator


@dataclass(frozen=True)
class _SaveFacts:
    """One save of a picture: its quality setting, and its size in bytes for each pixel."""

    quality: int
    bytes_per_pixel: float


@dataclass(frozen=True)
class Sample:
    """A decoded picture, its landmarks float32 [5, 2], its class and the group of its person.

    ``saved`` describes the last save at the drawn width, if there was one.
    """

    pixels: Pixels
    landmarks: Points
    is_fake: bool
    group: str = ""
    saved: _SaveFacts | None = None


def augment_crop(
    sample: Sample,
    donor: Callable[[], Sample],
    recipe: AugmentRecipe,
    crop: CropSpec,
    rng: Generator,
) -> tuple[Pixels, bool]:
    """Return an augmented face crop, uint8 [S, S, 3], and whether it is fake.

    ``donor`` returns another real face for a swap. Each step has its own generator, spawned from
    ``rng``: disabling one does not change the draws of the others.
    """
    forging, cutting, wearing, placing, flipping = rng.spawn(5)
    sample = forge(sample, donor, recipe, forging) if not sample.is_fake else sample
    sample = cut_out(sample, cutting) if cutting.random() < recipe.cut else sample
    sample = degrade(sample, recipe, wearing)
    points = jitter_landmarks(sample.landmarks, recipe, placing)
    face = crop_face(sample.pixels, points, crop)
    if flipping.random() < recipe.flip:
        face = np.ascontiguousarray(face[:, ::-1])
    return face, sample.is_fake


def match_crop(
    sample: Sample,
    drawn: DrawnFace,
    donor: Callable[[], Sample],
    rng: Generator,
    *,
    recipe: AugmentRecipe,
    crop: CropSpec,
    strength: float,
) -> tuple[Pixels, Sample]:
    """Return the crop of a face of the drawn width, uint8 [S, S, 3], and the sample it shows.

    The face is first scaled to the width, then forged, recoloured, encoded and cropped, in the
    order of a published picture. ``strength`` multiplies every probability.
    """
    reducing, forging, cutting, wearing, placing, flipping = rng.spawn(6)
    factor = drawn.width / float(face_widths(sample.landmarks[None])[0])
    pixels, points = reduce_face(sample.pixels, sample.landmarks, factor, reducing)
    sample = replace(sample, pixels=pixels, landmarks=points)
    if drawn.forgery is not None:
        forgery = choose(FORGERIES, drawn.forgery, what="forgery")
        made = forgery.make(real_face(sample), lambda: real_face(donor()), forging)
        sample = replace(sample, pixels=made.pixels, is_fake=made.is_fake)
    sample = cut_out(sample, cutting) if cutting.random() < strength * recipe.cut else sample
    sample = degrade(sample, recipe, wearing, strength=strength)
    face = crop_face(sample.pixels, jitter_landmarks(sample.landmarks, recipe, placing), crop)
    if flipping.random() < recipe.flip:
        face = np.ascontiguousarray(face[:, ::-1])
    return face, sample


def real_face(sample: Sample) -> RealFace:
    """Return the sample as input for a forgery."""
    groups = (sample.group,) if sample.group else ()
    return RealFace(sample.pixels, sample.landmarks, groups)


def _save_once(
    pixels: Pixels, quality: tuple[int, int], rng: Generator
) -> tuple[Pixels, _SaveFacts]:
    """Return the picture after one save, as JPEG five times in six, else as WebP."""
    level = int(rng.integers(quality[0], quality[1] + 1))
    if rng.random() < 1 / 6:
        data = encode_webp(pixels, level)
    else:
        chroma = str(rng.choice(list(SUBSAMPLINGS), p=(0.65, 0.25, 0.07, 0.03)))
        data = encode_jpeg(pixels, level, subsampling=chroma)
    size = len(data) / (pixels.shape[0] * pixels.shape[1])
    return decode_saved(data), _SaveFacts(level, size)


def forge(
    real: Sample, donor: Callable[[], Sample], recipe: AugmentRecipe, rng: Generator
) -> Sample:
    """Return the real sample, or at random a fake made from it.

    If it cannot be forged (the face is outside, the picture is flat), it stays real.
    """
    kind = _choose_forgery(float(rng.random()), recipe)
    pixels = real.pixels if kind is None else _FORGERIES[kind](real, donor, rng)
    if np.array_equal(pixels, real.pixels):
        return real
    return replace(real, pixels=pixels, is_fake=True)


def _choose_forgery(drawn: float, recipe: AugmentRecipe) -> str | None:
    """Return the forgery for a number in [0, 1), by the probabilities of the recipe.

    Self-blends are at the lower end, swaps at the upper end and reconstructions start in the
    middle if possible: disabling one does not move the others.
    """
    if drawn < recipe.self_blend:
        return "self_blend"
    if drawn >= 1 - recipe.swap:
        return "swap"
    start = max(recipe.self_blend, min(0.5, 1 - recipe.swap - recipe.reconstruct))
    return "reconstruct" if start <= drawn < start + recipe.reconstruct else None


def _self_blend(real: Sample, _donor: Callable[[], Sample], rng: Generator) -> Pixels:
    return random_self_blend(real.pixels, real.landmarks, rng)


def _swap(real: Sample, donor: Callable[[], Sample], rng: Generator) -> Pixels:
    other = donor()
    return swap_face(real.pixels, real.landmarks, other.pixels, other.landmarks, rng)


def _reconstruct(real: Sample, _donor: Callable[[], Sample], rng: Generator) -> Pixels:
    return reconstruct(real.pixels, rng)


_FORGERIES: dict[str, Callable[[Sample, Callable[[], Sample], Generator], Pixels]] = {
    "self_blend": _self_blend,
    "swap": _swap,
    "reconstruct": _reconstruct,
}


def cut_out(sample: Sample, rng: Generator) -> Sample:
    """Return the sample cropped at random near the face, so that borders do not show the class."""
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


def degrade(
    sample: Sample, recipe: AugmentRecipe, rng: Generator, *, strength: float = 1.0
) -> Sample:
    """Return the sample after colour changes, blur, noise and a random file history.

    ``strength`` multiplies all probabilities except that of ``recipe.save``.
    """
    colouring, greying, blurring, graining, filing, saving = rng.spawn(6)
    pixels = sample.pixels
    if colouring.random() < strength * recipe.colour:
        pixels = jitter_colour(pixels, colouring)
    if greying.random() < strength * recipe.grey:
        pixels = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if blurring.random() < strength * recipe.blur:
        pixels = blur(pixels, float(blurring.uniform(0.3, 1.3)))
    if graining.random() < strength * recipe.noise:
        pixels = noise(pixels, float(graining.uniform(1, 7)), graining)
    if saving.random() < recipe.save:
        pixels, saved = _save_once(pixels, recipe.save_quality, saving)
        sample = replace(sample, saved=saved)
    if strength < 1 and filing.random() >= strength:
        return replace(sample, pixels=pixels)
    after, points = history_with_points(
        pixels, sample.landmarks, filing, steps=recipe.history_steps
    )
    return replace(sample, pixels=after, landmarks=points)


def jitter_colour(pixels: Pixels, rng: Generator) -> Pixels:
    """Return the picture with random brightness, contrast, gamma and saturation."""
    toned = tone(
        pixels,
        gain=float(rng.uniform(0.6, 1.25)),
        offset=float(rng.uniform(-0.05, 0.05)),
        gamma=float(np.exp(rng.uniform(-0.3, 0.3))),
    )
    grey = cv2.cvtColor(cv2.cvtColor(toned, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    keep = float(rng.uniform(0.6, 1.3))
    return np.asarray(cv2.addWeighted(toned, keep, grey, 1 - keep, 0), np.uint8)


def jitter_landmarks(landmarks: Points, recipe: AugmentRecipe, rng: Generator) -> Points:
    """Return the landmarks slightly shifted, scaled and rotated, as by another face finder."""
    centre = landmarks.mean(axis=0)
    span = float(np.linalg.norm(landmarks - centre, axis=1).mean())
    angle = np.radians(rng.uniform(-1, 1) * recipe.turn_degrees)
    scale = np.exp(rng.uniform(-1, 1) * recipe.scale)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    # A share of the crop's side; the side is about four mean distances of a landmark.
    shift = rng.uniform(-1, 1, 2) * recipe.shift * 4 * span
    return np.asarray((landmarks - centre) @ turn.T + centre + shift, np.float32)
