"""A row of samples under the drop zone: one for each verdict that this detector gives them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from io import BytesIO

import streamlit as st

from faceproof.frontends.webapp.answers import GivenPicture, checker, keep
from faceproof.frontends.webapp.markdown import small_print
from faceproof.frontends.webapp.outcomes import badge_html, data_url
from faceproof.frontends.webapp.samples import SAMPLES, SamplePicture
from faceproof.frontends.webapp.settings import Settings
from faceproof.reports.words import OUTCOMES, outcome_of
from faceproof.results import CheckResult

_WIDTH = 160
_SHOWN = 4


def draw_sample_row() -> None:
    """Draw the samples with what the detector says of them and what is true."""
    st.markdown("**Or try a sample.** The label is the verdict of this detector.")
    with st.spinner("Checking the samples …", show_time=False):
        results = {one: _result(Settings.read().detector, one.file) for one in SAMPLES}
    with st.container(horizontal=True, gap="medium"):
        for sample in choose_samples(results):
            with st.container(key=f"card-sample-{sample.file[:-4]}", width=_WIDTH, gap="small"):
                _draw_sample(sample, results[sample])


def choose_samples(results: Mapping[SamplePicture, CheckResult]) -> list[SamplePicture]:
    """Return a sample for each outcome that the detector gives, then others, four in all.

    The most suspicious outcome is first.
    """
    outcomes = {sample: outcome_of(result) for sample, result in results.items()}
    firsts = [
        next(sample for sample in outcomes if outcomes[sample] == outcome)
        for outcome in OUTCOMES
        if outcome in outcomes.values()
    ]
    others = [sample for sample in outcomes if sample not in firsts]
    return [*firsts, *others][:_SHOWN]


@st.cache_resource(show_spinner=False)
def _result(detector: str, file: str) -> CheckResult:  # noqa: ARG001 (the detector is a key)
    """Return what the detector says of a sample; each is checked once while the page runs."""
    sample = next(one for one in SAMPLES if one.file == file)
    return checker().check(sample.read(), name=file)


@cache
def _thumbnail(sample: SamplePicture) -> str:
    stream = BytesIO()
    sample.thumbnail(2 * _WIDTH).convert("RGB").save(stream, "JPEG", quality=85)
    return data_url(stream.getvalue())


def _draw_sample(sample: SamplePicture, result: CheckResult) -> None:
    st.image(_thumbnail(sample), width=_WIDTH, alt=sample.alt)
    st.html(badge_html(result))
    st.button(
        sample.title,
        key=f"sample {sample.file}",
        help=sample.about,
        width="stretch",
        on_click=keep,
        args=(GivenPicture(sample.file, sample.read(), sample.about),),
    )
    st.markdown(small_print(sample.credit))
