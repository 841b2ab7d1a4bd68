"""`summarise`: the finished trainings of a leave-one-out as one `AuditResult`.

So the report page shows it as it shows an audit, and the audit *generators* can read it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from faceproof.data.manifest import Manifest
from faceproof.detector import DetectorSpec
from faceproof.detector.spec import Finding
from faceproof.evaluation.audit_result import (
    LEAVE_ONE_OUT,
    AuditPlot,
    AuditResult,
    AuditSettings,
    AuditTable,
    Cell,
    Series,
)
from faceproof.evaluation.findings import slice_findings
from faceproof.sources import to_printable
from faceproof.training.leave_one_out.exclusion import SEEN_SPLITS, UNKNOWN, Exclusion, LeftOut
from faceproof.training.leave_one_out.inflation import (
    CheckpointScores,
    Estimate,
    Inflation,
    best_checkpoint,
    mean_auc,
    measure_inflation,
)
from faceproof.training.recipe import Recipe

QUESTION = "How is a generator or source judged by a detector that was trained without it?"

_FEW_GROUPS = 300

_FIGURES = (
    *("left_out", "kind", "condition", "fakes", "fake_groups", "reals", "real_groups"),
    *("no_verdict", "roc_auc", "roc_auc_low", "roc_auc_high", "recall", "recall_low"),
    *("recall_high", "bpcer", "bpcer_low", "bpcer_high", "operating_point"),
)
_FIGURES_CAPTION = (
    "Judged faces of test. roc_auc: fakes against real faces; recall: fakes called fake; bpcer: "
    "real faces called fake. Checkpoint and thresholds were chosen without what is left out. A "
    "class that it lacks comes from the other test faces. Intervals are 95 %, by group."
)
_INFLATION = (
    *("left_out", "kind", "chosen_on_test", "metric", "seen", "test", "inflation"),
    *("inflation_low", "inflation_high", "kept_step", "best_step"),
)
_INFLATION_CAPTION = (
    "What would have been reported had checkpoint, threshold or both been chosen on the test "
    "faces (test), against the choice on validation and calibration of seen sources (seen). The "
    "threshold is that of the best balanced accuracy. The interval repeats the choice on the test "
    "in every resample of its groups."
)
_ROWS = (
    *("left_out", "kind", "split", "real", "fake", "removed_left_out", "removed_made_of_it"),
    "removed_shared",
)
_ROWS_CAPTION = (
    "Rows of each training. Removed from train, validation and calibration together: rows of what "
    "is left out, fakes made of its real faces, and rows that share a person, video, original or "
    "file with the test."
)
MEAN = "mean"
"""The name of the mean over all that was left out, in tables and plots."""


@dataclass(frozen=True)
class FinishedRun:
    """One finished training: its rows, its detector, and the scores of its test."""

    exclusion: Exclusion
    spec: DetectorSpec
    detector_sha256: str
    steps: tuple[int, ...]
    """The steps of the checkpoints."""
    scores: dict[str, CheckpointScores]
    """By condition; the first one has all checkpoints."""

    @property
    def left_out(self) -> LeftOut:
        """What the training did not see."""
        return self.exclusion.left_out

    @property
    def condition(self) -> str:
        """The condition under which all checkpoints were scored."""
        return next(iter(self.scores))

    @property
    def main(self) -> CheckpointScores:
        """The scores of all checkpoints."""
        return self.scores[self.condition]


@dataclass(frozen=True)
class _OneKind:
    """The trainings without generators, or those without sources, and what they have in common."""

    kind: str
    runs: list[FinishedRun]
    found: list[list[Finding]]
    """The findings of each run."""
    aucs: dict[str, Estimate]
    """The mean ROC-AUC by condition."""
    each: list[list[Inflation]]
    mean: list[Inflation]

    @property
    def condition(self) -> str:
        """The condition under which all checkpoints were scored."""
        return self.runs[0].condition

    def cells(self, metric: str) -> list[_Cells]:
        """Return a metric of each run with its interval."""
        return [_find(one, metric, self.condition) for one in self.found]


_Cells = tuple[Cell, Cell, Cell]


def summarise(
    recipe: Recipe, prepared: Manifest, runs: Sequence[FinishedRun], *, seed: int = 0
) -> AuditResult:
    """Return the figures of all runs, of each kind's mean, and the inflation."""
    kinds = [
        _measure([run for run in runs if run.left_out.kind == kind], seed)
        for kind in dict.fromkeys(run.left_out.kind for run in runs)
    ]
    tables = (
        (LEAVE_ONE_OUT, _FIGURES_CAPTION, _FIGURES, _figure_rows),
        ("inflation", _INFLATION_CAPTION, _INFLATION, _inflation_rows),
        ("rows", _ROWS_CAPTION, _ROWS, _split_rows),
    )
    return AuditResult(
        name=LEAVE_ONE_OUT,
        question=QUESTION,
        answer=_answer(kinds),
        details=tuple(one for kind in kinds for one in _details(kind)),
        settings=_settings(recipe, prepared, runs, seed),
        pictures=sum(run.exclusion.manifest.counts()["test"] for run in runs),
        cautions=tuple(_cautions(recipe, runs)),
        tables=tuple(
            AuditTable(
                name=name,
                caption=caption,
                columns=columns,
                rows=tuple(row for one in kinds for row in rows_of(one)),
            )
            for name, caption, columns, rows_of in tables
        ),
        plots=tuple(map(_plot, kinds)),
        findings=tuple(one for kind in kinds for found in kind.found for one in found),
    )


def _measure(runs: list[FinishedRun], seed: int) -> _OneKind:
    each, mean = measure_inflation([run.main for run in runs], seed=seed)
    found = [list(_findings(run, seed)) for run in runs]
    return _OneKind(runs[0].left_out.kind, runs, found, _mean_aucs(runs, seed), each, mean)


def _settings(
    recipe: Recipe, prepared: Manifest, runs: Sequence[FinishedRun], seed: int
) -> AuditSettings:
    """Return the settings; the detector's hash is that of the hashes of all detectors."""
    hashes = "\n".join(sorted(run.detector_sha256 for run in runs))
    points = dict.fromkeys(run.spec.default_operating_point for run in runs)
    return AuditSettings(
        faceproof=version("faceproof"),
        detector=recipe.export.name,
        detector_version=recipe.export.version,
        detector_sha256=hashlib.sha256(hashes.encode()).hexdigest(),
        data=to_printable(recipe.data.prepared.name),
        data_sha256=prepared.sha256,
        split="test",
        rows=max(1, prepared.counts()["test"]),
        operating_point=", ".join(points),
        faces="largest",
        seed=seed,
    )


def _findings(run: FinishedRun, seed: int) -> Iterator[Finding]:
    """Yield ROC-AUC, recall and BPCER of the test faces of a run, under each condition."""
    point = run.spec.operating_point()
    for condition, scores in run.scores.items():
        yield from slice_findings(
            f"left-out {run.left_out.kind}={run.left_out.name}",
            condition,
            scores.faces,
            [point],
            counted=None,
            data_sha256=run.exclusion.manifest.sha256,
            metrics=("roc_auc", "recall", "bpcer"),
            seed=seed,
        )


def _find(found: Sequence[Finding], metric: str, condition: str) -> _Cells:
    """Return a value and its interval, None where it was not measured."""
    for one in found:
        if one.metric.partition("@")[0] == metric and one.condition == condition:
            return one.value, one.low, one.high
    return None, None, None


def _figure_rows(of: _OneKind) -> Iterator[tuple[Cell, ...]]:
    """Yield the figures of each run, one row for each condition, and the means."""
    for run, found in zip(of.runs, of.found, strict=True):
        tested = run.exclusion.manifest.counts()["test"]
        for condition, scores in run.scores.items():
            faces, counts = scores.faces, list[Cell]()
            for mask in (faces.fake, ~faces.fake):
                counts += [int(mask.sum()), len(np.unique(faces.groups[mask]))]
            yield (
                *(run.left_out.name, of.kind, condition, *counts, tested - len(faces)),
                *_find(found, "roc_auc", condition),
                *_find(found, "recall", condition),
                *_find(found, "bpcer", condition),
                run.spec.default_operating_point,
            )
    for condition, auc in of.aucs.items():
        yield (MEAN, of.kind, condition, *[None] * 5, *auc, *[None] * 7)


def _mean_aucs(runs: Sequence[FinishedRun], seed: int) -> dict[str, Estimate]:
    """Return the mean ROC-AUC over the runs, under each condition that all of them have."""
    return {
        condition: mean_auc([run.scores[condition] for run in runs], seed=seed)
        for condition in runs[0].scores
        if all(condition in run.scores for run in runs)
    }


def _inflation_rows(of: _OneKind) -> Iterator[tuple[Cell, ...]]:
    """Yield the row of each choice for each run, and for the mean."""
    steps: list[tuple[Cell, Cell]] = [
        (run.steps[run.main.kept], run.steps[best_checkpoint(run.main)]) for run in of.runs
    ]
    names = [run.left_out.name for run in of.runs]
    for name, found, both in zip(
        [*names, MEAN], [*of.each, of.mean], [*steps, (None, None)], strict=True
    ):
        for one in found:
            yield (
                *(name, of.kind, one.choice.name, one.choice.metric, one.seen, one.test),
                *(*one.difference, *both),
            )


def _split_rows(of: _OneKind) -> Iterator[tuple[Cell, ...]]:
    """Yield the rows of each training by split; those removed stand with the first."""
    for run in of.runs:
        removed: dict[str, int] = run.exclusion.removed.model_dump()
        for split, counts in run.exclusion.rows.items():
            numbers = tuple(removed.values()) if split == SEEN_SPLITS[0] else (None, None, None)
            yield (run.left_out.name, of.kind, split, counts.real, counts.fake, *numbers)


def _answer(kinds: Sequence[_OneKind]) -> str:
    """Return the mean ROC-AUC on what was left out, by kind, in a sentence."""
    parts = []
    for of in kinds:
        mean, without = of.aucs[of.condition], f"the {of.runs[0].left_out.words}"
        if len(of.runs) > 1:
            without = f"each of {len(of.runs)} {of.kind}s in turn"
        average = " mean" if len(of.runs) > 1 else ""
        parts.append(
            f"trained without {without}, a detector reaches a{average} ROC-AUC of {mean.value:.3f} "
            f"({mean.low:.3f} to {mean.high:.3f}) on what it did not see"
        )
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _details(of: _OneKind) -> Iterator[str]:
    """Yield the worst left-out, the rates at the operating point, and the inflation."""
    values = [_number(value) for value, _, _ in of.cells("roc_auc")]
    known = {
        run.left_out.name: one for run, one in zip(of.runs, values, strict=True) if one is not None
    }
    if len(known) > 1:
        worst = min(known, key=lambda name: known[name])
        yield f"The lowest ROC-AUC is that of {worst}, {known[worst]:.3f}."
    yield (
        f"At its operating point it calls {_mean_percent(of.cells('recall'))} of the fakes fake, "
        f"and {_mean_percent(of.cells('bpcer'))} of the real faces."
    )
    inflation, more = of.mean[0], of.mean[0].difference
    yield (
        f"The best checkpoint by the test set would have given {inflation.test:.3f}, an inflation "
        f"of {more.value:.3f} ({more.low:.3f} to {more.high:.3f})."
    )


def _mean_percent(cells: Sequence[_Cells]) -> str:
    """Return the mean of shares in percent, or that none was measured."""
    known = [value for value in (_number(cell) for cell, _, _ in cells) if value is not None]
    return f"{100 * float(np.mean(known)):.1f} %" if known else "an unmeasured share"


def _plot(of: _OneKind) -> AuditPlot:
    """Return the bars of ROC-AUC: as chosen on seen sources, and on the test set."""
    ends: list[_Cells] = [*of.cells("roc_auc"), of.aucs[of.condition]]
    x = (*(run.left_out.name for run in of.runs), MEAN)
    seen = Series(
        name="checkpoint chosen without the test set",
        x=x,
        y=tuple(_number(one[0]) for one in ends),
        low=tuple(_number(one[1]) for one in ends),
        high=tuple(_number(one[2]) for one in ends),
    )
    test = Series(
        name="checkpoint chosen on the test set",
        x=x,
        y=tuple(one[0].test for one in (*of.each, of.mean)),
    )
    return AuditPlot(
        name=f"{LEAVE_ONE_OUT}-{of.kind}",
        kind="bar",
        title=f"ROC-AUC of detectors that never saw the {of.kind}",
        x=f"{of.kind} left out",
        y="ROC-AUC",
        series=(seen, test),
    )


def _number(cell: Cell) -> float | None:
    return float(cell) if isinstance(cell, float | int) else None


def _cautions(recipe: Recipe, runs: Sequence[FinishedRun]) -> Iterator[str]:
    """Yield warnings to read before any figure."""
    for run in runs:
        faces = run.main.faces
        few = min(len(np.unique(faces.groups[of])) for of in (faces.fake, ~faces.fake))
        if few < _FEW_GROUPS:
            yield (
                f"Without the {run.left_out.words}: the test has only {few} groups of one class. "
                "Read the intervals, not the values."
            )
    yield (
        "One training for each: the intervals are those of the test faces, and do not hold the "
        "spread between random seeds."
    )
    if unknown := max(map(_count_unknown, runs)):
        yield (
            f"{unknown:,} training fakes have the generator 'unknown'; some may be of the one that "
            "was left out."
        )
    if made := sorted({*recipe.made, *recipe.forgeries}):
        yield (
            f"Training also sees fakes made of its real faces ({', '.join(made)}), which may "
            "resemble those of a generator left out."
        )


def _count_unknown(run: FinishedRun) -> int:
    """Return how many fakes of training name no generator, 0 where a source is left out."""
    if run.left_out.kind == "source":
        return 0
    table = run.exclusion.manifest.table
    return table.filter((table["generator"] == UNKNOWN) & table["split"].is_in(SEEN_SPLITS)).height
