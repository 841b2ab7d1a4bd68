"""The formats of results: a table, JSON, JSON lines and CSV, and what a run comes to."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple, Protocol, TextIO

from faceproof.cli.exits import ALL_CHECKED, FOUND, NOT_ALL_CHECKED
from faceproof.cli.names import pad_to_cells, shorten_names
from faceproof.cli.streams import ResultStream
from faceproof.messages import count_noun, escape_unprintable
from faceproof.reports.csv_rows import (
    CsvTable,
    count_same_verdicts,
    csv_rows,
    provenance_indications,
)

if TYPE_CHECKING:
    from rich.text import Text

    from faceproof.checker import Checker
    from faceproof.results import CheckedFace, CheckResult


#: With --fail-on, the verdicts that end in exit code 3.
FAIL_ON: dict[str, frozenset[str]] = {
    "fake": frozenset({"fake"}),
    "unsure": frozenset({"fake", "unsure"}),
}


class OutcomeCounts:
    """Counts of pictures by verdict, or by the reason for none."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._started = time.perf_counter()

    def add(self, result: CheckResult) -> None:
        """Count one result."""
        self.counts[result.verdict or result.status] += 1

    def exit_code(self, fail_on: frozenset[str] = frozenset()) -> int:
        """Return 3 where a verdict of ``fail_on`` was given, else 1 after an error, else 0."""
        if any(self.counts[verdict] for verdict in fail_on):
            return FOUND
        return NOT_ALL_CHECKED if self.counts["error"] else ALL_CHECKED

    def summarise(self, checker: Checker, *, skipped: int) -> str:
        """Return the two lines that end a run: the counts, and the promise in one sentence."""
        from faceproof.reports.words import count_words

        total, seconds = self.counts.total(), time.perf_counter() - self._started
        counts = count_words(self.counts)
        lines = [
            f"{count_noun(total, 'source', separator='')} in {seconds:.1f} s",
            f": {counts}" if counts else "",
            f" ({count_noun(skipped, 'other file', separator='')} skipped)" if skipped else "",
        ]
        spec, point = checker.detector.spec, checker.operating_point
        promise = shorten_promise(point.promise)
        return "".join(lines) + f"\n{spec.name} {spec.version}, {point.name}: {promise}"


def shorten_promise(promise: str) -> str:
    """Return the first statement of a promise; `detectors show` has all of it.

    >>> shorten_promise("at most 1 in 100 real faces called fake, on 330 faces; worst clean")
    'at most 1 in 100 real faces called fake on calibration data; more: faceproof detectors show'
    >>> shorten_promise("at most 1 real face in 100 called fake")
    'at most 1 real face in 100 called fake'
    """
    first = promise.partition(";")[0].partition(",")[0]
    if first == promise:
        return promise
    return f"{first} on calibration data; more: faceproof detectors show"


PAGE_ROWS = 25
PAGE_SECONDS = 1.0
#: Not green for "no sign of a fake": it is not a proof.
STYLES: Mapping[str, str] = {
    "fake": "bold red",
    "unsure": "yellow",
    "real": "blue",
    "error": "magenta",
}
_FEWEST_PICTURE_CELLS = 20
_CAUTION_CELLS = 24
#: What fits into the column of faces at first, on a line of this width at least.
_PLACE, _WIDE = "1/2 at 328,452", 100


class _OutputRow(NamedTuple):
    """The words of one line, and the style of its verdict."""

    picture: str
    face: str
    verdict: str
    fake: str
    cautions: str
    style: str = ""


HEADER = _OutputRow("picture", "face", "verdict", "fake", "cautions")
_COLUMNS = len(HEADER) - 1


class TableWriter:
    """Writes aligned rows; a page is out when it is full, or a second old at the next result.

    Columns only ever grow; where rows are out before all are known, they start wide enough for most
    verdicts and for the names that `expect` was given. On a terminal, long picture names are
    shortened so that a row keeps to the line, but not where columns are free, nor by what
    distinguishes them; in a pipe, none is.
    """

    def __init__(self, stream: TextIO, hiding: Callable[[], AbstractContextManager[None]]) -> None:
        from rich.console import Console

        # Whatever the environment asks for: escape codes are for a terminal, never for a file.
        self._console = Console(
            file=stream, highlight=False, soft_wrap=True, force_terminal=stream.isatty()
        )
        self._hiding = hiding
        self._page: list[_OutputRow] = []
        self._headed = False
        self._begun = time.monotonic()
        self._widths = [0] * _COLUMNS
        self._expected: Iterable[str] = ()

    def expect(self, names: Iterable[str]) -> None:
        """Take names of sources that are to come; they are read when a first page is out early."""
        self._expected = names

    def write(self, result: CheckResult) -> None:
        """Take one result's rows."""
        self._page.extend(_result_rows(result))
        late = time.monotonic() - self._begun > PAGE_SECONDS
        if late or len(self._page) >= PAGE_ROWS:
            if not self._headed:
                self._start_wide()
            self._flush()

    def close(self) -> None:
        """Write what is pending."""
        if self._page:
            self._flush()

    def _start_wide(self) -> None:
        """Set the columns to what the rows to come are likely to need."""
        from rich.cells import cell_len

        from faceproof.reports.words import VERDICTS

        names = (cell_len(escape_unprintable(name)) for name in self._expected)
        place = 0 if self._console.is_terminal and self._console.width < _WIDE else len(_PLACE)
        verdict, fake = len(VERDICTS["real"].word), len("99.9 %")
        self._widths = [max(names, default=0), place, verdict, fake, 0]

    def _flush(self) -> None:
        from rich.cells import cell_len

        if not self._headed:
            self._page.insert(0, HEADER)
            self._headed = True
        for place in range(_COLUMNS - 1):
            cells = max(cell_len(row[place]) for row in self._page)
            self._widths[place] = max(self._widths[place], cells)
        page = self._page
        if self._console.is_terminal:
            self._widths[0] = min(self._widths[0], self._name_width())
            names = shorten_names([row.picture for row in page], self._widths[0])
            page = [row._replace(picture=names[row.picture]) for row in page]
        with self._hiding():
            for row in page:
                self._console.print(self._format_line(row))
            self._console.file.flush()
        self._page, self._begun = [], time.monotonic()

    def _name_width(self) -> int:
        """Return how many cells the other columns of this page leave for the picture's name."""
        from rich.cells import cell_len

        others = sum(self._widths[1:]) + 2 * (_COLUMNS - 1)
        cautions = max(cell_len(row.cautions) for row in self._page if row is not HEADER)
        free = self._console.width - others - min(cautions, _CAUTION_CELLS)
        return max(free, _FEWEST_PICTURE_CELLS)

    def _format_line(self, row: _OutputRow) -> Text:
        """Return one row as a line."""
        from rich.text import Text

        is_header = row == HEADER
        line = Text(style="bold" if is_header else "")
        for place, width in enumerate(self._widths):
            style = row.style if place == HEADER.index("verdict") else ""
            line.append(pad_to_cells(row[place], width), style).append("  ")
        line.rstrip()
        if is_header and self._console.is_terminal:
            line.truncate(self._console.width)
        return line


def _result_rows(result: CheckResult) -> list[_OutputRow]:
    """Return a row for each face, or one with the reason why there is none."""
    from faceproof.reports.words import OUTCOMES, limitations, outcome_of, percent_words

    picture = escape_unprintable(result.source)
    unchecked = (one.short for one in limitations(result.image))
    words = (*unchecked, _stability_words(result), _provenance_words(result))
    indications = ", ".join(filter(None, words))
    if not result.faces:
        why = escape_unprintable(result.error.message) if result.error else indications
        of = outcome_of(result)
        return [_OutputRow(picture, "", OUTCOMES[of].word, "", why, STYLES.get(of, ""))]
    count = len(result.faces)
    return [
        _OutputRow(
            picture,
            _describe_place(face, number, count),
            OUTCOMES[face.verdict].word,
            percent_words(face.fake_probability),
            _face_words(face, indications),
            STYLES[face.verdict],
        )
        for number, face in enumerate(result.faces, start=1)
    ]


def _describe_place(face: CheckedFace, number: int, count: int) -> str:
    """Return which face this is, and where its middle lies when there are several."""
    x, y, width, height = face.box
    where = f" at {x + width / 2:.0f},{y + height / 2:.0f}" if count > 1 else ""
    return f"{number}/{count}{where}"


def _face_words(face: CheckedFace, indications: str) -> str:
    cautions = [one.replace("_", " ") for one in face.quality.cautions]
    return ", ".join([*cautions, *filter(None, [indications])])


def _stability_words(result: CheckResult) -> str:
    """Return in how many copies of the picture its verdict stayed, if they were checked."""
    if not result.resaved:
        return ""
    return f"same verdict in {count_same_verdicts(result)} of {len(result.resaved)} copies"


def _provenance_words(result: CheckResult) -> str:
    """Return the most important statements of the file about its origin."""
    telling = {"made_by_ai": "made by AI", "edited": "edited"}
    indications = [telling[one] for one in provenance_indications(result) if one in telling]
    parts = [f"the file says: {', '.join(indications)}"] if indications else []
    credentials = result.provenance.content_credentials
    if credentials and credentials.state != "absent":
        parts.append(f"credentials: {credentials.state}")
    return ", ".join(parts)


#: Makes room on the terminal: what shows progress hides while results are written.
_Hiding = Callable[[], AbstractContextManager[None]]


class Writer(Protocol):
    """Takes results one at a time; what it was given is on the stream after `close`."""

    def write(self, result: CheckResult) -> None:
        """Take one result."""

    def close(self) -> None:
        """Write what is pending."""


class _JsonLinesWriter:
    """One JSON object a line, out at once."""

    def __init__(self, stream: TextIO, hiding: _Hiding) -> None:
        self._stream, self._hiding = stream, hiding

    def write(self, result: CheckResult) -> None:
        """Write one line."""
        with self._hiding():
            self._stream.write(result.model_dump_json() + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Nothing is pending."""


_ARRAY_END = "\n]\n"


def _flush(stream: TextIO, *, tail: str) -> None:
    """Write what is pending; a file also gets the end that makes it valid now."""
    if isinstance(stream, ResultStream):
        stream.flush(tail=tail)
    else:
        stream.flush()


class _JsonArrayWriter:
    """One JSON array of objects, valid wherever the run stops."""

    def __init__(self, stream: TextIO, hiding: _Hiding) -> None:
        self._stream, self._hiding = stream, hiding
        self._opened = False

    def write(self, result: CheckResult) -> None:
        """Write one element."""
        with self._hiding():
            self._stream.write((",\n" if self._opened else "[\n") + result.model_dump_json())
            self._opened = True
            _flush(self._stream, tail=_ARRAY_END)

    def close(self) -> None:
        """End the array."""
        with self._hiding():
            self._stream.write(_ARRAY_END if self._opened else "[]\n")
            self._stream.flush()


class _CsvWriter:
    """A header, then one row a face; a source without a face has one row."""

    def __init__(self, stream: TextIO, hiding: _Hiding) -> None:
        self._stream, self._hiding = stream, hiding
        self._table = CsvTable(stream)

    def write(self, result: CheckResult) -> None:
        """Write the rows of one source."""
        with self._hiding():
            for row in csv_rows(result):
                self._table.write(row)
            self._stream.flush()

    def close(self) -> None:
        """Write the header at the least."""
        self._stream.flush()


FORMATS: dict[str, Callable[[TextIO, _Hiding], Writer]] = {
    "table": TableWriter,
    "json": _JsonArrayWriter,
    "jsonl": _JsonLinesWriter,
    "csv": _CsvWriter,
}
