"""Shares in words, "about 4 of 1000 (2 to 8)", with no more digits than the interval allows."""

from __future__ import annotations

import math
from dataclasses import dataclass

_MARKS = (1, 5)
_MOST = 1_000_000


@dataclass(frozen=True)
class Share:
    """A share as whole things of ``base``; the interval ``[low, high]`` is rounded outward."""

    middle: int
    low: int
    high: int
    base: int

    @property
    def about(self) -> str:
        """The middle in words; where it would be none or all, the nearer end of the interval."""
        if self.middle <= 0:
            return f"at most {number(self.high)}"
        if self.middle >= self.base:
            return f"at least {number(self.low)}"
        return f"about {number(self.middle)}"

    @property
    def between(self) -> str:
        """The interval in words, empty where `about` says it all."""
        if self.middle <= 0 or self.middle >= self.base:
            return ""
        return f" ({number(self.low)} to {number(self.high)})"

    @property
    def of(self) -> str:
        """The whole, as in "of 1000"."""
        return f"of {number(self.base)}"


def share(value: float, low: float, high: float, *, base: int = 1000) -> Share:
    """Return a share in [0, 1] as whole things of ``base``, or of more where it is below one.

    The step (1, 5, 10, 50 ...) is the largest within half of the interval's half-width.

    >>> share(0.004142, 0.002304, 0.007434)
    Share(middle=4, low=2, high=8, base=1000)
    >>> share(0.4622, 0.4385, 0.4861)
    Share(middle=460, low=430, high=490, base=1000)
    >>> share(0.00032, 0.0001, 0.0007).of
    'of 10,000'
    """
    while 0 < value * base < 1 and base < _MOST:
        base *= 10
    step = _step((high - low) * base / 4)
    middle = round(value * base / step) * step
    lower = math.floor(low * base / step + 1e-9) * step
    upper = math.ceil(high * base / step - 1e-9) * step
    return Share(min(max(middle, lower), base), max(lower, 0), min(upper, base), base)


def number(count: int) -> str:
    """Return a whole number, in groups of three from five digits on.

    >>> number(1000), number(10000)
    ('1000', '10,000')
    """
    return str(count) if count < 10_000 else f"{count:,}"


def _step(room: float) -> int:
    """Return the largest of 1, 5, 10, 50 ... that is at most ``room``; never below 1."""
    if room < 1:
        return 1
    ten = int(10 ** math.floor(math.log10(room)))
    return max(mark * ten for mark in _MARKS if mark * ten <= room)
