"""`AuditContext`: the detector, the sampled pictures and the predictions that audits read.

Pictures are scored once: audits share the predictions tables of `SCORINGS`. Each is made when an
audit first reads it, and kept in the output folder. An audit that needs pictures, and not scores,
takes the rows of a sample.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceproof.audits.attributes import PeopleAttributes, find_attributes
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
    Prediction,
    all_faces,
    labelled_rows,
    make_table,
    origin_of,
    read_table,
    rows_of,
    verdict_places,
    withholds_verdict,
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
    of_people: bool = False
    """Whether each group of people is a cell too, and pictures of no group are left out."""


SCORINGS: dict[str, Scoring] = {
    "clean": Scoring(("clean",), lambda row: (row.label, row.source, row.generator)),
    "degraded": Scoring(tuple(DEGRADATIONS), lambda row: (row.label,)),
    "people": Scoring(
        ("clean",), lambda row: (row.label, row.source, row.generator), of_people=True
    ),
}
"""The predictions tables that audits read."""


@dataclass(frozen=True)
class AuditOutcome:
    """What an audit found; `AuditContext` and the table of audits add the rest of the record.

    ``cautions`` are about the figures of the audit; those about the data come with the record.
    """

    answer: str
    """One sentence; ``details`` has the others."""
    tables: tuple[AuditTable, ...] = ()
    plots: tuple[AuditPlot, ...] = ()
    cautions: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    measured: bool = True
    details: tuple[str, ...] = ()


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
    batch_size: int = 32
    """Faces that the networks judge at once."""
    _tables: dict[str, pa.Table] = field(default_factory=dict)

    def sample(self, name: str) -> tuple[Row, ...]:
        """Return the pictures of a scoring, drawn by group from each of its cells."""
        scoring = choose(SCORINGS, name, what="scoring")
        most, seed = self.settings.most, self.settings.seed
        if scoring.of_people:
            return draw_rows_of_people(self._rows_of(name), most, self.attributes, seed=seed)
        return draw_rows(self._rows_of(name), most, cell=scoring.cell, seed=seed)

    def judged(self, name: str) -> tuple[Row, ...]:
        """Return the pictures of `sample` whose face got a verdict unchanged."""
        table = labelled_rows(self.predictions(name))
        names = ("path", "face", "condition", "status", "cautions")
        known = {
            (path, face)
            for path, face, condition, status, marks in zip(
                *(table[one].to_pylist() for one in names), strict=True
            )
            if condition == "clean" and status == "ok" and not withholds_verdict(status, marks)
        }
        count: Counter[str] = Counter()  # rows of one picture number its faces
        kept = []
        for row in self.sample(name):
            if (row.path, count[row.path]) in known:
                kept.append(row)
            count[row.path] += 1
        return tuple(kept)

    def _rows_of(self, name: str) -> tuple[Row, ...]:
        """Return the rows from which the sample of a scoring is drawn."""
        rows = self.selection.rows
        if SCORINGS[name].of_people:
            return tuple(row for row in rows if self.attributes.groups(row))
        return rows

    @cached_property
    def attributes(self) -> PeopleAttributes:
        """The attribute columns that sort people into groups."""
        return find_attributes(self.selection.rows, self.settings.by)

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
        drawn = replace(self.selection, rows=self.sample(name))
        found = cautions(drawn, self.detector.spec, self.point, table.filter(clean))
        return (*found, *self._sample_caution(name))

    def _sample_caution(self, name: str) -> tuple[str, ...]:
        """Return a caution that a figure is of a sample, if it does not hold all pictures."""
        drawn, rows = len(self.sample(name)), len(self._rows_of(name))
        if drawn == rows:
            return ()
        if SCORINGS[name].of_people:
            return (
                f"A sample of {drawn:,} of {rows:,} pictures of people in a group, at least "
                f"{self.settings.most:,} of each group where there are as many: rare groups are "
                "more frequent in it than in the data, and in the groups that they are part of.",
            )
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
        """Return a new table; unchanged pictures of the other tables are not scored again."""
        rows, conditions = self.sample(name), SCORINGS[name].conditions
        known = self._known(name) if conditions == ("clean",) else {}
        new = [row for row in rows if row.path not in known]
        table = self._score(name, new, conditions) if new else make_table((), self._origin)
        if known:
            faces, paths = known | _by_path(table), dict.fromkeys(row.path for row in rows)
            table = make_table((one for path in paths for one in faces[path]), self._origin)
        if file := self._file(name):
            part = file.with_name(f".{file.name}.part")
            try:
                write_table(table, part)
                part.replace(file)
            except OSError as error:
                raise write_error(file, error) from error
        return table

    def _known(self, name: str) -> dict[str, list[Prediction]]:
        """Return the unchanged faces in the other tables that are there, by path."""
        found: dict[str, list[Prediction]] = {}
        for other in SCORINGS:
            table = None if other == name else self._tables.get(other) or self._read(other)
            found |= _by_path(table) if table else {}
        return found

    def _score(self, name: str, rows: Sequence[Row], conditions: tuple[str, ...]) -> pa.Table:
        """Return the predictions of rows under conditions."""
        number = len(rows) * len(conditions)
        self.progress(name, 0, number)
        return predict_rows(
            self.detector,
            rows,
            self._origin,
            conditions,
            root=self.selection.root,
            find=self.find,
            partial_folder=self.folder and self.folder / f"predictions-{name}.partial",
            workers=usable_cores(),
            batch_size=self.batch_size,
            progress=lambda count: self.progress(name, count, number),
        )


def _by_path(table: pa.Table) -> dict[str, list[Prediction]]:
    """Return the unchanged faces of a table by path."""
    found: dict[str, list[Prediction]] = {}
    for one in rows_of(table):
        if one.condition == "clean":
            found.setdefault(one.path, []).append(one)
    return found


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
    taken: Counter[tuple[str, ...]] = Counter()
    kept: set[str] = set()
    for row in order_rows(rows, seed):
        if taken[cell(row)] < most:
            taken[cell(row)] += 1
            kept.add(row.path)
    return tuple(row for row in rows if row.path in kept)


def draw_rows_of_people(
    rows: Sequence[Row], most: int | None, attributes: PeopleAttributes, *, seed: int = 0
) -> tuple[Row, ...]:
    """Return rows so that each group of people has ``most``, or all it has; None returns all.

    A row is drawn if one of its groups still needs one, so that large groups get more than
    ``most``. The order is that of `draw_rows`.
    """
    if most is None:
        return tuple(rows)
    taken: Counter[tuple[str, ...]] = Counter()
    kept: set[str] = set()
    for row in order_rows(rows, seed):
        cells = attributes.cells(row)
        if any(taken[one] < most for one in cells):
            taken.update(cells)
            kept.add(row.path)
    return tuple(row for row in rows if row.path in kept)


def order_rows(rows: Sequence[Row], seed: int) -> list[Row]:
    """Return the rows in the order in which they are drawn."""
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
    return sorted(rows, key=lambda row: (turn[row.path], _draw(row, seed)))


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
    withheld: Bools
    """bool [P, C]: true where a caution withholds the verdict."""

    def verdicts(self, point: OperatingPoint) -> NDArray[np.int64]:
        """Return int64 [P, C]: the place in `VERDICTS`, -1 not judged."""
        return verdict_places(self.probabilities, self.withheld, point)

    def at(self, condition: str) -> int:
        """Return the place of a condition."""
        return self.conditions.index(condition)


def make_grid(table: pa.Table) -> Grid:
    """Return the labelled rows of a predictions table by picture and condition."""
    names = (
        "path",
        "face",
        "label",
        "group",
        "condition",
        "fake_probability",
        "status",
        "cautions",
    )
    columns = [labelled_rows(table)[name].to_pylist() for name in names]
    rows = [((path, face), *rest) for path, face, *rest in zip(*columns, strict=True)]
    conditions = {name: at for at, name in enumerate(dict.fromkeys(row[3] for row in rows))}
    pictures = {face: at for at, face in enumerate(dict.fromkeys(row[0] for row in rows))}
    probabilities = np.full((len(pictures), len(conditions)), np.nan)
    withheld = np.zeros(probabilities.shape, dtype=bool)
    fake, groups = np.zeros(len(pictures), dtype=bool), [""] * len(pictures)
    for face, label, group, condition, probability, status, marks in rows:
        at, place = pictures[face], conditions[condition]
        fake[at], groups[at] = label == "fake", group or face[0]
        withheld[at, place] = withholds_verdict(status, marks)
        if probability is not None:
            probabilities[at, place] = probability
    return Grid(tuple(conditions), fake, np.asarray(groups, dtype=np.str_), probabilities, withheld)
