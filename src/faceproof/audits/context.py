"""`AuditContext`: the detector, the sampled pictures and the predictions that audits read.

Pictures are scored once: audits share the predictions tables of `SCORINGS`. Each is made when an
audit first reads it, and kept in the output folder. An audit that needs pictures, and not scores,
takes the rows of a sample.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceproof.data.manifest import Row
from faceproof.detector import Detector
from faceproof.detector.scorers import usable_cores
from faceproof.detector.spec import Finding, OperatingPoint
from faceproof.evaluation.audit_result import AuditPlot, AuditResult, AuditSettings, AuditTable
from faceproof.evaluation.formulas import Bools, Floats
from faceproof.evaluation.predict import predict_rows
from faceproof.evaluation.predictions import (
    Faces,
    Origin,
    all_faces,
    labelled_rows,
    origin_of,
    read_table,
    write_table,
)
from faceproof.evaluation.scored_faces import FaceSearch
from faceproof.evaluation.selection import Selection, cautions
from faceproof.imaging.degradations import DEGRADATIONS
from faceproof.outputs import write_error
from faceproof.tables import choose

if TYPE_CHECKING:
    import pyarrow as pa

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Scoring:
    """A predictions table that audits share: its conditions, and the cells of its sample."""

    conditions: tuple[str, ...]
    cell: Callable[[Row], tuple[str, ...]]
    """The cell of a picture; each cell gets as many pictures as are asked for, if it has them."""


SCORINGS: dict[str, Scoring] = {
    "clean": Scoring(("clean",), lambda row: (row.label, row.source, row.generator)),
    "degraded": Scoring(tuple(DEGRADATIONS), lambda row: (row.label,)),
}
"""The predictions tables that audits read."""


@dataclass(frozen=True)
class AuditOutcome:
    """What an audit found; `AuditContext` and the table of audits add the rest of the record."""

    answer: str
    tables: tuple[AuditTable, ...] = ()
    plots: tuple[AuditPlot, ...] = ()
    cautions: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    measured: bool = True


@dataclass(frozen=True)
class Audit:
    """One audit: its question, the predictions or samples that it reads, and its function."""

    question: str
    reads: tuple[str, ...]
    """Names in `SCORINGS`, the main one first."""
    run: Callable[[AuditContext], AuditOutcome]


@dataclass(frozen=True)
class AuditContext:
    """What an audit may read."""

    detector: Detector
    point: OperatingPoint
    selection: Selection
    find: FaceSearch
    settings: AuditSettings
    folder: Path | None = None
    progress: Progress = lambda _, __, ___: None
    leave_one_out: AuditResult | None = None
    """The result of `faceproof train leave-one-out`, if there is one."""
    _tables: dict[str, pa.Table] = field(default_factory=dict)

    def sample(self, name: str) -> tuple[Row, ...]:
        """Return the pictures of a scoring, drawn by group from each of its cells."""
        scoring = choose(SCORINGS, name, what="scoring")
        return draw_rows(
            self.selection.rows, self.settings.most, cell=scoring.cell, seed=self.settings.seed
        )

    def predictions(self, name: str) -> pa.Table:
        """Return a predictions table of `SCORINGS`: from the folder, or scored now."""
        if name not in self._tables:
            self._tables[name] = self._read(name) or self._predict(name)
        return self._tables[name]

    def faces(self, name: str) -> Faces:
        """Return the rows of a predictions table as arrays, also those that were not judged."""
        return all_faces(self.predictions(name))

    def grid(self, name: str) -> Grid:
        """Return the probabilities of a predictions table by picture and condition."""
        return make_grid(self.predictions(name))

    def cautions(self, name: str) -> tuple[str, ...]:
        """Return warnings about the data and about unchanged pictures without a result."""
        table = self.predictions(name)
        clean = np.array([one == "clean" for one in table["condition"].to_pylist()], dtype=bool)
        found = cautions(self.selection, self.detector.spec, table.filter(clean))
        return (*found, *self._sample_caution(name))

    def _sample_caution(self, name: str) -> tuple[str, ...]:
        """Return a caution that a figure is of a sample, if it does not hold all pictures."""
        drawn, rows = len(self.sample(name)), len(self.selection.rows)
        if drawn == rows:
            return ()
        return (
            f"A sample of {drawn:,} of {rows:,} pictures, drawn evenly from sources and generators:"
            " figures over all of them weigh each source alike, not as in the data.",
        )

    @property
    def _origin(self) -> Origin:
        return Origin(
            detector_sha256=self.detector.sha256,
            data_sha256=self.selection.sha256,
            purpose=self.selection.purpose,
        )

    def _file(self, name: str) -> Path | None:
        return self.folder / f"predictions-{name}.parquet" if self.folder else None

    def _read(self, name: str) -> pa.Table | None:
        """Return the table in the folder if it is of the same pictures and conditions."""
        file = self._file(name)
        if file is None or not file.is_file():
            return None
        table = read_table(file)
        held = set(zip(table["path"].to_pylist(), table["condition"].to_pylist(), strict=True))
        wanted = {
            (row.path, condition)
            for row in self.sample(name)
            for condition in SCORINGS[name].conditions
        }
        return table if held == wanted and origin_of(table) == self._origin else None

    def _predict(self, name: str) -> pa.Table:
        rows, scoring = self.sample(name), SCORINGS[name]
        number = len(rows) * len(scoring.conditions)
        self.progress(name, 0, number)
        table = predict_rows(
            self.detector,
            rows,
            self._origin,
            scoring.conditions,
            root=self.selection.root,
            find=self.find,
            workers=usable_cores(),
            progress=lambda count: self.progress(name, count, number),
        )
        if file := self._file(name):
            part = file.with_name(f".{file.name}.part")
            try:
                write_table(table, part)
                part.replace(file)
            except OSError as error:
                raise write_error(file, error) from error
        return table


def draw_rows(
    rows: Sequence[Row], most: int | None, *, cell: Callable[[Row], tuple[str, ...]], seed: int = 0
) -> tuple[Row, ...]:
    """Return at most ``most`` rows of each cell, in their order; None returns all.

    Within a cell, sources and generators take turns, and a group gives a second picture only
    after every other group of its source and generator gave its first. The draw depends on the
    seed and the paths, not on the order of the rows.
    """
    if most is None:
        return tuple(rows)
    repeats: Counter[tuple[str, ...]] = Counter()
    nth: dict[str, int] = {}
    for row in sorted(rows, key=lambda row: _draw(row, seed)):
        group = (row.label, row.source, row.generator, row.group or row.path)
        nth[row.path] = repeats[group]
        repeats[group] += 1
    turns: Counter[tuple[str, ...]] = Counter()
    turn: dict[str, int] = {}
    for row in sorted(rows, key=lambda row: (nth[row.path], _draw(row, seed))):
        part = (row.label, row.source, row.generator)
        turn[row.path] = turns[part]
        turns[part] += 1
    taken: Counter[tuple[str, ...]] = Counter()
    kept: set[str] = set()
    for row in sorted(rows, key=lambda row: (turn[row.path], _draw(row, seed))):
        if taken[cell(row)] < most:
            taken[cell(row)] += 1
            kept.add(row.path)
    return tuple(row for row in rows if row.path in kept)


def _draw(row: Row, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {row.path}".encode()).digest()


@dataclass(frozen=True)
class Grid:
    """Probabilities of P labelled faces under C conditions."""

    conditions: tuple[str, ...]
    fake: Bools
    """bool [P]: true for the label fake."""
    groups: NDArray[np.str_]
    """str [P]"""
    probabilities: Floats
    """float64 [P, C]: NaN where the face was not judged."""

    def verdicts(self, point: OperatingPoint) -> NDArray[np.int64]:
        """Return int64 [P, C]: 0 real, 1 unsure, 2 fake, -1 not judged."""
        called = (self.probabilities >= point.real_below).astype(np.int64)
        called += self.probabilities >= point.fake_from
        return np.where(np.isnan(self.probabilities), -1, called)

    def at(self, condition: str) -> int:
        """Return the place of a condition."""
        return self.conditions.index(condition)


def make_grid(table: pa.Table) -> Grid:
    """Return the labelled rows of a predictions table by picture and condition."""
    names = ("path", "face", "label", "group", "condition", "fake_probability")
    columns = [labelled_rows(table)[name].to_pylist() for name in names]
    rows = [((path, face), *rest) for path, face, *rest in zip(*columns, strict=True)]
    conditions = {name: at for at, name in enumerate(dict.fromkeys(row[3] for row in rows))}
    pictures = {face: at for at, face in enumerate(dict.fromkeys(row[0] for row in rows))}
    probabilities = np.full((len(pictures), len(conditions)), np.nan)
    fake, groups = np.zeros(len(pictures), dtype=bool), [""] * len(pictures)
    for face, label, group, condition, probability in rows:
        at = pictures[face]
        fake[at], groups[at] = label == "fake", group or face[0]
        if probability is not None:
            probabilities[at, conditions[condition]] = probability
    return Grid(tuple(conditions), fake, np.asarray(groups, dtype=np.str_), probabilities)
