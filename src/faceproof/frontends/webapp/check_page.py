"""The page that checks pictures: give one, see each face's verdict and how far to trust it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from faceproof.detector import DetectorSpec
from faceproof.errors import FaceproofError
from faceproof.frontends.webapp import inputs, sliders
from faceproof.frontends.webapp.answers import (
    GivenPicture,
    check_pictures,
    forget,
    is_whole,
    session_pictures,
    spec,
    start_over,
    take_whole,
    thumbnail,
)
from faceproof.frontends.webapp.browser import (
    ANNOUNCE_SCRIPT,
    PASTE_SCRIPT,
    SCROLL_SCRIPT,
    STYLE,
    script_html,
)
from faceproof.frontends.webapp.downloads import draw_csv_download, draw_downloads
from faceproof.frontends.webapp.faces import draw_faces, draw_picture
from faceproof.frontends.webapp.folds import draw_folds, resaved_copies
from faceproof.frontends.webapp.markdown import label, shorten, small_print, to_markdown
from faceproof.frontends.webapp.outcomes import (
    badge_html,
    data_url,
    summary_words,
    suspicion,
)
from faceproof.reports import words
from faceproof.reports.words import outcome_of
from faceproof.results import CheckResult

_SHOWN, _SEEN = "shown", "seen"
_CARD = 190


def draw() -> None:
    """Draw the page: the drop zone, and above it the verdict as soon as there is one."""
    st.html(STYLE)
    st.html(script_html(PASTE_SCRIPT), unsafe_allow_javascript=True)
    above = st.container()
    try:
        detector = spec()
    except FaceproofError as error:
        st.error(f"**The detector cannot be loaded.** {to_markdown(str(error))}")
        return
    under_results = st.container()
    pictures = inputs.draw_inputs()
    if not pictures:
        with above:
            _draw_first_lines()
        return
    with under_results:
        st.markdown("**Check another picture**")
    with above:
        point = sliders.chosen_point(detector)
        found = check_pictures(pictures, point)
        place = _chosen_index(pictures, found)
        _draw(pictures[place], found, place, detector)


def _draw_first_lines() -> None:
    st.title("faceproof", anchor=False)
    st.markdown(
        "Checks whether each face in a picture looks like a photograph or like a fake, generated "
        "or manipulated by a machine, and shows how sure it is.  \n"
        "It cannot prove that a picture is authentic, and it does not know who is in it."
    )


def _chosen_index(pictures: Sequence[GivenPicture], found: Sequence[CheckResult]) -> int:
    """Return the place of the picture to show: of the new ones, the most suspicious."""
    keys = [picture.key for picture in pictures]
    order = sorted(range(len(keys)), key=lambda place: suspicion(found[place]))
    seen = st.session_state.get(_SEEN, frozenset())
    new = [keys[place] for place in order if keys[place] not in seen]
    st.session_state[_SEEN] = frozenset(keys)
    if new or st.session_state.get(_SHOWN) not in keys:
        st.session_state[_SHOWN] = new[0] if new else keys[order[0]]
    chosen = keys.index(st.session_state[_SHOWN])
    if len(pictures) > 1:
        with st.container(key="summary"):
            st.title(summary_words(found), anchor=False)
        with st.container(key="cards", horizontal=True, gap="small"):
            for place in order:
                key = "card-chosen" if place == chosen else f"card-{place}"
                with st.container(key=key, width=_CARD, gap="small"):
                    _draw_card(pictures[place], found[place])
    return chosen


def _draw_card(picture: GivenPicture, result: CheckResult) -> None:
    """Draw a picture of several: thumbnail, verdict, and a button that shows it below."""
    point = spec().operating_point(result.operating_point)
    small = None if result.error else thumbnail(picture)
    if small:
        st.image(data_url(small), width=_CARD, alt=words.headline_words(result))
    else:
        st.html(f'<div class="fp-blank" aria-hidden="true">{words.OUTCOMES["error"].sign}</div>')
    st.html(badge_html(result, point))
    st.button(
        label(picture.name),
        key=f"show {picture.key}",
        width="stretch",
        on_click=st.session_state.update,
        args=({_SHOWN: picture.key},),
    )


def _draw(
    picture: GivenPicture, found: Sequence[CheckResult], place: int, detector: DetectorSpec
) -> None:
    """Draw all results of one picture, the verdict first; it is one of those found."""
    result = found[place]
    shown, said = picture.key.partition(" ")[0], words.headline_words(result)
    announcement = script_html(
        ANNOUNCE_SCRIPT,
        f"{shown} {outcome_of(result)}",
        announce=f"{said}. {shorten(words.escape_controls(picture.name))}",
    )
    st.html(script_html(SCROLL_SCRIPT, shown), unsafe_allow_javascript=True)
    st.html(announcement, unsafe_allow_javascript=True)
    _draw_verdict(result, detector, several=len(found) > 1)
    _draw_actions(picture, found)
    if result.error:
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        draw_picture(picture, result, heat=False)
    with right:
        _draw_side(picture, result, detector)
    draw_folds(picture, result, detector)


def _draw_verdict(result: CheckResult, detector: DetectorSpec, *, several: bool) -> None:
    """Draw the verdict in one large line, with a sentence of why and how sure."""
    with st.container(key=f"verdict-{outcome_of(result)}"):
        heading = st.header if several else st.title
        heading(words.headline_words(result), anchor=False)
        st.markdown(to_markdown(words.reason_words(result, detector)))
        lean = _unsure_lines(result, detector)
        if lean:
            st.markdown(f"**{to_markdown(lean[0])}** {to_markdown(' '.join(lean[1:]))}")


def _draw_actions(picture: GivenPicture, found: Sequence[CheckResult]) -> None:
    """Draw the picture's name, and what can be done with all that were given."""
    several = len(found) > 1
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(label(picture.name), width="content")
        if several and any(one.data == picture.data for one in session_pictures()):
            st.button("Remove", on_click=forget, args=(picture,), icon=":material/close:")
        st.button("Start over", on_click=start_over, icon=":material/restart_alt:")
        if several:
            draw_csv_download(sorted(found, key=suspicion))
            st.markdown(small_print("A table with filters: page “Many pictures”."))


def _unsure_lines(result: CheckResult, detector: DetectorSpec) -> list[str]:
    if not result.faces:
        return []
    face = words.most_fake_face(result)
    return list(words.unsure_words(face, detector, result.operating_point))


def _draw_side(picture: GivenPicture, result: CheckResult, detector: DetectorSpec) -> None:
    """Draw what is next to the picture: the faces, what to do now, the downloads."""
    point = detector.operating_point(result.operating_point)
    if result.faces:
        draw_faces(picture, result, point)
    if result.verdict == "unsure":
        steps = "\n".join(f"- {to_markdown(step)}" for step in words.NEXT_STEPS)
        st.markdown(f"**What to do now**\n\n{steps}")
    _draw_whole(picture, result)
    draw_downloads(picture, result, detector, resaved_copies(picture, point))
    st.markdown(small_print(words.PIXELS_ONLY))


def _draw_whole(picture: GivenPicture, result: CheckResult) -> None:
    """Draw the switch for pictures that are face crops already, where it may be wanted."""
    if result.faces and not is_whole(picture):
        return
    whole = st.toggle(
        "The picture is already a face crop: check it whole",
        value=is_whole(picture),
        key=f"whole {picture.key}",
        help="For tight crops of one face: the face finder misses them because the edges are cut.",
    )
    if whole != is_whole(picture):
        take_whole(picture, whole=whole)
        st.rerun()
