"""What the members of a detector show beside the whole, as findings of its record.

The slice ``member=NAME`` holds the same faces as ``all``, judged by one of the detectors that were
combined, at thresholds chosen in the same way on the same calibration faces.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from faceproof.detector import OperatingPoint
from faceproof.detector.findings import Finding
from faceproof.evaluation import predictions
from faceproof.evaluation.findings import slice_findings
from faceproof.evaluation.speed import Speed

if TYPE_CHECKING:
    import pyarrow as pa

MEMBER = "member="
"""How the slices of members begin."""

CPU_MS = "cpu_ms"
"""The metric of findings that say how many milliseconds of processor time a face takes."""

BESIDE = ("roc_auc", "tpr_at_fpr_1", "bpcer", "recall")
"""What is measured of each member; the last two at an operating point."""


def member_findings(slice_: str, answers: pa.Table, point: OperatingPoint) -> Iterator[Finding]:
    """Yield `BESIDE` of one detector's answers, under each of their conditions."""
    data_sha256 = predictions.origin_of(answers).data_sha256
    every = predictions.faces(answers)
    for condition in dict.fromkeys(every.conditions.tolist()):
        faces = every.where(every.conditions == condition)
        found = slice_findings(
            slice_,
            condition,
            faces,
            [point],
            counted=faces,
            data_sha256=data_sha256,
            metrics=BESIDE,
        )
        yield from (one for one in found if one.metric.partition("@")[0] in BESIDE)


def speed_finding(slice_: str, speed: Speed, *, condition: str, data_sha256: str) -> Finding:
    """Return a measured speed as a finding, in milliseconds with two decimals."""
    return Finding(
        metric=CPU_MS,
        value=round(speed.median, 2),
        low=round(speed.low, 2),
        high=round(speed.high, 2),
        n=speed.faces,
        slice=slice_,
        condition=condition,
        data_sha256=data_sha256,
    )
