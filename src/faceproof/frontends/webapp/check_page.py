"""The page that checks pictures: give one, see each face's verdict and how far to trust it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from faceproof.errors import FaceproofError
from faceproof.frontends.webapp import downloads, evidence, inputs, sliders
from faceproof.frontends.webapp.answers import answers, explained, is_whole, take_whole
from faceproof.frontends.webapp.band import STYLE
from faceproof.frontends.webapp.checkers import spec
from faceproof.frontends.webapp.faces import draw_faces
from faceproof.frontends.webapp.given import Given, forget, kept_pictures
from faceproof.frontends.webapp.markdown import escaped, label, small
from faceproof.frontends.webapp.picture import draw_picture, wants_heat
from faceproof.reports import plain_words
from faceproof.results import CheckResult

_SHOWN, _SEEN = "shown", "seen"


def draw() -> None:
    """Draw the page."""
    st.html(STYLE)
    st.title("Is this face real?", anchor=False)
    st.markdown(
        "Give a picture. Every face in it gets a verdict, the reasons for it, and how far to "
        "trust it. Nothing that you give is written to disk or sent on."
    )
    try:
        detector = spec()
    except FaceproofError as error:
        st.error(f"**The detector cannot be loaded.** {escaped(str(error))}")
        return
    pictures = inputs.pictures()
    if pictures:
        point = sliders.chosen_point(detector)
        found = answers(pictures, point)
        place = _chosen(pictures, found)
        _draw(pictures[place], found[place])


def _chosen(pictures: Sequence[Given], found: Sequence[CheckResult]) -> int:
    """Return the place of the picture to show; a new one is shown at once."""
    keys = [picture.key for picture in pictures]
    seen = st.session_state.get(_SEEN, frozenset())
    new = [key for key in keys if key not in seen]
    st.session_state[_SEEN] = frozenset(keys)
    if new or st.session_state.get(_SHOWN) not in keys:
        st.session_state[_SHOWN] = (new or keys)[0]
    if len(pictures) == 1:
        return 0
    st.header(f"{len(pictures)} pictures", anchor=False)
    key = st.radio(
        "Which one to look at",
        keys,
        format_func=lambda key: _summary(pictures[keys.index(key)], found[keys.index(key)]),
        key=_SHOWN,
    )
    return keys.index(key)


def _summary(picture: Given, result: CheckResult) -> str:
    return f"**{label(picture.name)}**: {escaped(plain_words.answer_words(result))}"


def _draw(picture: Given, result: CheckResult) -> None:
    """Draw all that is said of one picture."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(label(picture.name), anchor=False, width="content")
        if picture in kept_pictures():
            st.button("Remove", on_click=forget, args=(picture.key,), icon=":material/close:")
    if result.error:
        st.error(f"**This picture could not be checked.** {escaped(result.error.message)}")
    else:
        result = _draw_faces(picture, result)
        _draw_evidence(picture, result)


def _draw_faces(picture: Given, result: CheckResult) -> CheckResult:
    """Draw the picture and its faces; return the answer, with heat maps where they were wanted."""
    left, right = st.columns([3, 2], gap="large")
    with left:
        heat = wants_heat(result)
        if heat:
            result = explained(picture, result.operating_point)
        draw_picture(picture, result, heat=heat)
    with right:
        if result.faces:
            point = spec().operating_point(result.operating_point)
            draw_faces(result, point, picture.key)
        else:
            st.info(plain_words.answer_words(result), icon=":material/face:")
        _draw_whole(picture, result)
        st.markdown(small(plain_words.PIXELS_ONLY))
    return result


def _draw_whole(picture: Given, result: CheckResult) -> None:
    """Draw the switch for pictures that are face crops already, where it may be wanted."""
    if result.faces and not is_whole(picture):
        return
    whole = st.toggle(
        "The picture is a face already: judge it whole",
        value=is_whole(picture),
        key=f"whole {picture.key}",
        help="For tight crops of one face, in which no face is found because its edges are cut.",
    )
    if whole != is_whole(picture):
        take_whole(picture, whole=whole)
        st.rerun()


def _draw_evidence(picture: Given, result: CheckResult) -> None:
    detector = spec()
    point = detector.operating_point(result.operating_point)
    if result.faces:
        left, right = st.columns(2, gap="medium", border=True)
        with left:
            sliders.draw_budget(detector, len(result.faces))
        with right:
            sliders.draw_base_rate(detector)
        evidence.draw_stability(picture, result, point)
    evidence.draw_provenance(result)
    evidence.draw_untested(detector)
    resaved = evidence.known_resaved(picture, point)
    downloads.draw_downloads(picture, result, detector, resaved)
