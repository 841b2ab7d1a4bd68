"""Inspection: all that was found out about a data set, as it is written to JSON and drawn."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from faceproof.data.shortcuts.result import ProbeResult
from faceproof.records import Document, Record


class RowRef(Record):
    """One row: its number from 1 in its manifest, and what that says of it."""

    manifest: int = 0
    """Place in `Inspection.manifests`; those of `--against` come after the inspected ones."""
    row: int
    path: str
    label: str = ""
    split: str = ""


class Example(Record):
    """One or two rows that show a fault, and what is to be seen in them."""

    rows: tuple[RowRef, ...] = ()
    detail: str = ""


class Fault(Record):
    """One fault: how often, what it says of this set, what it means, what to do, examples."""

    kind: str
    severity: Literal["error", "warning", "note"]
    count: int = Field(ge=0)
    message: str
    meaning: str
    remedy: str
    examples: tuple[Example, ...] = ()


class ManifestFile(Record):
    """A manifest that was read: the name it was given, its rows and the file's SHA-256."""

    name: str
    rows: int
    sha256: str
    against: bool = False


class Cell(Record):
    """How many rows, of which weight together, stand in one combination."""

    split: str
    label: str
    generator: str
    source: str
    rows: int
    weight: float


class Level(Record):
    """One value of a fact or attribute, and how many rows of each class have it."""

    value: str
    real: int
    fake: int


class Association(Record):
    """How a fact or attribute goes with the class: Cramer's V in [0, 1], n rows, the levels.

    ``v`` is None where it says nothing: one class only, or one value only.
    """

    name: str
    v: float | None
    n: int
    unknown: int
    levels: tuple[Level, ...]


class Spread(Record):
    """Quartiles of a number, for the rows of one class and generator."""

    name: str
    label: str
    generator: str
    n: int
    low: float
    quarter: float
    middle: float
    three_quarters: float
    high: float


class Shared(Record):
    """How much two parts of the data share; a part is a split and a class.

    ``same`` counts files, ``near`` pairs of near-duplicates that are not the same file, and
    ``near_in_group`` those of them whose two rows stand in one group.
    """

    first: str
    second: str
    same: int
    near: int
    near_in_group: int


class Repeats(Record):
    """Repeated pictures: rows compared by content, the bits that count as near, what is shared."""

    compared: int
    not_compared: int
    near_bits: int
    extra_copies: int
    near_pairs: int
    parts: tuple[Shared, ...]


class Leak(Record):
    """What one split of this set shares with one split of another manifest."""

    manifest: int
    split: str
    other_split: str
    same: int
    near: int
    groups: int
    ffhq: int


class Ffhq(Record):
    """Real rows that bear FFHQ numbers: how many in its training and its validation part."""

    numbered: int
    training_part: int
    validation_part: int


class Sample(Record):
    """Which pictures were opened: ``n`` of ``rows``, drawn by ``seed``, and what was in them."""

    n: int
    rows: int
    seed: int
    unreadable: int = 0
    without_face: int = 0


class Tile(Record):
    """One picture on a contact sheet."""

    at: RowRef
    caption: str


class Sheet(Record):
    """A contact sheet: tiles in order, two by two where ``pairs``."""

    name: str
    title: str
    explanation: str
    pairs: bool = False
    tiles: tuple[Tile, ...]


class Inspection(Document):
    """Everything that was found; `write` puts it to disk as JSON."""

    schema_: Literal["faceproof.inspection/1"] = Field(
        default="faceproof.inspection/1", alias="schema"
    )
    manifests: tuple[ManifestFile, ...]
    rows: int
    faults: tuple[Fault, ...]
    balance: tuple[Cell, ...]
    facts: tuple[Association, ...]
    spreads: tuple[Spread, ...]
    attributes: tuple[Association, ...]
    repeats: Repeats
    leaks: tuple[Leak, ...]
    ffhq: Ffhq
    sample: Sample | None
    shortcut: ProbeResult | None
    shortcut_note: str = ""
    sheets: tuple[Sheet, ...]

    def count(self, severity: str) -> int:
        """Return how many kinds of fault of this severity stand."""
        return sum(one.severity == severity for one in self.faults)
