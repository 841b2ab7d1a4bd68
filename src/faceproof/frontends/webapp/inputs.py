"""The ways to give a picture: files, the clipboard, samples, an address, the camera."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from faceproof.errors import FaceproofError
from faceproof.frontends.webapp.answers import (
    GivenPicture,
    keep,
    session_pictures,
    unique_pictures,
    upload_key,
)
from faceproof.frontends.webapp.browser import DROP_ZONE, PASTE_BUTTON
from faceproof.frontends.webapp.markdown import small_print, to_markdown
from faceproof.frontends.webapp.outcomes import distinct_names
from faceproof.frontends.webapp.sample_row import draw_sample_row
from faceproof.frontends.webapp.settings import MOST_MEGABYTES, MOST_PICTURES, Settings

_ADDRESS, _REFUSED, _CAMERA = "address", "address refused", "camera"
KEPT = (
    "Ctrl+V pastes a copied picture. Pictures stay in this computer's memory: they are not written "
    "to disk or sent to another service."
)
"""What happens to a picture that is given."""


def draw_inputs() -> list[GivenPicture]:
    """Draw the ways to give a picture; return all that were given, each once.

    Without pictures, it also draws a row of samples.
    """
    with st.container(key=DROP_ZONE):
        files = _draw_uploader()
    samples = st.container()
    with st.expander("Other ways: the address of a picture, or the camera"):
        _draw_address_input()
        _draw_camera()
    given = unique_pictures([*files, *session_pictures()])
    if not given:
        with samples:
            draw_sample_row()
    names = distinct_names([one.name for one in given])
    renamed = [replace(one, name=name) for one, name in zip(given, names, strict=True)]
    return _limit_pictures(renamed)


def _limit_pictures(found: list[GivenPicture]) -> list[GivenPicture]:
    if len(found) > MOST_PICTURES:
        st.warning(
            f"{len(found)} pictures were given; the last {MOST_PICTURES} of them are shown here."
        )
    return found[-MOST_PICTURES:]


def _draw_uploader() -> list[GivenPicture]:
    files = st.file_uploader(
        "Drop, paste or choose pictures",
        accept_multiple_files=True,
        key=upload_key(),
        max_upload_size=MOST_MEGABYTES,
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.html(PASTE_BUTTON, width="content")
        st.markdown(small_print(KEPT), width="stretch")
    return [GivenPicture(file.name, file.getvalue()) for file in files or ()]


def _draw_address_input() -> None:
    if not Settings.read().addresses:
        st.info("Fetching of URLs is disabled here. Download the picture first, then upload it.")
        return
    with st.form("by address", border=False, enter_to_submit=True):
        address = st.text_input(
            "Address (URL) of a picture",
            key=_ADDRESS,
            placeholder="https://example.org/picture.jpg",
            help="The URL of the picture itself, not of a page that shows it. This computer "
            "fetches it, and the server can log the request.",
        )
        if st.form_submit_button("Fetch and check", icon=":material/download:") and address:
            st.session_state[_REFUSED] = _fetch(address.strip())
    if refused := st.session_state.get(_REFUSED):
        st.error(f"**Not fetched.** {to_markdown(refused)}", icon=":material/link_off:")


def _fetch(address: str) -> str:
    """Keep the picture at an address; return the error message, or an empty text."""
    from faceproof.imaging.fetching import fetch, strip_query

    try:
        with st.spinner("Fetching …"):
            data = fetch(address, Settings.read().policy()).data
            keep(GivenPicture(strip_query(address), data))
    except FaceproofError as error:
        return str(error)
    return ""


def _draw_camera() -> None:
    if not st.toggle(
        "Turn the camera on",
        key="camera on",
        help="Your browser asks for permission. The picture stays in this computer's memory.",
    ):
        st.markdown(
            small_print(
                "A photo of a screen or a print differs from the original and is less reliable."
            )
        )
        return
    st.camera_input("Take a picture of a face", key=_CAMERA, on_change=_keep_shot)


def _keep_shot() -> None:
    """Keep the picture that was just taken; a picture that is cleared stays until removed."""
    if shot := st.session_state.get(_CAMERA):
        keep(GivenPicture("camera.jpg", shot.getvalue()))
