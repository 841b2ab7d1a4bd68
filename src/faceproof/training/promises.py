"""`Budget` and `highest_error_danger`: error budgets and conformal risk control.

A threshold is moved until its risk, corrected for the sample size, is within the budget:
(n * risk + 1) / (n + 1) <= alpha. Then the expected risk on new faces is at most alpha, over draws
of the calibration split, for any detector and distribution.

Groups are exchangeable, faces of one group are not. So risk is bounded twice, by the stricter of:

* over groups: a group's loss is the share of its faces in error and n is the number of groups. The
  bound is a theorem for exchangeable groups;
* over faces: each counts once and n is the effective number of independent faces
  (`faceproof.evaluation.intervals.clustered_size`). This risk is measured later. The bound is exact
  for single faces and for equal numbers of copies; simulation supports it in between.

Source: Angelopoulos, Bates, Fisch, Lei and Schuster 2024, Conformal Risk Control, ICLR,
arXiv:2208.02814, theorem 1; classes: Vovk 2012, Conditional validity of inductive conformal
predictors; groups: Dunn, Wasserman and Ramdas 2023, JASA 118:2491.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, model_validator

from faceproof.errors import UsageError
from faceproof.evaluation.formulas import Floats
from faceproof.evaluation.intervals import faces_needed
from faceproof.records import Record

_ROUNDING = 1e-9


def corrected_risk(risk: ArrayLike, n: ArrayLike) -> Floats:
    """Return (n * risk + 1) / (n + 1), the risk compared with the budget.

    >>> round(float(corrected_risk(0.0, 99)), 12), round(float(corrected_risk(1.0, 99)), 12)
    (0.01, 1.0)
    """
    size = np.asarray(n, dtype=np.float64)
    return np.asarray((size * np.asarray(risk) + 1) / (size + 1))


def groups_needed(alpha: float) -> int:
    """Return the number of groups without error that keep the corrected risk within ``alpha``.

    >>> [groups_needed(alpha) for alpha in (0.05, 0.01, 0.005, 0.001)]
    [19, 99, 199, 999]
    """
    if not 0 < alpha < 1:
        raise UsageError(f"risk {alpha} is out of range: use a value between 0 and 1")
    return math.ceil(1 / alpha - 1 - _ROUNDING)


def highest_error_danger(
    danger: ArrayLike, groups: ArrayLike, *, alpha: float, worth: float
) -> float:
    """Return the highest danger at which errors are not allowed; above it they are.

    ``danger`` float [N] orders faces: an error at one value implies errors at every higher one.
    ``worth`` is the effective number of independent faces.

    Raises:
        UsageError: there are fewer groups, or effective faces, than ``alpha`` needs.
    """
    values, losses = _losses(danger, groups)
    sizes = np.array([len(np.unique(np.asarray(groups))), worth])
    if (corrected_risk(0.0, sizes) > alpha + _ROUNDING).any():
        raise UsageError(
            f"a risk of {alpha:.2%} needs at least {groups_needed(alpha)} groups: these are "
            f"{sizes[0]:.0f}, worth {worth:.0f} independent faces"
        )
    may_err = (corrected_risk(losses, sizes[:, None]) <= alpha + _ROUNDING).all(axis=0)
    return float(values[int(may_err.sum())])


def _losses(danger: ArrayLike, groups: ArrayLike) -> tuple[Floats, Floats]:
    """Return the distinct dangers [U] from the highest down, and both risks [2, U] at each.

    The risk at a danger counts all faces from there up as errors: the mean over groups of the
    share of a group's faces, and the share of all faces.
    """
    values, place = np.unique(-np.asarray(danger, dtype=np.float64), return_inverse=True)
    _, group, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    shares = np.bincount(place, weights=1 / (sizes[group] * len(sizes)))
    counts = np.bincount(place) / len(place)
    return -values, np.cumsum(np.stack([shares, counts]), axis=1)


LADDER = (0.05, 0.01, 0.005, 0.001)
"""Default budgets: shares of real faces called fake."""

COARSE = (0.2, 0.1)
"""Budgets instead of `LADDER` for small data sets, which support none of it."""

_LARGEST_APCER = 0.05
"""Share of fakes called real that a budget promises, unless its ``bpcer`` is larger."""

_USUAL = 0.01
"""Budget of the default operating point unless another is set."""


class Budget(Record):
    """An error budget of a detector, and the faces that it covers.

    ``reals`` and ``fakes`` select whether the budget holds for all of them together, or separately
    for each source or family of real faces or each generator of fakes. ``apcer`` is 1 in 20, or
    ``bpcer`` where that is larger: a small set needs as many faces of either class.
    """

    bpcer: float = Field(gt=0, lt=1)
    apcer: float = Field(default=_LARGEST_APCER, gt=0, lt=1)
    reals: Literal["pooled", "source", "family"] = "pooled"
    fakes: Literal["pooled", "generator"] = "pooled"

    @model_validator(mode="before")
    @classmethod
    def _fill_apcer(cls, content: Any) -> Any:
        if isinstance(content, dict) and isinstance(content.get("bpcer"), float):
            return {"apcer": max(_LARGEST_APCER, content["bpcer"]), **content}
        return content

    @property
    def name(self) -> str:
        """The operating point's name.

        >>> Budget(bpcer=0.01).name
        '1-in-100'
        """
        return f"1-in-{1 / self.bpcer:.4g}"

    @property
    def reals_needed(self) -> int:
        """Number of independent real faces needed, with none called fake.

        >>> Budget(bpcer=0.001).reals_needed
        2995
        """
        return least_faces(self.bpcer)

    @property
    def fakes_needed(self) -> int:
        """Number of independent fakes needed, with none called real."""
        return least_faces(self.apcer)


def least_faces(share: float) -> int:
    """Return the number of independent faces needed to promise an error rate of ``share``.

    They show it with 95 % confidence, and are enough for `highest_error_danger`.
    """
    return max(faces_needed(share), groups_needed(share))


def default_share(shares: Iterable[float]) -> float:
    """Return the default operating point's share: the smallest that is at least 1 %.

    If all are below 1 %, the largest.

    >>> default_share([0.05, 0.01, 0.005]), default_share([0.05, 0.02]), default_share(
    ...     [0.005, 0.001]
    ... )
    (0.01, 0.02, 0.005)
    """
    there = sorted(shares)
    return next((share for share in there if share >= _USUAL), there[-1])


def describe_share(share: float) -> str:
    """Return a share as "1 in N".

    >>> describe_share(0.005)
    '1 in 200'
    """
    return f"1 in {1 / share:.4g}"
