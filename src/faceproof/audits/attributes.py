"""`PeopleAttributes`: groups of people by the attribute columns of a manifest.

A set of columns, such as ``gender`` or ``gender+ethnicity``, sorts faces into groups. A face with
an empty value in one of them belongs to no group of the set. Numbers are sorted into bands.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from faceproof.data.manifest import Row
from faceproof.tables import choose

KNOWN = (
    *("age", "age_group", "gender", "sex", "ethnicity", "race"),
    *("skin_tone", "skin_type", "skin_color", "fitzpatrick"),
)
"""Columns about people, which are audited alone and in pairs unless others are named."""

AGE_EDGES = (0.0, 13.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0)
"""Where a band of ages begins, in years."""

_MOST_VALUES = 8
"""A column of numbers with more values than this is sorted into bands."""


@dataclass(frozen=True)
class PeopleAttributes:
    """Sets of attribute columns, and how the values of each column are named."""

    sets: tuple[tuple[str, ...], ...]
    bands: Mapping[str, Callable[[str], str]]
    """For each column of numbers: from a value to the name of its band."""

    def group(self, attributes: Mapping[str, str], names: tuple[str, ...]) -> str:
        """Return the group of a face by the columns ``names``, "" if a value is unknown.

        >>> PeopleAttributes((), {}).group({"gender": "male", "age": "7"}, ("gender", "age"))
        'gender=male, age=7'
        """
        values = [self._value(name, attributes.get(name, "")) for name in names]
        if not all(values):
            return ""
        return ", ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))

    def groups(self, row: Row) -> tuple[str, ...]:
        """Return the groups of a row by each set in which all its values are known."""
        found = (self.group(row.attributes, names) for names in self.sets)
        return tuple(one for one in found if one)

    def cells(self, row: Row) -> tuple[tuple[str, ...], ...]:
        """Return the cells of a sample that a row counts in: each of its groups, by population."""
        return tuple((row.source, row.generator, group) for group in self.groups(row))

    def _value(self, name: str, value: str) -> str:
        band = self.bands.get(name)
        return value if band is None or not value else band(value)


def find_attributes(rows: Sequence[Row], by: Sequence[str] = ()) -> PeopleAttributes:
    """Return the sets of columns called ``by``, or those of `KNOWN` in the rows and their pairs.

    Columns of one set are joined by ``+``, as in ``gender+ethnicity``.

    Raises:
        UnknownChoiceError: no row has the column.
    """
    held = Counter(name for row in rows for name, value in row.attributes.items() if value)
    if by:
        sets = tuple(dict.fromkeys(tuple(dict.fromkeys(one.split("+"))) for one in by))
        for name in itertools.chain.from_iterable(sets):
            choose(dict.fromkeys(sorted(held)), name, what="attribute column")
    else:
        single = [name for name in KNOWN if held[name]]
        sets = (*((name,) for name in single), *itertools.combinations(single, 2))
    columns = dict.fromkeys(itertools.chain.from_iterable(sets))
    bands = {name: _find_band(name, rows) for name in columns}
    return PeopleAttributes(sets, {name: band for name, band in bands.items() if band})


def _find_band(name: str, rows: Sequence[Row]) -> Callable[[str], str] | None:
    """Return what names the band of a value, None for a column of few values or of text."""
    values = {value for row in rows if (value := row.attributes.get(name, ""))}
    numbers = _parse_numbers(values)
    if numbers is None or len(values) <= _MOST_VALUES:
        return None
    if name == "age":
        edges = AGE_EDGES
    else:
        every = _parse_numbers(value for row in rows if (value := row.attributes.get(name, "")))
        edges = tuple(np.unique(np.quantile(every or [], [0, 0.25, 0.5, 0.75])).tolist())
    return lambda value: name_band(float(value), edges)


def _parse_numbers(values: Iterable[str]) -> list[float] | None:
    """Return the values as numbers, None if one is not a finite number."""
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None


def name_band(value: float, edges: Sequence[float]) -> str:
    """Return the name of the band of a value; ``edges`` ascend, each begins a band.

    >>> [name_band(value, (0, 13, 20)) for value in (-1, 0, 12.5, 13, 90)]
    ['below 0', '0 to below 13', '0 to below 13', '13 to below 20', '20 and over']
    """
    place = int(np.searchsorted(edges, value, side="right"))
    if not place:
        return f"below {edges[0]:g}"
    if place == len(edges):
        return f"{edges[-1]:g} and over"
    return f"{edges[place - 1]:g} to below {edges[place]:g}"
