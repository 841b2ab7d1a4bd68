"""The page about the detector: what it promises, what was measured, and its card."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import streamlit as st

from faceproof.detector import Detector, DetectorSpec, Finding
from faceproof.errors import FaceproofError
from faceproof.frontends.webapp import sliders
from faceproof.frontends.webapp.answers import checker
from faceproof.frontends.webapp.markdown import small_print, to_markdown
from faceproof.reports import words
from faceproof.reports.words import condition_words
from faceproof.reports.words.budgets import conditions, find_measured, slice_names


@dataclass(frozen=True)
class FigureBar:
    """One measured share: its name, and the finding."""

    name: str
    finding: Finding


@dataclass(frozen=True)
class Figure:
    """Shares to compare, in the order of the record; ``promise`` is a line not to be passed.

    ``slices`` is what the bars are where their names are those of data sets or generators.
    """

    title: str
    about: str
    axis: str
    bars: tuple[FigureBar, ...]
    promise: float | None = None
    slices: str = ""

    def to_columns(self) -> dict[str, list[str]]:
        """Return the figure as the columns of a table."""
        found = [bar.finding for bar in self.bars]
        return {
            "": [bar.name for bar in self.bars],
            self.axis: [_format_percent(one.value) for one in found],
            "95 % interval": [
                f"{_format_percent(one.low)} to {_format_percent(one.high)}" for one in found
            ],
            "faces": [f"{one.n:,}" for one in found],
        }

    def summarise(self) -> str:
        """Return the smallest and the largest share in a sentence without the names."""
        values = [bar.finding.value for bar in self.bars]
        ends = f"{_format_percent(min(values))} to {_format_percent(max(values))}"
        return f"{self.axis[:1].upper()}{self.axis[1:]}: {ends}, in {len(values)} {self.slices}."

    def describe(self) -> str:
        """Return the figure in a sentence, for those who do not see it."""
        values = "; ".join(f"{bar.name} {_format_percent(bar.finding.value)}" for bar in self.bars)
        return f"{self.title}. {self.axis}: {values}."


def false_alarms_by_source(spec: DetectorSpec, point: str) -> Figure:
    """Return the share of real faces called fake, by where they come from (BPCER)."""
    return Figure(
        "False alarms, by where the real faces come from",
        "Real faces in the tests that were called fake at this budget; the pictures are unchanged. "
        "The line is the promise for all real faces together.",
        "real faces called fake",
        tuple(_slice_bars(spec, f"bpcer@{point}", "source=")),
        spec.operating_point(point).bpcer_budget,
        slices="sources of pictures",
    )


def _misses_by_generator(spec: DetectorSpec, point: str) -> Figure:
    """Return the share of fakes in which no sign was found, by what made them (APCER)."""
    return Figure(
        "Misses, by what made the fakes",
        "Fakes in the tests in which no sign of a fake was found at this budget; the pictures are "
        "unchanged. Fakes with the verdict unsure are not included.",
        "fakes with no sign of a fake",
        tuple(_slice_bars(spec, f"apcer@{point}", "generator=")),
        slices="kinds of fakes",
    )


def _caught_by_generator(spec: DetectorSpec, point: str) -> Figure:
    """Return the share of fakes called fake, by what made them."""
    return Figure(
        "Caught, by what made the fakes",
        "Fakes in the tests that were called fake at this budget; the pictures are unchanged.",
        "fakes called fake",
        tuple(_slice_bars(spec, f"recall@{point}", "generator=")),
        slices="kinds of fakes",
    )


def _false_alarms_by_condition(spec: DetectorSpec, point: str) -> Figure:
    """Return the share of real faces called fake, by degradation."""
    return Figure(
        "False alarms, when the pictures are saved again or made smaller",
        "The same real faces, with several degradations applied before scoring.",
        "real faces called fake",
        tuple(_condition_bars(spec, f"bpcer@{point}")),
        spec.operating_point(point).bpcer_budget,
    )


def _caught_by_condition(spec: DetectorSpec, point: str) -> Figure:
    """Return the share of fakes called fake, by degradation."""
    return Figure(
        "Caught, when the pictures are saved again or made smaller",
        "The same fakes, with several degradations applied before scoring.",
        "fakes called fake",
        tuple(_condition_bars(spec, f"recall@{point}")),
    )


#: The figures in the order of the page.
FIGURES: tuple[Callable[[DetectorSpec, str], Figure], ...] = (
    false_alarms_by_source,
    _false_alarms_by_condition,
    _caught_by_generator,
    _misses_by_generator,
    _caught_by_condition,
)


def _slice_bars(spec: DetectorSpec, metric: str, kind: str) -> Iterator[FigureBar]:
    for name in slice_names(spec, kind):
        if found := find_measured(spec, metric, slice_=f"{kind}{name}"):
            yield FigureBar(name, found)


def _condition_bars(spec: DetectorSpec, metric: str) -> Iterator[FigureBar]:
    for condition in conditions(spec):
        if found := find_measured(spec, metric, condition=condition):
            yield FigureBar(condition_words(condition), found)


def _format_percent(share: float) -> str:
    """Return a share as a percentage.

    >>> _format_percent(0.0041)
    '0.4 %'
    """
    return f"{100 * share:.1f} %"


_ROW_HEIGHT = 34
_COLOUR = "#3b82d6"  # against white and against the dark ground alike above 3 : 1
_PROMISE = "#d9480f"


def _draw_plot(figure: Figure) -> None:
    """Draw the figure; its description states the same in words."""
    st.altair_chart(make_chart(figure), width="stretch", theme="streamlit")


def make_chart(figure: Figure) -> alt.LayerChart | alt.FacetChart:
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
    height = alt.Step(_ROW_HEIGHT)
    return alt.layer(*layers).properties(height=height, description=figure.describe())


def _data(rows: list[dict[str, Any]]) -> alt.Data:
    return alt.Data(values=rows)  # type: ignore[no-untyped-call]


# A card is the detector's own text: it may be somebody else's. Pictures would be fetched from
# elsewhere, so that their signs are escaped; HTML is not rendered unless asked for.
_PICTURE = re.compile(r"!(?=\[)")


def draw() -> None:
    """Draw the page."""
    try:
        detector = checker().detector
    except FaceproofError as error:
        st.error(f"**The detector cannot be loaded.** {to_markdown(str(error))}")
        return
    spec = detector.spec
    st.title(f"The detector: {to_markdown(spec.name)} {to_markdown(spec.version)}", anchor=False)
    st.markdown(f"SHA-256 of its detector.json: `{detector.sha256}`")
    point = sliders.chosen_point(spec)
    st.header("What it promises", anchor=False)
    sliders.draw_budget(spec, faces=1)
    sliders.draw_budget_details(spec)
    _draw_figures(spec, point)
    _draw_untested(spec)
    _draw_card(detector)


def _draw_figures(spec: DetectorSpec, point: str) -> None:
    """Draw what was measured, one plot after the other, each with its table."""
    st.header("What was measured", anchor=False)
    figures = [make(spec, point) for make in FIGURES]
    drawn = [figure for figure in figures if figure.bars]
    for figure in drawn:
        if not figure.slices:
            _draw_figure(figure)
            with st.expander("The same as a table"):
                st.table(figure.to_columns(), hide_index=True)
    if named := [figure for figure in drawn if figure.slices]:
        _draw_by_name(named)
    if not drawn:
        st.info("This detector's record contains no measurements.")


def _draw_figure(figure: Figure) -> None:
    st.subheader(figure.title, anchor=False)
    st.markdown(small_print(figure.about))
    _draw_plot(figure)


def _draw_by_name(figures: Sequence[Figure]) -> None:
    """Draw the ends of each figure, and folded the figures with the names of sets and generators.

    A fold within a fold is not possible, so that each table is below its plot.
    """
    st.subheader("By where the pictures come from", anchor=False)
    st.markdown("\n".join(f"- {to_markdown(one.summarise())}" for one in figures))
    with st.expander("The exact figures, by data set and generator"):
        for figure in figures:
            _draw_figure(figure)
            st.table(figure.to_columns(), hide_index=True)


def _draw_untested(spec: DetectorSpec) -> None:
    """List what it was not tested on."""
    if unknown := words.untested_sentences(spec):
        st.header("What this detector was not tested on", anchor=False)
        st.markdown("\n".join(f"- {to_markdown(one)}" for one in unknown))


def _draw_card(detector: Detector) -> None:
    """Draw the card as the bundle has it, without pictures from elsewhere."""
    card = detector.spec.card
    if card is None:
        return
    with st.expander("The detector's card, in full"):
        text = detector.bundle.read_file(card).decode("utf-8", "replace")
        st.markdown(_PICTURE.sub(r"\\!", text))
