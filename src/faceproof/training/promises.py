"""Promises: how often a detector may err, which are asked for, and what they take.

A threshold is moved until its risk, corrected for the few that were seen, is within the promise:
(n * risk + 1) / (n + 1) <= alpha. Then the expected risk on what comes next is at most alpha, over
the draw of the calibration split, whatever the detector and the distribution.

Groups are exchangeable, faces of one group are not. So risk is held twice, and the stricter rules:

* over groups: a group's loss is the share of its faces in error and n is the number of groups. The
  bound is a theorem for groups drawn alike;
* over faces: each counts once and n is what they are worth in independent faces
  (`faceproof.evaluation.intervals.clustered_size`). It is what is measured later; the bound is
  exact for single faces and for copies in equal number, and held by simulation in between.

Source: Angelopoulos, Bates, Fisch, Lei and Schuster 2024, Conformal Risk Control, ICLR,
arXiv:2208.02814, theorem 1; classes apart: Vovk 2012, Conditional validity of inductive conformal
predictors; groups: Dunn, Wasserman and Ramdas 2023, JASA 118:2491.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from faceproof.errors import UsageError
from faceproof.evaluation.formulas import Floats
from faceproof.evaluation.intervals import faces_needed
from faceproof.records import Record

_ROUNDING = 1e-9


def corrected(risk: ArrayLike, n: ArrayLike) -> Floats:
    """Return (n * risk + 1) / (n + 1): the risk that is held against the promise.

    >>> round(float(corrected(0.0, 99)), 12), round(float(corrected(1.0, 99)), 12)
    (0.01, 1.0)
    """
    size = np.asarray(n, dtype=np.float64)
    return np.asarray((size * np.asarray(risk) + 1) / (size + 1))


def groups_needed(alpha: float) -> int:
    """Return how many groups, none of them in error, keep the corrected risk within ``alpha``.

    >>> [groups_needed(alpha) for alpha in (0.05, 0.01, 0.005, 0.001)]
    [19, 99, 199, 999]
    """
    if not 0 < alpha < 1:
        raise UsageError(f"a risk to control must lie between 0 and 1, got {alpha}")
    return math.ceil(1 / alpha - 1 - _ROUNDING)


def first_kept(danger: ArrayLike, groups: ArrayLike, *, alpha: float, worth: float) -> float:
    """Return the highest danger that must not err, where the more dangerous faces may.

    ``danger`` float [N] rises with the chance of an error: an error at one value is an error at
    every higher one. ``worth`` is how many independent faces these are worth.

    Raises:
        UsageError: fewer groups, or worth less, than the smallest risk to control takes.
    """
    values, losses = _losses(danger, groups)
    sizes = np.array([len(np.unique(np.asarray(groups))), worth])
    if (corrected(0.0, sizes) > alpha + _ROUNDING).any():
        raise UsageError(
            f"a risk of {alpha:.2%} takes {groups_needed(alpha)} groups or more: these are "
            f"{sizes[0]:.0f}, worth {worth:.0f} independent faces"
        )
    may_err = (corrected(losses, sizes[:, None]) <= alpha + _ROUNDING).all(axis=0)
    return float(values[int(may_err.sum())])


def _losses(danger: ArrayLike, groups: ArrayLike) -> tuple[Floats, Floats]:
    """Return the distinct dangers [U] from the highest down, and both risks [2, U] at each.

    The risk at a danger is that of erring from there up: the mean over groups of the share of a
    group's faces, and the share of all faces.
    """
    values, place = np.unique(-np.asarray(danger, dtype=np.float64), return_inverse=True)
    _, group, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    shares = np.bincount(place, weights=1 / (sizes[group] * len(sizes)))
    counts = np.bincount(place) / len(place)
    return -values, np.cumsum(np.stack([shares, counts]), axis=1)


LADDER = (0.05, 0.01, 0.005, 0.001)
"""The shares of real faces called fake that are promised where nobody asks for others."""

USUAL = 0.01
"""The share that the default operating point goes down to where nobody asks for another."""


class Budget(Record):
    """How often a detector may err, and over which faces that is counted.

    ``reals`` and ``fakes`` say whether the budget holds for all of them together, or for each
    source or family of real faces or each generator of fakes on its own.
    """

    bpcer: float = Field(gt=0, lt=1)
    apcer: float = Field(default=0.05, gt=0, lt=1)
    reals: Literal["pooled", "source", "family"] = "pooled"
    fakes: Literal["pooled", "generator"] = "pooled"

    @property
    def name(self) -> str:
        """The operating point's name.

        >>> Budget(bpcer=0.01).name
        '1-in-100'
        """
        return f"1-in-{1 / self.bpcer:.4g}"

    @property
    def reals_needed(self) -> int:
        """How many independent real faces the promise takes, none of them called fake.

        >>> Budget(bpcer=0.001).reals_needed
        2995
        """
        return least_faces(self.bpcer)

    @property
    def fakes_needed(self) -> int:
        """How many independent fakes the promise takes, none of them called real."""
        return least_faces(self.apcer)


def least_faces(share: float) -> int:
    """Return how many independent faces it takes to promise errors on at most ``share`` of them.

    They show it with 95 % confidence, and they are enough for `conformal.first_kept`.
    """
    return max(faces_needed(share), groups_needed(share))


def usual(shares: Iterable[float]) -> float:
    """Return the share of the default operating point: the strictest that is no stricter than 1 %.

    Where all are stricter, the mildest.

    >>> usual([0.05, 0.01, 0.005]), usual([0.05, 0.02]), usual([0.005, 0.001])
    (0.01, 0.02, 0.005)
    """
    there = sorted(shares)
    return next((share for share in there if share >= USUAL), there[-1])


def in_words(share: float) -> str:
    """Return a share as one in so many.

    >>> in_words(0.005)
    '1 in 200'
    """
    return f"1 in {1 / share:.4g}"
