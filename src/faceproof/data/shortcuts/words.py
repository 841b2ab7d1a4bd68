"""How a feature differs between fakes and reals, in a sentence."""

from __future__ import annotations

import numpy as np

from faceproof.data.shortcuts.features import FAMILIES, FLOOR
from faceproof.data.shortcuts.intervals import Floats

_WORDS = {name: said for names in (*FAMILIES.values(), FLOOR) for name, said in names.items()}
_BYTES = " in bytes"
# Below this difference the share of pictures that have a value is not what tells.
_SHARE = 0.05


def describe(name: str, fakes: Floats, reals: Floats) -> str:
    """Return what a feature says of the classes: shares, medians, or the middle halves.

    >>> describe("bytes", np.array([11e3, 12e3, 13e3]), np.array([20e3, 21e3, 22e3]))
    'file size is lower in fakes: median 12 kB against 21 kB'
    >>> describe("square", np.array([1.0, 1.0]), np.array([0.0, 1.0]))
    'square: 100 % of the fakes, 50 % of the reals'
    """
    words = _WORDS.get(name, name)
    has = [float(np.isfinite(values).mean()) for values in (fakes, reals)]
    if abs(has[0] - has[1]) > _SHARE:
        return f"{words.rstrip('?')} is known: {_shares(has)}"
    of_fakes, of_reals = (values[np.isfinite(values)] for values in (fakes, reals))
    if words.endswith("?"):
        return f"{words[:-1]}: {_shares([float(of_fakes.mean()), float(of_reals.mean())])}"
    return _compared(words, of_fakes, of_reals)


def _shares(shares: list[float]) -> str:
    return f"{shares[0]:.0%} of the fakes, {shares[1]:.0%} of the reals".replace("%", " %")


def _compared(words: str, fakes: Floats, reals: Floats) -> str:
    """Return which class has the lower median, where both lie outside of the other's middle fifth.

    Else how often the value comes up whose share differs most, or where the middle halves lie.
    """
    name, unit = words.removesuffix(_BYTES), "bytes" if words.endswith(_BYTES) else ""
    middle = [float(np.median(values)) for values in (fakes, reals)]
    if _apart(middle[0], reals) and _apart(middle[1], fakes):
        side = "lower" if middle[0] < middle[1] else "higher"
        said = [_number(value, unit) for value in middle]
        return f"{name} is {side} in fakes: median {said[0]} against {said[1]}"
    if telling := _telling(fakes, reals):
        return f"{name} is {_number(telling[0], unit)}: {_shares(telling[1:])}"
    halves = [_half(values, unit) for values in (fakes, reals)]
    return f"{name} is spread differently: middle half {halves[0]} in fakes, {halves[1]} in reals"


def _telling(fakes: Floats, reals: Floats) -> list[float]:
    """Return the value whose share differs most and its shares, empty where none differs enough."""
    values, place = np.unique(np.concatenate([fakes, reals]), return_inverse=True)
    split = np.split(place, [len(fakes)])
    shares = np.array([np.bincount(part, minlength=len(values)) / len(part) for part in split])
    most = int(np.argmax(np.abs(shares[0] - shares[1])))
    if abs(shares[0, most] - shares[1, most]) <= _SHARE:
        return []
    return [float(values[most]), float(shares[0, most]), float(shares[1, most])]


def _apart(value: float, others: Floats) -> bool:
    low, high = np.quantile(others, [0.4, 0.6])
    return not low <= value <= high


def _half(values: Floats, unit: str) -> str:
    low, high = np.quantile(values, [0.25, 0.75])
    return f"{_number(float(low), unit)} to {_number(float(high), unit)}"


def _number(value: float, unit: str) -> str:
    """Return a number with three digits, bytes in kB and MB."""
    if unit:
        for size, name in ((1e6, "MB"), (1e3, "kB")):
            if abs(value) >= size:
                return f"{float(f'{value / size:.3g}'):g} {name}"
        return f"{value:.0f} bytes"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
