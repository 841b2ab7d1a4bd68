"""``curves.png``: loss, accuracy, ROC-AUC and learning rate of a training in one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from faceproof.networks.requirements import require
from faceproof.reports.charts import step_ticks
from faceproof.reports.training_log import History, history
from faceproof.reports.training_panels import Panel, Trace, panels, thinned
from faceproof.runs import replacing

FILE = "curves.png"
MOST_PANELS = 4
WIDTH, HEIGHT, DOTS_PER_INCH = 12.0, 8.0, 100

_MOST_POINTS = 2000
_INK, _QUIET, _LINE = "#22262b", "#626a73", "#e3e0da"
_TRAINING, _VALIDATION, _ATTACKED = "#2b7a9b", "#c8682a", "#7b4fa0"
_STYLES: dict[str, dict[str, Any]] = {
    "raw": {"color": _TRAINING, "alpha": 0.3, "linewidth": 1},
    "smooth": {"color": _TRAINING, "linewidth": 2},
    "validation": {"color": _VALIDATION, "linewidth": 2, "marker": "o", "markersize": 5},
    "attacked": {"color": _ATTACKED, "linewidth": 2, "marker": "s", "markersize": 5},
}


def write(run: Path, *, title: str = "") -> Path:
    """Return ``curves.png`` in a run folder, drawn anew: 1200 x 800 px.

    Raises:
        MissingExtraError: matplotlib is not installed; the extra `train` brings it.
    """
    require("matplotlib")
    path = run / FILE
    figure = draw(history(run), title=title or run.name)
    with replacing(path) as file:
        figure.savefig(file, format="png", metadata={"Software": None})
    return path


def draw(run: History, *, title: str) -> Any:
    """Return matplotlib's figure of a run; nothing of pyplot's state is read or changed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DOTS_PER_INCH, layout="constrained")
    figure.suptitle(_plain(title), parse_math=False, color=_INK, fontsize=15)
    shown = panels(run)[:MOST_PANELS]
    if not shown:
        figure.text(0.5, 0.5, "nothing was logged yet", ha="center", color=_QUIET, fontsize=13)
        return figure
    best = run.best()
    grid = figure.subplots(math.ceil(len(shown) / 2), min(len(shown), 2), squeeze=False)
    for axes, panel in zip_longest(grid.flat, shown):
        if panel is None:
            axes.set_axis_off()
        else:
            _panel(axes, panel, run.step, best["step"] if best else None)
    return figure


def _panel(axes: Any, panel: Panel, steps: int, best: int | None) -> None:
    for trace in panel.traces:
        _trace(axes, trace)
    if best is not None:
        axes.axvline(best, color=_QUIET, linestyle="--", linewidth=1, label=f"best step {best:,}")
    axes.set_title(panel.title, color=_INK, fontsize=13, loc="left")
    axes.set_xlabel("step", color=_QUIET, fontsize=11)
    _axis(axes, panel.ticks, step_ticks(steps))
    axes.set_xlim(0, max(steps, 1) * 1.02)
    axes.set_ylim(panel.ticks[0], panel.ticks[-1])
    axes.legend(fontsize=10.5, frameon=False, labelcolor=_INK)


def _trace(axes: Any, trace: Trace) -> None:
    style = dict(_STYLES[trace.style])
    curve = thinned(trace.curve, _MOST_POINTS)
    if len(curve) == 1:
        style["marker"] = "o"
    axes.plot(curve.steps, curve.values, label=trace.name, clip_on=False, **style)


def _axis(axes: Any, upright: Sequence[float], across: Sequence[float]) -> None:
    """Set the same round numbers as on the page."""
    axes.set_yticks(upright, [f"{value:g}" for value in upright])
    axes.set_xticks(across, [f"{step:,.0f}" for step in across])
    axes.tick_params(colors=_QUIET, labelsize=11)
    axes.grid(axis="y", color=_LINE)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_LINE)


def _plain(title: str) -> str:
    """Return a title on one line, in characters that every installation can draw."""
    return " ".join(title.split()).encode("ascii", "replace").decode()[:90]
