"""What an update did, as one record: who learned what, what the gate said, what the test says."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from faceproof.detector.findings import Sha256, Text
from faceproof.evaluation.evaluate import Judged
from faceproof.evaluation.gate import Gate
from faceproof.evaluation.paired import Change
from faceproof.records import Document, Record


class Learned(Record):
    """A set of pictures: its manifest, its rows in each split, and its fakes to train on."""

    name: Text
    data_sha256: Sha256
    rows: dict[str, int]
    training_fakes: dict[str, int]
    """Training pictures of each generator."""


class Regression(Record):
    """Feedback in an update: how much was told, what was left out and why, and what it came to.

    It was neither learned from nor chosen on; it can refuse a candidate, and nothing else. Wrong
    is a real face called fake, or a fake one that is not, each detector at its own thresholds.
    """

    name: Text
    data_sha256: Sha256
    told: int = Field(ge=0)
    repeated: int = Field(ge=0)
    contradicted: int = Field(ge=0)
    unclear: int = Field(ge=0)
    not_found: int = Field(ge=0)
    known: int = Field(ge=0)
    judged: int = Field(ge=0)
    wrong_before: int = Field(ge=0)
    wrong_after: int = Field(ge=0)
    newly_wrong: int = Field(ge=0)
    newly_wrong_names: tuple[Text, ...] = ()
    """The first of them, as they lie in the folder of pictures; # and a number is one face."""

    @property
    def not_judged(self) -> int:
        """Cases in which a detector found no face, or that cannot be read."""
        left_out = self.repeated + self.contradicted + self.unclear + self.not_found + self.known
        return self.told - left_out - self.judged


class Update(Document):
    """One update, written as ``update.json``.

    ``tested`` compares both detectors on the test split. A refused candidate has none: what is
    tried again after seeing test figures would have been chosen on them.
    """

    schema_: Literal["faceproof.update/1"] = Field(default="faceproof.update/1", alias="schema")
    old: Judged
    candidate: Judged
    new_data: Learned
    replay: Learned | None
    replay_share: float = Field(ge=0, lt=1)
    steps: int = Field(ge=1)
    gate: Gate
    feedback: Regression | None = None
    tested: tuple[Change, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether the candidate may take the old detector's place."""
        return self.gate.accepted
