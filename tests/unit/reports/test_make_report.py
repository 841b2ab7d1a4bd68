"""From an evaluation and audits to sections and tables."""

from __future__ import annotations

from faceproof.audits.audit import AUDITS
from faceproof.evaluation.audit_result import AuditTable
from faceproof.reports.make_report import (
    audit_report,
    audit_section,
    audit_table,
    evaluation_report,
)
from faceproof.reports.report import Figure
from support.evaluations import POINT, audited, evaluated, predictions


def test_a_table_of_an_audit_has_values_and_intervals_in_one_cell():
    table = audit_table("robustness", audited().tables[0])
    assert table.columns == ("condition", "n", "flip rate", "move")
    assert table.rows[0] == (
        "<dark>",
        1200,
        Figure(value=0.125, low=0.1, high=0.15, kind="share"),
        Figure(value=0.25),
    )
    assert table.rows[1] == ("grey", 0, None, None)


def test_an_interval_alone_and_a_column_called_low_are_kept():
    plain = AuditTable(
        name="t", caption="c", columns=("a", "low", "b_low"), rows=(("x", 0.5, 0.1),)
    )
    table = audit_table("attacks", plain)
    assert table.columns == ("a", "low", "b low")
    assert table.rows == (("x", Figure(value=0.5), Figure(value=0.1)),)


def test_any_audit_is_a_section():
    section = audit_section(audited("brand_new"))
    assert section.name == "brand-new"
    assert section.title == "Brand_new: Does it <hold>?"
    assert section.text == "12.5 % flip in brand_new. (60 pictures.)"
    assert [plot.name for plot in section.plots] == ["brand-new-flips"]


def test_no_audit_has_the_name_of_another_section(tiny_spec):
    answers = predictions()
    audits = [audited(name) for name in AUDITS]
    report = audit_report(audits, tiny_spec, POINT, (evaluated(answers), answers))
    names = [section.name for section in report.sections]
    assert len(set(names)) == len(names)
    assert set(names) >= set(AUDITS)


def test_cautions_of_the_data_are_at_the_head_and_those_of_an_audit_in_its_section(tiny_spec):
    names = ("robustness", "fairness")
    for audits in ([audited(name) for name in names], [audited("robustness")]):
        report = audit_report(audits, tiny_spec, POINT)
        assert report.cautions == ("A sample of 60.",)
        told = {section.name: section.cautions for section in report.sections}
        assert told == {one.name: one.own_cautions for one in audits}


def test_the_table_names_the_generators_seen_and_else_the_detector(tiny_spec):
    answers = predictions()
    found = evaluated(answers)
    told = "Fakes of lamp: the detector was trained on them, but no figure here is of them."
    assert told not in evaluation_report(found, answers).not_tested
    assert told in evaluation_report(found, answers, tiny_spec).not_tested


def test_an_evaluation_has_a_section_for_figures_plots_slices_and_coverage():
    answers = predictions()
    found = evaluated(answers)
    report = evaluation_report(found, answers)
    names = [section.name for section in report.sections]
    assert names == ["figures", "plots", "by-source", "by-generator", "not-judged", "left-out"]
    figures = report.sections[0].tables[0]
    assert figures.columns == ("figure", "clean", "n, clean", "<worn>", "n, <worn>")
    auc = found.find("roc_auc")
    assert figures.rows[0][1:3] == (Figure.of(auc), auc.n)
    assert "Not judged, clean: 3 (no_face 3)" in figures.caption
    assert len(report.sections[2].tables[0].rows) == 4
