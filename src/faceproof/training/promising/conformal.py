"""Conformal risk control: how many errors a calibration split may show for a promise on new faces.

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

import numpy as np
from numpy.typing import ArrayLike

from faceproof.errors import UsageError
from faceproof.evaluation.tally import Floats

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
