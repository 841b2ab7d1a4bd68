"""The report in three formats: the same figures, safe whatever things are called, and alone."""

from __future__ import annotations

import json
import re

import pytest

from faceproof.detector import Bundle
from faceproof.detector.detector import locate
from faceproof.reports.make_report import audit_report, evaluation_report
from faceproof.reports.markup import escape_markdown
from faceproof.reports.report import (
    Figure,
    Report,
    ReportTable,
    Section,
    WorstError,
    cell_words,
)
from faceproof.reports.report_page import breakable_words, report_markdown, report_page
from faceproof.reports.vega import chart_spec
from faceproof.reports.worst_errors import SmallPicture
from support import pages
from support.evaluations import EVIL, POINT, audited, evaluated, predictions

VOID = {"meta", "img"}
DRAWING = '<svg viewBox="0 0 9 9"><path d="M0,0"/></svg>'


@pytest.fixture(scope="module")
def report() -> Report:
    """A report of an evaluation under two conditions and of two audits."""
    answers = predictions()
    found = evaluated(answers)
    audits = (audited("robustness"), audited("fairness", measured=False))
    made = audit_report(audits, Bundle.read(locate("default")).spec, POINT, (found, answers))
    wrong = {"source": EVIL, "condition": "clean", "fake_probability": 0.25}
    errors = (
        WorstError(path="1.png", label="real", generator="none", **wrong),
        WorstError(path="<2>.png", label="fake", generator="<gan>", **wrong),
    )
    return made.model_copy(update={"worst_errors": errors})


@pytest.fixture
def page(report, quick_charts) -> str:
    return report_page(report, {plot.name: DRAWING for plot in report.plots})


def read(page: str) -> pages.Reader:
    return pages.read(page, VOID)


def without_scripts(page: str) -> str:
    return re.sub(r"<script\b.*?</script>", "", page, flags=re.DOTALL)


def test_the_page_is_well_formed(page):
    reader = read(page)
    ids = [attributes["id"] for _, attributes in reader.seen if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"].removeprefix("#") for a in reader.all("a")} <= set(ids)
    labelled = {a["aria-labelledby"] for _, a in reader.seen if "aria-labelledby" in a}
    assert labelled <= set(ids)


def test_the_page_needs_nothing_else(page):
    reader = read(page)
    assert not {"link", "iframe", "object", "form"} & {tag for tag, _ in reader.seen}
    loaded = [a.get(name) for _, a in reader.seen for name in ("src", "srcset", "data", "action")]
    assert all(one.startswith("data:") for one in loaded if one)
    assert not re.search(r"url\(|@import|https?://", without_scripts(page))
    assert "$schema" not in page
    policy = next(a["content"] for a in reader.all("meta") if "http-equiv" in a)
    assert policy.startswith("default-src 'none'")
    assert "connect-src" not in policy


def test_names_cannot_become_markup(page):
    assert page.count("<script") == 3, "the charts, Vega, and what draws them"
    assert "alert('x')</script>" not in page
    text = "".join(read(page).text)
    for name in (EVIL, "<worn>", "<gan>", "<strict>", "m<1>.csv", "<b>Beware</b>", "<dark>"):
        assert name not in page
        assert name in text


def test_tables_have_captions_and_plots_have_words_and_tables(page, report):
    reader = read(page)
    assert len(reader.all("table")) == len(reader.all("caption"))
    assert all(a["scope"] in ("col", "row") for a in reader.all("th"))
    charts = [a for a in reader.all("div") if "data-chart" in a]
    assert [a["data-chart"] for a in charts] == [plot.name for plot in report.plots]
    for chart, plot in zip(charts, report.plots, strict=True):
        assert chart["role"] == "img"
        assert plot.description in chart["aria-label"]
    assert page.count("<summary>Points of the plot</summary>") == len(report.plots)


def test_charts_are_drawn_without_scripts_and_described_for_scripts(page, report):
    assert without_scripts(page).count(DRAWING) == len(report.plots)
    held = re.search(r'<script type="application/json" id="charts">(.*?)</script>', page)
    assert json.loads(held[1]) == {plot.name: chart_spec(plot) for plot in report.plots}


def every_cell(report: Report):
    for section in report.sections:
        for table in section.tables:
            for row in table.rows:
                yield from row


def test_the_three_formats_have_the_same_figures(page, report):
    markdown = report_markdown(report)
    assert Report.model_validate_json(report.model_dump_json()) == report
    text = " ".join("".join(read(without_scripts(page)).text).split())
    figures = [cell for cell in every_cell(report) if isinstance(cell, Figure)]
    assert len(figures) > 70
    for cell in every_cell(report):
        words = cell_words(cell)
        assert " ".join(breakable_words(cell).split()) in text
        assert (escape_markdown(words) if isinstance(cell, str) else words) in markdown
    for line in (*(one.text for one in report.statements), *report.not_tested, *report.cautions):
        assert line in text
        assert escape_markdown(line) in markdown


def test_every_caution_is_beside_its_figure(page, report):
    text = " ".join("".join(read(without_scripts(page)).text).split())
    markdown = report_markdown(report)
    flagged = [one for one in every_cell(report) if isinstance(one, Figure) and one.caution]
    assert flagged
    for section in report.sections:
        for table in section.tables:
            for row in table.rows:
                for cell in row:
                    if isinstance(cell, Figure) and cell.caution:
                        note = f"\N{WARNING SIGN}{table.cautions[cell.caution]}"
                        assert f"{' '.join(breakable_words(cell).split())} {note}" in text
                        assert f"{cell_words(cell)} {note}" in markdown
                        assert f"{note} {cell.caution}." in text
                        assert f"{note} {escape_markdown(cell.caution)}." in markdown
        for caution in section.cautions:
            assert caution in text
            assert f"**Caution:** {escape_markdown(caution)}" in markdown


def test_shared_cautions_stand_at_the_head_and_others_with_their_audit(report):
    assert "A sample of 60." in report.cautions
    sections = {section.name: section for section in report.sections}
    assert sections["robustness"].cautions == ("Only robustness.",)
    assert "robustness" in report.measured
    assert "fairness" not in report.measured


@pytest.mark.usefixtures("quick_charts")
def test_pictures_of_errors_are_embedded_with_words(report):
    small = [SmallPicture("aGVhcnQ=", "aGVhdA=="), SmallPicture(reason="no_file")]
    page = report_page(report, {plot.name: DRAWING for plot in report.plots}, pictures=small)
    images = read(page).all("img")
    assert [one["src"] for one in images] == [
        "data:image/jpeg;base64,aGVhcnQ=",
        "data:image/jpeg;base64,aGVhdA==",
    ]
    assert images[0]["alt"] == f"real, called fake: fake probability 0.250, {EVIL}, 1.png"
    assert "The picture cannot be read (no_file)" in page


def test_without_pictures_the_errors_are_still_listed(page, report):
    assert "Pictures were left out of this report." in page
    assert "<img" not in page
    text = "".join(read(page).text)
    assert f"fake of <gan>, called real: fake probability 0.250, {EVIL}, <2>.png" in text


@pytest.mark.usefixtures("quick_charts")
def test_nothing_judged_is_said():
    answers = predictions(gone=60)
    page = report_page(evaluation_report(evaluated(answers), answers), {})
    assert "<svg" not in page
    assert "<script" not in page
    assert "No face was judged" in page


def test_a_long_table_is_folded_and_a_short_one_is_not():
    answers = predictions()
    report = evaluation_report(evaluated(answers), answers)
    long = ReportTable(
        name="many", caption="Many rows", columns=("n",), rows=tuple((n,) for n in range(26))
    )
    short = long.model_copy(update={"caption": "Few rows", "rows": long.rows[:25]})
    section = Section(name="tables", title="Tables", tables=(long, short))
    page = report_page(report.model_copy(update={"sections": (section,)}), {})
    assert '<details class="long"><summary>Table of 26 rows: many</summary>' in page
    assert page.count('<details class="long">') == 1
