"""`shorten_names`: long names of pictures in few cells, without two that look the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_GAP = "…"


def pad_to_cells(text: str, cells: int) -> str:
    """Return text followed by spaces, of that many terminal cells at least.

    >>> pad_to_cells("a.jpg", 7)
    'a.jpg  '
    """
    from rich.cells import cell_len

    return text + " " * (cells - cell_len(text))


def shorten_names(names: Sequence[str], cells: int) -> dict[str, str]:
    """Return each name in that many terminal cells, with a gap where something was left out.

    A short form fits one of the names only; a name without such a form is not shortened.

    >>> shorten_names(["a/pictures/1.jpg", "b/pictures/1.jpg", "c.jpg"], 10)
    {'a/pictures/1.jpg': 'a/p…/1.jpg', 'b/pictures/1.jpg': 'b/p…/1.jpg', 'c.jpg': 'c.jpg'}
    """
    from rich.cells import cell_len

    distinct = list(dict.fromkeys(names))
    return {
        name: name if cell_len(name) <= cells else _shorten(name, distinct, cells)
        for name in distinct
    }


def _shorten(name: str, names: Sequence[str], cells: int) -> str:
    """Return the first short form that fits no other name, or the name itself."""
    others = [other for other in names if other != name]
    for form in _short_forms(name, others, cells):
        pattern = re.compile(".*".join(map(re.escape, form.split(_GAP))), re.DOTALL)
        if not any(pattern.fullmatch(other) for other in others):
            return form
    return name


def _short_forms(name: str, others: Sequence[str], cells: int) -> Iterator[str]:
    """Yield short forms, the most readable first: the end; beginning and end; a part between."""
    yield _GAP + _end(name, cells - 1)
    for head in range(1, cells - 1):
        if head in (cells // 3, cells // 2) or head > cells // 2:
            yield _beginning(name, head) + _GAP + _end(name, cells - 1 - head)
    for place in sorted({_count_common(name, other) for other in others}):
        tail = _end(name, cells // 3)
        part = name[max(place - cells // 4, 0) :]
        yield _GAP + _beginning(part, cells - 2 - cells // 3) + _GAP + tail


def _count_common(one: str, other: str) -> int:
    """Return how many characters two texts have in common from their beginnings."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


def _beginning(text: str, cells: int) -> str:
    """Return the longest beginning of text in that many cells."""
    from rich.cells import cell_len

    used = 0
    for count, character in enumerate(text):
        used += cell_len(character)
        if used > cells:
            return text[:count]
    return text


def _end(text: str, cells: int) -> str:
    """Return the longest end of text in that many cells."""
    return _beginning(text[::-1], cells)[::-1]
