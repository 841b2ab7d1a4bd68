"""The folded parts below a verdict: origin, stability, heat map, figures and limits."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from faceproof.audits.resaving import CONDITIONS, check_resaved
from faceproof.detector import DetectorSpec, OperatingPoint
from faceproof.frontends.webapp import sliders
from faceproof.frontends.webapp.answers import (
    GivenPicture,
    checker,
    explain_picture,
    has_heatmaps,
    is_whole,
)
from faceproof.frontends.webapp.faces import draw_heat_switch, draw_picture
from faceproof.frontends.webapp.markdown import small_print, to_markdown
from faceproof.reports import words
from faceproof.results import CheckResult, ResavedResult


def draw_folds(picture: GivenPicture, result: CheckResult, spec: DetectorSpec) -> None:
    """Draw all parts that go with a picture that could be checked, each folded."""
    point = spec.operating_point(result.operating_point)
    with st.expander("Where it comes from: what the file states", icon=":material/badge:"):
        _draw_provenance(result)
    if result.faces:
        with st.expander(
            "Does the verdict hold when it is saved again?",
            icon=":material/save:",
            key="fold stability",
            on_change="rerun",
        ):
            _draw_stability(picture, result, point)
        if has_heatmaps():
            with st.expander(
                "Heat map: where the evidence lies",
                icon=":material/layers:",
                key="fold heat",
                on_change="rerun",
            ):
                _draw_heat(picture, result)
        with st.expander("How careful should it be?", icon=":material/tune:"):
            sliders.draw_budget(spec, len(result.faces))
            sliders.draw_base_rate(spec)
        with st.expander("How it was measured: the exact figures", icon=":material/monitoring:"):
            _draw_figures(result, spec, point)
    with st.expander("Limits: what it was not tested on", icon=":material/block:"):
        _draw_limits(spec)


def _draw_heat(picture: GivenPicture, result: CheckResult) -> None:
    """Draw the switch of the heat maps, and the picture with them when it is on."""
    if draw_heat_switch():
        draw_picture(picture, explain_picture(picture, result.operating_point), heat=True)


def _draw_figures(result: CheckResult, spec: DetectorSpec, point: OperatingPoint) -> None:
    """Draw the exact figures behind the first lines."""
    faces = [words.face_band_words(face, point) for face in result.faces]
    if len(faces) > 1:
        faces = [f"Face {number}: {one}" for number, one in enumerate(faces, start=1)]
    lines = [
        *faces,
        words.budget_words(spec, point.name),
        *words.budget_details(spec, point.name),
        words.EVEN_BET,
        words.HOW,
        f"Detector: {result.detector.name} {result.detector.version}, operating point "
        f"“{point.name}”: {point.promise}",
        f"Time for this check: {result.elapsed_ms / 1000:.1f} s",
    ]
    st.markdown("\n".join(f"- {to_markdown(line)}" for line in lines))
    st.markdown(small_print("The page “The detector” shows all measurements as plots."))


_RESAVED = "saved again"


def _draw_stability(picture: GivenPicture, result: CheckResult, point: OperatingPoint) -> None:
    """Draw a button that saves the picture again in several ways, and what came of it."""
    found = resaved_copies(picture, point)
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


def resaved_copies(picture: GivenPicture, point: OperatingPoint) -> tuple[ResavedResult, ...]:
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
    credentials = words.credentials_words(result.provenance.content_credentials)
    lines = [f"Content credentials: {credentials}"]
    lines += map(words.finding_words, result.provenance.findings)
    st.markdown("\n".join(f"- {to_markdown(line)}" for line in lines))
    st.markdown(small_print(words.ABSENCE_PROVES_NOTHING))


def _draw_limits(spec: DetectorSpec) -> None:
    """Draw what the detector was not tested on, in plain words."""
    st.markdown("\n".join(f"- {to_markdown(line)}" for line in words.limits_words(spec)))
    st.markdown(small_print(words.PIXELS_ONLY))
