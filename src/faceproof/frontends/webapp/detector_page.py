"""The page about the detector: what it promises, what was measured, and its card."""

from __future__ import annotations

import re

import streamlit as st

from faceproof.detector import Detector, DetectorSpec
from faceproof.errors import FaceproofError
from faceproof.frontends.webapp import sliders
from faceproof.frontends.webapp.checkers import checker
from faceproof.frontends.webapp.figures import FIGURES, Figure
from faceproof.frontends.webapp.markdown import escaped, small
from faceproof.frontends.webapp.plots import draw_plot
from faceproof.reports import plain_words

# A card is the detector's own text: it may be somebody else's. Pictures would be fetched from
# elsewhere, so that their signs are escaped; HTML is not rendered unless asked for.
_PICTURE = re.compile(r"!(?=\[)")


def draw() -> None:
    """Draw the page."""
    try:
        detector = checker().detector
    except FaceproofError as error:
        st.error(f"**The detector cannot be loaded.** {escaped(str(error))}")
        return
    spec = detector.spec
    st.title(f"The detector: {escaped(spec.name)} {escaped(spec.version)}", anchor=False)
    st.markdown(f"SHA-256 of its description: `{detector.sha256}`")
    point = sliders.chosen_point(spec)
    st.header("What it promises", anchor=False)
    sliders.draw_budget(spec, faces=1)
    _draw_figures(spec, point)
    _draw_untested(spec)
    _draw_card(detector)


def _draw_figures(spec: DetectorSpec, point: str) -> None:
    """Draw what was measured, one plot after the other, each with its table."""
    st.header("What was measured", anchor=False)
    figures = [make(spec, point) for make in FIGURES]
    drawn = [figure for figure in figures if figure.bars]
    for figure in drawn:
        _draw_figure(figure)
    if not drawn:
        st.info("This detector's record holds no measurements.")


def _draw_figure(figure: Figure) -> None:
    st.subheader(figure.title, anchor=False)
    st.markdown(small(figure.about))
    draw_plot(figure)
    with st.expander("The same as a table"):
        st.table(figure.table(), hide_index=True)


def _draw_untested(spec: DetectorSpec) -> None:
    """List what it was not tested on."""
    if unknown := plain_words.untested(spec):
        st.header("What this detector was not tested on", anchor=False)
        st.markdown("\n".join(f"- {escaped(one)}" for one in unknown))


def _draw_card(detector: Detector) -> None:
    """Draw the card as the bundle has it, without pictures from elsewhere."""
    card = detector.spec.card
    if card is None:
        return
    with st.expander("The detector's card, in full"):
        text = detector.bundle.read_file(card).decode("utf-8", "replace")
        st.markdown(_PICTURE.sub(r"\\!", text))
