"""Isotonic regression: the rising step function nearest to the labels, made a rising curve."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from faceproof.detector.calibration import Isotonic
from faceproof.evaluation.tally import Floats

ISOTONIC_GROUPS = 500
"""Groups of each class that isotonic regression takes: with fewer than about a thousand in all it
follows the noise (Niculescu-Mizil and Caruana 2005, ICML)."""

_EQUAL = 1e-12
"""Steps closer than this are one: what parts them is rounding."""


class Blocks(NamedTuple):
    """A rising step function: the value of each step, its weight, and where it starts; all [B]."""

    values: Floats
    weights: Floats
    starts: NDArray[np.int64]


def pooled(values: Floats, weights: Floats) -> Blocks:
    """Return the rising step function nearest to ``values`` [N] in weighted squares.

    It is the nearest in weighted log loss too. The steps rise strictly.

    Source: pool adjacent violators, Ayer et al. 1955, Annals of Mathematical Statistics 26:641.
    """
    blocks: list[tuple[float, float, int]] = []
    for start, (value, weight) in enumerate(zip(values.tolist(), weights.tolist(), strict=True)):
        while blocks and blocks[-1][0] >= value - _EQUAL:
            before, mass, start = blocks.pop()  # noqa: PLW2901 - the block grows to the left
            weight += mass  # noqa: PLW2901
            value += (before - value) * (mass / weight)  # noqa: PLW2901
        blocks.append((value, weight, start))
    steps, masses, starts = zip(*blocks, strict=True)
    return Blocks(np.asarray(steps), np.asarray(masses), np.asarray(starts))


def isotonic(logits: Floats, targets: Floats, weights: Floats, *, slope: float) -> Isotonic:
    """Return the curve through one knot a block: its mean logit, and the log-odds of its value.

    One face of the other class is added at either end, so that no block is certain, and a block
    of few faces less so than one of many. ``slope`` leads on beyond the outermost knots, where one
    class stands alone and steps say nothing.

    Source: two faces, one of each class, also stand for the next one in Vovk and Petej 2014,
    Venn-Abers predictors, UAI; theirs stand at its own logit.
    """
    ends = np.array([logits.min(), logits.max()])
    places, index = np.unique(np.append(logits, ends), return_inverse=True)
    mass = np.bincount(index, weights=np.append(weights, [1.0, 1.0]))
    hits = np.bincount(index, weights=np.append(weights * targets, [1.0, 0.0]))
    blocks = pooled(np.asarray(hits / mass, np.float64), np.asarray(mass, np.float64))
    centres = np.add.reduceat(mass * places, blocks.starts) / blocks.weights
    odds = np.log(blocks.values) - np.log1p(-blocks.values)
    rising = np.append(True, (np.diff(centres) > 0) & (np.diff(odds) > 0))  # but for rounding
    return Isotonic(
        logits=tuple(centres[rising].tolist()),
        calibrated=tuple(odds[rising].tolist()),
        slope=slope,
    )
