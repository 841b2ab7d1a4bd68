"""Crops of many kinds, drawn and not photographed: what two networks are compared on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


def varied_crops(count: int, side: int) -> Pixels:
    """Return seeded crops, uint8 [count, side, side, 3], of eight kinds in turn.

    Flat black, white and grey, noise, smooth slopes, hard edges, and 1/f noise, which has the
    spectrum of photographs.

    Source: Field, "Relations between the statistics of natural images and the response
    properties of cortical cells", JOSA A 1987.
    """
    random = np.random.default_rng(20_240_501)
    return np.stack([_crop(random, kind % 8, side) for kind in range(count)])


def _crop(random: np.random.Generator, kind: int, side: int) -> Pixels:
    """Return one crop, uint8 [side, side, 3]."""
    shape = (side, side, 3)
    crop: npt.NDArray[np.floating]
    if kind == 0:
        crop = np.full(shape, random.choice([0.0, 1.0]))
    elif kind == 1:
        crop = np.broadcast_to(random.random(3), shape)
    elif kind == 2:
        crop = random.random(shape)
    elif kind == 3:
        crop = random.integers(0, 2, shape).astype(float)
    elif kind == 4:
        crop = np.linspace(random.random(3), random.random((side, 3)), side)
    else:
        crop = _photograph_like(random, shape, power=0.5 * (kind - 3))
    return np.round(np.clip(crop, 0, 1) * 255).astype(np.uint8)


def _photograph_like(
    random: np.random.Generator, shape: tuple[int, int, int], power: float
) -> npt.NDArray[np.float64]:
    """Return noise whose amplitude falls with frequency to this power, mean 0.5, sd 0.25."""
    spectrum = np.fft.fft2(random.normal(size=shape), axes=(0, 1))
    rows, columns = np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])
    frequency = np.maximum(np.hypot(rows, columns), 1 / shape[0])
    picture = np.fft.ifft2(spectrum / frequency[..., None] ** power, axes=(0, 1)).real
    return np.asarray(0.5 + 0.25 * (picture - picture.mean()) / picture.std())
