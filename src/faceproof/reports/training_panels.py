"""What the curves of a training show, before anything is drawn: the page and the PNG share it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from faceproof.reports.training_log import Curve, History

SMOOTHING = 0.9
"""Weight of what was before in the moving average; 1/(1 - SMOOTHING) logged steps are its reach."""

Style = Literal["raw", "smooth", "validation", "attacked"]


@dataclass(frozen=True)
class Trace:
    """One curve of a panel, its name and how it is drawn."""

    name: str
    style: Style
    curve: Curve


@dataclass(frozen=True)
class Panel:
    """Curves over one axis of steps; ``floor`` and ``ceiling`` are values it has to show."""

    name: str
    title: str
    traces: tuple[Trace, ...]
    caption: str
    floor: float | None = None
    ceiling: float | None = None

    @property
    def ticks(self) -> tuple[float, ...]:
        """The values of the upright axis; all curves lie between the first and the last."""
        seen = [value for trace in self.traces for value in trace.curve.values]
        low, high = ([] if end is None else [end] for end in (self.floor, self.ceiling))
        return ticks(min([*seen, *low]), max([*seen, *high]))

    @property
    def description(self) -> str:
        """The curves in words, for those who do not see them."""
        return " ".join(
            _told(trace) for trace in self.traces if trace.style != "raw" or len(trace.curve) == 1
        )


def panels(run: History) -> tuple[Panel, ...]:
    """Return the panels of a run, without those of which nothing was kept."""
    made = (_loss(run), _accuracy(run), _auc(run), _learning_rate(run), _speed(run))
    return tuple(panel for panel in made if panel.traces)


def smoothed(curve: Curve) -> Curve:
    """Return the exponential moving average of a curve, without a pull to 0 at its start.

    Source: Kingma and Ba, "Adam", 2015, section 3, for the division that takes the pull away.

    >>> smoothed(Curve((1, 2, 3), (1.0, 1.0, 1.0))).values
    (1.0, 1.0, 1.0)
    """
    values, total = [], 0.0
    for number, value in enumerate(curve.values, start=1):
        total = SMOOTHING * total + (1 - SMOOTHING) * value
        values.append(total / (1 - SMOOTHING**number))
    return Curve(curve.steps, tuple(values))


def ticks(low: float, high: float) -> tuple[float, ...]:
    """Return three to seven round numbers with ``low`` and ``high`` between the outer ones.

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


def thinned(curve: Curve, most: int) -> Curve:
    """Return at most ``most`` points of a curve, the lowest and the highest of each stretch.

    >>> thinned(Curve((1, 2, 3, 4), (0.0, 9.0, 1.0, 2.0)), 2).values
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


def _loss(run: History) -> Panel:
    return Panel(
        "loss",
        "Loss",
        (*_training(run, "loss"), *_validation(run, "validation_loss")),
        "Training: one batch at a time of altered pictures, while the network learns. Validation: "
        "the averaged network on pictures as they are. The two need not meet.",
        floor=0.0,
    )


def _accuracy(run: History) -> Panel:
    return Panel(
        "accuracy",
        "Accuracy",
        (
            *_training(run, "accuracy"),
            *_validation(run, "validation_accuracy"),
            *_named(run, "attacked_accuracy", "validation, attacked", "attacked"),
        ),
        "Share on the right side of one half, before any threshold is chosen.",
        ceiling=1.0,
    )


def _auc(run: History) -> Panel:
    return Panel(
        "auc",
        "ROC-AUC",
        tuple(_validation(run, "validation_auc")),
        "Of the averaged network on validation faces; the first of the highest is the best step.",
        ceiling=1.0,
    )


def _learning_rate(run: History) -> Panel:
    return Panel(
        "rate",
        "Learning rate",
        tuple(_named(run, "learning_rate", "learning rate", "smooth")),
        "The highest of all groups of weights.",
        floor=0.0,
    )


def _speed(run: History) -> Panel:
    return Panel(
        "speed",
        "Pictures a second",
        tuple(_named(run, "pictures_per_second", "pictures a second", "smooth")),
        "The mean since this start of the training; validations count as well.",
        floor=0.0,
    )


def _training(run: History, name: str) -> Sequence[Trace]:
    """Return a figure of training as it is and smoothed."""
    raw = run.curve(name)
    if not raw:
        return ()
    return (Trace("training", "raw", raw), Trace("training, smoothed", "smooth", smoothed(raw)))


def _validation(run: History, name: str) -> Sequence[Trace]:
    return _named(run, name, "validation", "validation")


def _named(run: History, key: str, name: str, style: Style) -> Sequence[Trace]:
    curve = run.curve(key)
    return (Trace(name, style, curve),) if curve else ()


def _told(trace: Trace) -> str:
    """Return a curve in a sentence."""
    steps, values = trace.curve.steps, trace.curve.values
    name = trace.name[0].upper() + trace.name[1:]
    if len(values) == 1:
        return f"{name}: {values[0]:.4g} at step {steps[0]:,}."
    return (
        f"{name}: from {values[0]:.4g} at step {steps[0]:,} to {values[-1]:.4g} at step "
        f"{steps[-1]:,}, between {min(values):.4g} and {max(values):.4g}."
    )
