"""Gain and cost of an ensemble, and of a network distilled from it, against the members.

    uv run --all-extras python benchmarks/ensemble.py A B C [D ...] --data data/prepared \
        [--condition NAME ...] [--at 1-in-100] [--repeats 9] [--answers DIR] [--json FILE]

Every detector (a name or a folder: the members, the combination, the distilled student) judges
the test split in one pass, and each at its own thresholds of the same promise. The table has, for
each condition, the ROC-AUC, real faces called fake, fakes caught, each with a 95 % interval over
groups, and milliseconds of processor time a face, one thread: the median of repeats in which all
take turns. With --answers the predictions stay in a folder and are reused for the same
detectors, data and conditions.

With the first detector as base, the last column is the difference of AUC and its interval over the
same resampled groups, which two overlapping intervals do not show.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from faceproof.data.manifest import Manifest
from faceproof.data.preparing.folder import read_prepared
from faceproof.detector import Detector, Finding
from faceproof.detector.scorers import usable_cores
from faceproof.evaluation import predictions
from faceproof.evaluation.findings import FACES, REPEATS, Speed, measure_cpu_ms, member_findings
from faceproof.evaluation.paired import auc_change, pair_predictions
from faceproof.evaluation.predict import predict_with_all
from faceproof.evaluation.predictions import Origin
from faceproof.reports.markup import escape_markdown, figure, table

PURPOSE = "final-report"
HEAD = (
    "detector",
    "ROC-AUC",
    "real called fake",
    "fakes caught",
    "CPU ms a face",
    "AUC against the first",
)


@dataclass(frozen=True)
class Measured:
    """One detector, its answers, its findings by condition and metric, and its speed."""

    name: str
    detector: Detector
    answers: pa.Table
    findings: dict[tuple[str, str], Finding]
    speed: Speed


def main() -> None:
    """Measure, print the table as Markdown, and write the figures as JSON on request."""
    asked = _arguments()
    manifest = read_prepared(asked.data)
    detectors = [Detector.load(name, threads=usable_cores()) for name in asked.detectors]
    for detector in detectors:
        detector.operating_point(asked.at)  # a missing one is told before an hour of answers
    answers = _answers(asked, detectors, manifest)
    speeds = measure_cpu_ms(
        [Detector.load(name) for name in asked.detectors], repeats=asked.repeats
    )
    measured = [
        _measured(name, detector, table_, speed, at=asked.at)
        for name, detector, table_, speed in zip(
            asked.detectors, detectors, answers, speeds, strict=True
        )
    ]
    for condition in asked.condition:
        rows = [_row(one, measured[0], condition, at=asked.at) for one in measured]
        print(
            f"\n{escape_markdown(condition)}, at "
            f"{escape_markdown(asked.at)}:\n\n{table(HEAD, rows)}"
        )
    print(
        f"\nTest split of data SHA-256 {manifest.sha256}; {asked.repeats} repeats of {FACES} faces."
    )
    if asked.json:
        asked.json.write_text(json.dumps([_facts(one) for one in measured], indent=2) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("detectors", nargs="+", help="names or folders; the first is the base")
    parser.add_argument("--data", type=Path, default=Path("data/prepared"))
    parser.add_argument("--condition", action="append", metavar="NAME")
    parser.add_argument("--at", default="1-in-100", help="the operating point that all have")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--answers", type=Path, metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args()
    asked.condition = asked.condition or ["clean"]
    return asked


def _answers(
    asked: argparse.Namespace, detectors: Sequence[Detector], manifest: Manifest
) -> list[pa.Table]:
    """Return each detector's answers for the test split: stored ones, and new ones in one pass."""
    found = {one.sha256: _kept(asked, one, manifest) for one in detectors}
    missing = [one for one in detectors if found[one.sha256] is None]
    if missing:
        tables = predict_with_all(
            missing,
            manifest,
            asked.condition,
            split="test",
            purpose=PURPOSE,
            root=manifest.picture_path(""),
            workers=usable_cores(),
            progress=lambda count: print(f"\r{count} answers", end="", file=sys.stderr),
        )
        print(file=sys.stderr)
        for one, answers in zip(missing, tables, strict=True):
            found[one.sha256] = answers
            if asked.answers:
                asked.answers.mkdir(parents=True, exist_ok=True)
                predictions.write_table(answers, _path(asked, one))
    return [found[one.sha256] for one in detectors]


def _path(asked: argparse.Namespace, detector: Detector) -> Path:
    return Path(asked.answers) / f"{detector.sha256[:16]}.parquet"


def _kept(asked: argparse.Namespace, detector: Detector, manifest: Manifest) -> pa.Table | None:
    if not asked.answers or not _path(asked, detector).exists():
        return None
    answers = predictions.read_table(_path(asked, detector))
    origin = Origin(detector_sha256=detector.sha256, data_sha256=manifest.sha256, purpose=PURPOSE)
    same = set(answers["condition"].unique().to_pylist()) == set(asked.condition)
    return answers if same and predictions.origin_of(answers) == origin else None


def _measured(
    name: str, detector: Detector, answers: pa.Table, speed: Speed, *, at: str
) -> Measured:
    found = member_findings("all", answers, detector.operating_point(at))
    return Measured(
        name, detector, answers, {(one.condition, one.metric): one for one in found}, speed
    )


def _row(one: Measured, base: Measured, condition: str, *, at: str) -> list[str]:
    metrics = ("roc_auc", f"bpcer@{at}", f"recall@{at}")
    spec, speed = one.detector.spec, one.speed
    networks = " + ".join(member.network for member in spec.members)
    return [
        f"{escape_markdown(Path(one.name).name)} ({escape_markdown(networks)})",
        *(figure(one.findings[condition, metric]) for metric in metrics),
        f"{speed.median:.1f} [{speed.low:.1f}, {speed.high:.1f}]",
        "-" if one is base else _difference(one, base, condition),
    ]


def _difference(one: Measured, base: Measured, condition: str) -> str:
    """Return the difference of two AUCs on the same faces, and its interval, in words."""
    pair = pair_predictions(base.answers, one.answers)
    degraded = pair.where(pair.old.conditions == condition)
    before, after, interval = auc_change(degraded.old, degraded.new)
    return f"{after - before:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]"


def _facts(one: Measured) -> dict[str, object]:
    return {
        "detector": Path(one.name).name,
        "sha256": one.detector.sha256,
        "cpu_ms": [one.speed.median, one.speed.low, one.speed.high],
        "findings": [found.model_dump() for found in one.findings.values()],
    }


if __name__ == "__main__":
    main()
