"""`probe_pictures`: read and measure picture files, and probe them for shortcuts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from faceproof.data.shortcuts.features import (
    FEATURES,
    FLOOR,
    as_row,
    floor_features,
    measure_shortcuts,
)
from faceproof.data.shortcuts.intervals import Floats
from faceproof.data.shortcuts.probe import MOST, probe, sample
from faceproof.data.shortcuts.result import ProbeResult
from faceproof.errors import DataError, SourceError
from faceproof.imaging.decode import DEFAULT_LIMITS, decode, read_file
from faceproof.imaging.faces import Face, FaceFinder
from faceproof.pipeline import map_in_order

_AHEAD = 4


@dataclass(frozen=True, slots=True, eq=False)
class ProbeItem:
    """A picture with its label and group, and its ``faces`` if known, the largest first."""

    source: Path | bytes
    is_fake: bool
    group: str
    faces: Sequence[Face] | None = None


@dataclass(frozen=True, eq=False)
class _MeasuredItem:
    """Features float64 [N, F] in the order of `FEATURES`, floor float64 [N, 5], and the items.

    ``unreadable`` counts the excluded items, by error code.
    """

    table: Floats
    floor: Floats
    items: list[ProbeItem]
    unreadable: dict[str, int]


def probe_pictures(
    items: Iterable[ProbeItem],
    *,
    most: int = MOST,
    seed: int = 0,
    workers: int = 2,
    finder: FaceFinder | None = None,
    progress: Callable[[object], None] | None = None,
) -> ProbeResult:
    """Return how well the files and frames of these pictures predict their labels.

    At most ``most`` of them are read. ``finder`` detects faces of items without given ones; it
    takes longer than all other steps, and without it the framing is not probed. ``progress`` is
    called after each picture.

    Raises:
        DataError: too few pictures or groups of a class for a result.
    """
    chosen = _sample(list(items), most=most, seed=seed)
    found = measure_pictures(chosen, workers=workers, finder=finder, progress=progress)
    fake, groups = [item.is_fake for item in found.items], [item.group for item in found.items]
    try:
        result = probe(found.table, FEATURES, fake, groups, floor=found.floor, most=most, seed=seed)
    except DataError as error:
        if not found.unreadable:
            raise
        raise DataError(f"{error}; {found.unreadable} could not be read") from None
    return result.model_copy(update={"unreadable": found.unreadable})


def measure_pictures(
    items: Iterable[ProbeItem],
    *,
    workers: int = 2,
    finder: FaceFinder | None = None,
    progress: Callable[[object], None] | None = None,
) -> _MeasuredItem:
    """Return the features of all readable pictures, in their order."""

    def measure(item: ProbeItem) -> tuple[ProbeItem, Floats | None, Floats, str]:
        try:
            return item, *_measure(item, finder), ""
        except SourceError as error:
            return item, None, np.empty(0), error.code

    rows, floors, kept, unreadable = [], [], [], Counter[str]()
    for item, row, floor, code in map_in_order(
        measure, items, workers=workers, ahead=_AHEAD * workers
    ):
        if row is None:
            unreadable[code] += 1
        else:
            rows.append(row)
            floors.append(floor)
            kept.append(item)
        if progress:
            progress(item)
    table = np.array(rows).reshape(-1, len(FEATURES))
    return _MeasuredItem(table, np.array(floors).reshape(-1, len(FLOOR)), kept, dict(unreadable))


def _measure(item: ProbeItem, finder: FaceFinder | None) -> tuple[Floats, Floats]:
    """Return a row of features and one of the floor."""
    if isinstance(item.source, bytes):
        data, name = item.source, None
    else:
        data, name = read_file(item.source, DEFAULT_LIMITS), str(item.source)
    picture = decode(data, name=name)
    if item.faces is None and finder is not None:
        item = replace(item, faces=finder.find(picture.pixels))
    measured = measure_shortcuts(data, picture=picture, faces=item.faces)
    return as_row(measured), as_row(floor_features(picture), tuple(FLOOR))


def _sample(items: list[ProbeItem], *, most: int, seed: int) -> list[ProbeItem]:
    """Return the items to read, evenly by class."""
    fake = np.array([item.is_fake for item in items], np.bool_)
    return [items[place] for place in sample(fake, most=most, seed=seed)]
