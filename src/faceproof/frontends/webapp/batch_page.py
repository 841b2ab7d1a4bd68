"""The page for many pictures: a table to sort and filter, and the answers to take along."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import streamlit as st

from faceproof.errors import FaceproofError
from faceproof.frontends.webapp import sliders
from faceproof.frontends.webapp.answers import Batch, GivenPicture, check_batch, spec
from faceproof.frontends.webapp.faces import STYLE, draw_faces, draw_picture
from faceproof.frontends.webapp.markdown import label, shorten, small_print, to_markdown
from faceproof.frontends.webapp.settings import MOST_MEGABYTES
from faceproof.messages import count_noun
from faceproof.reports import words
from faceproof.reports import words as plain_words
from faceproof.reports.csv_rows import csv_text, provenance_indications
from faceproof.reports.words import escape_controls
from faceproof.results import CheckResult

#: What can come of a picture, the most pressing first.
OUTCOMES = ("fake", "unsure", "real", "without a face", "could not be checked")
_WITHOUT = {"no_face": OUTCOMES[3], "error": OUTCOMES[4]}
_SAYS = {"made_by_ai": "made by AI", "edited": "edited", "captured": "taken by a camera"}
_PLAIN = "batch plain"

Columns = dict[str, list[str] | list[int] | list[float | None]]


def outcome_of(result: CheckResult) -> str:
    """Return what came of a picture, one of `OUTCOMES`."""
    return result.verdict or _WITHOUT[result.status]


def _draw_table(results: Sequence[CheckResult]) -> int | None:
    """Draw the rows; return the place of the chosen one, if one is chosen."""
    plain = st.toggle(
        "Plain table",
        key=_PLAIN,
        persist_state="session",
        help="Shows the table as text for screen readers and printing; it cannot be sorted.",
    )
    if plain:
        st.table(_table_as_text(table_columns(results)), hide_index=True)
        return None
    event = st.dataframe(
        table_columns(results),
        hide_index=True,
        width="stretch",
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "Fake": st.column_config.NumberColumn(
                format="%.3f", help="Probability of fake, of the most fake face."
            ),
            "Faces": st.column_config.NumberColumn(width="small"),
        },
    )
    st.markdown(
        small_print(
            "Click a column header to sort; click the box of a row to show its picture below."
        )
    )
    rows = event["selection"]["rows"]
    return rows[0] if rows and rows[0] < len(results) else None


def table_columns(results: Sequence[CheckResult]) -> Columns:
    """Return the table, by column; names and messages show what they hold."""
    return {
        "Picture": [shorten(escape_controls(one.source)) for one in results],
        "Answer": [outcome_of(one) for one in results],
        "Fake": [one.fake_probability for one in results],
        "Faces": [len(one.faces) for one in results],
        "With caution": [", ".join(_cautions(one)) for one in results],
        "Metadata": [
            ", ".join(_SAYS[indication] for indication in provenance_indications(one))
            for one in results
        ],
        "Why not": [escape_controls(one.error.message) if one.error else "" for one in results],
    }


def _table_as_text(table: Columns) -> dict[str, list[str]]:
    """Return the table as Markdown that shows it."""
    return {name: [_cell(cell) for cell in cells] for name, cells in table.items()}


def _cell(cell: str | float | None) -> str:
    if cell is None:
        return ""
    return f"{cell:.3f}" if isinstance(cell, float) else to_markdown(str(cell))


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
    pictures = _uploaded_pictures()
    if not pictures:
        return
    batch = check_batch(pictures, sliders.chosen_point(detector))
    _draw_summary(batch.results)
    _draw_rows(batch)
    _draw_downloads(batch.results)
    with st.container(border=True):
        sliders.draw_budget(detector, faces=1)
    st.markdown(small_print(plain_words.PIXELS_ONLY))


def _uploaded_pictures() -> list[tuple[str, GivenPicture]]:
    """Return the uploaded pictures by their upload's id, as many as fit in memory."""
    files = st.file_uploader(
        "Pictures to check: choose them, or drag and drop them here",
        accept_multiple_files=True,
        key=_UPLOAD,
        max_upload_size=MOST_MEGABYTES,
        help="They stay in this computer's memory while the page is open and are never written to "
        "disk.",
    )
    fitting: list[tuple[str, GivenPicture]] = []
    names: Counter[str] = Counter()
    total = 0
    for file in files or ():
        total += file.size
        if len(fitting) == MOST_FILES or total > MOST_TOTAL_MEGABYTES * 2**20:
            break
        name = _number_repeat(file.name, names)
        fitting.append((file.file_id, GivenPicture(name, file.getvalue())))
    if files and len(fitting) < len(files):
        st.warning(
            f"{len(files)} pictures were given; the first {len(fitting)} are checked. The limit "
            f"of this page is {MOST_FILES} pictures, or {MOST_TOTAL_MEGABYTES} MB. For more, use "
            "`faceproof check FOLDER` on the command line."
        )
    return fitting


def _number_repeat(name: str, names: Counter[str]) -> str:
    """Return a name with a number if it was counted before; cameras and phones repeat theirs.

    >>> names = Counter[str]()
    >>> _number_repeat("a.jpg", names), _number_repeat("a.jpg", names), _number_repeat("b", names)
    ('a.jpg', 'a (2).jpg', 'b')
    """
    names[name] += 1
    number = names[name]
    if number == 1:
        return name
    stem, dot, suffix = name.rpartition(".")
    numbered = f"{stem} ({number}){dot}{suffix}" if stem else f"{name} ({number})"
    return _number_repeat(numbered, names)


def _draw_summary(results: Sequence[CheckResult]) -> None:
    """Summarise the results in a sentence."""
    outcomes = [outcome_of(result) for result in results]
    counts = {words: outcomes.count(words) for words in OUTCOMES}
    description = ", ".join(f"{count} {words}" for words, count in counts.items() if count)
    pictures = count_noun(len(results), "picture", separator="")
    st.header(f"{pictures}: {description}", anchor=False)


def _draw_rows(batch: Batch) -> None:
    """Draw the filters, the table of what they leave, and the picture of the chosen row."""
    left, right = st.columns(2)
    wanted = left.multiselect(
        "Show only",
        list(OUTCOMES),
        key=_OUTCOMES,
        placeholder="All answers",
        help="Leave this empty to show all answers.",
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
    chosen = _draw_table([batch.results[place] for place in shown])
    if chosen is not None:
        _draw_one(batch.pictures[shown[chosen]], batch.results[shown[chosen]])


def _draw_one(picture: GivenPicture, result: CheckResult) -> None:
    """Draw the picture of a row with its faces."""
    st.subheader(label(picture.name), anchor=False)
    if result.error:
        st.error(f"**This picture could not be checked.** {to_markdown(result.error.message)}")
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        draw_picture(picture, result, heat=False)
    with right:
        if result.faces:
            draw_faces(result, spec().operating_point(result.operating_point), picture.key)
        else:
            st.info(f"**No face was found.** {plain_words.answer_words(result)}")
        st.markdown(small_print("The page “Check” shows the evidence, a report and heat maps."))


def _draw_downloads(results: Sequence[CheckResult]) -> None:
    """Draw the download buttons for all results, whatever the filters show."""
    with st.container(horizontal=True):
        st.download_button(
            "All answers (CSV)",
            lambda: csv_text(results),
            "faceproof.csv",
            "text/csv",
            on_click="ignore",
            icon=":material/table:",
            help="A row for each face, for a spreadsheet.",
        )
        st.download_button(
            "All answers (JSON lines)",
            lambda: "".join(result.model_dump_json() + "\n" for result in results),
            "faceproof.jsonl",
            "application/x-ndjson",
            on_click="ignore",
            icon=":material/data_object:",
            help="One object for each picture, as `faceproof check --format jsonl` writes it.",
        )
