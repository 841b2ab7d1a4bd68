"""Heat maps of a detector: its members' maps joined, and each put to a test of its own.

A map is a claim: here lies the evidence. The test takes the claim at its word. The fifth of the
crop that the map calls hottest is deleted, and so, each in its turn, are a few fifths of the same
shape in other places. Where the first does not lower the logit more, the map is not reliable.

Source: deletion as a test of maps, W. Samek et al., "Evaluating the visualization of what a deep
neural network has learned", IEEE TNNLS 2017; V. Petsiuk, A. Das, K. Saenko, "RISE", BMVC 2018.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from faceproof.detector.scorers import Inputs, Logits, Maps

Mask = npt.NDArray[np.bool_]

DELETED = 5
"""One pixel in so many is deleted."""
DRAWS = 4
"""How many fifths in other places the hottest one is compared with."""
BLUR = 1 / 8
"""The blur that deletes, as deviation in sides of the crop."""


class Mapping(Protocol):
    """What is asked: a `faceproof.detector.Detector`, or a stand-in for tests."""

    def logits(self, inputs: Inputs, /) -> Logits: ...  # noqa: D102
    def mapped(self, inputs: Inputs, /) -> tuple[Logits, Maps]: ...  # noqa: D102


@dataclass(frozen=True)
class Explained:
    """Logits float64 [N], and where they come from.

    ``values`` float64 [N, h, w] are shares of the logit on a grid over the crop; positive speaks
    for fake. ``hottest_deleted`` and ``random_deleted`` float64 [N] say by how much the logit
    changes when the hottest fifth of the crop is deleted, and on average when a fifth of the same
    shape is deleted elsewhere. ``reliable`` bool [N] is whether the first lowers the logit, and by
    more than any of the others.
    """

    logits: Logits
    values: Maps
    reliable: npt.NDArray[np.bool_]
    hottest_deleted: Logits
    random_deleted: Logits


def put_to_test(detector: Mapping, inputs: Inputs, *, draws: int = DRAWS) -> Explained:
    """Return logits and heat maps, each map tested with ``draws`` other deletions."""
    logits, maps = detector.mapped(inputs)
    changes = [
        detector.logits(deletions(picture, heat, draws=draws)) - logit
        for picture, heat, logit in zip(inputs, maps, logits, strict=True)
    ]
    table = np.array(changes).reshape(len(inputs), 1 + draws)
    hottest, others = table[:, 0], table[:, 1:]
    return Explained(
        logits=logits,
        values=maps,
        reliable=hottest < np.minimum(others.min(axis=1, initial=0.0), 0.0),
        hottest_deleted=hottest,
        random_deleted=others.mean(axis=1),
    )


def joined(maps: Sequence[Maps], shares: npt.NDArray[np.float64]) -> Maps:
    """Return the weighted mean of members' maps [N, h, w] on the finest of their grids.

    A cell's value is spread evenly over the cells that it covers, so that no share is lost: the
    sum of the mean is the mean of the sums.
    """
    height = max(heat.shape[1] for heat in maps)
    width = max(heat.shape[2] for heat in maps)
    spread = [
        covering(heat.shape[1], height) @ heat @ covering(heat.shape[2], width).T for heat in maps
    ]
    return np.asarray(np.tensordot(shares, np.stack(spread), axes=1))


def covering(cells: int, among: int) -> npt.NDArray[np.float64]:
    """Return which share of each of ``cells`` falls on each of ``among`` as long, [among, cells].

    >>> covering(1, 2).tolist(), covering(2, 1).tolist()
    ([[0.5], [0.5]], [[1.0, 1.0]])
    """
    old, new = np.linspace(0, 1, cells + 1), np.linspace(0, 1, among + 1)
    start = np.maximum(new[:-1, None], old[:-1])
    end = np.minimum(new[1:, None], old[1:])
    return np.asarray(np.maximum(end - start, 0) * cells)


def deletions(picture: Inputs, heat: Maps, *, draws: int) -> Inputs:
    """Return the picture without its hottest fifth, and without ``draws`` fifths elsewhere.

    Float32 [1 + draws, 3, S, S]. The others are the hottest fifth's mask moved around the edges
    by shifts that the picture itself seeds: as large, as ragged, and the same each time.
    """
    mask = hottest(heat, side=picture.shape[-1])
    blank = blurred(picture)
    masks = [mask, *(np.roll(mask, shift, axis=(0, 1)) for shift in _shifts(picture, draws))]
    return np.stack([np.where(one, blank, picture) for one in masks])


def hottest(heat: Maps, *, side: int) -> Mask:
    """Return which fifth of the pixels is hottest, bool [side, side]; linear between cells."""
    fine = cv2.resize(heat.astype(np.float64), (side, side), interpolation=cv2.INTER_LINEAR)
    mask = np.zeros(side * side, np.bool_)
    mask[np.argsort(-fine, axis=None, kind="stable")[: side * side // DELETED]] = True
    return mask.reshape(side, side)


def blurred(picture: Inputs) -> Inputs:
    """Return the picture without what is finer than `BLUR`, float32 [3, S, S]."""
    rows = np.moveaxis(picture, 0, -1)
    soft = cv2.GaussianBlur(
        rows, (0, 0), BLUR * picture.shape[-1], borderType=cv2.BORDER_REFLECT_101
    )
    return np.ascontiguousarray(np.moveaxis(soft, -1, 0))


def _shifts(picture: Inputs, draws: int) -> list[tuple[int, int]]:
    """Return down and right of each move, no two alike and none of nothing."""
    side = picture.shape[-1]
    rng = np.random.default_rng(zlib.crc32(np.ascontiguousarray(picture).tobytes()))
    places = 1 + rng.choice(side * side - 1, draws, replace=False)
    return [(int(place) // side, int(place) % side) for place in places]
