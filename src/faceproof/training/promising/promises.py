"""Promises: how often a detector may err, which are asked for, and what they take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from faceproof.evaluation.intervals import faces_needed
from faceproof.records import Record
from faceproof.training.promising.conformal import groups_needed

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
