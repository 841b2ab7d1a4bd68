"""Panels of curves as SVG coordinates, in a frame from (`LEFT`, `TOP`) to (`RIGHT`, `FOOT`)."""

from __future__ import annotations

from dataclasses import dataclass

from faceproof.reports.training_log import Curve
from faceproof.reports.training_panels import Panel, Style, Trace, thinned, ticks

WIDTH, HEIGHT = 360, 236
LEFT, RIGHT, TOP, FOOT = 54, 348, 14, 204

_MOST_POINTS = 400
_MOST_DOTS = 60


@dataclass(frozen=True)
class Tick:
    """A place on an axis and its number in words."""

    at: float
    text: str


@dataclass(frozen=True)
class Drawn:
    """A curve as the points of a polyline and, where they are few, as dots (x, y)."""

    name: str
    style: Style
    line: str
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Chart:
    """A panel with all its coordinates; ``best`` is where the best step stands."""

    name: str
    title: str
    description: str
    caption: str
    curves: tuple[Drawn, ...]
    across: tuple[Tick, ...]
    upright: tuple[Tick, ...]
    best: float | None


def chart(panel: Panel, *, steps: int, best: int | None) -> Chart:
    """Return a panel's chart over the steps from 0 to ``steps``."""
    frame = _Frame(steps, panel.ticks[0], panel.ticks[-1])
    return Chart(
        panel.name,
        panel.title,
        panel.description,
        panel.caption,
        tuple(_drawn(trace, frame) for trace in panel.traces),
        tuple(Tick(frame.x(step), f"{step:,.0f}") for step in step_ticks(steps)),
        tuple(Tick(frame.y(value), f"{value:g}") for value in panel.ticks),
        None if best is None else frame.x(best),
    )


def step_ticks(steps: int) -> tuple[float, ...]:
    """Return the whole round numbers of steps that are written below a chart.

    >>> step_ticks(1600)
    (0.0, 500.0, 1000.0, 1500.0)
    >>> step_ticks(3)
    (0.0, 1.0, 2.0, 3.0)
    """
    return tuple(step for step in ticks(0, steps) if step <= steps and step == int(step))


@dataclass(frozen=True)
class _Frame:
    """From steps and values to coordinates."""

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


def _drawn(trace: Trace, frame: _Frame) -> Drawn:
    line = frame.points(thinned(trace.curve, _MOST_POINTS))
    measured = trace.style in {"validation", "attacked"} and len(trace.curve) <= _MOST_DOTS
    dotted = measured or len(trace.curve) == 1
    return Drawn(
        trace.name,
        trace.style,
        " ".join(f"{x},{y}" for x, y in line),
        tuple(frame.points(trace.curve)) if dotted else (),
    )
