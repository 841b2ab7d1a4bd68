"""The files of a report, and what is made again."""

from __future__ import annotations

import pytest

from faceproof.detector import Detector
from faceproof.errors import UsageError
from faceproof.evaluation.audit_result import AuditRun
from faceproof.evaluation.evaluation_record import Evaluation
from faceproof.evaluation.predictions import make_table, origin_of, rows_of, write_table
from faceproof.reports import write_report as writing
from faceproof.reports.report import Report
from faceproof.reports.write_report import write_report
from support.evaluations import audited, evaluated, predictions

pytestmark = pytest.mark.usefixtures("quick_charts")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_an_evaluation_gets_its_files_and_old_plots_go(folder):
    answers = predictions()
    write_table(answers, folder / "predictions.parquet")
    (folder / "plots").mkdir()
    (folder / "plots" / "old.svg").write_text("<svg/>")
    page = write_report(evaluated(answers), folder)
    assert page == folder / "report.html"
    assert "No picture is shown: the data folder is not known" in page.read_text(encoding="utf-8")
    names = {path.stem for path in (folder / "plots").iterdir()}
    report = Report.read(folder / "report.json")
    assert names == {plot.name for plot in report.plots}
    assert (folder / "report.md").read_text(encoding="utf-8").startswith("# Report: ")


def test_pictures_are_left_out_on_request(folder):
    answers = predictions()
    write_table(answers, folder / "predictions.parquet")
    page = write_report(evaluated(answers), folder, root=folder, pictures=False)
    assert "<img" not in page.read_text(encoding="utf-8")


def test_another_detector_is_refused(folder, tiny_bundle):
    answers = predictions()
    write_table(answers, folder / "predictions.parquet")
    with pytest.raises(UsageError, match="not of bright"):
        write_report(evaluated(answers), folder, detector=tiny_bundle)
    run = AuditRun(settings=audited().settings, results=(audited(),))
    with pytest.raises(UsageError, match="needs their detector"):
        write_report(run, folder)


@pytest.fixture
def run(tiny_bundle) -> AuditRun:
    sha256 = Detector.load(tiny_bundle).sha256
    result = audited()
    settings = result.settings.model_copy(
        update={"detector_sha256": sha256, "operating_point": "balanced"}
    )
    return AuditRun(settings=settings, results=(result.model_copy(update={"settings": settings}),))


def test_the_figures_of_an_audit_are_those_of_its_unchanged_pictures(
    folder, run, tiny_bundle, monkeypatch
):
    answers = predictions()
    origin = origin_of(answers).model_copy(update={"detector_sha256": run.settings.detector_sha256})
    write_table(make_table(rows_of(answers), origin), folder / "predictions-degraded.parquet")
    write_report(run, folder, detector=tiny_bundle)
    report = Report.read(folder / "report.json")
    assert report.measured >= {"figures", "plots", "robustness"}
    assert report.sections[0].tables[0].columns == ("figure", "clean", "n, clean")
    found = Evaluation.read(folder / "evaluation-degraded.json")
    assert found.conditions == ("clean",)
    assert (found.data.rows, found.operating_point.name) == (60, "balanced")
    monkeypatch.setattr(writing, "make_evaluation", None)
    write_report(run, folder, detector=tiny_bundle)
    assert Report.read(folder / "report.json") == report


def test_an_audit_that_scores_nothing_has_a_report_too(folder, run, tiny_bundle):
    write_report(run, folder, detector=tiny_bundle)
    report = Report.read(folder / "report.json")
    assert [section.name for section in report.sections] == ["robustness"]
    assert {one.name for one in report.statements} == {"worst-group", "worst-condition"}
