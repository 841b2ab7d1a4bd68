"""The page that checks pictures: give one, see each face's verdict and how far to trust it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import streamlit as st

from faceproof.audits.resaving import CONDITIONS, check_resaved
from faceproof.detector import DetectorSpec, OperatingPoint
from faceproof.errors import FaceproofError
from faceproof.frontends.webapp import inputs, sliders
from faceproof.frontends.webapp.answers import (
    GivenPicture,
    check_pictures,
    checker,
    explain_picture,
    forget,
    is_whole,
    session_pictures,
    spec,
    take_whole,
)
from faceproof.frontends.webapp.faces import STYLE, draw_faces, draw_heat_switch, draw_picture
from faceproof.frontends.webapp.markdown import label, small_print, to_markdown
from faceproof.frontends.webapp.settings import Settings
from faceproof.provenance.records import ContentCredentials
from faceproof.reports import words
from faceproof.reports.case_facts import CheckCommand
from faceproof.results import CheckResult, ResavedResult

_NO_FILE_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def draw_downloads(
    picture: GivenPicture,
    result: CheckResult,
    spec: DetectorSpec,
    resaved: tuple[ResavedResult, ...],
) -> None:
    """Draw the three buttons; a report is made when its button is pressed."""
    st.subheader("Download the result", anchor=False)
    st.markdown(
        "The report contains the picture, the verdicts, their error rates, and the hashes of "
        "picture and detector. It can be read offline."
    )
    # Streamlit makes a report when its button is pressed, outside of the session.
    asked = CheckCommand(Settings.read().detector, "whole" if is_whole(picture) else "all")
    given = {"detector": spec, "resaved": resaved, "asked": asked}
    made = partial(_report, picture.data, result, given)
    with st.container(horizontal=True):
        for label, suffix, media_type, icon, data in (
            ("Report (PDF)", "pdf", "application/pdf", "picture_as_pdf", partial(made, "pdf")),
            ("Report (HTML)", "html", "text/html", "description", partial(made, "html")),
            ("Data (JSON)", "json", "application/json", "data_object", _json(result)),
        ):
            st.download_button(
                label,
                data,
                f"{_file_stem(picture.name)}-faceproof.{suffix}",
                media_type,
                on_click="ignore",
                icon=f":material/{icon}:",
            )


def _json(result: CheckResult) -> str:
    return result.model_dump_json(by_alias=True, indent=2) + "\n"


def _report(
    data: bytes, result: CheckResult, given: dict[str, Any], kind: Literal["html", "pdf"]
) -> bytes:
    """Return a case report on the picture, of this moment."""
    from faceproof.reports.case_pdf import case_pdf
    from faceproof.reports.case_report import case_html

    now = datetime.now(UTC)
    if kind == "pdf":
        return case_pdf(data, result, generated=now, **given)
    return case_html(data, result, generated=now, **given).encode()


def _file_stem(name: str) -> str:
    """Return a plain file name without its suffix, from a name or an address.

    >>> _file_stem("https://example.org/a/party pic.jpg?x=1"), _file_stem("../../é.png")
    ('party-pic', 'picture')
    """
    last = name.partition("?")[0].rstrip("/").rpartition("/")[2].rpartition("\\")[2]
    stem = _NO_FILE_NAME.sub("-", last.rpartition(".")[0] or last).strip("-.")
    return stem[:60] or "picture"


_RESAVED = "saved again"


def _draw_stability(picture: GivenPicture, result: CheckResult, point: OperatingPoint) -> None:
    """Draw a button that saves the picture again in several ways, and what came of it."""
    st.subheader("Does the verdict hold when the picture is saved again?", anchor=False)
    found = _cached_resaved(picture, point)
    if not found:
        st.markdown(
            f"Websites and messengers save pictures again. This saves the picture in "
            f"{len(CONDITIONS)} ways and checks each copy. It takes a few seconds, and about half "
            "a minute for a photograph of 12 megapixels."
        )
        if st.button("Save and check again", icon=":material/refresh:"):
            _try(picture)
            st.rerun()
        return
    st.markdown(f"**{to_markdown(words.stability_words(result, found))}**")
    st.table(_rows(found, point), hide_index=True)


def _cached_resaved(picture: GivenPicture, point: OperatingPoint) -> tuple[ResavedResult, ...]:
    """Return what saving this picture again gave, at an operating point; nothing if not tried."""
    found: tuple[ResavedResult, ...] = st.session_state.get(_RESAVED, {}).get(_key(picture), ())
    return tuple(one.at(point) for one in found)


def _key(picture: GivenPicture) -> tuple[str, bool, str]:
    return picture.key, is_whole(picture), checker().detector.sha256


def _try(picture: GivenPicture) -> None:
    """Check the picture saved again in each way, and keep the results."""
    asked = checker(whole=is_whole(picture))
    bar = st.progress(0.0, "Saving it again …")
    found: list[ResavedResult] = []
    for place, condition in enumerate(CONDITIONS, start=1):
        found += check_resaved(asked, picture.data, conditions=(condition,))
        bar.progress(place / len(CONDITIONS), f"{place} of {len(CONDITIONS)} ways tried")
    bar.empty()
    st.session_state.setdefault(_RESAVED, {})[_key(picture)] = tuple(found)


def _rows(found: Sequence[ResavedResult], point: OperatingPoint) -> dict[str, list[str]]:
    return {
        "The picture was": [words.condition_words(one.condition) for one in found],
        "Verdict": [_verdict(one) for one in found],
        "Fake": [
            "-" if one.fake_probability is None else words.percent(one.fake_probability, point)
            for one in found
        ],
        "Faces": [str(one.faces) for one in found],
    }


def _verdict(one: ResavedResult) -> str:
    return words.verdict_words(one.verdict) if one.verdict else "no face found"


def _draw_provenance(result: CheckResult) -> None:
    """Draw what the file states about its origin, separate from the verdict."""
    st.subheader("What the file states about its origin", anchor=False)
    lines = [f"Content credentials: {words.credentials_words(_credentials(result))}"]
    lines += map(words.finding_words, result.provenance.findings)
    st.markdown("\n".join(f"- {to_markdown(line)}" for line in lines))
    st.markdown(small_print(words.ABSENCE_PROVES_NOTHING))


def _credentials(result: CheckResult) -> ContentCredentials | None:
    return result.provenance.content_credentials


def _draw_untested(spec: DetectorSpec) -> None:
    """Draw what the detector was not tested on."""
    st.subheader("What this detector was not tested on", anchor=False)
    lines = words.untested_sentences(spec)
    st.markdown("\n".join(f"- {to_markdown(line)}" for line in lines))


_SHOWN, _SEEN = "shown", "seen"


def draw() -> None:
    """Draw the page."""
    st.html(STYLE)
    st.title("Is this face real?", anchor=False)
    st.markdown(
        "Add a picture. The page shows a verdict for every face, the evidence, and how "
        "reliable it is. No picture is written to disk or sent to another service."
    )
    try:
        detector = spec()
    except FaceproofError as error:
        st.error(f"**The detector cannot be loaded.** {to_markdown(str(error))}")
        return
    pictures = inputs.draw_inputs()
    if pictures:
        point = sliders.chosen_point(detector)
        found = check_pictures(pictures, point)
        place = _chosen_index(pictures, found)
        _draw(pictures[place], found[place])


def _chosen_index(pictures: Sequence[GivenPicture], found: Sequence[CheckResult]) -> int:
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


def _summary(picture: GivenPicture, result: CheckResult) -> str:
    return f"**{label(picture.name)}**: {to_markdown(words.answer_words(result))}"


def _draw(picture: GivenPicture, result: CheckResult) -> None:
    """Draw all results of one picture."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(label(picture.name), anchor=False, width="content")
        if picture in session_pictures():
            st.button("Remove", on_click=forget, args=(picture.key,), icon=":material/close:")
    if result.error:
        st.error(f"**This picture could not be checked.** {to_markdown(result.error.message)}")
    else:
        result = _draw_faces(picture, result)
        _draw_evidence(picture, result)


def _draw_faces(picture: GivenPicture, result: CheckResult) -> CheckResult:
    """Draw the picture and its faces; return the answer, with heat maps where they were wanted."""
    left, right = st.columns([3, 2], gap="large")
    with left:
        heat = draw_heat_switch(result)
        if heat:
            result = explain_picture(picture, result.operating_point)
        draw_picture(picture, result, heat=heat)
    with right:
        if result.faces:
            point = spec().operating_point(result.operating_point)
            draw_faces(result, point, picture.key)
        else:
            st.info(words.answer_words(result), icon=":material/face:")
        _draw_whole(picture, result)
        st.markdown(small_print(words.PIXELS_ONLY))
    return result


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


def _draw_evidence(picture: GivenPicture, result: CheckResult) -> None:
    detector = spec()
    point = detector.operating_point(result.operating_point)
    if result.faces:
        left, right = st.columns(2, gap="medium", border=True)
        with left:
            sliders.draw_budget(detector, len(result.faces))
        with right:
            sliders.draw_base_rate(detector)
        _draw_stability(picture, result, point)
    _draw_provenance(result)
    _draw_untested(detector)
    resaved = _cached_resaved(picture, point)
    draw_downloads(picture, result, detector, resaved)
