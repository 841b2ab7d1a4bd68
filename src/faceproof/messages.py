"""Parts of plain messages: a number with its noun, the rows of a table, and no message at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def silent(_: object) -> None:
    """Report nothing: the progress of a call that nobody watches.

    >>> silent("12 of 40 pictures")
    """


def counted(number: int, noun: str, *, separator: str = ",") -> str:
    """Return a number and a noun that agree; ``separator`` is that of thousands, "" for none.

    The plural is the noun with an s.

    >>> counted(1, "pair"), counted(1200, "pair"), counted(1200, "pair", separator="")
    ('1 pair', '1,200 pairs', '1200 pairs')
    """
    return f"{number:{separator}} {noun}{'' if number == 1 else 's'}"


def aligned(rows: Sequence[Sequence[str]], *, right: bool = False) -> Iterator[str]:
    """Yield the rows of a table as lines with two spaces between columns.

    All columns are flush left; with ``right``, all but the first are flush right.

    >>> list(aligned([("label", "all"), ("real", "12")]))
    ['label  all', 'real   12']
    >>> list(aligned([("label", "all"), ("real", "12")], right=True))
    ['label  all', 'real    12']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        first, *others = zip(row, widths, strict=True)
        cells = (text.rjust(width) if right else text.ljust(width) for text, width in others)
        yield "  ".join([first[0].ljust(first[1]), *cells]).rstrip()
