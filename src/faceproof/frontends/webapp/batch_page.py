"""The page for many pictures: a table to sort and filter, and the answers to take along."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from faceproof.detector import OperatingPoint
from faceproof.errors import FaceproofError
from faceproof.frontends.webapp import sliders
from faceproof.frontends.webapp.answers import Batch, GivenPicture, check_batch, spec
from faceproof.frontends.webapp.browser import (
    DROP_ZONE,
    PASTE_SCRIPT,
    STYLE,
    hex_colour,
    script_html,
)
from faceproof.frontends.webapp.downloads import draw_csv_download
from faceproof.frontends.webapp.faces import draw_faces, draw_picture
from faceproof.frontends.webapp.markdown import label, shorten, small_print, to_markdown
from faceproof.frontends.webapp.outcomes import data_url, distinct_names, summary_words
from faceproof.frontends.webapp.settings import MOST_MEGABYTES
from faceproof.reports import words
from faceproof.reports.csv_rows import provenance_indications
from faceproof.reports.words import OUTCOMES, escape_controls, outcome_of, signed_words
from faceproof.results import CheckResult

_SAYS = {"made_by_ai": "made by AI", "edited": "edited", "captured": "taken by a camera"}
_PLAIN = "batch plain"

_ROW_PX = 56

Columns = dict[str, list[Any]]


def _draw_table(
    results: Sequence[CheckResult], thumbnails: Sequence[bytes | None], point: OperatingPoint
) -> int | None:
    """Draw the rows; return the place of the chosen one, if one is chosen."""
    plain = st.toggle(
        "Plain table",
        key=_PLAIN,
        persist_state="session",
        help="Shows the table as text for screen readers and printing; it cannot be sorted.",
    )
    if plain:
        st.table(_table_as_text(table_columns(results, point)), hide_index=True)
        return None
    decimals = max((_decimals(one, point) for one in results), default=1)
    columns = table_columns(results, point)
    columns["Fake"] = [_rounded_percent(one, decimals) for one in results]
    columns["Verdict"] = [[signed] for signed in columns["Verdict"]]
    event = st.dataframe(
        {"": [one and data_url(one) for one in thumbnails], **columns},
        hide_index=True,
        width="stretch",
        on_select="rerun",
        selection_mode="single-row",
        row_height=_ROW_PX,
        placeholder="-",
        column_config={
            "": st.column_config.ImageColumn(width="small"),
            "Verdict": st.column_config.MultiselectColumn(
                options=[signed_words(outcome) for outcome in OUTCOMES],
                color=[hex_colour(outcome) for outcome in OUTCOMES],
                width="medium",
            ),
            "Fake": st.column_config.NumberColumn(
                format=f"%.{decimals}f %%", help="Probability of a fake, of the most fake face."
            ),
            "Faces": st.column_config.NumberColumn(width="small"),
        },
    )
    st.markdown(
        small_print(
            "The most suspicious first. Click a column header to sort; click the box of a row to "
            "show its picture below."
        )
    )
    rows = event["selection"]["rows"]
    return rows[0] if rows and rows[0] < len(results) else None


def _decimals(result: CheckResult, point: OperatingPoint) -> int:
    """Return with how many decimals a percentage lies on its side of both thresholds."""
    share = result.fake_probability
    return 1 if share is None else words.percent_decimals(share, point)


def _rounded_percent(result: CheckResult, decimals: int) -> float | None:
    """Return the probability in percent; what is not certain is never 0 or 100."""
    share = result.fake_probability
    if share is None:
        return None
    if share in {0.0, 1.0}:
        return 100 * share
    smallest = 10.0**-decimals
    return min(max(round(100 * share, decimals), smallest), 100 - smallest)


def table_columns(results: Sequence[CheckResult], point: OperatingPoint) -> Columns:
    """Return the table in words, by column; names and messages show what they hold."""
    shares = [one.fake_probability for one in results]
    return {
        "Picture": [shorten(escape_controls(one.source)) for one in results],
        "Verdict": [signed_words(outcome_of(one)) for one in results],
        "Fake": ["" if share is None else words.percent(share, point) for share in shares],
        "Faces": [str(len(one.faces)) for one in results],
        "With caution": [", ".join(_cautions(one)) for one in results],
        "Metadata": [
            ", ".join(_SAYS[indication] for indication in provenance_indications(one))
            for one in results
        ],
        "Why not": [escape_controls(one.error.message) if one.error else "" for one in results],
    }


def _table_as_text(table: Columns) -> dict[str, list[str]]:
    """Return the table as Markdown that shows it."""
    return {name: [to_markdown(cell) for cell in cells] for name, cells in table.items()}


def _cautions(result: CheckResult) -> list[str]:
    """Return the cautions of a picture's faces, each once, and what was not checked."""
    found = {one for face in result.faces for one in face.quality.cautions}
    of_faces = [one.replace("_", " ") for one in words.CAUTIONS if one in found]
    return [*of_faces, *(one.short for one in words.limitations(result.image))]


MOST_FILES = 300
MOST_TOTAL_MEGABYTES = 512
_UPLOAD, _OUTCOMES, _NAME = "batch upload", "batch outcomes", "batch name"


def draw() -> None:
    """Draw the page."""
    st.html(STYLE)
    st.html(script_html(PASTE_SCRIPT), unsafe_allow_javascript=True)
    st.title("Many pictures at once", anchor=False)
    st.markdown(
        f"Add up to {MOST_FILES} pictures. Each gets one row in a table, with the same verdict "
        "as on the page “Check”. The command line has no limit: `faceproof check FOLDER`."
    )
    try:
        detector = spec()
    except FaceproofError as error:
        st.error(f"**The detector cannot be loaded.** {to_markdown(str(error))}")
        return
    with st.container(key=DROP_ZONE):
        pictures = _uploaded_pictures()
    if not pictures:
        return
    name = sliders.chosen_point(detector)
    batch = check_batch(pictures, name)
    st.header(summary_words(batch.results), anchor=False)
    _draw_rows(batch, detector.operating_point(name))
    _draw_downloads(batch.results)
    with st.container(border=True):
        sliders.draw_budget(detector, faces=1)
        sliders.draw_budget_details(detector)
    st.markdown(small_print(words.PIXELS_ONLY))


def _uploaded_pictures() -> list[tuple[str, GivenPicture]]:
    """Return the uploaded pictures by their upload's id, as many as fit in memory."""
    files = st.file_uploader(
        "Drop, paste or choose pictures",
        accept_multiple_files=True,
        key=_UPLOAD,
        max_upload_size=MOST_MEGABYTES,
        help="They stay in this computer's memory while the page is open and are never written to "
        "disk.",
    )
    fitting: list[tuple[str, GivenPicture]] = []
    names = distinct_names([file.name for file in files or ()])
    total = 0
    for file, name in zip(files or (), names, strict=True):
        total += file.size
        if len(fitting) == MOST_FILES or total > MOST_TOTAL_MEGABYTES * 2**20:
            break
        fitting.append((file.file_id, GivenPicture(name, file.getvalue())))
    if files and len(fitting) < len(files):
        st.warning(
            f"{len(files)} pictures were given; the first {len(fitting)} are checked. The limit "
            f"of this page is {MOST_FILES} pictures, or {MOST_TOTAL_MEGABYTES} MB. For more, use "
            "`faceproof check FOLDER` on the command line."
        )
    return fitting


def _draw_rows(batch: Batch, point: OperatingPoint) -> None:
    """Draw the filters, the table of what they leave, and the picture of the chosen row."""
    left, right = st.columns(2)
    wanted = left.multiselect(
        "Show only",
        list(OUTCOMES),
        key=_OUTCOMES,
        format_func=signed_words,
        placeholder="All verdicts",
        help="Leave this empty to show all verdicts.",
    )
    part = right.text_input(
        "Name contains", key=_NAME, placeholder="Part of a file's name", max_chars=200
    )
    shown = [
        place
        for place, result in enumerate(batch.results)
        if (not wanted or outcome_of(result) in wanted)
        and part.casefold() in result.source.casefold()
    ]
    if not shown:
        st.info("No picture matches these filters.")
        return
    chosen = _draw_table(
        [batch.results[place] for place in shown],
        [batch.thumbnails[place] for place in shown],
        point,
    )
    if chosen is not None:
        _draw_one(batch.pictures[shown[chosen]], batch.results[shown[chosen]])


def _draw_one(picture: GivenPicture, result: CheckResult) -> None:
    """Draw the picture of a row with its verdict and faces."""
    st.subheader(label(picture.name), anchor=False)
    with st.container(key=f"verdict-{outcome_of(result)}"):
        st.markdown(f"**{to_markdown(signed_words(outcome_of(result)))}**")
        st.markdown(to_markdown(words.reason_words(result, spec())))
    if result.error:
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        draw_picture(picture, result, heat=False)
    with right:
        if result.faces:
            draw_faces(picture, result, spec().operating_point(result.operating_point))
        st.markdown(small_print("The page “Check” shows the evidence, a report and heat maps."))


def _draw_downloads(results: Sequence[CheckResult]) -> None:
    """Draw the download buttons for all results, whatever the filters show."""
    with st.container(horizontal=True):
        draw_csv_download(results)
        st.download_button(
            "All results (JSON lines)",
            lambda: "".join(result.model_dump_json() + "\n" for result in results),
            "faceproof.jsonl",
            "application/x-ndjson",
            on_click="ignore",
            icon=":material/data_object:",
            help="One object for each picture, as `faceproof check --format jsonl` writes it.",
        )
