"""`run_deletion_test`: the joined heat maps of a detector's members, each with a deletion test.

The test deletes the hottest fifth of the crop, and then, one at a time, four regions of the same
shape in other places. The map is reliable only if the first lowers the logit most. The five places
are steps on a ring, so that a map unrelated to the picture passes in one case of five.

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

_Mask = npt.NDArray[np.bool_]

PLACES = 5
"""1 / share of deleted pixels, and number of places: the hottest, and four others."""
STEPS = ((0, 1), (1, 0), (1, 1), (1, 2), (1, 3), (1, 4))
"""Shifts down and right in fifths of a side, cyclic, each with a ring of five places."""
_BLUR = 1 / 8
"""Standard deviation of the deleting blur, as a fraction of the crop's side."""


class _EvidenceMapper(Protocol):
    """The interface of the tested detector: `faceproof.detector.Detector`, or a test double."""

    def logits(self, inputs: Inputs, /) -> Logits: ...
    def map_evidence(self, inputs: Inputs, /) -> tuple[Logits, Maps]: ...


@dataclass(frozen=True)
class Explanations:
    """Logits float64 [N], and their heat maps.

    ``values`` float64 [N, h, w] are contributions to the logit on a grid over the crop; positive
    means evidence for fake. ``hottest_deleted`` float64 [N] is the change of the logit when the
    hottest fifth of the crop is deleted. ``random_deleted`` float64 [N] is the mean change for
    regions of the same shape elsewhere. ``reliable`` bool [N] is whether the first lowers the logit
    more than each of the others.
    """

    logits: Logits
    values: Maps
    reliable: npt.NDArray[np.bool_]
    hottest_deleted: Logits
    random_deleted: Logits


def run_deletion_test(detector: _EvidenceMapper, inputs: Inputs) -> Explanations:
    """Return logits and heat maps, each map tested by five deletions."""
    logits, maps = detector.map_evidence(inputs)
    changes = [
        detector.logits(delete_regions(picture, heat)) - logit
        for picture, heat, logit in zip(inputs, maps, logits, strict=True)
    ]
    table = np.array(changes).reshape(len(inputs), PLACES)
    hottest, others = table[:, 0], table[:, 1:]
    return Explanations(
        logits=logits,
        values=maps,
        reliable=hottest < others.min(axis=1),
        hottest_deleted=hottest,
        random_deleted=others.mean(axis=1),
    )


def average_maps(maps: Sequence[Maps], shares: npt.NDArray[np.float64]) -> Maps:
    """Return the weighted mean of members' maps [N, h, w] on the finest of their grids.

    A cell's value is divided among the cells that it covers, so that sums are preserved: the sum of
    the mean is the mean of the sums.
    """
    height = max(heat.shape[1] for heat in maps)
    width = max(heat.shape[2] for heat in maps)
    spread = [
        cell_overlaps(heat.shape[1], height) @ heat @ cell_overlaps(heat.shape[2], width).T
        for heat in maps
    ]
    return np.asarray(np.tensordot(shares, np.stack(spread), axes=1))


def cell_overlaps(cells: int, among: int) -> npt.NDArray[np.float64]:
    """Return the share of each of ``cells`` inside each of ``among`` cells, [among, cells].

    >>> cell_overlaps(1, 2).tolist(), cell_overlaps(2, 1).tolist()
    ([[0.5], [0.5]], [[1.0, 1.0]])
    """
    old, new = np.linspace(0, 1, cells + 1), np.linspace(0, 1, among + 1)
    start = np.maximum(new[:-1, None], old[:-1])
    end = np.minimum(new[1:, None], old[1:])
    return np.asarray(np.maximum(end - start, 0) * cells)


def delete_regions(picture: Inputs, heat: Maps) -> Inputs:
    """Return copies of the picture without its hottest fifth, and without four other regions.

    Float32 [5, 3, S, S]. The other regions are the hottest fifth after cyclic shifts: equal in area
    and shape. The picture seeds the direction of the shifts, so that the result is deterministic.
    """
    mask, blank = hottest_mask(heat, side=picture.shape[-1]), blur(picture)
    masks = (np.roll(mask, shift, axis=(0, 1)) for shift in ring_shifts(picture))
    return np.stack([np.where(one, blank, picture) for one in masks])


def ring_shifts(picture: Inputs) -> list[tuple[int, int]]:
    """Return down and right, in pixels, of five places on a ring; the first is no shift."""
    side, bits = picture.shape[-1], np.ascontiguousarray(picture).tobytes()
    down, right = STEPS[zlib.crc32(bits) % len(STEPS)]
    return [
        (round(place * down * side / PLACES) % side, round(place * right * side / PLACES) % side)
        for place in range(PLACES)
    ]


def hottest_mask(heat: Maps, *, side: int) -> _Mask:
    """Return the mask of the hottest fifth of pixels, bool [side, side]; linear between cells."""
    fine = cv2.resize(heat.astype(np.float64), (side, side), interpolation=cv2.INTER_LINEAR)
    mask = np.zeros(side * side, np.bool_)
    mask[np.argsort(-fine, axis=None, kind="stable")[: side * side // PLACES]] = True
    return mask.reshape(side, side)


def blur(picture: Inputs) -> Inputs:
    """Return the picture without details finer than `_BLUR`, float32 [3, S, S]."""
    rows = np.moveaxis(picture, 0, -1)
    soft = cv2.GaussianBlur(
        rows, (0, 0), _BLUR * picture.shape[-1], borderType=cv2.BORDER_REFLECT_101
    )
    return np.ascontiguousarray(np.moveaxis(soft, -1, 0))
