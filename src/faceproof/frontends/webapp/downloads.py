"""The answer to take along: as JSON, and as a case report that explains itself."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import streamlit as st

from faceproof.detector import DetectorSpec
from faceproof.frontends.webapp.answers import is_whole
from faceproof.frontends.webapp.given import Given
from faceproof.frontends.webapp.settings import Settings
from faceproof.reports.case_origin import Asked
from faceproof.results import CheckResult, Resaved

_NO_FILE_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def draw_downloads(
    picture: Given, result: CheckResult, spec: DetectorSpec, resaved: tuple[Resaved, ...]
) -> None:
    """Draw the three buttons; a report is made when its button is pressed."""
    st.subheader("Take the answer along", anchor=False)
    st.markdown(
        "The report holds the picture, the verdicts, the figures behind them, and the hashes of "
        "picture and detector. It needs no net to be read."
    )
    name = file_stem(picture.name)
    with st.container(horizontal=True):
        st.download_button(
            "Report (PDF)",
            lambda: _pdf(picture, result, spec, resaved),
            f"{name}-faceproof.pdf",
            "application/pdf",
            on_click="ignore",
            icon=":material/picture_as_pdf:",
        )
        st.download_button(
            "Report (HTML)",
            lambda: _html(picture, result, spec, resaved),
            f"{name}-faceproof.html",
            "text/html",
            on_click="ignore",
            icon=":material/description:",
        )
        st.download_button(
            "Data (JSON)",
            result.model_dump_json(by_alias=True, indent=2),
            f"{name}-faceproof.json",
            "application/json",
            on_click="ignore",
            icon=":material/data_object:",
        )


def _html(
    picture: Given, result: CheckResult, spec: DetectorSpec, resaved: tuple[Resaved, ...]
) -> str:
    from faceproof.reports.case_report import case_html

    now, asked = datetime.now(UTC), _asked(picture)
    return case_html(
        picture.data, result, detector=spec, resaved=resaved, generated=now, asked=asked
    )


def _pdf(
    picture: Given, result: CheckResult, spec: DetectorSpec, resaved: tuple[Resaved, ...]
) -> bytes:
    from faceproof.reports.case_pdf import case_pdf

    now, asked = datetime.now(UTC), _asked(picture)
    return case_pdf(
        picture.data, result, detector=spec, resaved=resaved, generated=now, asked=asked
    )


def _asked(picture: Given) -> Asked:
    """Return how the command line is asked for the same answer."""
    return Asked(Settings.read().detector, "whole" if is_whole(picture) else "all")


def file_stem(name: str) -> str:
    """Return a plain file name without its suffix, from a name or an address.

    >>> file_stem("https://example.org/a/party pic.jpg?x=1"), file_stem("../../é.png")
    ('party-pic', 'picture')
    """
    last = name.partition("?")[0].rstrip("/").rpartition("/")[2].rpartition("\\")[2]
    stem = _NO_FILE_NAME.sub("-", last.rpartition(".")[0] or last).strip("-.")
    return stem[:60] or "picture"
