"""The picture with its faces framed, and the heat maps over it."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from faceproof.frontends.webapp.answers import pixels
from faceproof.frontends.webapp.checkers import has_heatmaps
from faceproof.frontends.webapp.given import Given
from faceproof.frontends.webapp.markdown import small
from faceproof.imaging.picture import Pixels
from faceproof.reports.case_picture import HEAT, HEAT_FAILED
from faceproof.reports.marked_picture import marked, picture_words
from faceproof.results import CheckResult

LONGEST = 1200
HIGHEST = 720
_STRONGEST = 100
_HEAT = "heat"
_OPACITY = "heat opacity"


def wants_heat(result: CheckResult) -> bool:
    """Draw the switch of the heat maps where there can be some; return whether it is on."""
    return (
        bool(result.faces)
        and has_heatmaps()
        and st.toggle(
            "Show where the evidence lies",
            key=_HEAT,
            persist_state="session",
            help="A heat map over each face: where it is warm, the pixels spoke for fake. The "
            "detector looks at each face several times more for it.",
        )
    )


@st.fragment
def draw_picture(picture: Given, result: CheckResult, *, heat: bool) -> None:
    """Draw the picture, its faces framed and numbered; moving the heat redraws this alone."""
    place = st.container()
    opacity = _opacity() if heat else None
    shown = marked(pixels(picture), result, heat_opacity=opacity, longest=LONGEST)
    place.image(shown, width=_width(shown), output_format="JPEG", alt=picture_words(result))
    if heat:
        _tell(result)
    if picture.about:
        st.markdown(small(picture.about))


def _width(shown: Pixels) -> Literal["stretch"] | int:
    """Return the width at which a picture is shown: a tall one must fit on a screen."""
    height, width = shown.shape[:2]
    return round(width * HIGHEST / height) if height > width else "stretch"


def _opacity() -> float:
    """Draw the slider of the heat maps; return their opacity in [0, 1]."""
    strength = st.slider(
        "Strength of the heat map in percent",
        0,
        _STRONGEST,
        50,
        step=5,
        key=_OPACITY,
        persist_state="session",
    )
    return strength / _STRONGEST


def _tell(result: CheckResult) -> None:
    """Say what the heat maps are, and which of them failed their test."""
    numbered = [(n, face.heatmap) for n, face in enumerate(result.faces, start=1) if face.heatmap]
    failed = [number for number, heatmap in numbered if not heatmap.reliable]
    if len(failed) < len(numbered):
        st.markdown(small(HEAT))
    if failed:
        faces = ", ".join(map(str, failed))
        which = "" if len(numbered) == 1 else f"Face {faces}: "
        st.warning(f"{which}{HEAT_FAILED}", icon=":material/priority_high:")
