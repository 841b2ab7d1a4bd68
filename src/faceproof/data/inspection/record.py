"""Inspection: the Record of a data set's inspection, and the kinds of faults."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from faceproof.data.shortcuts.result import ProbeResult
from faceproof.errors import UnknownChoiceError
from faceproof.messages import count_noun
from faceproof.records import Document, Record
from faceproof.tables import did_you_mean


class RowRef(Record):
    """One row: its number from 1 in its manifest, and its values there."""

    manifest: int = 0
    """Place in `Inspection.manifests`; those of `--against` come after the inspected ones."""
    row: int
    path: str
    label: str = ""
    split: str = ""


class Example(Record):
    """One or two rows that show a fault, and the detail."""

    rows: tuple[RowRef, ...] = ()
    detail: str = ""


class DataFault(Record):
    """One fault: its count, details in this set, meaning, remedy and examples."""

    kind: str
    severity: Literal["error", "warning", "note"]
    count: int = Field(ge=0)
    message: str
    meaning: str
    remedy: str
    examples: tuple[Example, ...] = ()


class ManifestFile(Record):
    """A manifest that was read: its name, its rows and the file's SHA-256."""

    name: str
    rows: int
    sha256: str
    against: bool = False


class BalanceCell(Record):
    """Number and total weight of the rows of one combination."""

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
    """The association of a fact or attribute with the class: Cramer's V in [0, 1], n, levels.

    ``v`` is None if it is undefined: only one class, or only one value.
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


class PartOverlap(Record):
    """The overlap of two parts of the data; a part is a split and a class.

    ``same`` counts files, ``near`` pairs of near-duplicates that are not the same file, and
    ``near_in_group`` those of them whose two rows are in one group.
    """

    first: str
    second: str
    same: int
    near: int
    near_in_group: int


class Repeats(Record):
    """Repeated pictures: rows compared by content, the near-duplicate limit, the overlaps."""

    compared: int
    not_compared: int
    near_bits: int
    extra_copies: int
    near_pairs: int
    parts: tuple[PartOverlap, ...]


class Leak(Record):
    """The overlap of one split of this set with one split of another manifest."""

    manifest: int
    split: str
    other_split: str
    same: int
    near: int
    groups: int
    ffhq: int


class Ffhq(Record):
    """Real rows with FFHQ numbers: how many in its training and its validation part."""

    numbered: int
    training_part: int
    validation_part: int


class OpenedSample(Record):
    """The opened pictures: ``n`` of ``rows``, drawn by ``seed``, and their content."""

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
    """The whole result; `write` stores it as JSON."""

    schema_: Literal["faceproof.inspection/1"] = Field(
        default="faceproof.inspection/1", alias="schema"
    )
    manifests: tuple[ManifestFile, ...]
    rows: int
    faults: tuple[DataFault, ...]
    balance: tuple[BalanceCell, ...]
    facts: tuple[Association, ...]
    spreads: tuple[Spread, ...]
    attributes: tuple[Association, ...]
    repeats: Repeats
    leaks: tuple[Leak, ...]
    ffhq: Ffhq
    sample: OpenedSample | None
    shortcut: ProbeResult | None
    shortcut_note: str = ""
    sheets: tuple[Sheet, ...]

    def _summarise(self) -> str:
        found = ", ".join(count_noun(self.count(one), one) for one in SEVERITIES)
        opened = self.sample.n if self.sample else 0
        return f"{count_noun(self.rows, 'row')}, {opened:,} opened; kinds of fault: {found}"

    def count(self, severity: str) -> int:
        """Return the number of kinds of fault of this severity."""
        return sum(one.severity == severity for one in self.faults)


Severity = Literal["error", "warning", "note"]

#: From grave to slight.
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
#: The value of `--fail-on` for every fault, including notes.
_ANY = "any"
MOST_EXAMPLES = 20
#: Kinds that a word of `--fail-on` includes besides itself: `leak` means every kind of leak.
_AND = {"leak": frozenset({"official-leak", "ffhq", "group"})}


@dataclass(frozen=True, slots=True)
class _FaultKind:
    """A kind of fault: ``meaning`` and ``remedy`` are one sentence each."""

    severity: Severity
    meaning: str
    remedy: str


FAULTS: dict[str, _FaultKind] = {
    "contract": _FaultKind(
        "error",
        "A row breaks the contract of manifests: other commands will reject this file.",
        "Correct the rows named here, or import again with `faceproof data import`.",
    ),
    "leak": _FaultKind(
        "error",
        "The same picture, or a near-duplicate, is on both sides of a split: results on one side "
        "are too good for a detector that memorised the other.",
        "Split again with `faceproof data split`, which keeps near-duplicates together, or "
        "remove the pictures from one side.",
    ),
    "group": _FaultKind(
        "error",
        "A group (one person, one video, one original) is in two splits.",
        "Split again with `faceproof data split`, which never divides a group.",
    ),
    "ffhq": _FaultKind(
        "error",
        "The same FFHQ photograph, by number and perceptual hash, is on both sides of a split.",
        "Give both rows the same group and split again, or remove one of them.",
    ),
    "official-leak": _FaultKind(
        "error",
        "The official splits of this set share pictures: results published on them are too good, "
        "and yours would be.",
        "Split from scratch with `faceproof data split`, and report that with your results.",
    ),
    "conflict": _FaultKind(
        "error",
        "The same picture, or a near-duplicate in another group, is real in one row and fake in "
        "another: one label is wrong, or a forgery is not in the group of its original.",
        "Inspect the pairs; remove the wrong row, or both, or give a fake the group of its "
        "original.",
    ),
    "empty-class": _FaultKind(
        "error",
        "A split has only one of the two classes: it cannot be used for training, calibration "
        "or evaluation.",
        "Split again with `faceproof data split`, which stratifies by class, or add the class.",
    ),
    "shortcut": _FaultKind(
        "error",
        "Features other than the face (file size, format, sharpness, borders, framing) predict "
        "the label: a detector will learn those instead.",
        "Crop all faces in the same way and equalise the history with `faceproof data prepare "
        "--equalise`, which probes again, or remove the pictures behind the named features.",
    ),
    "missing": _FaultKind(
        "error",
        "A row names a picture that does not exist.",
        "Restore the file, set the data folder with --root, or import again.",
    ),
    "unreadable": _FaultKind(
        "error",
        "A picture exists, but cannot be read.",
        "Fetch the file again, or remove the row.",
    ),
    "changed": _FaultKind(
        "error",
        "A picture has changed since the import: its sha256 differs from the manifest's.",
        "Restore the old files, or import again and treat the result as another data set.",
    ),
    "one-class": _FaultKind(
        "warning",
        "All pictures are of one class, so that no detector can be trained on only this set.",
        "Combine it with a set of the other class that has the same file history.",
    ),
    "one-sided-source": _FaultKind(
        "warning",
        "A source has pictures of only one class, so that any trait of the source predicts the "
        "class.",
        "Add the other class from the same source, or equalise with `faceproof data prepare "
        "--equalise`, and test on another source.",
    ),
    "imbalance": _FaultKind(
        "warning",
        "The weight of one class is more than three times that of the other.",
        "Balance by weights with `faceproof data prepare`, which copies no file.",
    ),
    "format": _FaultKind(
        "warning",
        "Format, size, quality or length of the files differ between real and fake.",
        "Give both classes the same history with `faceproof data prepare --equalise`.",
    ),
    "weak-shortcut": _FaultKind(
        "warning",
        "Features other than the face predict the label above chance: a detector must beat this.",
        "Equalise, and report this figure with the detector's own.",
    ),
    "demographic": _FaultKind(
        "warning",
        "An attribute such as gender or age differs between real and fake, so that a detector can "
        "learn it instead of traces of forgery.",
        "Balance it by weights, or add rare values; audit the detector for this attribute.",
    ),
    "duplicate": _FaultKind(
        "warning",
        "The same file occurs in several rows: it has more weight than others.",
        "Keep one row of each.",
    ),
    "contradiction": _FaultKind(
        "warning",
        "The same file occurs in rows with different age, gender or the like: these "
        "labels are noisy.",
        "Correct the rows or clear the attribute, and do not base an audit only on it.",
    ),
    "near-duplicate": _FaultKind(
        "warning",
        "Near-duplicates are in several groups: a later split may divide them.",
        "Give them one group, or split with `faceproof data split`, which detects them.",
    ),
    "non-face": _FaultKind(
        "warning",
        "No face was found in a picture: a drawing, a wrong crop, or a very hard picture.",
        "Inspect them; remove pictures without a face, or let `faceproof data prepare` do so.",
    ),
    "blank": _FaultKind(
        "warning",
        "A picture has hardly any content, such as a uniform surface.",
        "Remove the row.",
    ),
    "dark": _FaultKind(
        "warning",
        "A picture is too dark to judge.",
        "Remove the row, or let `faceproof data prepare` do so.",
    ),
    "small": _FaultKind(
        "note",
        "A picture is under 64 px on its shorter side: it has little information.",
        "Remove it from training, or state in the report that such pictures were included.",
    ),
    "attribute": _FaultKind(
        "note",
        "Another attribute differs between real and fake.",
        "None if it describes how the fakes were made; balance it if it is visible in pictures.",
    ),
    "pair": _FaultKind(
        "note",
        "A fake and a real picture of the same group are near-duplicates, as a face swap and its "
        "original are.",
        "None if fakes were made from these originals; keep them in one group.",
    ),
    "ffhq-unconfirmed": _FaultKind(
        "note",
        "Two rows on both sides of a split have the same FFHQ number, without evidence that they "
        "are the same photograph.",
        "Check whether both are from FFHQ; give them one group if so.",
    ),
    "ffhq-trained": _FaultKind(
        "note",
        "The set has FFHQ photographs and fakes of a generator trained on FFHQ: both classes "
        "share style and framing, and a fake may resemble a training photograph.",
        "None for training; test on reals and fakes of other origin too.",
    ),
    "generator": _FaultKind(
        "note",
        "A generator's name is not in the table of known ones.",
        "Correct the spelling, or keep it if the generator is new.",
    ),
    "not-compared": _FaultKind(
        "note",
        "Rows without a perceptual hash were not compared with others: near-duplicates among them "
        "are unknown.",
        "Import again with `faceproof data import`, which measures every picture.",
    ),
}
"""Kind of fault -> its description; the order is that of reports, within a severity."""


def make_fault(kind: str, message: str, examples: Sequence[Example], *, count: int) -> DataFault:
    """Return a fault of a known kind, with at most 20 of its examples."""
    of = FAULTS[kind]
    return DataFault(
        kind=kind,
        severity=of.severity,
        count=count,
        message=message,
        meaning=of.meaning,
        remedy=of.remedy,
        examples=tuple(examples[:MOST_EXAMPLES]),
    )


def sort_by_severity(faults: Iterable[DataFault]) -> tuple[DataFault, ...]:
    """Return the faults, errors first, each severity in the order of `FAULTS`."""
    places = {kind: place for place, kind in enumerate(FAULTS)}
    return tuple(sorted(faults, key=lambda one: (SEVERITIES.index(one.severity), places[one.kind])))


def parse_failing_kinds(words: str) -> frozenset[str]:
    """Return the kinds of a list such as "leak,conflict", "warning" or "any".

    A severity includes all higher ones; `any` also includes notes, and `leak` every kind of leak.

    Raises:
        UnknownChoiceError: a word is neither a kind nor a severity; it names the nearest.

    >>> sorted(parse_failing_kinds("leak, blank"))
    ['blank', 'ffhq', 'group', 'leak', 'official-leak']
    >>> parse_failing_kinds("error") < parse_failing_kinds("warning") < parse_failing_kinds("any")
    True
    """
    return frozenset().union(
        *(_parse_kind(word.strip()) for word in words.split(",") if word.strip())
    )


def _parse_kind(word: str) -> frozenset[str]:
    """Return the kinds of one word."""
    if word in FAULTS:
        return _AND.get(word, frozenset()) | {word}
    severities = {name: place for place, name in enumerate(SEVERITIES)} | {_ANY: len(SEVERITIES)}
    if word not in severities:
        choices = [*severities, *FAULTS]
        raise UnknownChoiceError(
            f"unknown fault {word!r}{did_you_mean(word, choices) or '.'} Choices: "
            f"{', '.join(choices)}"
        )
    grave = SEVERITIES[: severities[word] + 1]
    return frozenset(kind for kind, of in FAULTS.items() if of.severity in grave)
