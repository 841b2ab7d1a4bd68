"""`chart_spec`: a plot as a Vega-Lite chart, and the drawing of such charts without a browser.

Vega-Lite charts are plain JSON. vl-convert draws them as SVG and PNG, and has the JavaScript with
which a page shows them, so that one description serves file, page and print.

Colours are names of variables, ``var(--series-1)``, which the page's style sheet sets for light and
dark. `fill_colours` replaces them by those of a light page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from statistics import NormalDist
from typing import Any

from faceproof.evaluation.audit_result import Series
from faceproof.reports.report import Axis, ReportPlot, cell_words
from faceproof.tables import require

WIDTH, HEIGHT = 270, 230
"""Of the drawn area in px, so that a whole chart fits a phone without being reduced."""

_UNSEEN = {"value": 0}
_BAR = 15
"""Height of a bar with its gap in px."""

LIGHT = {
    "ink": "#22262b",
    "quiet": "#626a73",
    "grid": "#e3e0da",
    "card": "#ffffff",
    "series-1": "#0072b2",
    "series-2": "#c65400",
    "series-3": "#00805e",
    "series-4": "#a8507f",
    "series-5": "#8a6a00",
    "series-6": "#22262b",
    "series-7": "#2f8fc0",
}
"""Colours on a light page: the hues of Okabe and Ito, darkened to a contrast of 3 and more.

Source: Okabe and Ito 2008, Color Universal Design.
"""

DARK = {
    "ink": "#e6e4df",
    "quiet": "#9aa2ab",
    "grid": "#32363c",
    "card": "#1e2125",
    "series-1": "#56b4e9",
    "series-2": "#f0884a",
    "series-3": "#1fb88f",
    "series-4": "#cc79a7",
    "series-5": "#f0e442",
    "series-6": "#e6e4df",
    "series-7": "#8f9fdb",
}
"""Colours on a dark page."""

COLOURS = [name for name in LIGHT if name.startswith("series-")]
_DASHES: list[list[int]] = [[], [5, 3], [2, 2], [8, 3, 2, 3], [12, 3], [2, 4], [8, 3]]


def chart_spec(plot: ReportPlot, *, still: bool = False) -> dict[str, Any]:
    """Return the Vega-Lite chart of a plot, with values on hover and a legend that hides series.

    A ``still`` one is for a picture: it lacks the points that are there for the pointer only.
    """
    layers = {"line": _lines, "step": _lines, "bar": _bars, "matrix": _matrix}[plot.kind](plot)
    if still:
        layers = (layer for layer in layers if layer["encoding"].get("opacity") != _UNSEEN)
    rows = len({x for one in plot.series for x in one.x}) * len(plot.series)
    height = max(60, _BAR * rows) if plot.kind == "bar" else HEIGHT
    return {
        "width": WIDTH,
        "height": height if plot.kind != "matrix" else 160,
        "autosize": {"type": "pad", "contains": "content"},
        "background": None,
        "config": _CONFIG,
        "layer": list(layers),
    }


_CONFIG: dict[str, Any] = {
    "aria": False,
    "font": "system-ui, sans-serif",
    "view": {"stroke": "var(--grid)"},
    "axis": {
        "labelColor": "var(--quiet)",
        "titleColor": "var(--quiet)",
        "titleFontWeight": 500,
        "gridColor": "var(--grid)",
        "domainColor": "var(--grid)",
        "tickColor": "var(--grid)",
        "labelFontSize": 11,
        "titleFontSize": 11,
        "labelLimit": 150,
    },
    "legend": {
        "labelColor": "var(--ink)",
        "orient": "bottom",
        "direction": "vertical",
        "title": None,
        "labelFontSize": 11,
        "labelLimit": 230,
        "symbolStrokeWidth": 2.5,
        "symbolSize": 160,
    },
}


def _lines(plot: ReportPlot) -> Iterator[dict[str, Any]]:
    """Yield guides and marks, then bands, lines, and the points that answer to a pointer."""
    yield from _guide_layers(plot)
    data = {"values": list(_points(plot, plot.series))}
    x, y = _channel(plot.x, "x"), _channel(plot.y, "y")
    dots = plot.kind == "line" and max(len(one.x) for one in plot.series) <= 30
    mark = {"type": "line", "strokeWidth": 2, "clip": True}
    if plot.kind == "step":
        mark["interpolate"] = "step-after"
    shared = {"x": x, "y": y, "color": _colour(plot, "stroke")}
    if any(one.low for one in plot.series):
        ends = {"y": _channel(plot.y, "low") | {"title": plot.y.title}, "y2": {"field": "high"}}
        rule = {"type": "rule", "strokeWidth": 1.5, "clip": True}
        yield {
            "data": data,
            "mark": rule,
            "encoding": shared | ends | {"opacity": _chosen(plot, 0.6)},
        }
    dash = {"field": "series", "type": "nominal", "scale": _dashes(plot)}
    dash["legend"] = shared["color"]["legend"]
    yield {
        "data": data,
        "mark": mark,
        "params": _legend_toggle(plot),
        "encoding": shared | {"strokeDash": dash, "opacity": _chosen(plot, 1)},
    }
    yield {
        "data": data,
        "mark": {"type": "point", "filled": True, "size": 45 if dots else 60, "clip": True},
        "encoding": {
            **shared,
            "tooltip": _tooltip(plot),
            "opacity": _chosen(plot, 1) if dots else _UNSEEN,
        },
    }


def _bars(plot: ReportPlot) -> Iterator[dict[str, Any]]:
    """Yield horizontal bars, one row for each name and series, with their intervals."""
    data = {"values": list(_points(plot, plot.series))}
    names = list(dict.fromkeys(str(x) for one in plot.series for x in one.x))
    across = _channel(plot.y, "y")
    down: dict[str, Any] = {
        "field": "x",
        "type": "nominal",
        "title": plot.x.title,
        "scale": {"domain": names},
        "axis": {"labelPadding": 4},
    }
    shared: dict[str, Any] = {"x": across, "y": down, "color": _colour(plot, "fill")}
    if len(plot.series) > 1:
        order = [one.name for one in plot.series]
        shared["yOffset"] = {"field": "series", "type": "nominal", "scale": {"domain": order}}
    yield {
        "data": data,
        "mark": {"type": "bar"},
        "params": _legend_toggle(plot),
        "encoding": shared | {"tooltip": _tooltip(plot), "opacity": _chosen(plot, 0.85)},
    }
    if any(one.low for one in plot.series):
        ends = {"x": _channel(plot.y, "low") | {"title": plot.y.title}, "x2": {"field": "high"}}
        rule = {"type": "rule", "strokeWidth": 1.5}
        ink = {"color": {"value": "var(--ink)"}, "opacity": _chosen(plot, 0.9)}
        yield {"data": data, "mark": rule, "encoding": shared | ends | ink}


def _matrix(plot: ReportPlot) -> Iterator[dict[str, Any]]:
    """Yield a cell for each count, its colour the share of its row, and its words."""
    values = [
        {
            "row": one.name,
            "column": str(x),
            "words": f"{y or 0:,.0f}",
            "share": (y or 0) / max(sum(filter(None, one.y)), 1),
            "percent": f"{100 * (y or 0) / max(sum(filter(None, one.y)), 1):.1f} %",
        }
        for one in plot.series
        for x, y in zip(one.x, one.y, strict=True)
    ]
    place = {
        "x": {
            "field": "column",
            "type": "nominal",
            "title": plot.x.title,
            "sort": None,
            "axis": {"labelAngle": 0},
        },
        "y": {"field": "row", "type": "nominal", "title": plot.y.title, "sort": None},
    }
    tip = [
        {"field": "row", "title": plot.y.title},
        {"field": "column", "title": plot.x.title},
        {"field": "words", "title": "count"},
        {"field": "percent", "title": "share of the class"},
    ]
    shade = {"field": "share", "type": "quantitative", "legend": None}
    yield {
        "data": {"values": values},
        "mark": {"type": "rect", "color": "var(--series-1)", "stroke": "var(--grid)"},
        "encoding": place
        | {"fillOpacity": shade | {"scale": {"domain": [0, 1], "range": [0.03, 0.4]}}}
        | {"tooltip": tip},
    }
    for field, size, down in (("words", 15, -8), ("percent", 11, 11)):
        text = {"type": "text", "fontSize": size, "dy": down, "color": "var(--ink)"}
        yield {
            "data": {"values": values},
            "mark": text,
            "encoding": place | {"text": {"field": field, "type": "nominal"}},
        }


def _guide_layers(plot: ReportPlot) -> Iterator[dict[str, Any]]:
    """Yield the dashed lines to compare with, and the marked places with their names."""
    for one in plot.guides:
        yield {
            "data": {"values": list(_points(plot, (one,)))},
            "mark": {
                "type": "line",
                "color": "var(--quiet)",
                "strokeDash": [3, 4],
                "strokeWidth": 1.2,
                "clip": True,
            },
            "encoding": {"x": _channel(plot.x, "x"), "y": _channel(plot.y, "y")},
        }
    for number, mark in enumerate(plot.marks):
        data = {"values": [{"x": mark.x, "name": mark.name}]}
        x = _channel(plot.x, "x")
        yield {
            "data": data,
            "mark": {"type": "rule", "color": "var(--quiet)", "strokeDash": [6, 3]},
            "encoding": {"x": x},
        }
        right = mark.x < 0.5
        yield {
            "data": data,
            "mark": {
                "type": "text",
                "align": "left" if right else "right",
                "dx": 4 if right else -4,
                "color": "var(--quiet)",
                "fontSize": 11,
            },
            "encoding": {
                "x": x,
                "y": {"value": 12 + 14 * number},
                "text": {"field": "name", "type": "nominal"},
            },
        }


def _points(plot: ReportPlot, series: tuple[Series, ...]) -> Iterator[dict[str, Any]]:
    """Yield the points with their words for a pointer; a log or probit axis has no 0."""
    for one in series:
        for at, (x, y) in enumerate(zip(one.x, one.y, strict=True)):
            if y is None:
                continue
            low, high = ((ends[at] if ends else None) for ends in (one.low, one.high))
            point = {"series": one.name, "x": _place(plot.x, x), "y": _place(plot.y, y)}
            point |= {"words": cell_words(x), "value": cell_words(y)}
            if low is not None and high is not None:
                point |= {"low": _place(plot.y, low), "high": _place(plot.y, high)}
                point["interval"] = f"{cell_words(low)} to {cell_words(high)}"
            yield point


def _place(axis: Axis, value: float | str) -> float | str:
    """Return a value's place on its axis; one beyond the axis of a log or probit is at its end."""
    if isinstance(value, str) or axis.scale in {"linear", "name"}:
        return value
    low, high = axis.low or 1e-5, axis.high or 1.0
    kept = min(max(value, low), high)
    return round(NormalDist().inv_cdf(kept), 5) if axis.scale == "probit" else kept


_PROBITS = (1e-4, 0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999)


def _channel(axis: Axis, field: str) -> dict[str, Any]:
    """Return the channel of a horizontal or vertical axis."""
    if axis.scale == "name":
        return {"field": field, "type": "nominal", "title": axis.title, "sort": None}
    channel: dict[str, Any] = {"field": field, "type": "quantitative", "title": axis.title}
    scale: dict[str, Any] = (
        {"nice": axis.low is None, "zero": True} if axis.scale == "linear" else {"nice": False}
    )
    if axis.low is not None and axis.high is not None:
        scale["domain"] = [_place(axis, axis.low), _place(axis, axis.high)]
    elif axis.low is not None:
        scale |= {"domainMin": axis.low, "nice": True}
    if axis.scale == "log":
        scale["type"] = "log"
        channel["axis"] = {"tickCount": 5, "format": "~g"}
    if axis.scale == "probit":
        held = [one for one in _PROBITS if (axis.low or 0) <= one <= (axis.high or 1)]
        channel["axis"] = {
            "values": [_place(axis, one) for one in held],
            "labelExpr": "format(cumulativeNormal(datum.value), '.4~f')",
        }
    return channel | {"scale": scale}


def _names(plot: ReportPlot) -> list[str]:
    return [one.name for one in plot.series]


def _colour(plot: ReportPlot, of: str) -> dict[str, Any]:
    """Return the colours of the series; the legend is left out if there is only one."""
    names = _names(plot)
    colours = [f"var(--{COLOURS[n % len(COLOURS)]})" for n in range(len(names))]
    channel: dict[str, Any] = {
        "field": "series",
        "type": "nominal",
        "scale": {"domain": names, "range": colours},
    }
    if len(names) == 1:
        return channel | {"legend": None}
    symbol = "stroke" if of == "stroke" else "square"
    return channel | {"legend": {"symbolType": symbol, "columns": 1}}


def _dashes(plot: ReportPlot) -> dict[str, Any]:
    names = _names(plot)
    return {
        "domain": names,
        "range": [_DASHES[n % len(_DASHES)] or [1, 0] for n in range(len(names))],
    }


def _legend_toggle(plot: ReportPlot) -> list[dict[str, Any]]:
    """Return the selection that a click in the legend makes; a shift-click adds a series."""
    select = {"type": "point", "fields": ["series"]}
    return [{"name": "shown", "select": select, "bind": "legend"}] if len(plot.series) > 1 else []


def _chosen(plot: ReportPlot, opacity: float) -> dict[str, Any]:
    """Return the opacity of what is chosen in the legend; the rest is faint."""
    if len(plot.series) == 1:
        return {"value": opacity}
    return {"condition": {"param": "shown", "value": opacity}, "value": 0.08}


def _tooltip(plot: ReportPlot) -> list[dict[str, Any]]:
    fields = [
        {"field": "words", "type": "nominal", "title": plot.x.title},
        {"field": "value", "type": "nominal", "title": plot.y.title},
    ]
    if len(plot.series) > 1 or plot.series[0].name not in {"", "measured"}:
        fields.insert(0, {"field": "series", "type": "nominal", "title": "series"})
    if any(one.low for one in plot.series):
        fields.append({"field": "interval", "type": "nominal", "title": "95 % interval"})
    return fields


def draw_svg(plot: ReportPlot) -> str:
    """Return a plot as SVG whose colours are variables.

    Raises:
        MissingExtraError: vl-convert is not installed.
    """
    require("vl_convert", extra="data")
    import vl_convert

    return tidy_svg(str(vl_convert.vegalite_to_svg(chart_spec(plot, still=True))), plot.name)


def tidy_svg(svg: str, name: str) -> str:
    """Return an SVG of Vega whose ids are its own on a page, without roles for assistive tools.

    >>> tidy_svg('<a clip-path="url(#clip7)" role="b"/><clipPath id="clip7"/>', "roc")
    '<a clip-path="url(#roc-clip1)"/><clipPath id="roc-clip1"/>'
    """
    ids = dict.fromkeys(re.findall(r"""\b(clip|gradient_?)(\d+)(?=["')])""", svg))
    places = {"".join(one): f"{name}-{one[0]}{n}" for n, one in enumerate(ids, start=1)}
    named = re.sub(
        r"""(id="|url\(#)((?:clip|gradient_?)\d+)""", lambda one: one[1] + places[one[2]], svg
    )
    return re.sub(r' (?:role|aria-[a-z]+)="[^"]*"', "", named)


def draw_png(svg: str) -> bytes:
    """Return a chart of `draw_svg` as PNG, on white, with two pixels for each unit."""
    import vl_convert

    return bytes(vl_convert.svg_to_png(fill_colours(svg), scale=2))


def fill_colours(svg: str) -> str:
    """Return an SVG with the colours of a light page and a white ground.

    >>> fill_colours('<svg a="1"><path stroke="var(--series-1)"/></svg>')
    '<svg a="1"><rect width="100%" height="100%" fill="#ffffff"/><path stroke="#0072b2"/></svg>'
    """
    coloured = re.sub(r"var\(--([a-z0-9-]+)\)", lambda found: LIGHT[found[1]], svg)
    ground = f'<rect width="100%" height="100%" fill="{LIGHT["card"]}"/>'
    return re.sub(r"(<svg\b[^>]*>)", rf"\1{ground}", coloured, count=1)


@cache
def chart_script() -> str:
    """Return the JavaScript of Vega, Vega-Lite and Vega-Embed (BSD 3-clause), once per process.

    Raises:
        MissingExtraError: vl-convert is not installed.
    """
    require("vl_convert", extra="data")
    import vl_convert

    return str(vl_convert.javascript_bundle())  # type: ignore[call-arg]
