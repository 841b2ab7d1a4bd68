"""`training_page`: a training run as one HTML page, ``run.html``, with SVG curves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from faceproof.detector import DetectorSpec
from faceproof.detector.spec import Finding
from faceproof.outputs import atomic_write
from faceproof.reports import charts
from faceproof.reports.card import TITLES
from faceproof.reports.charts import panels
from faceproof.reports.evaluation_page import format_finding
from faceproof.reports.markup import make_environment
from faceproof.reports.training_log import Run, flatten, read_run

FILE = "run.html"

FIGURES = {
    "validation_auc": "ROC-AUC",
    "validation_accuracy": "accuracy",
    "attacked_accuracy": "accuracy under attack",
    "validation_loss": "loss",
}
"""The metrics of a validation and their column headers; others follow them."""


def write(folder: Path) -> Path:
    """Write ``run.html`` in a run folder from its files and return the path.

    The run may be active, interrupted or finished; the page notes missing parts.
    """
    page = training_page(read_run(folder))
    with atomic_write(folder / FILE) as file:
        file.write(page.encode("utf-8", "replace"))
    return folder / FILE


def training_page(run: Run) -> str:
    """Return the HTML of a training."""
    best = run.history.best()
    names = {"width": charts.WIDTH, "height": charts.HEIGHT, "left": charts.LEFT}
    names |= {"right": charts.RIGHT, "top": charts.TOP, "foot": charts.FOOT}
    page: str = (
        make_environment(
            filters={
                "shown": format_finding,
                "exact": _format_exactly,
                "duration": format_duration,
            },
            names=names,
        )
        .get_template("training.html")
        .render(
            run=run,
            title=title(run),
            verdict=verdict(run),
            cautions=tuple(cautions(run)),
            charts=[
                charts.chart(panel, steps=run.history.step, best=best["step"] if best else None)
                for panel in panels(run.history)
            ],
            best=best,
            columns=columns(run),
            notes=dict.fromkeys(str(line["note"]) for line in run.history.notes),
            sections=sections(run),
            results=results(run.bundle.spec) if run.bundle else {},
            titles=TITLES,
        )
    )
    return page


def title(run: Run) -> str:
    """Return the detector's name, or the folder's name."""
    recipe = flatten(run.recipe)
    named = " ".join(recipe[key] for key in ("export.name", "export.version") if key in recipe)
    return named or run.name


def verdict(run: Run) -> str:
    """Return one or two sentences on the progress and the best step."""
    best, step = run.history.best(), run.history.step
    if not step:
        return "No steps logged yet."
    if not run.steps:
        state = f"Step {step:,} of an unknown schedule."
    elif run.stopped_early:
        state = f"Stopped early at step {step:,} of {run.steps:,}."
    elif run.is_done:
        state = f"Finished after {step:,} steps."
    else:
        state = f"Not finished: step {step:,} of {run.steps:,}."
    if best is None:
        return f"{state} Not validated yet."
    score = best.get("validation_auc")
    figure = f", validation AUC {score:.4f}" if isinstance(score, float | int) else ""
    return f"{state} Best: step {best['step']:,}{figure}."


def cautions(run: Run) -> Iterator[str]:
    """Yield warnings to read before the figures."""
    if run.history.validations:
        looks = len(run.history.validations)
        times = "once" if looks == 1 else f"{looks:,} times"
        chosen = "" if looks == 1 or run.keeps_last else " and selected the best step"
        yield (
            f"Validation is not a test: the same faces were used {times}{chosen}. Only the "
            "test split measures the detector's performance."
        )
    if run.bundle is None:
        yield "There is no detector yet; nothing has been calibrated or tested."
    if any(start.commit.endswith("-dirty") for start in run.starts):
        yield "The source code differed from its commit, so the commit does not identify it."
    if any(start.changed for start in run.starts):
        yield "The recipe was changed between two starts: see the changes below."
    yield from run.faults


def columns(run: Run) -> dict[str, str]:
    """Return the metrics of the validations and their column headers."""
    held = {name: name for line in run.history.validations for name in line}
    others = {name: name for name in held if name not in {"time", "step", "best", *FIGURES}}
    return {name: head for name, head in FIGURES.items() if name in held} | others


def sections(run: Run) -> dict[str, dict[str, str]]:
    """Return the keys and values of each table of the recipe, top-level ones first."""
    loose = {key: value for key, value in run.recipe.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in run.recipe.items() if isinstance(value, dict)}
    made = {"": flatten(loose), **{key: flatten(value) for key, value in tables.items()}}
    return {name: rows for name, rows in made.items() if rows}


def results(spec: DetectorSpec) -> dict[str, list[Finding]]:
    """Return the test's figures on all faces at the default operating point, as in the card."""
    found: dict[str, list[Finding]] = {}
    for metric in TITLES:
        names = {metric, f"{metric}@{spec.default_operating_point}"}
        rows = [one for one in spec.results if one.metric in names and one.slice == "all"]
        found |= {metric: rows} if rows else {}
    return found


def _format_exactly(value: object) -> str:
    """Return a journal value with four digits; "-" for none.

    >>> _format_exactly(0.96434), _format_exactly(None), _format_exactly("x")
    ('0.9643', '-', '-')
    """
    return f"{value:.4f}" if isinstance(value, float | int) else "-"


def format_duration(duration: timedelta) -> str:
    """Return a duration in hours, minutes and seconds.

    >>> format_duration(timedelta(hours=1, minutes=4, seconds=9.7)), format_duration(
    ...     timedelta(seconds=59)
    ... )
    ('1 h 04 min', '59 s')
    """
    seconds = int(duration.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours:,} h {minutes:02} min" if hours else f"{minutes} min"
