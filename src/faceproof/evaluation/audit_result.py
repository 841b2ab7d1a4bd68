"""`AuditResult`: what an audit found, as a question, an answer, tables and plots.

A table holds values and no words of layout; a plot is described by its data. So a report, a page
or a notebook can show both, and nothing is measured twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from faceproof.detector.spec import Finding, Sha256, Text
from faceproof.errors import UnknownChoiceError
from faceproof.messages import count_noun, shorten_text
from faceproof.records import Document, Record
from faceproof.tables import choose

if TYPE_CHECKING:
    import polars as pl

Cell = str | int | float | None

LEAVE_ONE_OUT = "leave-one-out"
"""The name of the result of `faceproof train leave-one-out`, which the audit *generators* reads."""


class AuditTable(Record):
    """A table: its columns, and its rows in the same order; None where nothing was measured.

    Columns ``NAME_low`` and ``NAME_high`` are the 95 % interval of the column ``NAME``.
    """

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

    def _summarise(self) -> str:
        return f"{self.name}: {count_noun(len(self.rows), 'row')} of {', '.join(self.columns)}"

    def column(self, name: str) -> tuple[Cell, ...]:
        """Return the cells of a column.

        Raises:
            UnknownChoiceError: the table has no such column.
        """
        place = choose({one: at for at, one in enumerate(self.columns)}, name, what="column")
        return tuple(row[place] for row in self.rows)

    def frame(self) -> pl.DataFrame:
        """Return the table for polars; its ``to_pandas`` makes one for pandas."""
        import polars as pl

        return pl.DataFrame(
            self.rows, schema=list(self.columns), orient="row", infer_schema_length=None
        )


class Series(Record):
    """The points of one line or group of bars, and their intervals where there are any."""

    name: str
    x: tuple[float | str, ...]
    y: tuple[float | None, ...]
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        lengths = {len(self.x), len(self.y)} | {len(end) for end in (self.low, self.high) if end}
        if len(lengths) > 1:
            raise ValueError(f"the series {self.name!r} has columns of different lengths")
        return self


class AuditPlot(Record):
    """A plot as data: its kind, the titles of its axes and its series."""

    name: Text
    kind: Literal["line", "bar"]
    title: Text
    x: Text
    y: Text
    series: tuple[Series, ...] = Field(min_length=1)


class AuditSettings(Record):
    """What the results of one folder have in common, the sample included.

    ``most`` is the largest number of pictures in a cell of a sample, None for all of them. ``by``
    are the attribute columns that were named for groups of people; none: those that are known.
    """

    faceproof: Text
    detector: Text
    detector_version: Text
    detector_sha256: Sha256
    data: str
    data_sha256: Sha256
    split: str
    rows: int = Field(ge=1)
    operating_point: Text
    faces: Text
    most: int | None = Field(default=None, ge=1)
    seed: int = Field(ge=0)
    by: tuple[Text, ...] = ()


class AuditResult(Document):
    """The result of one audit: ``measured`` is false where the data cannot answer the question."""

    schema_: Literal["faceproof.audit/1"] = Field(default="faceproof.audit/1", alias="schema")
    name: Text
    question: Text
    answer: Text
    """One sentence."""
    details: tuple[Text, ...] = ()
    """What else to know of the answer, a sentence or two each."""
    measured: bool = True
    settings: AuditSettings
    pictures: int = Field(ge=0)
    """How many pictures were sampled."""
    cautions: tuple[str, ...] = ()
    """Warnings to read before any figure, those about the data first."""
    own_cautions: tuple[str, ...] = ()
    """Those of them that are about the figures of this audit, and not about the data."""
    tables: tuple[AuditTable, ...] = ()
    plots: tuple[AuditPlot, ...] = ()
    findings: tuple[Finding, ...] = ()

    def _summarise(self) -> str:
        answer = shorten_text(self.answer, most=160)
        return f"{self.name}: {answer}" if self.measured else f"{self.name}: not measured; {answer}"

    def table(self, name: str) -> AuditTable:
        """Return the table called ``name``.

        Raises:
            UnknownChoiceError: no table has this name.
        """
        return choose({one.name: one for one in self.tables}, name, what="table")


class AuditRun(Record):
    """The results of several audits of one detector on the same data."""

    settings: AuditSettings
    results: tuple[AuditResult, ...]

    def _summarise(self) -> str:
        names = ", ".join(
            one.name if one.measured else f"{one.name} (not measured)" for one in self.results
        )
        return f"{self.settings.detector} {self.settings.detector_version}: {names or 'no audit'}"

    def __getitem__(self, name: str) -> AuditResult:
        """Return the result of the audit called ``name``.

        Raises:
            KeyError: that audit was not run.
        """
        try:
            return choose({one.name: one for one in self.results}, name, what="audit")
        except UnknownChoiceError as error:
            raise KeyError(name) from error
