"""Two sliders: how many false alarms are accepted, and how common fakes are."""

from __future__ import annotations

import streamlit as st

from faceproof.detector import DetectorSpec, OperatingPoint
from faceproof.frontends.webapp.markdown import to_markdown
from faceproof.reports import words

BASE_RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_FIRST_RATE = 0.01
_BUDGET, _RATE = "budget", "base rate"


def chosen_point(spec: DetectorSpec) -> str:
    """Return the name of the operating point that the slider shows, the default at first."""
    name = st.session_state.get(_BUDGET)
    return name if name in spec.operating_points else spec.default_operating_point


def draw_budget(spec: DetectorSpec, faces: int) -> None:
    """Draw the slider of false alarms, and what it means on our tests for so many faces."""
    points = ordered_points(spec)
    if len(points) > 1:
        st.select_slider(
            "False alarms: real faces that may be called fake",
            options=[point.name for point in points],
            value=spec.default_operating_point,
            format_func=lambda name: budget_label(spec.operating_points[name]),
            key=_BUDGET,
            persist_state="session",
            help="Fewer false alarms mean that more fakes are missed or left unsure. Moving this "
            "does not score the picture again: it only moves the thresholds.",
        )
    point = chosen_point(spec)
    st.markdown(f"**{to_markdown(words.budget_words(spec, point))}**")
    if several := words.many_faces_words(spec, point, faces):
        st.markdown(to_markdown(several))


def draw_budget_details(spec: DetectorSpec) -> None:
    """Draw the exact figures that go with the slider, folded."""
    if details := words.budget_details(spec, chosen_point(spec)):
        with st.expander("More figures"):
            st.markdown("\n".join(f"- {to_markdown(line)}" for line in details))


def draw_base_rate(spec: DetectorSpec) -> None:
    """Draw the slider of how common fakes are, and what a "fake" verdict is then worth."""
    st.markdown("**What is a “looks fake” verdict worth?**")
    rate = st.select_slider(
        "How common fakes are where this picture comes from",
        options=BASE_RATES,
        value=_FIRST_RATE,
        format_func=words.rarity_words,
        key=_RATE,
        persist_state="session",
        help="Your own estimate: how many of the faces that you receive are fake? Where fakes "
        "are rare, most alarms are false, with any detector.",
    )
    worth = words.worth(spec, chosen_point(spec), rate)
    st.markdown(f"**{to_markdown(worth.text)}**")


def ordered_points(spec: DetectorSpec) -> list[OperatingPoint]:
    """Return the operating points, the one with most false alarms first."""
    return sorted(
        spec.operating_points.values(),
        key=lambda point: (point.fake_from, -(point.bpcer_budget or 0.0)),
    )


def budget_label(point: OperatingPoint) -> str:
    """Return an operating point's budget as a share, or its name where it has none."""
    if not point.bpcer_budget:
        return point.name
    return words.rarity_words(point.bpcer_budget)
