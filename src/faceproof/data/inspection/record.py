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

    manifest: int = Field(
        default=0,
        description="Place in manifests, from 0; those of --against come after the inspected ones.",
    )
    row: int = Field(description="Number of the row in its manifest, from 1.")
    path: str = Field(description="Path of the picture as in the manifest.")
    label: str = Field(default="", description="Label: real or fake; empty if the row has none.")
    split: str = Field(default="", description="Split; empty if the row has none.")


class Example(Record):
    """One or two rows that show a fault, and the detail."""

    rows: tuple[RowRef, ...] = Field(default=(), description="The row or rows that show the fault.")
    detail: str = Field(default="", description="What they show; empty if the rows are enough.")


class DataFault(Record):
    """One fault: its count, details in this set, meaning, remedy and examples."""

    kind: str = Field(description="Kind of fault: docs/reference/faults.md lists them.")
    severity: Literal["error", "warning", "note"] = Field(description="How grave it is.")
    count: int = Field(ge=0, description="Number of rows, pairs or groups with this fault.")
    message: str = Field(description="What was found in this set.")
    meaning: str = Field(description="Why it matters.")
    remedy: str = Field(description="What to do.")
    examples: tuple[Example, ...] = Field(default=(), description="Some rows that show it.")


class ManifestFile(Record):
    """A manifest that was read: its name, its rows and the file's SHA-256."""

    name: str = Field(description="Name of the file.")
    rows: int = Field(description="Number of rows.")
    sha256: str = Field(description="SHA-256 of the file.")
    against: bool = Field(
        default=False, description="Whether it was only compared with, by --against."
    )


class BalanceCell(Record):
    """Number and total weight of the rows of one combination."""

    split: str = Field(description="Split of the rows.")
    label: str = Field(description="Label of the rows.")
    generator: str = Field(description="Generator of the rows; none for real ones.")
    source: str = Field(description="Source of the rows.")
    rows: int = Field(description="Number of rows.")
    weight: float = Field(description="Sum of their weights.")


class Level(Record):
    """One value of a fact or attribute, and how many rows of each class have it."""

    value: str = Field(description="The value.")
    real: int = Field(description="Number of real rows with it.")
    fake: int = Field(description="Number of fake rows with it.")


class Association(Record):
    """The association of a fact or attribute with the class: Cramer's V in [0, 1], n, levels.

    ``v`` is None if it is undefined: only one class, or only one value.
    """

    name: str = Field(description="Name of the fact or attribute.")
    v: float | None = Field(description="Cramer's V with the class; null if it is undefined.")
    n: int = Field(description="Number of rows with a known value.")
    unknown: int = Field(description="Number of rows without a known value.")
    levels: tuple[Level, ...] = Field(description="Each value with its rows.")


class Spread(Record):
    """Quartiles of a number, for the rows of one class and generator."""

    name: str = Field(description="Name of the number, such as width.")
    label: str = Field(description="Label of the rows.")
    generator: str = Field(description="Generator of the rows.")
    n: int = Field(description="Number of rows.")
    low: float = Field(description="Smallest value.")
    quarter: float = Field(description="First quartile.")
    middle: float = Field(description="Median.")
    three_quarters: float = Field(description="Third quartile.")
    high: float = Field(description="Largest value.")


class PartOverlap(Record):
    """The overlap of two parts of the data; a part is a split and a class.

    ``same`` counts files, ``near`` pairs of near-duplicates that are not the same file, and
    ``near_in_group`` those of them whose two rows are in one group.
    """

    first: str = Field(description="First part.")
    second: str = Field(description="Second part.")
    same: int = Field(description="Number of files that are in both.")
    near: int = Field(description="Pairs of near-duplicates that are not the same file.")
    near_in_group: int = Field(description="Those of them whose rows are in one group.")


class Repeats(Record):
    """Repeated pictures: rows compared by content, the near-duplicate limit, the overlaps."""

    compared: int = Field(description="Number of rows with a perceptual hash, which were compared.")
    not_compared: int = Field(description="Number of rows without a perceptual hash.")
    near_bits: int = Field(description="Largest hash distance of near-duplicates, in bits of 256.")
    extra_copies: int = Field(description="Number of rows whose file is that of an earlier row.")
    near_pairs: int = Field(description="Number of pairs of near-duplicates.")
    parts: tuple[PartOverlap, ...] = Field(description="Overlaps of two parts.")


class Leak(Record):
    """The overlap of one split of this set with one split of another manifest."""

    manifest: int = Field(description="Place of the other manifest in manifests, from 0.")
    split: str = Field(description="Split of this set.")
    other_split: str = Field(description="Split of the other manifest.")
    same: int = Field(description="Number of files that are in both.")
    near: int = Field(description="Number of pairs of near-duplicates that are not the same file.")
    groups: int = Field(description="Number of groups that are in both.")
    ffhq: int = Field(
        description="Number of pairs of rows with one FFHQ number that also look alike."
    )


class Ffhq(Record):
    """Real rows with FFHQ numbers: how many in its training and its validation part."""

    numbered: int = Field(description="Real rows whose name has an FFHQ number.")
    training_part: int = Field(description="Those in the training part of FFHQ.")
    validation_part: int = Field(description="Those in the validation part of FFHQ.")


class OpenedSample(Record):
    """The opened pictures: ``n`` of ``rows``, drawn by ``seed``, and their content."""

    n: int = Field(description="Number of pictures that were opened.")
    rows: int = Field(description="Number of rows that they were drawn from.")
    seed: int = Field(description="Random seed of the sample.")
    unreadable: int = Field(default=0, description="Number of them that could not be read.")
    without_face: int = Field(default=0, description="Number of them in which no face was found.")


class Tile(Record):
    """One picture on a contact sheet."""

    at: RowRef = Field(description="The row of the picture.")
    caption: str = Field(description="Text below the picture.")


class Sheet(Record):
    """A contact sheet: tiles in order, two by two where ``pairs``."""

    name: str = Field(description="Name of the sheet, as in the report.")
    title: str = Field(description="Title.")
    explanation: str = Field(description="What the sheet shows.")
    pairs: bool = Field(default=False, description="Whether tiles belong together two by two.")
    tiles: tuple[Tile, ...] = Field(description="The pictures in order.")


class Inspection(Document):
    r"""The whole result; `write` stores it as JSON.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from faceproof import Inspection, InspectSpec, inspect
    >>> folder = Path(tempfile.mkdtemp())
    >>> row = f"a.jpg,real,none,home,,amy,{'0' * 64}"
    >>> text = f"path,label,generator,source,split,group,sha256\n{row}"
    >>> _ = (folder / "faces.csv").write_text(text)
    >>> found = inspect(folder / "faces.csv", InspectSpec(sample=None))
    >>> found.write(folder / "inspection.json")
    >>> Inspection.read(folder / "inspection.json") == found
    True
    """

    schema_: Literal["faceproof.inspection/1"] = Field(
        default="faceproof.inspection/1",
        alias="schema",
        description="Name and version of this format.",
    )
    manifests: tuple[ManifestFile, ...] = Field(
        description="The files that were read; those of --against come last."
    )
    rows: int = Field(description="Number of rows that were inspected.")
    faults: tuple[DataFault, ...] = Field(description="Faults, the gravest first.")
    balance: tuple[BalanceCell, ...] = Field(
        description="Rows by split, label, generator and source."
    )
    facts: tuple[Association, ...] = Field(
        description="Association of facts of the files with the class."
    )
    spreads: tuple[Spread, ...] = Field(
        description="Quartiles of measured numbers by class and generator."
    )
    attributes: tuple[Association, ...] = Field(
        description="Association of attribute columns with the class."
    )
    repeats: Repeats = Field(description="Repeated pictures within the set.")
    leaks: tuple[Leak, ...] = Field(description="Overlaps with the manifests of --against.")
    ffhq: Ffhq = Field(description="Photographs that are from FFHQ, by their numbers.")
    sample: OpenedSample | None = Field(
        description="The pictures that were opened; null if none was."
    )
    shortcut: ProbeResult | None = Field(
        description="Result of the shortcut probe; null if it did not run."
    )
    shortcut_note: str = Field(
        default="", description="Why the probe did not run; empty if it did."
    )
    sheets: tuple[Sheet, ...] = Field(description="Contact sheets of the report.")

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
