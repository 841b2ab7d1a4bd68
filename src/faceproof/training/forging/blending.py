"""Fakes made from photographs: the inner face of one picture blended into another, or into itself.

Training draws from these to meet the seams that every pasted face leaves, whoever made it, and
`samples/` shows them. All chance comes from the generator that the caller hands in.

Source: Li et al., "Face X-ray for More General Face Forgery Detection", CVPR 2020;
Shiohara and Yamasaki, "Detecting Deepfakes with Self-Blended Images", CVPR 2022.

Source: Shiohara and Yamasaki, "Detecting Deepfakes with Self-Blended Images", CVPR 2022.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

from faceproof.imaging.degradations import jpeg, sharpen
from faceproof.imaging.preprocessing import similarity
from faceproof.tables import choose
from faceproof.training.forging.masks import (
    Matrix,
    Patch,
    Pixels,
    Points,
    Weights,
    face_patch,
    fit_affine,
    is_face,
    scale_of,
    shift_to_origin,
    to_square,
)


def alter(pixels: Pixels, rng: Generator, strength: float) -> Pixels:
    """Return the pixels in other colours and of another texture."""
    pixels = _recolour(pixels, rng, strength)
    return TEXTURES[str(rng.choice(list(TEXTURES)))](pixels, rng)


def _recolour(pixels: Pixels, rng: Generator, strength: float) -> Pixels:
    """Return the pixels with another brightness, contrast, gamma, white balance, saturation."""
    levels = np.linspace(0, 1, 256)[:, None] ** np.exp(rng.uniform(-0.15, 0.15) * strength)
    # Never near zero: a copy that nobody can tell from the original is no fake.
    shift = (_random_signed(rng, 0.02, 0.07) + rng.uniform(-0.03, 0.03, 3)) * strength
    curve = (levels - 0.5) * np.exp(rng.uniform(-0.12, 0.12) * strength) + 0.5 + shift
    table = np.rint(curve * 255).clip(0, 255).astype(np.uint8)[None]
    toned = cv2.LUT(np.ascontiguousarray(pixels), table)
    keep = np.exp(rng.uniform(-0.3, 0.3) * strength)
    grey = np.array([0.299, 0.587, 0.114])
    return np.asarray(cv2.transform(toned, keep * np.eye(3) + (1 - keep) * grey), np.uint8)


def _random_signed(rng: Generator, low: float, high: float) -> float:
    """Return a number whose size lies in [low, high), of either sign."""
    return float(rng.uniform(low, high) * rng.choice([-1, 1]))


def _keep(pixels: Pixels, _rng: Generator) -> Pixels:
    return pixels


def _soften(pixels: Pixels, rng: Generator) -> Pixels:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.5)), np.uint8)


def _sharpen(pixels: Pixels, rng: Generator) -> Pixels:
    sigma = float(rng.uniform(0.7, 1.5))
    return sharpen(pixels, float(rng.uniform(0.2, 0.9)), sigma)


def _resample(pixels: Pixels, rng: Generator) -> Pixels:
    height, width = pixels.shape[:2]
    share = rng.uniform(0.35, 0.9)
    smaller = (max(1, round(width * share)), max(1, round(height * share)))
    shrunk = cv2.resize(pixels, smaller, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def _coarsen(pixels: Pixels, rng: Generator) -> Pixels:
    """Return every second or fourth pixel, enlarged again: how the paper takes sharpness away."""
    height, width = pixels.shape[:2]
    step = int(rng.choice((2, 4)))
    smaller = (max(1, width // step), max(1, height // step))
    shrunk = cv2.resize(pixels, smaller, interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _recompress(pixels: Pixels, rng: Generator) -> Pixels:
    return jpeg(pixels, int(rng.integers(40, 90)))


#: How the copy's texture differs from the picture around it.
TEXTURES: dict[str, Callable[[Pixels, Generator], Pixels]] = {
    "unchanged": _keep,
    "softened": _soften,
    "sharpened": _sharpen,
    "resampled": _resample,
    "recompressed": _recompress,
    "coarsened": _coarsen,
}


#: What a self-blend may change: the copy of the face, or the picture that it is blended into.
SIDES = ("copy", "picture")
#: The largest weight of the copy, as the paper draws it.
RATIOS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)

_INTERPOLATIONS = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


def random_self_blend(pixels: Pixels, landmarks: Points, rng: Generator) -> Pixels:
    """Return a self-blended image as the paper draws them, uint8 [H, W, 3].

    The copy or the picture around it is changed, each half of the time, and the copy is blended
    in by one of `RATIOS`.

    Source: Shiohara and Yamasaki, CVPR 2022, section 3.2, and their published code.
    """
    changed, ratio = str(rng.choice(SIDES)), float(rng.choice(RATIOS))
    return self_blend(pixels, landmarks, rng, changed=changed, ratio=ratio)


def self_blend(
    pixels: Pixels,
    landmarks: Points,
    rng: Generator,
    *,
    strength: float = 1.0,
    changed: str = "copy",
    ratio: float | None = None,
) -> Pixels:
    """Return a fake made of one picture, uint8 [H, W, 3]: its face, changed a little, on itself.

    The face's copy differs in colour, texture, place and size, ``strength`` times as much as in
    a good forgery; or, as ``changed`` says, the picture around it in colour and texture. The mask
    is the first thing drawn, so `face_mask` with an equal generator returns it; ``ratio`` is the
    largest of its weights, left as drawn where not given. Where the mask is zero no pixel of the
    copy is seen.

    Raises:
        UnknownChoiceError: ``changed`` is none of `SIDES`.
    """
    choose(dict.fromkeys(SIDES), changed, what="side to change")
    patch = face_patch(landmarks, (pixels.shape[0], pixels.shape[1]), rng)
    if patch is None:
        return pixels.copy()
    patch = patch if ratio is None else _scale_patch(patch, ratio)
    source = _shift(pixels, patch, rng, strength)
    if changed == "picture":
        return _paste(alter(pixels, rng, strength), source, patch)
    return _paste(pixels, alter(source, rng, strength), patch)


def _scale_patch(patch: Patch, ratio: float) -> Patch:
    """Return the patch with ``ratio`` as its largest weight."""
    most = max(float(patch.weights.max()), 1e-6)
    return Patch(patch.left, patch.top, patch.weights * np.float32(ratio / most))


def swap_face(
    target: Pixels,
    target_landmarks: Points,
    donor: Pixels,
    donor_landmarks: Points,
    rng: Generator,
    *,
    blend: str = "alpha",
    outline: str | None = None,
) -> Pixels:
    """Return the target with the donor's inner face on it, uint8 [H, W, 3] in its own shape.

    The donor is moved by a similarity or an affine map of the five landmarks, given the target's
    colours (mean and spread in CIELAB) and blended by one of `BLENDS`. The mask is the first
    thing drawn, as in `self_blend`; where it is zero no pixel changes.

    Raises:
        UnknownChoiceError: there is no such blend or outline.
    """
    mix = choose(BLENDS, blend, what="blend")
    patch = face_patch(target_landmarks, (target.shape[0], target.shape[1]), rng, outline=outline)
    if patch is None or not is_face(donor_landmarks):
        return target.copy()
    moved, patch = _move_donor(donor, _fit(donor_landmarks, target_landmarks, rng), patch, rng)
    below = _view_under_patch(patch, target)
    matched = _match_colour(moved, below, patch.weights, amount=rng.uniform(0.7, 1.0))
    return _paste(target, mix(matched, below, patch.weights), patch)


def _view_under_patch(patch: Patch, pixels: Pixels) -> Pixels:
    """Return the view of the picture that lies under the patch, uint8 [h, w, 3]."""
    return np.asarray(patch.view_of(pixels), np.uint8)


def _paste(pixels: Pixels, source: Pixels, patch: Patch) -> Pixels:
    """Return a copy of the picture with the source on the patch, by the mask's weights."""
    result = pixels.copy()
    below = _view_under_patch(patch, pixels).astype(np.float32)
    mixed = below + patch.weights[..., None] * (source.astype(np.float32) - below)
    patch.view_of(result)[:] = np.rint(mixed).astype(np.uint8)
    return result


def _shift(pixels: Pixels, patch: Patch, rng: Generator, strength: float) -> Pixels:
    """Return the patch's pixels, moved and stretched by a few percent, or left in place."""
    if rng.random() < 0.2:
        return _view_under_patch(patch, pixels)
    stretch = np.exp(rng.uniform(-0.06, 0.06, 2) * strength)
    move = rng.uniform(-0.03, 0.03, 2) * strength * patch.size
    centre = np.array([patch.left, patch.top]) + np.array(patch.size) / 2
    matrix = np.column_stack([np.diag(stretch), centre + move - stretch * centre])
    return _warp(pixels, shift_to_origin(matrix, patch.left, patch.top), patch, rng)


def _warp(pixels: Pixels, matrix: Matrix, patch: Patch, rng: Generator) -> Pixels:
    """Return the picture under the map, as large as the patch, by a random interpolation."""
    flags = int(rng.choice(_INTERPOLATIONS))
    # Not a reflection: OpenCV walks it step by step, which takes for ever far outside.
    mode = cv2.BORDER_REPLICATE
    return np.asarray(
        cv2.warpAffine(pixels, matrix, patch.size, flags=flags, borderMode=mode), np.uint8
    )


def _fit(source: Points, target: Points, rng: Generator) -> Matrix:
    """Return a similarity or an affine map [3, 3], by chance."""
    if rng.random() < 0.5:
        return to_square(similarity(source.astype(np.float64), target.astype(np.float64)))
    return fit_affine(source, target)


def _move_donor(
    donor: Pixels, matrix: Matrix, patch: Patch, rng: Generator
) -> tuple[Pixels, Patch]:
    """Return the donor under the map, as large as the patch, and the patch where it covers."""
    donor, matrix = _reduce_donor(donor, matrix)
    local = shift_to_origin(matrix, patch.left, patch.top)
    covered = cv2.warpAffine(np.ones(donor.shape[:2], np.float32), local, patch.size)
    weights = patch.weights * np.clip(covered, 0, 1)
    return _warp(donor, local, patch, rng), Patch(patch.left, patch.top, weights)


def _reduce_donor(donor: Pixels, matrix: Matrix) -> tuple[Pixels, Matrix]:
    """Return a donor much too large, averaged down so that a warp skips no pixel, and its map."""
    share = scale_of(matrix) * 1.5
    if share > 0.75:
        return donor, matrix
    height, width = donor.shape[:2]
    wide, high = max(1, round(width * share)), max(1, round(height * share))
    small = np.asarray(cv2.resize(donor, (wide, high), interpolation=cv2.INTER_AREA), np.uint8)
    ratio = np.array([width / wide, height / high])
    to_full = to_square(np.column_stack([np.diag(ratio), 0.5 * ratio - 0.5]))
    return small, np.asarray(matrix @ to_full, np.float64)


def _match_colour(source: Pixels, target: Pixels, weights: Weights, *, amount: float) -> Pixels:
    """Return the source, ``amount`` of the way to the target's mean and spread in CIELAB."""
    # In float: 8-bit CIELAB would leave gaps in the histogram that no real forgery has.
    lab = cv2.cvtColor(source.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    wanted = cv2.cvtColor(target[::2, ::2].astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    inside = (weights > 0.5 * weights.max()).astype(np.uint8)
    mean, spread = _mean_and_spread(lab, inside)
    new_mean, new_spread = _mean_and_spread(wanted, np.ascontiguousarray(inside[::2, ::2]))
    gain = np.clip(new_spread / np.maximum(spread, 1e-3), 0.5, 2.0) ** amount
    bias = mean + amount * (new_mean - mean) - gain * mean
    rgb = cv2.cvtColor(lab * gain + bias, cv2.COLOR_Lab2RGB)
    return np.asarray(np.rint(rgb * 255).clip(0, 255), np.uint8)


def _mean_and_spread(lab: Weights, inside: Pixels) -> tuple[Weights, Weights]:
    """Return mean and standard deviation of each channel where ``inside``, float32 [3]."""
    mean, spread = cv2.meanStdDev(lab, mask=inside)
    return mean.ravel().astype(np.float32), spread.ravel().astype(np.float32)


def _blend_alpha(source: Pixels, _target: Pixels, _weights: Weights) -> Pixels:
    """Return the source as it is: the mask's weights alone do the blending."""
    return source


def _blend_poisson(source: Pixels, target: Pixels, weights: Weights) -> Pixels:
    """Return the source with its gradients kept and its edge met to the target's.

    Source: Perez, Gangnet and Blake, "Poisson Image Editing", SIGGRAPH 2003.
    """
    inside = np.pad((weights > 0).astype(np.uint8) * 255, 4)
    x, y, width, height = cv2.boundingRect(inside)
    if min(width, height) < 8:
        return source
    frame = ((4, 4), (4, 4), (0, 0))
    lower, upper = np.pad(target, frame, mode="edge"), np.pad(source, frame, mode="edge")
    centre = (x + width // 2, y + height // 2)
    mixed = cv2.seamlessClone(upper, lower, inside, centre, cv2.NORMAL_CLONE)
    return np.asarray(mixed[4:-4, 4:-4], np.uint8)


#: How the colours of donor and target are brought together before the mask's weights mix them.
BLENDS: dict[str, Callable[[Pixels, Pixels, Weights], Pixels]] = {
    "alpha": _blend_alpha,
    "poisson": _blend_poisson,
}
