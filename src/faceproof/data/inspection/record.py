"""Inspection: all that was found out about a data set, and the faults that it can have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from faceproof.data.shortcuts.result import ProbeResult
from faceproof.errors import UnknownChoiceError
from faceproof.records import Document, Record
from faceproof.tables import nearest


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


Severity = Literal["error", "warning", "note"]

#: From grave to slight.
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
#: What `--fail-on any` stands for: every fault, notes among them.
ANY = "any"
MOST_EXAMPLES = 20
#: What a word of `--fail-on` stands for beside itself: whoever fears one leak fears all.
_AND = {"leak": frozenset({"official-leak", "ffhq", "group"})}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: ``meaning`` and ``remedy`` are one sentence each."""

    severity: Severity
    meaning: str
    remedy: str


FAULTS: dict[str, Kind] = {
    "contract": Kind(
        "error",
        "A row says what no manifest may say, so that nothing else will read this file.",
        "Correct the rows named here, or make the manifest again with `faceproof data import`.",
    ),
    "leak": Kind(
        "error",
        "The same picture, or nearly the same, stands on both sides of a split: figures measured "
        "on the one side flatter a detector that learned the other by heart.",
        "Split again with `faceproof data split`, which keeps near-duplicates together, or take "
        "the pictures out of one side.",
    ),
    "group": Kind(
        "error",
        "A group (one person, one video, one original) stands in two splits.",
        "Split again with `faceproof data split`, which never divides a group.",
    ),
    "ffhq": Kind(
        "error",
        "The same FFHQ photograph, by its number and its looks, stands on both sides of a split.",
        "Give both rows the same group and split again, or take one of them out.",
    ),
    "official-leak": Kind(
        "error",
        "The splits that this set came with share pictures: figures that others published on them "
        "are flattered, and yours would be.",
        "Split anew with `faceproof data split`, and say so beside your figures.",
    ),
    "conflict": Kind(
        "error",
        "The same picture, or nearly the same in another group, is called real in one row and "
        "fake in another: one of the two is wrong, or a forgery stands apart from its original.",
        "Look at the pairs; take out the wrong row, or both, or give a fake the group of its "
        "original.",
    ),
    "empty-class": Kind(
        "error",
        "A split holds only one of the two classes: nothing can be learned, calibrated or "
        "measured on it.",
        "Split again with `faceproof data split`, which stratifies by class, or add the class.",
    ),
    "shortcut": Kind(
        "error",
        "What is no face (file size, format, sharpness, borders, framing) tells real from fake "
        "well: a detector will learn that instead.",
        "Cut faces out alike and give both classes one history with `faceproof data prepare "
        "--equalise`, which probes again, or take out what the named features point at.",
    ),
    "missing": Kind(
        "error",
        "A row names a picture that is not there.",
        "Bring the file back, name the data folder with --root, or import again.",
    ),
    "unreadable": Kind(
        "error",
        "A picture is there, but cannot be read.",
        "Get the file again from where it came, or take the row out.",
    ),
    "changed": Kind(
        "error",
        "A picture is not the file that the manifest was made of: its bytes have changed.",
        "Bring the old files back, or import again and treat it as another data set.",
    ),
    "one-class": Kind(
        "warning",
        "All pictures are of one class, so that no detector can be trained on this set alone.",
        "Put it together with a set that holds the other class and has the same file history.",
    ),
    "one-sided-source": Kind(
        "warning",
        "A source gives pictures of one class only, so that whatever marks the source gives the "
        "class away.",
        "Add the other class from the same source, or equalise with `faceproof data prepare "
        "--equalise`, and test on another source.",
    ),
    "imbalance": Kind(
        "warning",
        "One class is more than three times as heavy as the other.",
        "Balance by weights with `faceproof data prepare`, which copies no file.",
    ),
    "format": Kind(
        "warning",
        "Format, size, quality or length of the files differ between real and fake.",
        "Put both classes through the same history with `faceproof data prepare --equalise`.",
    ),
    "weak-shortcut": Kind(
        "warning",
        "What is no face tells real from fake better than by chance: a detector must beat this.",
        "Equalise, and report this figure beside the detector's own.",
    ),
    "demographic": Kind(
        "warning",
        "An attribute such as gender or age differs between real and fake, so that a detector can "
        "learn it in place of what makes a fake.",
        "Balance it by weights, or add what is rare; audit the detector for this attribute.",
    ),
    "duplicate": Kind(
        "warning",
        "The same file stands in several rows: it weighs more than others.",
        "Keep one row of each.",
    ),
    "contradiction": Kind(
        "warning",
        "The same file stands in rows that give the person another age, gender or the like: these "
        "labels are noisy.",
        "Correct the rows or empty the attribute, and do not build an audit on it alone.",
    ),
    "near-duplicate": Kind(
        "warning",
        "Nearly the same picture stands in several groups: a later split may divide them.",
        "Give them one group, or split with `faceproof data split`, which finds them.",
    ),
    "non-face": Kind(
        "warning",
        "No face was found in a picture: a drawing, a cut that missed, or a very hard one.",
        "Look at them; take out what is no face, or let `faceproof data prepare` do so.",
    ),
    "blank": Kind(
        "warning",
        "A picture has hardly any content, like an even surface.",
        "Take the row out.",
    ),
    "dark": Kind(
        "warning",
        "A picture is so dark that nobody could tell.",
        "Take the row out, or let `faceproof data prepare` do so.",
    ),
    "small": Kind(
        "note",
        "A picture is under 64 px on its shorter side: little is left to judge.",
        "Take it out of training, or say in the report that such pictures were in.",
    ),
    "attribute": Kind(
        "note",
        "Another attribute differs between real and fake.",
        "Nothing, where it says how the fakes were made; balance it where it shows in pictures.",
    ),
    "pair": Kind(
        "note",
        "A fake and a real picture of the same group are near-duplicates, as a face swap and its "
        "original are.",
        "Nothing, where fakes were made from these originals; keep them in one group.",
    ),
    "ffhq-unconfirmed": Kind(
        "note",
        "Two rows on both sides of a split bear the same FFHQ number, but nothing shows that they "
        "are the same photograph.",
        "Look whether both are from FFHQ; give them one group if so.",
    ),
    "ffhq-trained": Kind(
        "note",
        "Fakes of a generator that was trained on FFHQ stand beside FFHQ's photographs: both "
        "classes share style and framing, and a fake may resemble the photograph it learned from.",
        "Nothing for training; test on reals and fakes of other origin too.",
    ),
    "generator": Kind(
        "note",
        "A generator's name is not in the table of known ones.",
        "Correct the spelling, or leave it where the generator is new.",
    ),
    "not-compared": Kind(
        "note",
        "Rows without a perceptual hash were not compared with others: near-duplicates among them "
        "are unknown.",
        "Make the manifest again with `faceproof data import`, which measures every picture.",
    ),
}
"""Kind of fault -> what it is; the order is that of reports, within a severity."""


def fault(kind: str, message: str, examples: Sequence[Example], *, count: int) -> Fault:
    """Return a fault of a known kind, with at most 20 of its examples."""
    of = FAULTS[kind]
    return Fault(
        kind=kind,
        severity=of.severity,
        count=count,
        message=message,
        meaning=of.meaning,
        remedy=of.remedy,
        examples=tuple(examples[:MOST_EXAMPLES]),
    )


def in_order_of_gravity(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Return the faults, errors first, each severity in the order of `FAULTS`."""
    places = {kind: place for place, kind in enumerate(FAULTS)}
    return tuple(sorted(faults, key=lambda one: (SEVERITIES.index(one.severity), places[one.kind])))


def failing_kinds(words: str) -> frozenset[str]:
    """Return the kinds that a list like "leak,conflict", "warning" or "any" stands for.

    A severity stands for itself and all that is graver; `any` for notes too, and `leak` for every
    way in which a split may leak.

    Raises:
        UnknownChoiceError: a word is neither a kind nor a severity; it names the nearest.

    >>> sorted(failing_kinds("leak, blank"))
    ['blank', 'ffhq', 'group', 'leak', 'official-leak']
    >>> failing_kinds("error") < failing_kinds("warning") < failing_kinds("any")
    True
    """
    return frozenset().union(*(_meant(word.strip()) for word in words.split(",") if word.strip()))


def _meant(word: str) -> frozenset[str]:
    """Return the kinds that one word stands for."""
    if word in FAULTS:
        return _AND.get(word, frozenset()) | {word}
    severities = {name: place for place, name in enumerate(SEVERITIES)} | {ANY: len(SEVERITIES)}
    if word not in severities:
        choices = [*severities, *FAULTS]
        raise UnknownChoiceError(
            f"unknown fault {word!r}{nearest(word, choices) or '.'} Choices: {', '.join(choices)}"
        )
    grave = SEVERITIES[: severities[word] + 1]
    return frozenset(kind for kind, of in FAULTS.items() if of.severity in grave)
