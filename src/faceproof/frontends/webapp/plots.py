"""A figure as a plot: a mark for each share, a line for its interval; readable in both themes."""

from __future__ import annotations

from typing import Any

import altair as alt
import streamlit as st

from faceproof.frontends.webapp.figures import Figure

ROW_HEIGHT = 34
_COLOUR = "#3b82d6"  # against white and against the dark ground alike above 3 : 1
_PROMISE = "#d9480f"


def draw_plot(figure: Figure) -> None:
    """Draw the figure; what it shows stands in words in its description."""
    st.altair_chart(plot(figure), width="stretch", theme="streamlit")


def plot(figure: Figure) -> alt.LayerChart | alt.FacetChart:
    """Return the chart of a figure."""
    rows = [
        {
            "name": bar.name,
            "value": bar.finding.value,
            "low": bar.finding.low,
            "high": bar.finding.high,
            "faces": bar.finding.n,
        }
        for bar in figure.bars
    ]
    order = [bar.name for bar in figure.bars]
    base = alt.Chart(_data(rows)).encode(
        y=alt.Y(
            "name:N", sort=order, title=None, axis=alt.Axis(labelLimit=260, labelOverlap=False)
        ),
        tooltip=[
            alt.Tooltip("name:N", title=" "),
            alt.Tooltip("value:Q", title=figure.axis, format=".1%"),
            alt.Tooltip("low:Q", title="from", format=".1%"),
            alt.Tooltip("high:Q", title="to", format=".1%"),
            alt.Tooltip("faces:Q", title="faces", format=","),
        ],
    )
    axis = alt.Axis(format="%", title=figure.axis)
    interval = base.mark_rule(color=_COLOUR, strokeWidth=3).encode(
        x=alt.X("low:Q", axis=axis), x2="high:Q"
    )
    layers = [interval, base.mark_point(color=_COLOUR, filled=True, size=90).encode(x="value:Q")]
    if figure.promise is not None:
        promised = alt.Chart(_data([{"promise": figure.promise}]))
        line = promised.mark_rule(color=_PROMISE, strokeDash=[6, 4], strokeWidth=2)
        layers.append(line.encode(x="promise:Q"))
    height = alt.Step(ROW_HEIGHT)
    return alt.layer(*layers).properties(height=height, description=figure.words())


def _data(rows: list[dict[str, Any]]) -> alt.Data:
    return alt.Data(values=rows)  # type: ignore[no-untyped-call]
