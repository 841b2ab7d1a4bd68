"""The answers on the pictures of a session: each picture meets the networks once."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from faceproof.frontends.webapp.checkers import checker
from faceproof.frontends.webapp.given import Given
from faceproof.imaging.decode import decode
from faceproof.imaging.picture import Pixels
from faceproof.results import CheckResult

_RESULTS, _WHOLE, _DECODED = "results", "taken as faces", "decoded"


def answers(pictures: Sequence[Given], point: str) -> list[CheckResult]:
    """Return what is said of each picture at an operating point, in order.

    A picture is checked when it is new; another operating point needs no network.
    """
    known: dict[tuple[str, str, bool], CheckResult] = st.session_state.get(_RESULTS, {})
    wanted = [_name(picture) for picture in pictures]
    missing = [key for key in wanted if key not in known]
    checked = _checked(dict(zip(wanted, pictures, strict=True)), missing)
    st.session_state[_RESULTS] = {key: checked.get(key) or known[key] for key in wanted}
    found = st.session_state[_RESULTS]
    return [checker().verdicts_at(found[key], point) for key in wanted]


def explained(picture: Given, point: str) -> CheckResult:
    """Return the answer on a picture that has one, with heat maps: they are made when asked for."""
    known: dict[tuple[str, str, bool], CheckResult] = st.session_state[_RESULTS]
    key = _name(picture)
    if not all(face.heatmap for face in known[key].faces):
        asked = checker(whole=is_whole(picture), heatmaps=True)
        with st.spinner("Looking where the evidence lies …"):
            known[key] = asked.check(picture.data, name=picture.name)
    return checker().verdicts_at(known[key], point)


def _name(picture: Given) -> tuple[str, str, bool]:
    """Return what an answer is kept under: picture, detector, and which faces are judged."""
    return picture.key, checker().detector.sha256, is_whole(picture)


def _checked(
    pictures: dict[tuple[str, str, bool], Given], missing: Sequence[tuple[str, str, bool]]
) -> dict[tuple[str, str, bool], CheckResult]:
    """Return the answers that are not known yet, with a bar where there are several."""
    if not missing:
        return {}
    bar = st.progress(0.0, "Looking for faces …")
    found = {}
    for place, key in enumerate(missing, start=1):
        picture = pictures[key]
        found[key] = checker(whole=key[2]).check(picture.data, name=picture.name)
        bar.progress(place / len(missing), f"{place} of {len(missing)} pictures checked")
    bar.empty()
    return found


def is_whole(picture: Given) -> bool:
    """Return whether someone said that this picture is a face crop already."""
    return picture.key in st.session_state.get(_WHOLE, frozenset())


def take_whole(picture: Given, *, whole: bool) -> None:
    """Remember whether this picture is a face crop already."""
    said: frozenset[str] = st.session_state.get(_WHOLE, frozenset())
    st.session_state[_WHOLE] = said | {picture.key} if whole else said - {picture.key}


def pixels(picture: Given) -> Pixels:
    """Return the upright picture, uint8 [H, W, 3]; the last one is remembered.

    Raises:
        PictureError: the bytes are no usable picture.
    """
    remembered: tuple[str, Pixels] | None = st.session_state.get(_DECODED)
    if remembered and remembered[0] == picture.key:
        return remembered[1]
    decoded = decode(picture.data).pixels
    st.session_state[_DECODED] = (picture.key, decoded)
    return decoded
