"""Faces on the page: framed in the picture, and one by one with verdict and probability."""

from __future__ import annotations

from html import escape
from typing import Literal

import streamlit as st

from faceproof.detector import OperatingPoint
from faceproof.frontends.webapp.answers import GivenPicture, pixels
from faceproof.frontends.webapp.markdown import small_print, to_markdown
from faceproof.imaging.decode import Pixels
from faceproof.reports import words as plain_words
from faceproof.reports.case_facts import HEAT, HEAT_FAILED
from faceproof.reports.marked_picture import mark_picture, picture_words
from faceproof.reports.words import band_words
from faceproof.results import CheckedFace, CheckResult

LONGEST = 1200
_HIGHEST = 720
_STRONGEST = 100
_HEAT = "heat"
_OPACITY = "heat opacity"


def draw_heat_switch() -> bool:
    """Draw the switch of the heat maps; return whether it is on."""
    return st.toggle(
        "Show where the evidence lies",
        key=_HEAT,
        persist_state="session",
        help="A heat map over each face: bright areas are evidence for a fake. The detector "
        "scores each face several more times for it.",
    )


@st.fragment
def draw_picture(picture: GivenPicture, result: CheckResult, *, heat: bool) -> None:
    """Draw the picture, its faces framed and numbered; moving the heat slider redraws only this."""
    place = st.container()
    opacity = _opacity() if heat else None
    shown = mark_picture(pixels(picture), result, heat_opacity=opacity, longest=LONGEST)
    place.image(shown, width=_width(shown), output_format="JPEG", alt=picture_words(result))
    for one in plain_words.limitations(result.image):
        st.warning(one.sentence, icon=":material/priority_high:")
    if heat:
        _draw_caption(result)
    if picture.about:
        st.markdown(small_print(picture.about))


def _width(shown: Pixels) -> Literal["stretch"] | int:
    """Return the width at which a picture is shown: a tall one must fit on a screen."""
    height, width = shown.shape[:2]
    return round(width * _HIGHEST / height) if height > width else "stretch"


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


def _draw_caption(result: CheckResult) -> None:
    """Explain the heat maps, and name those that failed their test."""
    numbered = [(n, face.heatmap) for n, face in enumerate(result.faces, start=1) if face.heatmap]
    failed = [number for number, heatmap in numbered if not heatmap.reliable]
    if len(failed) < len(numbered):
        st.markdown(small_print(HEAT))
    if failed:
        faces = ", ".join(map(str, failed))
        which = "" if len(numbered) == 1 else f"Face {faces}: "
        st.warning(f"{which}{HEAT_FAILED}", icon=":material/priority_high:")


def band_html(fake_probability: float, point: OperatingPoint) -> str:
    """Return the bar with its three bands and a mark, as HTML that a reader hears as one sentence.

    It contains only our own numbers and words.
    """
    low, high = 100 * point.real_below, 100 * point.fake_from
    words = band_words(fake_probability, point)
    unsure = f'<i class="fp-unsure" style="width:{high - low:.2f}%"></i>' if high > low else ""
    between = "<span>unsure</span>" if high > low else ""
    return (
        f'<div class="fp-band" role="img" aria-label="{escape(words)}">'
        f"<div class='fp-names'><span>no sign of a fake</span>{between}"
        "<span>looks fake</span></div>"
        f"<div class='fp-bar'><i class='fp-real' style='width:{low:.2f}%'></i>{unsure}"
        f"<i class='fp-fake' style='width:{100 - high:.2f}%'></i>"
        f"<b class='fp-mark' style='left:{100 * fake_probability:.2f}%'></b></div>"
        "<div class='fp-ends'><span>0 % fake</span><span>100 % fake</span></div></div>"
    )


_MOST_IN_A_ROW = 6
_CLOSE_UP = 200
_SMALL_PART, _MARGIN = 0.25, 0.25


def draw_faces(picture: GivenPicture, result: CheckResult, point: OperatingPoint) -> None:
    """Draw the faces of a picture: a choice where there are several, and the panel of one."""
    several = len(result.faces) > 1
    place = _chosen_index(result, picture.key) if several else 0
    face = result.faces[place]
    close_up = crop_close_up(pixels(picture), face)
    if close_up is not None:
        alt = f"Face {place + 1}, enlarged and without a frame"
        st.image(close_up, width=_CLOSE_UP, output_format="JPEG", alt=alt)
    if several:
        words = plain_words.VERDICTS[face.verdict]
        st.markdown(f"**{words.short}**  \n{to_markdown(plain_words.face_words(face))}")
    _draw_face(face, point)
    if several:
        with st.expander(f"All {len(result.faces)} faces in a table"):
            st.table(_rows(result, point), hide_index=True)


def crop_close_up(shown: Pixels, face: CheckedFace) -> Pixels | None:
    """Return a face with a margin, uint8 [H, W, 3]; None where it fills much of the picture."""
    height, width = shown.shape[:2]
    x, y, wide, high = face.box
    if max(wide, high) > _SMALL_PART * max(height, width):
        return None
    margin = _MARGIN * max(wide, high)
    left, top = max(0, int(x - margin)), max(0, int(y - margin))
    return shown[top : int(y + high + margin) + 1, left : int(x + wide + margin) + 1]


def _chosen_index(result: CheckResult, key: str) -> int:
    """Return the place of the chosen face, the most fake one at first."""
    places = list(range(len(result.faces)))
    most = result.faces.index(plain_words.most_fake_face(result))
    label = f"{len(places)} faces were found. Which one?"
    key = f"face {key}"

    def label_face(place: int) -> str:
        return f"Face {place + 1}: {plain_words.VERDICTS[result.faces[place].verdict].word}"

    if len(places) <= _MOST_IN_A_ROW:
        return st.radio(label, places, index=most, format_func=label_face, key=key, horizontal=True)
    return st.selectbox(label, places, index=most, format_func=label_face, key=key)


def _draw_face(face: CheckedFace, point: OperatingPoint) -> None:
    """Draw one face's probability with its band, and its cautions."""
    st.html(band_html(face.fake_probability, point))
    st.markdown(f"**{to_markdown(probability_words(face, point))}**")
    if face.verdict == "real":
        st.markdown(small_print(plain_words.NO_PROOF_OF_REAL))
    _draw_cautions(face)


def probability_words(face: CheckedFace, point: OperatingPoint) -> str:
    """Return a face's probability of a fake; the exact bands are a fold away."""
    share = plain_words.percent(face.fake_probability, point)
    rest = ", which does not count" if face.quality.withholds_verdict else ""
    return f"Probability of a fake: {share}{rest}"


def _draw_cautions(face: CheckedFace) -> None:
    if not face.quality.cautions:
        return
    lines = "\n".join(
        f"- {to_markdown(plain_words.caution_words(one))}" for one in face.quality.cautions
    )
    st.markdown(f"**With caution** (the face is {face.quality.side_px} px wide):\n\n{lines}")


def _rows(result: CheckResult, point: OperatingPoint) -> dict[str, list[str]]:
    """Return the columns of the table of all faces."""
    faces = result.faces
    return {
        "Face": [str(number) for number in range(1, len(faces) + 1)],
        "Verdict": [plain_words.verdict_words(face.verdict) for face in faces],
        "Fake": [plain_words.percent(face.fake_probability, point) for face in faces],
        "Size": [f"{face.quality.side_px} px" for face in faces],
        "Cautions": [
            ", ".join(one.replace("_", " ") for one in face.quality.cautions) or "none"
            for face in faces
        ],
    }
