"""`panels` and `chart`: training curves for the page (SVG) and ``curves.png``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

from faceproof.outputs import atomic_write
from faceproof.reports.training_log import Curve, TrainingHistory, read_history
from faceproof.tables import require

SMOOTHING = 0.9
"""Weight of the previous average; the window is about 1/(1 - SMOOTHING) logged steps."""

Style = Literal["raw", "smooth", "validation", "attacked"]


@dataclass(frozen=True)
class ChartTrace:
    """One curve of a panel, with its name and line style."""

    name: str
    style: Style
    curve: Curve


@dataclass(frozen=True)
class ChartPanel:
    """Curves over one axis of steps; ``floor`` and ``ceiling`` are values within the axis."""

    name: str
    title: str
    traces: tuple[ChartTrace, ...]
    caption: str
    floor: float | None = None
    ceiling: float | None = None

    @property
    def ticks(self) -> tuple[float, ...]:
        """The tick values of the vertical axis; all curves lie between the first and the last."""
        seen = [value for trace in self.traces for value in trace.curve.values]
        low, high = ([] if end is None else [end] for end in (self.floor, self.ceiling))
        return ticks(min([*seen, *low]), max([*seen, *high]))

    @property
    def description(self) -> str:
        """The curves as alternative text."""
        return " ".join(
            _describe_trace(trace)
            for trace in self.traces
            if trace.style != "raw" or len(trace.curve) == 1
        )


def panels(run: TrainingHistory) -> tuple[ChartPanel, ...]:
    """Return the panels of a run, without empty ones."""
    made = (
        _loss_panel(run),
        _accuracy_panel(run),
        _auc_panel(run),
        _learning_rate_panel(run),
        _speed_panel(run),
    )
    return tuple(panel for panel in made if panel.traces)


def smooth(curve: Curve) -> Curve:
    """Return the exponential moving average of a curve, bias-corrected at the start.

    Source: Kingma and Ba, "Adam", 2015, section 3, for the bias correction.

    >>> smooth(Curve((1, 2, 3), (1.0, 1.0, 1.0))).values
    (1.0, 1.0, 1.0)
    """
    values, total = [], 0.0
    for number, value in enumerate(curve.values, start=1):
        total = SMOOTHING * total + (1 - SMOOTHING) * value
        values.append(total / (1 - SMOOTHING**number))
    return Curve(curve.steps, tuple(values))


def ticks(low: float, high: float) -> tuple[float, ...]:
    """Return three to seven round numbers that enclose ``low`` and ``high``.

    >>> ticks(0.0, 0.71)
    (0.0, 0.2, 0.4, 0.6, 0.8)
    >>> ticks(0.5, 0.5)
    (0.0, 0.25, 0.5, 0.75, 1.0)
    >>> ticks(0.0, 0.0)
    (0.0, 0.25, 0.5, 0.75, 1.0)
    """
    if high <= low:
        low, high = min(0.0, 2 * low), max(2 * high, 0.0) or float(low == 0)
    raw = (high - low) / 4
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(float(f"{number * step:.12g}") for number in range(first, last + 1))


def thin_out(curve: Curve, most: int) -> Curve:
    """Return at most ``most`` points of a curve, the minimum and maximum of each interval.

    >>> thin_out(Curve((1, 2, 3, 4), (0.0, 9.0, 1.0, 2.0)), 2).values
    (0.0, 9.0)
    """
    if len(curve) <= most:
        return curve
    stretch = math.ceil(2 * len(curve) / most)
    kept: list[int] = []
    for start in range(0, len(curve), stretch):
        part = range(start, min(start + stretch, len(curve)))
        kept += sorted(
            {min(part, key=curve.values.__getitem__), max(part, key=curve.values.__getitem__)}
        )
    return Curve(tuple(curve.steps[at] for at in kept), tuple(curve.values[at] for at in kept))


def _loss_panel(run: TrainingHistory) -> ChartPanel:
    return ChartPanel(
        "loss",
        "Loss",
        (*_training_traces(run, "loss"), *_validation_traces(run, "validation_loss")),
        "Training: single batches of augmented pictures, with the network being trained. "
        "Validation: the averaged network on unchanged pictures. The two need not agree.",
        floor=0.0,
    )


def _accuracy_panel(run: TrainingHistory) -> ChartPanel:
    return ChartPanel(
        "accuracy",
        "Accuracy",
        (
            *_training_traces(run, "accuracy"),
            *_validation_traces(run, "validation_accuracy"),
            *_named_traces(run, "attacked_accuracy", "validation, attacked", "attacked"),
        ),
        "Accuracy at threshold 0.5, before any threshold is chosen.",
        ceiling=1.0,
    )


def _auc_panel(run: TrainingHistory) -> ChartPanel:
    return ChartPanel(
        "auc",
        "ROC-AUC",
        tuple(_validation_traces(run, "validation_auc")),
        "The averaged network on validation faces; the first maximum is the best step.",
        ceiling=1.0,
    )


def _learning_rate_panel(run: TrainingHistory) -> ChartPanel:
    return ChartPanel(
        "rate",
        "Learning rate",
        tuple(_named_traces(run, "learning_rate", "learning rate", "smooth")),
        "The highest of all parameter groups.",
        floor=0.0,
    )


def _speed_panel(run: TrainingHistory) -> ChartPanel:
    return ChartPanel(
        "speed",
        "Pictures per second",
        tuple(_named_traces(run, "pictures_per_second", "pictures per second", "smooth")),
        "The mean since this start of the training, including validations.",
        floor=0.0,
    )


def _training_traces(run: TrainingHistory, name: str) -> Sequence[ChartTrace]:
    """Return a training metric, raw and smoothed."""
    raw = run.curve(name)
    if not raw:
        return ()
    return (
        ChartTrace("training", "raw", raw),
        ChartTrace("training, smoothed", "smooth", smooth(raw)),
    )


def _validation_traces(run: TrainingHistory, name: str) -> Sequence[ChartTrace]:
    return _named_traces(run, name, "validation", "validation")


def _named_traces(run: TrainingHistory, key: str, name: str, style: Style) -> Sequence[ChartTrace]:
    curve = run.curve(key)
    return (ChartTrace(name, style, curve),) if curve else ()


def _describe_trace(trace: ChartTrace) -> str:
    """Return a sentence that describes a curve."""
    steps, values = trace.curve.steps, trace.curve.values
    name = trace.name[0].upper() + trace.name[1:]
    if len(values) == 1:
        return f"{name}: {values[0]:.4g} at step {steps[0]:,}."
    return (
        f"{name}: from {values[0]:.4g} at step {steps[0]:,} to {values[-1]:.4g} at step "
        f"{steps[-1]:,}, between {min(values):.4g} and {max(values):.4g}."
    )


WIDTH, HEIGHT = 360, 236
LEFT, RIGHT, TOP, FOOT = 54, 348, 14, 204

_MOST_POINTS = 400
_MOST_DOTS = 60


@dataclass(frozen=True)
class _Tick:
    """A position on an axis and its label."""

    at: float
    text: str


@dataclass(frozen=True)
class _DrawnTrace:
    """A curve as the points of a polyline and, if they are few, as dots (x, y)."""

    name: str
    style: Style
    line: str
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Chart:
    """A panel with all its coordinates; ``best`` is the x coordinate of the best step."""

    name: str
    title: str
    description: str
    caption: str
    curves: tuple[_DrawnTrace, ...]
    across: tuple[_Tick, ...]
    upright: tuple[_Tick, ...]
    best: float | None


def chart(panel: ChartPanel, *, steps: int, best: int | None) -> Chart:
    """Return a panel's chart over the steps from 0 to ``steps``."""
    frame = _Frame(steps, panel.ticks[0], panel.ticks[-1])
    return Chart(
        panel.name,
        panel.title,
        panel.description,
        panel.caption,
        tuple(_draw_trace(trace, frame) for trace in panel.traces),
        tuple(_Tick(frame.x(step), f"{step:,.0f}") for step in _step_ticks(steps)),
        tuple(_Tick(frame.y(value), f"{value:g}") for value in panel.ticks),
        None if best is None else frame.x(best),
    )


def _step_ticks(steps: int) -> tuple[float, ...]:
    """Return the round step numbers below a chart.

    >>> _step_ticks(1600)
    (0.0, 500.0, 1000.0, 1500.0)
    >>> _step_ticks(3)
    (0.0, 1.0, 2.0, 3.0)
    """
    return tuple(step for step in ticks(0, steps) if step <= steps and step == int(step))


@dataclass(frozen=True)
class _Frame:
    """Conversion of steps and values to coordinates."""

    steps: int
    low: float
    high: float

    def x(self, step: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * step / max(self.steps, 1), 1)

    def y(self, value: float) -> float:
        return round(FOOT - (FOOT - TOP) * (value - self.low) / (self.high - self.low), 1)

    def points(self, curve: Curve) -> list[tuple[float, float]]:
        pairs = zip(curve.steps, curve.values, strict=True)
        return [(self.x(step), self.y(value)) for step, value in pairs]


def _draw_trace(trace: ChartTrace, frame: _Frame) -> _DrawnTrace:
    line = frame.points(thin_out(trace.curve, _MOST_POINTS))
    measured = trace.style in {"validation", "attacked"} and len(trace.curve) <= _MOST_DOTS
    dotted = measured or len(trace.curve) == 1
    return _DrawnTrace(
        trace.name,
        trace.style,
        " ".join(f"{x},{y}" for x, y in line),
        tuple(frame.points(trace.curve)) if dotted else (),
    )


FILE = "curves.png"
_MOST_PANELS = 4
_FIGURE_WIDTH, _FIGURE_HEIGHT, _DOTS_PER_INCH = 12.0, 8.0, 100

_MOST_FIGURE_POINTS = 2000
_INK, _QUIET, _LINE = "#22262b", "#626a73", "#e3e0da"
_TRAINING, _VALIDATION, _ATTACKED = "#2b7a9b", "#c8682a", "#7b4fa0"
_STYLES: dict[str, dict[str, Any]] = {
    "raw": {"color": _TRAINING, "alpha": 0.3, "linewidth": 1},
    "smooth": {"color": _TRAINING, "linewidth": 2},
    "validation": {"color": _VALIDATION, "linewidth": 2, "marker": "o", "markersize": 5},
    "attacked": {"color": _ATTACKED, "linewidth": 2, "marker": "s", "markersize": 5},
}


def write(run: Path, *, title: str = "") -> Path:
    """Draw ``curves.png`` in a run folder and return its path: 1200 x 800 px.

    Raises:
        MissingExtraError: matplotlib is not installed (extra `train`).
    """
    require("matplotlib")
    path = run / FILE
    figure = draw(read_history(run), title=title or run.name)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", metadata={"Software": None})
    return path


def draw(run: TrainingHistory, *, title: str) -> Any:
    """Return a matplotlib figure of a run, without use of pyplot's state."""
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(_FIGURE_WIDTH, _FIGURE_HEIGHT), dpi=_DOTS_PER_INCH, layout="constrained"
    )
    figure.suptitle(_plain_title(title), parse_math=False, color=_INK, fontsize=15)
    shown = panels(run)[:_MOST_PANELS]
    if not shown:
        figure.text(0.5, 0.5, "no data logged yet", ha="center", color=_QUIET, fontsize=13)
        return figure
    best = run.best()
    grid = figure.subplots(math.ceil(len(shown) / 2), min(len(shown), 2), squeeze=False)
    for axes, panel in zip_longest(grid.flat, shown):
        if panel is None:
            axes.set_axis_off()
        else:
            _write_panel(axes, panel, run.step, best["step"] if best else None)
    return figure


def _write_panel(axes: Any, panel: ChartPanel, steps: int, best: int | None) -> None:
    for trace in panel.traces:
        _write_trace(axes, trace)
    if best is not None:
        axes.axvline(best, color=_QUIET, linestyle="--", linewidth=1, label=f"best step {best:,}")
    axes.set_title(panel.title, color=_INK, fontsize=13, loc="left")
    axes.set_xlabel("step", color=_QUIET, fontsize=11)
    _write_axis(axes, panel.ticks, _step_ticks(steps))
    axes.set_xlim(0, max(steps, 1) * 1.02)
    axes.set_ylim(panel.ticks[0], panel.ticks[-1])
    axes.legend(fontsize=10.5, frameon=False, labelcolor=_INK)


def _write_trace(axes: Any, trace: ChartTrace) -> None:
    style = dict(_STYLES[trace.style])
    curve = thin_out(trace.curve, _MOST_FIGURE_POINTS)
    if len(curve) == 1:
        style["marker"] = "o"
    axes.plot(curve.steps, curve.values, label=trace.name, clip_on=False, **style)


def _write_axis(axes: Any, upright: Sequence[float], across: Sequence[float]) -> None:
    """Set the same ticks as on the page."""
    axes.set_yticks(upright, [f"{value:g}" for value in upright])
    axes.set_xticks(across, [f"{step:,.0f}" for step in across])
    axes.tick_params(colors=_QUIET, labelsize=11)
    axes.grid(axis="y", color=_LINE)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_LINE)


def _plain_title(title: str) -> str:
    """Return a title on one line, limited to characters of matplotlib's own font."""
    return " ".join(title.split()).encode("ascii", "replace").decode()[:90]
