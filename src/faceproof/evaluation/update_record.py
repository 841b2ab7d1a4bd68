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
    tested: tuple[Change, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether the candidate may take the old detector's place."""
        return self.gate.accepted
