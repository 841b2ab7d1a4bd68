"""Calibration and promises chosen on one split, measured on another, from a run's answers.

Reads `predictions-calibration.parquet` and `predictions-test.parquet` of a training's run folder
and prints Markdown tables:

* each calibration's log loss, Brier score and ECE on groups of the calibration split that it was
  not fitted on, and on test; classes and sources have equal weight, as in fitting;
* each promise: thresholds, errors promised and measured under each condition, shares of unsure,
  and coverage (faces without a wrong definite verdict);
* false alarms of each source of real faces, for which no promise exists.

    uv run python benchmarks/calibration.py runs/default [--budgets 0.05,0.01] [--resamples 1000]
    uv run python benchmarks/calibration.py --simulate

Intervals are at 95 %, over groups. Nothing is chosen by the test split. The second form draws
calibration splits with a known true risk, and reports the risk of four threshold rules.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np

from faceproof.detector import Calibration, Finding, Identity, calibrate
from faceproof.detector.spec import Sha256
from faceproof.evaluation import predictions
from faceproof.evaluation.findings import findings
from faceproof.evaluation.formulas import Floats, count_scores
from faceproof.evaluation.intervals import (
    RESAMPLES,
    clustered_size,
    intraclass_correlation,
    resamples,
)
from faceproof.evaluation.metrics import METRICS
from faceproof.evaluation.predictions import Faces
from faceproof.reports.markup import escape_markdown, table
from faceproof.training.calibration import (
    CALIBRATIONS,
    balancing_weights,
    fit,
    out_of_fold_probabilities,
)
from faceproof.training.operating_points import KeptPromises, keep_promises
from faceproof.training.promises import groups_needed, highest_error_danger
from faceproof.training.recipe import CalibrationRecipe

SCORES = ("log_loss", "brier", "ece")
RATES = (
    *("bpcer", "real_unsure_rate", "real_coverage"),
    *("apcer", "fake_unsure_rate", "fake_coverage"),
)


def report(
    chosen_on: Faces,
    test: Faces,
    promised: CalibrationRecipe,
    *,
    data_sha256: Sha256,
    number: int = RESAMPLES,
) -> str:
    """Return the tables for judged faces of the calibration split and of test."""
    fitted = fit(chosen_on, method=promised.method)
    chosen_on, test = (with_probabilities(one, fitted.calibration) for one in (chosen_on, test))
    made = keep_promises(chosen_on, promised, data_sha256=data_sha256)
    plain_points = plain_quantiles(chosen_on, made)
    found = findings(
        test,
        [*made.points.values(), *plain_points.points.values()],
        data_sha256=data_sha256,
        metrics=RATES,
        number=number,
    )
    by_key = {(one.metric, one.slice, one.condition): one for one in found}
    return "\n\n".join(
        [
            f"{describe(chosen_on, 'Calibration')} {describe(test, 'Test')} Data "
            f"{data_sha256[:12]}.",
            f"Calibrated by {fitted}.",
            calibrations(chosen_on, test, left_out=fitted.left_out, number=number),
            thresholds(made),
            measured(made, by_key, test),
            "The same from plain quantiles of the calibration split, without correction.",
            measured(plain_points, by_key, test),
            by_source(made, by_key, test),
        ]
    )


def with_probabilities(faces: Faces, calibration: Calibration) -> Faces:
    """Return the same faces with calibrated probabilities."""
    return replace(faces, probabilities=calibrate(faces.logits, calibration))


def describe(faces: Faces, name: str) -> str:
    """Return how many faces and groups a split holds under its first condition."""
    degraded = faces.where(faces.conditions == faces.conditions[0])
    counts = [
        f"{int(kind.sum()):,} {label} in {len(np.unique(degraded.groups[kind])):,} groups"
        for label, kind in (("real", ~degraded.fake), ("fake", degraded.fake))
    ]
    return f"{name}: {', '.join(counts)}, each under {len(np.unique(faces.conditions))} conditions."


def calibrations(chosen_on: Faces, test: Faces, *, left_out: Mapping[str, str], number: int) -> str:
    """Return the table of every calibration's scores on unseen groups and on test."""
    rows = []
    for name in ("none", *(name for name in CALIBRATIONS if name not in left_out)):
        if name == "none":
            there, everywhere = calibrate(chosen_on.logits, Identity()), Identity()
        else:
            there, everywhere = (
                out_of_fold_probabilities(chosen_on, name),
                fit(chosen_on, method=name).calibration,
            )
        here = calibrate(test.logits, everywhere)
        rows.append(
            [
                name,
                *scored(chosen_on, there, number=number),
                *scored(test, here, number=number),
            ]
        )
    head = [f"{score}, {where}" for where in ("unseen groups", "test") for score in SCORES]
    return table(["calibration", *head], rows)


def scored(faces: Faces, probabilities: Floats, *, number: int) -> list[str]:
    """Return each proper score and the calibration error, with intervals over groups."""
    weights = balancing_weights(faces)
    counts = count_scores(faces.fake, probabilities, weights)
    drawn: dict[str, list[Floats]] = {score: [] for score in SCORES}
    for times in resamples(faces.fake, faces.groups, number=number):
        again = count_scores(faces.fake, probabilities, times * weights)
        for score in SCORES:
            drawn[score].append(METRICS[score].formula(again))
    cells = []
    for score in SCORES:
        value = float(METRICS[score].formula(counts)[0])
        low, high = np.quantile(np.concatenate(drawn[score]), [0.025, 0.975])
        cells.append(f"{value:.4f} [{min(low, value):.4f}, {max(high, value):.4f}]")
    return cells


def thresholds(made: KeptPromises) -> str:
    """Return the operating points, and the promises that the data cannot support."""
    rows = [
        [
            escape_markdown(name) + (" (default)" if name == made.default else ""),
            f"{point.real_below:.4f}",
            f"{point.fake_from:.4f}",
            escape_markdown(point.promise),
        ]
        for name, point in made.points.items()
    ]
    left_out = [
        [escape_markdown(one.name), "-", "-", escape_markdown(one.reason)]
        for one in made.unsupported
    ]
    return table(["operating point", "real below", "fake from", "promise"], [*rows, *left_out])


def plain_quantiles(chosen_on: Faces, made: KeptPromises) -> KeptPromises:
    """Return the same promises with the thresholds that calibration faces just satisfy."""
    points = {}
    for name, point in made.points.items():
        alarms, misses = point.bpcer_budget or 0.0, point.apcer_budget or 0.0
        degraded = [chosen_on.conditions == one for one in np.unique(chosen_on.conditions)]
        reals = [np.sort(chosen_on.probabilities[one & ~chosen_on.fake])[::-1] for one in degraded]
        fakes = [np.sort(chosen_on.probabilities[one & chosen_on.fake]) for one in degraded]
        upper = max(float(np.nextafter(one[int(alarms * len(one))], 1.0)) for one in reals)
        lower = min(float(one[int(misses * len(one))]) for one in fakes)
        called = f"{name}, plain"
        where = {"name": called, "fake_from": upper, "real_below": min(lower, upper)}
        points[called] = point.model_copy(update=where)
    return KeptPromises(points, "", ())


def measured(made: KeptPromises, found: Mapping[tuple[str, str, str], Finding], test: Faces) -> str:
    """Return the promised and the measured rates of all faces under each condition."""
    rows = [
        [
            escape_markdown(name),
            condition,
            f"{100 * (point.bpcer_budget or 0):.2f}",
            f"{100 * (point.apcer_budget or 0):.2f}",
            *(shown(found.get((f"{rate}@{name}", "all", condition))) for rate in RATES),
        ]
        for name, point in made.points.items()
        for condition in dict.fromkeys(test.conditions.tolist())
    ]
    head = ["real called fake", "real, unsure", "real coverage"]
    head += ["fake called real", "fake, unsure", "fake coverage"]
    return "In %, on test:\n\n" + table(
        ["operating point", "condition", "promised, real", "promised, fake", *head], rows
    )


def by_source(
    made: KeptPromises, found: Mapping[tuple[str, str, str], Finding], test: Faces
) -> str:
    """Return the false alarms of each source, and whether they exceed the pooled promise."""
    conditions = list(dict.fromkeys(test.conditions.tolist()))
    rows = [
        [
            escape_markdown(name),
            escape_markdown(source),
            *(alarms(found[f"bpcer@{name}", f"source={source}", one], point) for one in conditions),
        ]
        for name, point in made.points.items()
        for source in np.unique(test.sources[~test.fake])
    ]
    return (
        "Real faces called fake, by source, in %, on test; ! where the whole interval lies beyond "
        "what is promised of all sources together:\n\n"
        + table(["operating point", "source", *conditions], rows)
    )


def alarms(found: Finding, point: object) -> str:
    """Return a rate, marked where even its lower end exceeds the budget."""
    budget = getattr(point, "bpcer_budget", None) or 1.0
    return f"{shown(found)}, n {found.n:,}" + (" !" if found.low > budget else "")


def shown(found: Finding | None) -> str:
    """Return a rate as percent with its interval."""
    if found is None:
        return "-"
    return f"{100 * found.value:.2f} [{100 * found.low:.2f}, {100 * found.high:.2f}]"


DRAWS = 2000
RISK = 0.05
POPULATIONS = {
    "100 single faces": (100, 1, 0.0),
    "100 groups of 1 to 3, a tenth of them of 30; correlation 0.3": (100, 30, 0.3),
    "the same; correlation 0.7": (100, 30, 0.7),
    "the same; copies": (100, 30, 1.0),
}
"""Groups, the size of the large ones, and the correlation of scores within a group."""


def simulation() -> str:
    """Return the mean true risk of thresholds chosen for `RISK` on drawn calibration splits."""
    ways = {
        "plain quantile": _plain,
        "corrected for groups": _over_groups,
        "corrected for worth": _over_faces,
    }
    rows = []
    for name, population in POPULATIONS.items():
        rng = np.random.default_rng(0)
        risks: dict[str, list[float]] = {way: [] for way in (*ways, "both, as used")}
        while len(risks["both, as used"]) < DRAWS:
            scores, groups = drawn(rng, *population)
            if worth(scores, groups) < groups_needed(RISK):
                continue  # such a split is refused
            kept = {way: choose(scores, groups) for way, choose in ways.items()}
            kept["both, as used"] = highest_error_danger(
                scores, groups, alpha=RISK, worth=worth(scores, groups)
            )
            for way, threshold in kept.items():
                risks[way].append(1 - NormalDist().cdf(threshold))
        rows.append([name, *(_mean(found) for found in risks.values())])
    return f"Mean true risk in %, promised {100 * RISK:g}, {DRAWS:,} draws each:\n\n" + table(
        ["calibration split", *ways, "both, as used"], rows
    )


def drawn(
    rng: np.random.Generator, groups: int, large: int, correlation: float
) -> tuple[Floats, Floats]:
    """Return standard normal scores [N] and their groups [N]."""
    sizes = np.where(rng.uniform(size=groups) < 0.1, large, rng.integers(1, 4, size=groups))
    group = np.repeat(np.arange(groups), 1 if large == 1 else sizes)
    shared, own = rng.normal(size=groups)[group], rng.normal(size=len(group))
    return np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own, group.astype(float)


def worth(scores: Floats, groups: Floats) -> float:
    """Return the effective number of independent faces."""
    return clustered_size(groups, intraclass_correlation(scores, groups, np.zeros(len(scores))))


def _plain(scores: Floats, _groups: Floats) -> float:
    return float(np.sort(scores)[::-1][int(RISK * len(scores) + 1e-9)])


def _over_groups(scores: Floats, groups: Floats) -> float:
    return highest_error_danger(scores, groups, alpha=RISK, worth=1e9)


def _over_faces(scores: Floats, groups: Floats) -> float:
    return highest_error_danger(
        scores, np.arange(len(scores)), alpha=RISK, worth=worth(scores, groups)
    )


def _mean(risks: Sequence[float]) -> str:
    error = float(np.std(risks)) / len(risks) ** 0.5
    return f"{100 * np.mean(risks):.2f} [{100 * (np.mean(risks) - 1.96 * error):.2f}, " + (
        f"{100 * (np.mean(risks) + 1.96 * error):.2f}]"
    )


def splits(run: Path) -> Iterator[tuple[Faces, Sha256]]:
    """Yield the judged faces of the calibration split and of test, and their data's hash."""
    for name in ("calibration", "test"):
        answers = predictions.read_table(run / f"predictions-{name}.parquet")
        yield predictions.judged_faces(answers), predictions.origin_of(answers).data_sha256


def main(arguments: list[str] | None = None) -> None:
    """Print the tables of a run folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path, nargs="?", help="a run folder of faceproof train")
    parser.add_argument("--simulate", action="store_true", help="drawn splits of known risk")
    parser.add_argument("--budgets", default="auto", help="shares such as 0.05,0.01; auto")
    parser.add_argument("--method", default="best", help="best, or a calibration's name")
    parser.add_argument("--resamples", type=int, default=RESAMPLES)
    asked = parser.parse_args(arguments)
    if asked.simulate:
        sys.stdout.write(simulation() + "\n")
        return
    if asked.run is None:
        parser.error("name a run folder, or --simulate")
    (chosen_on, sha256), (test, same) = splits(asked.run)
    if sha256 != same:
        parser.error(f"{asked.run}: calibration and test are of different data sets")
    budgets = asked.budgets if asked.budgets == "auto" else asked.budgets.split(",")
    conditions = tuple(dict.fromkeys(chosen_on.conditions.tolist()))
    promised = CalibrationRecipe.model_validate(
        {"budgets": budgets, "method": asked.method, "conditions": conditions}
    )
    sys.stdout.write(
        report(chosen_on, test, promised, data_sha256=sha256, number=asked.resamples) + "\n"
    )


if __name__ == "__main__":
    main()
