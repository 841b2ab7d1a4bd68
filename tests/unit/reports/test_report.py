"""Cells, tables and the record of a report."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from faceproof.detector.spec import Finding
from faceproof.reports.report import Figure, Report, ReportTable, cell_words


def finding(metric: str, **changes) -> Finding:
    fields = {"value": 0.0125, "low": 0.01, "high": 0.02, "n": 9, "data_sha256": "0" * 64}
    return Finding(metric=metric, **(fields | changes))


def test_a_finding_is_a_share_or_a_number_and_keeps_its_caution():
    share = Figure.of(finding("bpcer@1-in-100", caution="few"))
    assert (share.kind, share.n, share.caution) == ("share", 9, "few")
    assert cell_words(share) == "1.2 % [1.0, 2.0]"
    assert cell_words(Figure.of(finding("roc_auc"))) == "0.013 [0.010, 0.020]"


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (None, "-"),
        ("lamp", "lamp"),
        (12_345, "12,345"),
        (0.0, "0.000"),
        (-0.25, "-0.250"),
        (0.00012, "0.00012"),
        (Figure(value=-0.031, low=-0.05, high=0.01, kind="share"), "-3.1 % [-5.0, 1.0]"),
        (Figure(value=1.0, kind="share"), "100.0 %"),
    ],
)
def test_a_cell_in_words(cell, words):
    assert cell_words(cell) == words


def test_cautions_of_a_table_are_numbered_once_each():
    figures = [Figure(value=n, caution=text) for n, text in enumerate(("a", "b", "a", None))]
    table = ReportTable(
        name="t", caption="c", columns=("x", "y"), rows=((figures[0], figures[1]), (figures[2], 1))
    )
    assert table.cautions == {"a": 1, "b": 2}


def test_a_row_fits_the_columns():
    with pytest.raises(ValidationError, match="1 cells for 2 columns"):
        ReportTable(name="t", caption="c", columns=("x", "y"), rows=((1,),))


def test_the_record_names_its_schema():
    assert Report.model_fields["schema_"].default == "faceproof.report/1"
