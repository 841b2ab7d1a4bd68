"""The result to take along: a report, the marked picture, the data, and a note to paste."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import streamlit as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from faceproof.detector import DetectorSpec
from faceproof.frontends.webapp.answers import GivenPicture, is_whole
from faceproof.frontends.webapp.settings import Settings
from faceproof.imaging.decode import decode
from faceproof.reports import words
from faceproof.reports.annotated import annotated_mark
from faceproof.reports.case_facts import CheckCommand, check_commands
from faceproof.reports.csv_rows import csv_text
from faceproof.reports.marked_picture import mark_picture
from faceproof.results import CheckResult, ResavedResult
from faceproof.sources import ANNOTATED_MARK

_NO_FILE_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_HELP = (
    "A report contains the picture, the verdicts, their error rates, and the hashes of picture and "
    "detector. It can be read offline. The JSON is that of `faceproof check --format json`, the "
    "marked picture that of `--annotate`."
)


def draw_downloads(
    picture: GivenPicture,
    result: CheckResult,
    spec: DetectorSpec,
    resaved: tuple[ResavedResult, ...],
) -> None:
    """Draw the buttons and the note; a file is made when its button is pressed."""
    # Streamlit makes a report when its button is pressed, outside of the session.
    asked = CheckCommand(Settings.read().detector, "whole" if is_whole(picture) else "all")
    given = {"detector": spec, "resaved": resaved, "asked": asked}
    made = partial(_report, picture.data, result, given)
    marked = partial(_marked, picture, result)
    files: list[tuple[str, str, str, str, Any]] = [
        ("Report (PDF)", "pdf", "application/pdf", "picture_as_pdf", partial(made, "pdf")),
        ("Report (HTML)", "html", "text/html", "description", partial(made, "html")),
        ("Data (JSON)", "json", "application/json", "data_object", _json(result)),
    ]
    if result.faces:
        files.insert(2, ("Picture with frames (PNG)", "png", "image/png", "image", marked))
    with st.container(horizontal=True):
        for label, suffix, media_type, icon, data in files:
            st.download_button(
                label,
                data,
                f"{_file_stem(picture.name)}-faceproof.{suffix}",
                media_type,
                on_click="ignore",
                icon=f":material/{icon}:",
                help=_HELP,
            )
    with st.expander(
        "Text to copy, and the same check as a command", icon=":material/content_copy:"
    ):
        st.code(words.note_words(result, spec), language=None, wrap_lines=True)
        commands = check_commands([picture.name], result.operating_point, asked)
        st.code("\n".join(commands), language="bash", wrap_lines=True)


def draw_csv_download(results: Sequence[CheckResult]) -> None:
    """Draw the button for the results of several pictures as a table."""
    st.download_button(
        "All results (CSV)",
        lambda: csv_text(results),
        "faceproof.csv",
        "text/csv",
        on_click="ignore",
        icon=":material/table:",
        help="A row for each face, for a spreadsheet.",
    )


def _marked(picture: GivenPicture, result: CheckResult) -> bytes:
    """Return the picture with its faces framed, as PNG with the mark of `faceproof check`."""
    info, file = PngInfo(), io.BytesIO()
    info.add_text(ANNOTATED_MARK, annotated_mark(result))
    shown = mark_picture(decode(picture.data).pixels, result)
    Image.fromarray(shown).save(file, "PNG", pnginfo=info)
    return file.getvalue()


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
