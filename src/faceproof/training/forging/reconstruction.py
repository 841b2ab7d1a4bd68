"""Photographs passed through something like a small auto-encoder: fakes by their traces alone.

What a generator draws ends in layers that enlarge: transposed convolutions, or a repetition of
pixels and a convolution. They leave copies of the low frequencies at fixed high ones, whatever the
picture shows. These chains reduce a photograph and enlarge it again by the same means, with fixed
or random small kernels and without any trained weight; nothing of what is seen changes.

Source: Zhang, Karaman and Chang, "Detecting and Simulating Artifacts in GAN Fake Images"
(AutoGAN), WIFS 2019, arXiv:1907.06515; Durall, Keuper and Keuper, "Watch your Up-Convolution",
CVPR 2020; Frank et al., "Leveraging Frequency Analysis for Deep Fake Image Recognition", ICML 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from faceproof.tables import choose

Pixels = npt.NDArray[np.uint8]
_Planes = npt.NDArray[np.float32]

# The least likeness to the photograph, in decibels, is drawn from here: below, the loss would be
# seen; above, hardly a trace is left.
_FIDELITY = (29.0, 40.0)


def reconstruct(pixels: Pixels, rng: Generator, *, coder: str | None = None) -> Pixels:
    """Return the picture as a small auto-encoder gives it back, uint8 [H, W, 3] in its own shape.

    ``coder`` is one of `CODERS`, drawn where it is not named. What is lost is mixed with the
    photograph, as a skip connection does, until the likeness is 29 to 40 dB or more.

    Raises:
        UnknownChoiceError: there is no such coder.
    """
    name = coder or str(rng.choice(list(CODERS)))
    coded = choose(CODERS, name, what="coder")(pixels.astype(np.float32), rng)
    return _mix_with_original(pixels, coded, float(rng.uniform(*_FIDELITY)))


def _mix_with_original(pixels: Pixels, coded: _Planes, decibels: float) -> Pixels:
    """Return the coded picture, mixed with the original where it is less like it than that."""
    lost = coded - pixels
    error = float(np.sqrt(np.mean(lost**2)))
    allowed = 255 * 10 ** (-decibels / 20)
    mixed = pixels + lost * np.float32(min(1.0, allowed / max(error, 1e-6)))
    return np.asarray(np.rint(mixed).clip(0, 255), np.uint8)


def _resample(planes: _Planes, rng: Generator, enlarge: str) -> _Planes:
    """Return the planes halved once or twice, and enlarged as often."""
    return _code(planes, 1 + int(rng.random() < 0.4), rng, enlarge)


def _code_chroma(planes: _Planes, rng: Generator) -> _Planes:
    """Return the planes with brightness halved once and colour twice or three times.

    Colour alone would not do: JPEG halves it in photographs as well.
    """
    enlarge = str(rng.choice(("transposed", "nearest")))
    apart = cv2.cvtColor(planes / 255, cv2.COLOR_RGB2YCrCb)
    depth = int(rng.integers(2, 4))
    colour = _code(np.ascontiguousarray(apart[..., 1:]), depth, rng, enlarge)
    brightness = _code(np.ascontiguousarray(apart[..., :1]), 1, rng, enlarge)
    together = np.ascontiguousarray(np.concatenate([brightness, colour], axis=-1))
    return np.asarray(cv2.cvtColor(together, cv2.COLOR_YCrCb2RGB) * 255, np.float32)


def _code(planes: _Planes, depth: int, rng: Generator, enlarge: str) -> _Planes:
    """Return planes [H, W, C] halved ``depth`` times and enlarged again by the same kernels."""
    height, width = planes.shape[:2]
    code = _pad(planes, 2**depth)
    for _ in range(depth):
        code = _halve(code)
    for _ in range(depth):
        code = _ENLARGE[enlarge](code, rng)
    return code[:height, :width]


def _pad(planes: _Planes, multiple: int) -> _Planes:
    """Return the planes with their last row and column repeated up to a multiple."""
    below, beside = (-side % multiple for side in planes.shape[:2])
    padded = cv2.copyMakeBorder(planes, 0, below, 0, beside, cv2.BORDER_REPLICATE)
    return np.asarray(padded, np.float32).reshape(*padded.shape[:2], -1)


def _halve(planes: _Planes) -> _Planes:
    """Return the means of squares of 2 x 2, as a pooling layer gives them."""
    size = (planes.shape[1] // 2, planes.shape[0] // 2)
    return _to_planes(cv2.resize(planes, size, interpolation=cv2.INTER_AREA))


def _upsample_transposed(planes: _Planes, rng: Generator) -> _Planes:
    """Return planes twice as large by a transposed convolution: zeros between, then 4 x 4 taps.

    The four phases of the result have taps of their own; where those add up differently, a
    checkerboard lies over the picture.
    """
    # One row more on each side: at the border the zeros between must go on as well.
    wider = _to_planes(cv2.copyMakeBorder(planes, 1, 1, 1, 1, cv2.BORDER_REPLICATE))
    height, width, channels = wider.shape
    spread = np.zeros((2 * height, 2 * width, channels), np.float32)
    spread[::2, ::2] = wider
    tent = np.array([1, 3, 3, 1], np.float32) / 4
    kernel = _perturb_kernel(np.outer(tent, tent), rng)
    return np.ascontiguousarray(_filter(spread, kernel)[2:-2, 2:-2])


def _upsample_nearest(planes: _Planes, rng: Generator) -> _Planes:
    """Return planes twice as large: every pixel four times, then a convolution of 3 x 3 taps."""
    size = (2 * planes.shape[1], 2 * planes.shape[0])
    repeated = _to_planes(cv2.resize(planes, size, interpolation=cv2.INTER_NEAREST))
    soft = np.outer([1, 2, 1], [1, 2, 1]) / 16
    kernel = float(rng.uniform(0.2, 0.8)) * soft
    kernel[1, 1] += 1 - kernel.sum()
    return _filter(repeated, _perturb_kernel(kernel, rng))


def _upsample_bilinear(planes: _Planes, rng: Generator) -> _Planes:
    """Return planes twice as large by interpolation, then a convolution that sharpens a little."""
    size = (2 * planes.shape[1], 2 * planes.shape[0])
    smooth = _to_planes(cv2.resize(planes, size, interpolation=cv2.INTER_LINEAR))
    kernel = -float(rng.uniform(0.05, 0.3)) * np.outer([1, 2, 1], [1, 2, 1]) / 16
    kernel[1, 1] += 1 - kernel.sum()
    return _filter(smooth, _perturb_kernel(kernel, rng))


def _perturb_kernel(kernel: npt.NDArray[np.floating], rng: Generator) -> _Planes:
    """Return the kernel with each tap changed by 1 to 6 %, and its sum as it was."""
    taps = kernel * (1 + rng.uniform(0.01, 0.06) * rng.standard_normal(kernel.shape))
    return np.asarray(taps * (kernel.sum() / taps.sum()), np.float32)


def _filter(planes: _Planes, kernel: _Planes) -> _Planes:
    """Return the planes under the kernel; beyond the border stand the last pixels."""
    return _to_planes(cv2.filter2D(planes, -1, kernel, borderType=cv2.BORDER_REPLICATE))


def _to_planes(array: npt.NDArray[np.floating]) -> _Planes:
    """Return float32 [H, W, C]: OpenCV drops the last axis where there is one channel."""
    return np.asarray(array, np.float32).reshape(*array.shape[:2], -1)


def _code_patches(planes: _Planes, rng: Generator) -> _Planes:
    """Return the planes with each patch as a few principal components: a linear auto-encoder.

    They are those of the picture's own patches, of 4, 6 or 8 px; the grid begins anywhere.

    Source: Baldi and Hornik, "Neural networks and principal component analysis", 1989: what a
    linear auto-encoder learns.
    """
    side = int(rng.choice((4, 6, 8)))
    height, width = planes.shape[:2]
    top, left = (int(offset) for offset in rng.integers(0, side, 2))
    grid = _pad(np.pad(planes, ((top, 0), (left, 0), (0, 0)), mode="edge"), side)
    rows, columns = grid.shape[0] // side, grid.shape[1] // side
    blocks = grid.reshape(rows, side, columns, side, -1).transpose(0, 2, 4, 1, 3)
    patches = blocks.reshape(-1, side * side).astype(np.float64)
    coded = _project(patches, max(1, round(float(rng.uniform(0.15, 0.4)) * side * side)))
    back = coded.reshape(blocks.shape).transpose(0, 3, 1, 4, 2).reshape(grid.shape)
    return np.asarray(back[top : top + height, left : left + width], np.float32)


def _project(patches: npt.NDArray[np.float64], keep: int) -> npt.NDArray[np.float64]:
    """Return patches [N, D] as their mean and their ``keep`` strongest principal components."""
    mean = patches.mean(axis=0)
    centred = patches - mean
    some = centred[::4]
    basis = np.linalg.eigh(some.T @ some)[1][:, -keep:]
    return np.asarray(centred @ basis @ basis.T + mean, np.float64)


#: How planes are made twice as large.
_ENLARGE: dict[str, Callable[[_Planes, Generator], _Planes]] = {
    "transposed": _upsample_transposed,
    "nearest": _upsample_nearest,
    "bilinear": _upsample_bilinear,
}

#: What stands in for an auto-encoder: float32 [H, W, 3] of 0..255 in and out.
CODERS: dict[str, Callable[[_Planes, Generator], _Planes]] = {
    "transposed": partial(_resample, enlarge="transposed"),
    "nearest": partial(_resample, enlarge="nearest"),
    "bilinear": partial(_resample, enlarge="bilinear"),
    "chroma": _code_chroma,
    "patches": _code_patches,
}
