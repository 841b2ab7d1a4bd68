"""Parts of plain messages: a number with its noun, the rows of a table, and no message at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, runtime_checkable


@runtime_checkable
class _WithClock(Protocol):
    """A progress callback that can also show a clock."""

    def clock(self, text: str) -> AbstractContextManager[None]:
        """Show the text and the time since the block began, until it ends."""


def show_clock(progress: Callable[[str], None], text: str) -> AbstractContextManager[None]:
    """Return a block during which ``progress`` shows a clock, if it has one.

    It is for work that would be silent for more than two seconds.
    """
    return progress.clock(text) if isinstance(progress, _WithClock) else nullcontext()


def ignore_message(_: object) -> None:
    """Report nothing: the progress of a call that nobody watches.

    >>> ignore_message("12 of 40 pictures")
    """


def count_noun(number: int, noun: str, *, separator: str = ",") -> str:
    """Return a number and a noun that agree; ``separator`` is that of thousands, "" for none.

    The plural is the noun with an s.

    >>> count_noun(1, "pair"), count_noun(1200, "pair"), count_noun(1200, "pair", separator="")
    ('1 pair', '1,200 pairs', '1200 pairs')
    """
    return f"{number:{separator}} {noun}{'' if number == 1 else 's'}"


def escape_unprintable(text: str) -> str:
    r"""Return text that cannot steer a terminal: what does not print is escaped.

    >>> escape_unprintable("café\x1b[2J")
    'café\\x1b[2J'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shorten_text(text: str, *, most: int = 80) -> str:
    r"""Return printable text on one line, its middle left out beyond ``most`` characters.

    >>> shorten_text("photos/party\n.jpg"), shorten_text("abcdefghij", most=5)
    ('photos/party\\n.jpg', 'ab…ij')
    """
    line = escape_unprintable(text)
    if len(line) <= most:
        return line
    head = (most - 1) // 2
    return f"{line[:head]}…{line[len(line) - (most - 1 - head) :]}"


def align_rows(
    rows: Sequence[Sequence[str]], *, left: int | None = None, width: Callable[[str], int] = len
) -> Iterator[str]:
    """Yield the rows of a table as lines with two spaces between columns.

    The first ``left`` columns are flush left and the others flush right; None: all flush left.
    ``width`` measures a text, by default in characters.

    >>> list(align_rows([("label", "all"), ("real", "12")]))
    ['label  all', 'real   12']
    >>> list(align_rows([("label", "all"), ("real", "12")], left=1))
    ['label  all', 'real    12']
    """
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        gaps = [" " * (most - width(text)) for text, most in zip(row, widths, strict=True)]
        cells = [text + gap for text, gap in zip(row, gaps, strict=True)][:left]
        if left is not None:
            cells += [gap + text for text, gap in zip(row, gaps, strict=True)][left:]
        yield "  ".join(cells).rstrip()
