"""One face at a time: its verdict in words, its probability, and what makes it less sure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from faceproof.detector import OperatingPoint, Verdict
from faceproof.frontends.webapp.band import band_html
from faceproof.frontends.webapp.markdown import escaped, small
from faceproof.reports import plain_words
from faceproof.results import CheckedFace, CheckResult

MOST_IN_A_ROW = 6

_BOXES: Mapping[Verdict, tuple[Callable[..., object], str]] = {
    "fake": (st.error, ":material/warning:"),
    "unsure": (st.warning, ":material/help:"),
    "real": (st.info, ":material/search:"),
}


def draw_faces(result: CheckResult, point: OperatingPoint, key: str) -> None:
    """Draw the faces of a picture: a choice where there are several, and the panel of one."""
    if len(result.faces) > 1:
        st.markdown(f"**{escaped(plain_words.answer_words(result))}**")
    number = _chosen(result, key) if len(result.faces) > 1 else 0
    draw_face(result.faces[number], point)
    if len(result.faces) > 1:
        with st.expander(f"All {len(result.faces)} faces in a table"):
            st.table(_rows(result, point), hide_index=True)


def _chosen(result: CheckResult, key: str) -> int:
    """Return the place of the chosen face, the most fake one at first."""
    places = list(range(len(result.faces)))
    most = max(places, key=lambda place: result.faces[place].fake_probability)
    label = f"{len(places)} faces were found. Which one?"
    key = f"face {key}"

    def named(place: int) -> str:
        return f"Face {place + 1}: {result.faces[place].verdict}"

    if len(places) <= MOST_IN_A_ROW:
        return st.radio(label, places, index=most, format_func=named, key=key, horizontal=True)
    return st.selectbox(label, places, index=most, format_func=named, key=key)


def draw_face(face: CheckedFace, point: OperatingPoint) -> None:
    """Draw one face's verdict, its probability with its band, and its cautions."""
    words = plain_words.VERDICTS[face.verdict]
    box, icon = _BOXES[face.verdict]
    box(f"**{words.short}**  \n{words.sentence}", icon=icon)
    st.html(band_html(face.fake_probability, point))
    st.markdown(f"**{escaped(plain_words.band_words(face.fake_probability, point))}**")
    st.markdown(small(plain_words.EVEN_BET))
    if face.verdict == "real":
        st.markdown(small(plain_words.NO_PROOF_OF_REAL))
    _draw_cautions(face)


def _draw_cautions(face: CheckedFace) -> None:
    if not face.quality.cautions:
        return
    lines = "\n".join(
        f"- {escaped(plain_words.caution_words(one))}" for one in face.quality.cautions
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
