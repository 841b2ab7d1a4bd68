"""Figures in a line, and the page of an evaluation."""

from __future__ import annotations

import pytest

from faceproof.detector import DetectorSpec, TrainingData
from faceproof.evaluation.selection import Selection, cautions
from faceproof.reports.evaluation_page import evaluation_page, format_finding, verdict
from support.evaluations import evaluated, predictions


@pytest.mark.usefixtures("quick_charts")
def test_the_page_is_that_of_the_report():
    answers = predictions(labels=("real",))
    page = evaluation_page(evaluated(answers), answers)
    assert "needs fake faces, but there are none" in page
    assert "ROC curve" not in page


def test_a_caution_of_a_figure_is_on_the_page():
    answers = predictions(gone=40)
    found = evaluated(answers)
    few = "only 10 groups of real faces; 30 or more are advised"
    assert found.find_cautions("all", "clean")[0] == few
    assert few in evaluation_page(found, answers)


def test_the_main_figures_in_a_sentence():
    found = evaluated(predictions())
    alarms = (
        format_finding(found.find("bpcer")).partition(" [")[0].replace(" ", "\N{NO-BREAK SPACE}")
    )
    assert verdict(found).startswith(f"{alarms} of real faces called fake, ")
    assert verdict(evaluated(predictions(gone=60))) == "No face was judged."
    assert format_finding(None) == "-"


@pytest.mark.parametrize(
    ("own", "split", "message"),
    [
        (True, "train", ["NOT A TEST", "THE DETECTOR'S OWN DATA", "thresholds of strict"]),
        (True, "test", ["its test rows", "thresholds of strict"]),
        (False, "calibration", ["NOT A TEST", "not the manifest", "thresholds of strict"]),
        (False, "", ["not the manifest", "thresholds of strict"]),
    ],
)
def test_cautions_name_what_the_data_is_to_the_detector(tiny_spec, tmp_path, own, split, message):
    trained = TrainingData(data_sha256=("b" if own else "d") * 64, rows={})
    spec = DetectorSpec.model_validate({**dict(tiny_spec), "trained_on": trained})
    selection = Selection((), tmp_path, "b" * 64, "x", split, "m.csv")
    point = spec.operating_points["strict"]
    found = cautions(selection, spec, point, predictions(gone=0))
    assert len(found) == len(message)
    assert all(words in one for words, one in zip(message, found, strict=True))
