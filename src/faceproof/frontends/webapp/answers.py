"""Answers on the pictures of a session: each meets the networks once, nothing is kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property

import streamlit as st

from faceproof.checker import Checker
from faceproof.detector import Detector, DetectorSpec
from faceproof.detector.scorers import usable_cores
from faceproof.errors import NoHeatMapError, PictureError
from faceproof.frontends.webapp.outcomes import suspicion
from faceproof.frontends.webapp.settings import MOST_PICTURES, Settings
from faceproof.imaging.decode import Pixels, decode
from faceproof.imaging.degradations import encode_jpeg, reduce_to
from faceproof.pipeline import map_in_order
from faceproof.results import CheckResult

_KEPT, _UPLOADS = "pictures kept", "uploads begun"


@dataclass(frozen=True)
class GivenPicture:
    """One picture: its name, or the address that it was fetched from, and its file's bytes.

    ``about`` is what we know of a picture of ours: who made it and what is true of it.
    """

    name: str
    data: bytes = field(repr=False)
    about: str = ""

    @cached_property
    def key(self) -> str:
        """The key of this picture in the session."""
        return f"{hashlib.sha256(self.data).hexdigest()} {self.name}"


def keep(picture: GivenPicture) -> None:
    """Add a picture to those of the session; one that is there already moves to the end."""
    kept = [one for one in session_pictures() if one.key != picture.key]
    st.session_state[_KEPT] = [*kept, picture][-MOST_PICTURES:]


def forget(picture: GivenPicture) -> None:
    """Take a picture out of the session's."""
    st.session_state[_KEPT] = [one for one in session_pictures() if one.data != picture.data]


def start_over() -> None:
    """Take all pictures out of the session, uploaded ones too: their widget gets a new key."""
    st.session_state[_KEPT] = []
    st.session_state[_UPLOADS] = st.session_state.get(_UPLOADS, 0) + 1


def upload_key() -> str:
    """Return the key of the widget that uploads pictures."""
    number = st.session_state.get(_UPLOADS, 0)
    return f"upload {number}" if number else "upload"


def session_pictures() -> list[GivenPicture]:
    """Return the pictures of the session that no widget holds: fetched, taken, ours."""
    pictures: list[GivenPicture] = st.session_state.get(_KEPT, [])
    return pictures


def unique_pictures(pictures: Sequence[GivenPicture]) -> list[GivenPicture]:
    """Return the pictures without repeats, in order."""
    return list({one.key: one for one in pictures}.values())


@st.cache_resource(show_spinner="Loading the detector …")
def _detector(name: str) -> Detector:
    settings = Settings.read()
    return Detector.load(name, scorer=settings.scorer, device=settings.device)


@st.cache_resource(show_spinner=False)
def _checker(name: str, faces: str, *, heatmaps: bool) -> Checker:
    return Checker(_detector(name), faces=faces, heatmaps=heatmaps, addresses=None)


def checker(*, whole: bool = False, heatmaps: bool = False) -> Checker:
    """Return the checker of the page; ``whole``: of pictures that are face crops already.

    It fetches no addresses: `inputs` does, as the picture itself is wanted too.

    Raises:
        BundleError: the detector cannot be loaded.
        NoHeatMapError: heat maps are asked for, and the detector has none.
    """
    return _checker(Settings.read().detector, "whole" if whole else "all", heatmaps=heatmaps)


def has_heatmaps() -> bool:
    """Return whether the detector has heat maps to give."""
    try:
        checker(heatmaps=True)
    except NoHeatMapError:
        return False
    return True


def spec() -> DetectorSpec:
    """Return the detector's record."""
    return checker().detector.spec


_RESULTS, _WHOLE, _DECODED = "results", "taken as faces", "decoded"


def check_pictures(pictures: Sequence[GivenPicture], point: str) -> list[CheckResult]:
    """Return the result of each picture at an operating point, in order.

    A picture is checked when it is new; another operating point needs no network.
    """
    known: dict[tuple[str, str, bool], CheckResult] = st.session_state.get(_RESULTS, {})
    wanted = [_answer_key(picture) for picture in pictures]
    missing = [key for key in wanted if key not in known]
    checked = _check_missing(dict(zip(wanted, pictures, strict=True)), missing)
    st.session_state[_RESULTS] = {key: checked.get(key) or known[key] for key in wanted}
    found = st.session_state[_RESULTS]
    return [checker().verdicts_at(found[key], point) for key in wanted]


def explain_picture(picture: GivenPicture, point: str) -> CheckResult:
    """Return the answer on a picture that has one, with heat maps: they are made when asked for."""
    known: dict[tuple[str, str, bool], CheckResult] = st.session_state[_RESULTS]
    key = _answer_key(picture)
    if not all(face.heatmap for face in known[key].faces):
        asked = checker(whole=is_whole(picture), heatmaps=True)
        with st.spinner("Computing heat maps …"):
            known[key] = asked.check(picture.data, name=picture.name)
    return checker().verdicts_at(known[key], point)


def _answer_key(picture: GivenPicture) -> tuple[str, str, bool]:
    """Return what an answer is kept under: picture, detector, and which faces are judged."""
    return picture.key, checker().detector.sha256, is_whole(picture)


def _check_missing(
    pictures: dict[tuple[str, str, bool], GivenPicture], missing: Sequence[tuple[str, str, bool]]
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


def is_whole(picture: GivenPicture) -> bool:
    """Return whether the user marked this picture as a face crop."""
    return picture.key in st.session_state.get(_WHOLE, frozenset())


def take_whole(picture: GivenPicture, *, whole: bool) -> None:
    """Remember whether this picture is a face crop already."""
    marked: frozenset[str] = st.session_state.get(_WHOLE, frozenset())
    st.session_state[_WHOLE] = marked | {picture.key} if whole else marked - {picture.key}


def pixels(picture: GivenPicture) -> Pixels:
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


_THUMBNAILS = "thumbnails"
THUMBNAIL_PX = 128


def thumbnail(picture: GivenPicture) -> bytes | None:
    """Return the picture as a small JPEG file, None if it cannot be decoded; it is remembered."""
    known: dict[str, bytes | None] = st.session_state.setdefault(_THUMBNAILS, {})
    if picture.key not in known:
        known[picture.key] = encode_thumbnail(picture.data)
    return known[picture.key]


def encode_thumbnail(data: bytes) -> bytes | None:
    """Return a picture's file as a JPEG of at most `THUMBNAIL_PX`, None if it is not decodable."""
    try:
        return encode_jpeg(reduce_to(decode(data).pixels, THUMBNAIL_PX), 80)
    except PictureError:
        return None


_BATCH_KEPT = "batch results"
Key = tuple[str, str]
_Judged = tuple[CheckResult, bytes | None]


@dataclass(frozen=True)
class Batch:
    """Pictures, their answers and their thumbnails, the most suspicious first."""

    pictures: tuple[GivenPicture, ...]
    results: tuple[CheckResult, ...]
    thumbnails: tuple[bytes | None, ...]


def check_batch(pictures: Sequence[tuple[str, GivenPicture]], point: str) -> Batch:
    """Return the result of each picture, given with its upload's id, at an operating point.

    A picture is judged when it is new; another operating point needs no network.
    """
    asked = checker()
    known: Mapping[Key, _Judged] = st.session_state.get(_BATCH_KEPT, {})
    wanted = {(upload, asked.detector.sha256): picture for upload, picture in pictures}
    missing = {key: picture for key, picture in wanted.items() if key not in known}
    found = {**known, **_check_missing_of_batch(asked, missing)}
    st.session_state[_BATCH_KEPT] = {key: found[key] for key in wanted}
    rows = [
        (picture, asked.verdicts_at(found[key][0], point), found[key][1])
        for key, picture in wanted.items()
    ]
    rows.sort(key=lambda row: suspicion(row[1]))
    pictures_, results, thumbnails = zip(*rows, strict=True)
    return Batch(pictures_, results, thumbnails)


def _check_missing_of_batch(
    asked: Checker, missing: Mapping[Key, GivenPicture]
) -> dict[Key, _Judged]:
    """Return the answers that are not known yet, with a progress bar."""
    if not missing:
        return {}

    def judge(picture: GivenPicture) -> _Judged:
        result = asked.check(picture.data, name=picture.name)
        return result, None if result.error else encode_thumbnail(picture.data)

    bar = st.progress(0.0, "Looking for faces …")
    workers, found = usable_cores(), {}
    with closing(
        map_in_order(judge, missing.values(), workers=workers, ahead=2 * workers)
    ) as results:
        for key, result in zip(missing, results, strict=True):
            found[key] = result
            bar.progress(len(found) / len(missing), f"{len(found)} of {len(missing)} checked")
    bar.empty()
    return found
