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

    name: Text = Field(description="Name of the table.")
    caption: Text = Field(description="What it shows.")
    columns: tuple[Text, ...] = Field(
        min_length=1,
        description="Names of the columns; NAME_low and NAME_high are the 95 % interval of NAME.",
    )
    rows: tuple[tuple[Cell, ...], ...] = Field(
        default=(),
        description="Cells in the order of the columns; null where nothing was measured.",
    )

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

    name: str = Field(description="Name of the line or group of bars.")
    x: tuple[float | str, ...] = Field(description="Places on the horizontal axis.")
    y: tuple[float | None, ...] = Field(description="Values; null where nothing was measured.")
    low: tuple[float | None, ...] = Field(
        default=(), description="Lower ends of the 95 % intervals; empty where there are none."
    )
    high: tuple[float | None, ...] = Field(
        default=(), description="Upper ends of the 95 % intervals; empty where there are none."
    )

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        lengths = {len(self.x), len(self.y)} | {len(end) for end in (self.low, self.high) if end}
        if len(lengths) > 1:
            raise ValueError(f"the series {self.name!r} has columns of different lengths")
        return self


class AuditPlot(Record):
    """A plot as data: its kind, the titles of its axes and its series."""

    name: Text = Field(description="Name of the plot.")
    kind: Literal["line", "bar"] = Field(description="Lines or bars.")
    title: Text = Field(description="What it shows.")
    x: Text = Field(description="Title of the horizontal axis.")
    y: Text = Field(description="Title of the vertical axis.")
    series: tuple[Series, ...] = Field(min_length=1, description="The lines or groups of bars.")


class AuditSettings(Record):
    """What the results of one folder have in common, the sample included.

    ``most`` is the largest number of pictures in a cell of a sample, None for all of them. ``by``
    are the attribute columns that were named for groups of people; none: those that are known.
    """

    faceproof: Text = Field(description="Version of faceproof.")
    detector: Text = Field(description="Name of the detector.")
    detector_version: Text = Field(description="Its version.")
    detector_sha256: Sha256 = Field(description="SHA-256 of its detector.json.")
    data: str = Field(description="Manifest, as it was named.")
    data_sha256: Sha256 = Field(description="SHA-256 of the data.")
    split: str = Field(description="Split that was audited; empty: all rows.")
    rows: int = Field(ge=1, description="Number of rows of the split.")
    operating_point: Text = Field(description="Operating point of the verdicts.")
    faces: Text = Field(description="Which faces of a picture were judged.")
    most: int | None = Field(
        default=None,
        ge=1,
        description="Largest number of pictures in a cell of the sample; null: all.",
    )
    seed: int = Field(ge=0, description="Random seed of sample and bootstrap.")
    by: tuple[Text, ...] = Field(
        default=(),
        description="Attribute columns named for groups of people; empty: those that are known.",
    )


class AuditResult(Document):
    """The result of one audit: ``measured`` is false where the data cannot answer the question.

    >>> from faceproof import AuditResult
    >>> schema = AuditResult.model_json_schema()
    >>> schema["properties"]["answer"]["description"]
    'The answer in one sentence.'
    """

    schema_: Literal["faceproof.audit/1"] = Field(
        default="faceproof.audit/1", alias="schema", description="Name and version of this format."
    )
    name: Text = Field(description="Name of the audit, as --only takes it.")
    question: Text = Field(description="The question that the audit answers.")
    answer: Text = Field(description="The answer in one sentence.")
    details: tuple[Text, ...] = Field(
        default=(), description="What else to know of the answer, a sentence or two each."
    )
    measured: bool = Field(
        default=True, description="False where the data cannot answer the question."
    )
    settings: AuditSettings = Field(
        description="Detector, data and sample; the same for all results of one folder."
    )
    pictures: int = Field(ge=0, description="Number of pictures that were sampled.")
    cautions: tuple[str, ...] = Field(
        default=(), description="Warnings to read before any figure, most serious first."
    )
    own_cautions: tuple[str, ...] = Field(
        default=(), description="Those of them that are about figures of this audit, not the data."
    )
    tables: tuple[AuditTable, ...] = Field(default=(), description="The figures as tables.")
    plots: tuple[AuditPlot, ...] = Field(default=(), description="The figures as plots, as data.")
    findings: tuple[Finding, ...] = Field(
        default=(), description="The figures with n, interval, slice and condition."
    )

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
    r"""The results of several audits of one detector on the same data.

    >>> import hashlib, tempfile
    >>> from pathlib import Path
    >>> from faceproof import audit
    >>> kinds = {"real-hopper.jpg": "real,none", "fake-sd3-male-2.jpg": "fake,stable-diffusion-3"}
    >>> digests = [hashlib.sha256(Path("samples", name).read_bytes()).hexdigest() for name in kinds]
    >>> rows = [f"{name},{kinds[name]},home,test,{name},{sha}" for name, sha in zip(kinds, digests)]
    >>> file = Path(tempfile.mkdtemp()) / "faces.csv"
    >>> _ = file.write_text("\n".join(["path,label,generator,source,split,group,sha256", *rows]))
    >>> run = audit("default", file, only=["generators"], root="samples")
    >>> run.settings.rows, run["generators"].pictures
    (2, 2)
    """

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
