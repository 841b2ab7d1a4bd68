"""What a case report is made of; every renderer shows each block, so that none can differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from faceproof.detector import OperatingPoint, Verdict


@dataclass(frozen=True)
class Jpeg:
    """A picture to show: its file, its size in pixels, and what it shows for who cannot see it."""

    data: bytes
    width: int
    height: int
    alt: str


@dataclass(frozen=True)
class Answer:
    """The verdict on one picture in a sentence, as large as it is important."""

    verdict: Verdict | None
    headline: str
    text: str


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; a ``note`` is set apart, as what a reader must not overlook."""

    text: str
    note: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table with its caption; the first cell of a row is its head."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Facts:
    """Labels and values; hashes and names of files are set in type of one width."""

    rows: tuple[tuple[str, str, Literal["text", "code"]], ...]


@dataclass(frozen=True)
class Picture:
    """A picture over the whole width, with its caption."""

    jpeg: Jpeg
    caption: str


@dataclass(frozen=True)
class Meter:
    """A probability of fake between the bands of an operating point, drawn and in words."""

    fake_probability: float
    point: OperatingPoint
    words: str


@dataclass(frozen=True)
class FaceCard:
    """One face: how it looks, where the evidence lies, and what is said about it."""

    number: int
    verdict: Verdict
    headline: str
    meter: Meter
    lines: tuple[str, ...]
    cautions: tuple[str, ...]
    crop: Jpeg | None
    heat: Jpeg | None
    heat_words: str


@dataclass(frozen=True)
class Code:
    """Commands, one a line."""

    lines: tuple[str, ...]


Block = Answer | Paragraph | Bullets | Table | Facts | Picture | FaceCard | Code


@dataclass(frozen=True)
class Section:
    """A heading of level 2 or 3 with what stands under it; ``name`` is its place in links."""

    name: str
    title: str
    level: Literal[2, 3]
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class CaseFacts:
    """A whole report: its title, what it asks, and its sections in order."""

    title: str
    question: str
    made: str
    sections: tuple[Section, ...]
