"""`Report`: the one document behind ``report.html``, ``report.json`` and ``report.md``.

A cell holds a value and not its words, so that the three show the same figures: `cell_words` is the
only function that writes one. A plot is described by its data.
"""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from faceproof.detector.spec import Finding, OperatingPoint, Text
from faceproof.evaluation.audit_result import Series
from faceproof.evaluation.evaluation_record import DatasetRef, DetectorRef
from faceproof.records import Document, Record
from faceproof.reports.markup import NUMBERS

Kind = Literal["share", "number"]


class Figure(Record):
    """A measured value with its 95 % interval, its number of faces and its caution, if it has them.

    A ``share`` in [0, 1] is shown as a percentage, a ``number`` as it is.
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    kind: Kind = "number"
    caution: Text | None = None

    @classmethod
    def of(cls, found: Finding) -> Self:
        """Return a finding as a cell of a table."""
        number = found.metric.partition("@")[0] in NUMBERS
        return cls(
            value=found.value,
            low=found.low,
            high=found.high,
            n=found.n,
            kind="number" if number else "share",
            caution=found.caution,
        )

    @property
    def short(self) -> str:
        """The value in words, without its interval.

        >>> Figure(value=0.0125, kind="share").short, Figure(value=0.0125).short
        ('1.2 %', '0.013')
        """
        return f"{self._format(self.value)} %" if self.kind == "share" else self._format(self.value)

    @property
    def interval(self) -> str:
        """The 95 % interval in brackets, as in a table; "" if there is none.

        >>> Figure(value=0.5, low=0.4, high=0.61).interval
        '[0.400, 0.610]'
        """
        if self.low is None or self.high is None:
            return ""
        return f"[{self._format(self.low)}, {self._format(self.high)}]"

    @property
    def words(self) -> str:
        """The value with its interval, as in a sentence.

        >>> Figure(value=0.125, low=0.1, high=0.154, kind="share").words, Figure(value=0.5).words
        ('12.5 % (10.0 to 15.4)', '0.500')
        """
        if self.low is None or self.high is None:
            return self.short
        return f"{self.short} ({self._format(self.low)} to {self._format(self.high)})"

    def _format(self, value: float) -> str:
        return f"{100 * value:.1f}" if self.kind == "share" else number_words(value)


Cell = Figure | int | float | str | None


def number_words(value: float) -> str:
    """Return a number with three decimals, or with three digits where that is nothing or long.

    >>> number_words(0.9914), number_words(0.0), number_words(0.00004), number_words(1234.5)
    ('0.991', '0.000', '4e-05', '1.23e+03')
    """
    plain = value == 0 or 0.001 <= abs(value) < 1000
    return f"{value:.3f}" if plain else f"{value:.3g}"


def cell_words(cell: Cell) -> str:
    """Return a cell as it is shown, in every format.

    >>> cell_words(Figure(value=0.01, low=0, high=0.02, kind="share", n=9)), cell_words(1200)
    ('1.0 % [0.0, 2.0]', '1,200')
    >>> cell_words(None), cell_words(0.5), cell_words("lamp")
    ('-', '0.500', 'lamp')
    """
    if cell is None:
        return "-"
    if isinstance(cell, Figure):
        return f"{cell.short} {cell.interval}".rstrip()
    if isinstance(cell, str):
        return cell
    return f"{cell:,}" if isinstance(cell, int) else number_words(cell)


class ReportTable(Record):
    """A table: its caption, the words of its columns, and its rows; the first cell names a row."""

    name: Text
    caption: Text
    columns: tuple[Text, ...] = Field(min_length=1)
    rows: tuple[tuple[Cell, ...], ...] = ()

    @model_validator(mode="after")
    def _rows_fit_the_columns(self) -> Self:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row has {len(row)} cells for {len(self.columns)} columns")
        return self

    @property
    def cautions(self) -> dict[str, int]:
        """The cautions of its figures, each with the number of its note, from 1."""
        found = (cell.caution for row in self.rows for cell in row if isinstance(cell, Figure))
        return {one: n for n, one in enumerate(dict.fromkeys(filter(None, found)), start=1)}


class Axis(Record):
    """An axis: its title, and its scale. ``probit`` is that of normal deviates."""

    title: Text
    scale: Literal["linear", "log", "probit", "name"] = "linear"
    low: float | None = None
    high: float | None = None


class Mark(Record):
    """A marked place on the horizontal axis, such as a threshold."""

    x: float
    name: Text


class ReportPlot(Record):
    """A plot as data; ``description`` is its alternative text, ``caption`` goes below it.

    A ``step`` keeps the value of a point up to the next one. A ``matrix`` has a series for each
    row, whose ``y`` are counts.
    """

    name: str = Field(pattern=r"\A[a-z0-9-]+\z")
    kind: Literal["line", "step", "bar", "matrix"]
    title: Text
    description: Text
    caption: str = ""
    x: Axis
    y: Axis
    series: tuple[Series, ...] = Field(min_length=1)
    guides: tuple[Series, ...] = ()
    """Dashed lines to compare with, such as the diagonal; not measured."""
    marks: tuple[Mark, ...] = ()

    def table(self, most: int = 25) -> ReportTable:
        """Return its points as a table, at most ``most`` of each series."""
        rows = tuple(
            (one.name, one.x[at], _number(one.y[at]), _end(one.low, at), _end(one.high, at))
            for one in self.series
            for at in thin_places(len(one.x), most)
        )
        bounded = any(row[3] is not None for row in rows)
        columns = ("series", self.x.title, self.y.title, "from", "to")
        return ReportTable(
            name=self.name,
            caption=f"Points of the plot: {self.title}",
            columns=columns if bounded else columns[:3],
            rows=rows if bounded else tuple(row[:3] for row in rows),
        )


def thin_places(count: int, most: int) -> list[int]:
    """Return at most ``most`` places of 0 to ``count`` - 1, evenly spread, both ends included.

    >>> thin_places(3, 5), thin_places(9, 3)
    ([0, 1, 2], [0, 4, 8])
    """
    if count <= most:
        return list(range(count))
    return [round(n * (count - 1) / (most - 1)) for n in range(most)]


def _number(value: float | None) -> int | float | None:
    """Return a whole number of faces as an integer."""
    whole = value is not None and value > 1 and math.isclose(value, round(value))
    return round(value) if whole and value is not None else value


def _end(ends: tuple[float | None, ...], at: int) -> float | None:
    return ends[at] if ends else None


class Statement(Record):
    """One answer of the first screen: what it is about, the answer, and its caution if any."""

    name: Text
    title: Text
    text: Text
    caution: Text | None = None


class Section(Record):
    """A section: text, cautions, tables and plots."""

    name: str = Field(pattern=r"\A[a-z0-9-]+\z")
    title: Text
    text: str = ""
    details: tuple[str, ...] = ()
    """Further sentences, each a point of a list."""
    measured: bool = True
    cautions: tuple[str, ...] = ()
    tables: tuple[ReportTable, ...] = ()
    plots: tuple[ReportPlot, ...] = ()


class WorstError(Record):
    """A face with a wrong verdict. Its picture, where shown, is in ``report.html`` only."""

    path: str
    label: Literal["real", "fake"]
    generator: str
    source: str
    condition: str
    fake_probability: float
    box: tuple[float, float, float, float] | None = None
    """x, y, width and height in pixels of the picture under the condition."""


class Report(Document):
    """How good a detector is, for whom it is worse, what breaks it, and how sure each figure is."""

    schema_: Literal["faceproof.report/1"] = Field(default="faceproof.report/1", alias="schema")
    faceproof: Text
    command: Text
    detector: DetectorRef
    data: DatasetRef
    operating_point: OperatingPoint
    faces: Text
    intervals: Text
    """How the intervals were made."""
    statements: tuple[Statement, ...]
    not_tested: tuple[str, ...]
    cautions: tuple[str, ...] = ()
    """Warnings to read before any figure, most serious first."""
    sections: tuple[Section, ...]
    worst_errors: tuple[WorstError, ...] = ()

    @property
    def plots(self) -> tuple[ReportPlot, ...]:
        """The plots of all sections, in order."""
        return tuple(plot for section in self.sections for plot in section.plots)

    @property
    def measured(self) -> frozenset[str]:
        """The names of the sections whose question was answered."""
        return frozenset(section.name for section in self.sections if section.measured)
