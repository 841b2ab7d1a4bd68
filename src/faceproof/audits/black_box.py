"""`square_attack`: changes of a crop, found from the detector's scores and nothing else.

It needs no torch, and attacks the detector as it runs, all members of an ensemble included.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from faceproof.evaluation.formulas import Bools, Floats
from faceproof.imaging.preprocessing import Pixels

Judge = Callable[[Pixels], Floats]
"""Function from crops uint8 [N, S, S, 3] to logits float64 [N]."""

_FIRST_SHARE = 0.8
_HALVINGS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
"""Shares of the queries after which the squares have half the area."""


def square_attack(
    judge: Judge,
    crops: Pixels,
    fake: Bools,
    *,
    clean: Floats,
    budget: int,
    queries: int,
    succeeded: Callable[[Floats, Bools], Bools],
    seed: int = 0,
    start: Pixels | None = None,
) -> tuple[Pixels, Floats]:
    """Return crops uint8 [N, S, S, 3] within ``budget`` grey levels, and their logits [N].

    ``clean`` are the logits of the crops. Each query changes one square of each crop by the whole
    budget up or down, and keeps the change if it moves the logit away from the label. A face on
    which the attack has ``succeeded``, a function of logits and labels, is left as it is then.
    ``start`` are crops within the budget to begin with, instead of vertical stripes.

    Source:
        M. Andriushchenko et al., 2020, arXiv:1912.00049, the L-infinity attack; the first share
        of the area is that of AutoAttack (F. Croce, M. Hein, 2020, arXiv:2003.01690).
    """
    rng = np.random.default_rng(seed)
    uphill = np.where(fake, -1.0, 1.0)
    best, reached = crops.copy(), np.array(clean, np.float64)
    first = _add_stripes(crops, budget, rng) if start is None else start
    for query in range(queries):
        running = np.flatnonzero(~succeeded(reached, fake))
        if not len(running):
            break
        tried = first[running] if not query else best[running]
        if query:
            side = _square_side(crops.shape[1], query / queries)
            for place, face in enumerate(running):
                _change_square(tried[place], crops[face], side, budget, rng)
        logits = judge(tried)
        better = uphill[running] * (logits - reached[running]) > 0
        best[running[better]], reached[running[better]] = tried[better], logits[better]
    return best, reached


def _add_stripes(crops: Pixels, budget: int, rng: np.random.Generator) -> Pixels:
    """Return the crops with vertical stripes of one pixel, each channel up or down."""
    count, _, side, channels = crops.shape
    stripes = budget * rng.choice((-1, 1), (count, 1, side, channels))
    return np.asarray(np.clip(crops.astype(np.int16) + stripes, 0, 255), np.uint8)


def _square_side(side: int, done: float) -> int:
    """Return the side of the squares in pixels after a share of the queries.

    >>> [_square_side(160, done) for done in (0.0, 0.3, 1.0)]
    [143, 18, 6]
    """
    halvings = sum(done > after for after in _HALVINGS)
    share: float = _FIRST_SHARE * 0.5**halvings
    return max(1, min(side, round(side * math.sqrt(share))))


def _change_square(
    tried: Pixels, clean: Pixels, side: int, budget: int, rng: np.random.Generator
) -> None:
    """Set a random square of a crop [S, S, 3] to the clean one, each channel up or down."""
    top, left = rng.integers(0, tried.shape[0] - side + 1, 2)
    square = np.s_[top : top + side, left : left + side]
    moved = clean[square].astype(np.int16) + budget * rng.choice((-1, 1), 3)
    tried[square] = np.clip(moved, 0, 255).astype(np.uint8)
