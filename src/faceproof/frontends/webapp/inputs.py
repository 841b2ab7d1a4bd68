"""The ways to give a picture: files, an address, the camera, pictures of ours to try."""

from __future__ import annotations

from functools import cache

import streamlit as st
from PIL import Image

from faceproof.errors import FaceproofError
from faceproof.frontends.webapp.answers import GivenPicture, keep, session_pictures, unique_pictures
from faceproof.frontends.webapp.markdown import small_print, to_markdown
from faceproof.frontends.webapp.samples import SAMPLES, SamplePicture
from faceproof.frontends.webapp.settings import MOST_MEGABYTES, MOST_PICTURES, Settings

_ADDRESS, _REFUSED, _CAMERA = "address", "address refused", "camera"
_THUMBNAIL = 148


def draw_inputs() -> list[GivenPicture]:
    """Draw the ways to give a picture; return all that were given, each once."""
    ways = ["Upload", "Address", "Camera", "Try a sample"]
    upload, address, camera, samples = st.tabs(ways, key="way")
    with upload:
        files = _draw_uploader()
    with address:
        _draw_address_input()
    with camera:
        _draw_camera()
    with samples:
        _draw_samples()
    return _limit_pictures(unique_pictures([*files, *session_pictures()]))


def _limit_pictures(found: list[GivenPicture]) -> list[GivenPicture]:
    if len(found) > MOST_PICTURES:
        st.warning(
            f"{len(found)} pictures were given; the last {MOST_PICTURES} of them are shown here."
        )
    return found[-MOST_PICTURES:]


def _draw_uploader() -> list[GivenPicture]:
    files = st.file_uploader(
        "Pictures to check: choose them, or drag and drop them here",
        accept_multiple_files=True,
        key="upload",
        max_upload_size=MOST_MEGABYTES,
        help="JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and HEIC. They stay in this computer's memory "
        "while the page is open and are never written to disk.",
    )
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


def _draw_samples() -> None:
    with st.container(horizontal=True, gap="medium"):
        for sample in SAMPLES:
            with st.container(width=_THUMBNAIL, gap="small"):
                _draw_sample(sample)


@cache
def _thumbnail(sample: SamplePicture) -> Image.Image:
    return sample.thumbnail(2 * _THUMBNAIL)


def _draw_sample(sample: SamplePicture) -> None:
    st.image(_thumbnail(sample), width=_THUMBNAIL, alt=sample.alt)
    if st.button(sample.title, key=f"sample {sample.file}", help=sample.about, width="stretch"):
        keep(GivenPicture(sample.file, sample.read(), sample.about))
