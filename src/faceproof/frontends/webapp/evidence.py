"""Evidence beside the verdict: saving again, what the file says, what was not tested."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from faceproof.audits.resaving import CONDITIONS, resaved
from faceproof.detector import DetectorSpec, OperatingPoint, decide
from faceproof.frontends.webapp.answers import is_whole
from faceproof.frontends.webapp.checkers import checker
from faceproof.frontends.webapp.given import Given
from faceproof.frontends.webapp.markdown import escaped, small
from faceproof.provenance.findings import ContentCredentials
from faceproof.reports import plain_words
from faceproof.results import CheckResult, Resaved

_RESAVED = "saved again"


def draw_stability(picture: Given, result: CheckResult, point: OperatingPoint) -> None:
    """Draw a button that saves the picture again in several ways, and what came of it."""
    st.subheader("Does the verdict hold when the picture is saved again?", anchor=False)
    found = known_resaved(picture, point)
    if not found:
        st.markdown(
            f"Sites and messengers save pictures anew. This tries {len(CONDITIONS)} ways of it "
            "and looks again each time; it takes a few seconds."
        )
        if st.button("Save it again and look again", icon=":material/refresh:"):
            _try(picture)
            st.rerun()
        return
    st.markdown(f"**{escaped(plain_words.stability_words(result, found))}**")
    st.table(_rows(found, point), hide_index=True)


def known_resaved(picture: Given, point: OperatingPoint) -> tuple[Resaved, ...]:
    """Return what saving this picture again gave, at an operating point; nothing if not tried."""
    found: tuple[Resaved, ...] = st.session_state.get(_RESAVED, {}).get(_key(picture), ())
    return tuple(
        one
        if one.fake_probability is None
        else one.model_copy(update={"verdict": decide(one.fake_probability, point)})
        for one in found
    )


def _key(picture: Given) -> tuple[str, bool, str]:
    return picture.key, is_whole(picture), checker().detector.sha256


def _try(picture: Given) -> None:
    """Look at the picture saved again in each way, and remember what came of it."""
    asked = checker(whole=is_whole(picture))
    bar = st.progress(0.0, "Saving it again …")
    found: list[Resaved] = []
    for place, condition in enumerate(CONDITIONS, start=1):
        found += resaved(asked, picture.data, conditions=(condition,))
        bar.progress(place / len(CONDITIONS), f"{place} of {len(CONDITIONS)} ways tried")
    bar.empty()
    st.session_state.setdefault(_RESAVED, {})[_key(picture)] = tuple(found)


def _rows(found: Sequence[Resaved], point: OperatingPoint) -> dict[str, list[str]]:
    return {
        "The picture was": [plain_words.condition_words(one.condition) for one in found],
        "Verdict": [_verdict(one) for one in found],
        "Fake": [
            "-"
            if one.fake_probability is None
            else plain_words.percent(one.fake_probability, point)
            for one in found
        ],
        "Faces": [str(one.faces) for one in found],
    }


def _verdict(one: Resaved) -> str:
    return plain_words.verdict_words(one.verdict) if one.verdict else "no face found"


def draw_provenance(result: CheckResult) -> None:
    """Draw what the file says of its origin, apart from the verdict on the pixels."""
    st.subheader("What the file says of its origin", anchor=False)
    lines = [f"Content credentials: {plain_words.credentials_words(_credentials(result))}"]
    lines += map(plain_words.finding_words, result.provenance.findings)
    st.markdown("\n".join(f"- {escaped(line)}" for line in lines))
    st.markdown(small(plain_words.ABSENCE_PROVES_NOTHING))


def _credentials(result: CheckResult) -> ContentCredentials | None:
    return result.provenance.content_credentials


def draw_untested(spec: DetectorSpec) -> None:
    """Draw what the detector was not tested on."""
    st.subheader("What this detector was not tested on", anchor=False)
    lines = plain_words.untested(spec)
    st.markdown("\n".join(f"- {escaped(line)}" for line in lines))
