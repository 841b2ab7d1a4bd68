"""The table of many answers: one row for each picture, as a grid to sort or as plain text."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from faceproof.frontends.webapp.markdown import escaped, shortened, small
from faceproof.reports import plain_words
from faceproof.reports.csv_rows import file_says
from faceproof.reports.plain_words import visible
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


def draw_table(results: Sequence[CheckResult]) -> int | None:
    """Draw the rows; return the place of the chosen one, if one is chosen."""
    plain = st.toggle(
        "Plain table",
        key=_PLAIN,
        persist_state="session",
        help="As text, which screen readers read and browsers print; it cannot be sorted.",
    )
    if plain:
        st.table(_as_text(columns(results)), hide_index=True)
        return None
    event = st.dataframe(
        columns(results),
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
        small("A click on a column's head sorts; a click on a row's box shows its picture below.")
    )
    rows = event["selection"]["rows"]
    return rows[0] if rows and rows[0] < len(results) else None


def columns(results: Sequence[CheckResult]) -> Columns:
    """Return the table, by column; names and messages show what they hold."""
    return {
        "Picture": [shortened(visible(one.source)) for one in results],
        "Answer": [outcome_of(one) for one in results],
        "Fake": [one.fake_probability for one in results],
        "Faces": [len(one.faces) for one in results],
        "With caution": [", ".join(_cautions(one)) for one in results],
        "The file says": [", ".join(_SAYS[said] for said in file_says(one)) for one in results],
        "Why not": [visible(one.error.message) if one.error else "" for one in results],
    }


def _as_text(table: Columns) -> dict[str, list[str]]:
    """Return the table as Markdown that shows it."""
    return {name: [_cell(cell) for cell in cells] for name, cells in table.items()}


def _cell(cell: str | float | None) -> str:
    if cell is None:
        return ""
    return f"{cell:.3f}" if isinstance(cell, float) else escaped(str(cell))


def _cautions(result: CheckResult) -> list[str]:
    """Return the cautions of a picture's faces, each once."""
    found = {one for face in result.faces for one in face.quality.cautions}
    return [one.replace("_", " ") for one in plain_words.CAUTIONS if one in found]
