"""`ScanSpec`: what the results in a folder are of, kept as ``scan.json``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from faceproof.records import Document
from faceproof.results import CheckedBy


class ScanSpec(Document):
    """What the results in a folder are of; a scan of another kind does not go into the same folder.

    ``identity`` is what makes a picture the same on resume. Scorer and device are those of
    ``detector``; where an earlier version did not note them, any are the same.
    """

    schema_: Literal["faceproof.scan/1"] = Field(default="faceproof.scan/1", alias="schema")
    detector: CheckedBy
    operating_point: str
    faces: str
    identity: Literal["address", "content"]

    def differences(self, other: ScanSpec) -> list[str]:
        """Return what differs, in words; the other one is that of the results."""
        ours, theirs = self._facts(), other._facts()
        return [
            f"{name} {theirs[name]} there, {ours[name]} now"
            for name in ours
            if ours[name] != theirs[name] and None not in (ours[name], theirs[name])
        ]

    def _facts(self) -> dict[str, str | None]:
        by = self.detector
        return {
            "detector": f"{by.name} {by.version} ({by.sha256[:12]})",
            "operating point": self.operating_point,
            "faces": self.faces,
            "identity by": self.identity,
            "scorer": by.scorer,
            "device": by.device,
        }
