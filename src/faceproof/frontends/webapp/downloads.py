"""The answer to take along: as JSON, and as a case report that explains itself."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

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
    # Streamlit makes a report when its button is pressed, outside of the session.
    asked = Asked(Settings.read().detector, "whole" if is_whole(picture) else "all")
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
                f"{file_stem(picture.name)}-faceproof.{suffix}",
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


def file_stem(name: str) -> str:
    """Return a plain file name without its suffix, from a name or an address.

    >>> file_stem("https://example.org/a/party pic.jpg?x=1"), file_stem("../../é.png")
    ('party-pic', 'picture')
    """
    last = name.partition("?")[0].rstrip("/").rpartition("/")[2].rpartition("\\")[2]
    stem = _NO_FILE_NAME.sub("-", last.rpartition(".")[0] or last).strip("-.")
    return stem[:60] or "picture"
