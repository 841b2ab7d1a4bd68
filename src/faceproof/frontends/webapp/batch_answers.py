"""The answers on many pictures: judged side by side, each once, kept in the session's memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import streamlit as st

from faceproof.checker import Checker
from faceproof.detector.scorers import usable_cores
from faceproof.frontends.webapp.checkers import checker
from faceproof.frontends.webapp.given import Given
from faceproof.pipeline import in_order
from faceproof.results import CheckResult

_KEPT = "batch results"
Key = tuple[str, str]


@dataclass(frozen=True)
class Batch:
    """Pictures and their answers, in the same order."""

    pictures: tuple[Given, ...]
    results: tuple[CheckResult, ...]


def batch_answers(pictures: Sequence[tuple[str, Given]], point: str) -> Batch:
    """Return what is said of each picture, given with its upload's id, at an operating point.

    A picture is judged when it is new; another operating point needs no network.
    """
    asked = checker()
    known: Mapping[Key, CheckResult] = st.session_state.get(_KEPT, {})
    wanted = {(upload, asked.detector.sha256): picture for upload, picture in pictures}
    missing = {key: picture for key, picture in wanted.items() if key not in known}
    found = {**known, **_judged(asked, missing)}
    st.session_state[_KEPT] = {key: found[key] for key in wanted}
    return Batch(
        tuple(wanted.values()), tuple(asked.verdicts_at(found[key], point) for key in wanted)
    )


def _judged(asked: Checker, missing: Mapping[Key, Given]) -> dict[Key, CheckResult]:
    """Return the answers that are not known yet, with a bar that says how far they are."""
    if not missing:
        return {}

    def judge(picture: Given) -> CheckResult:
        return asked.check(picture.data, name=picture.name)

    bar = st.progress(0.0, "Looking for faces …")
    workers, found = usable_cores(), {}
    with closing(in_order(judge, missing.values(), workers=workers, ahead=2 * workers)) as results:
        for key, result in zip(missing, results, strict=True):
            found[key] = result
            bar.progress(len(found) / len(missing), f"{len(found)} of {len(missing)} checked")
    bar.empty()
    return found
