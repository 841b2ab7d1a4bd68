"""An evaluation of a predictions table: withheld verdicts, coverage, tables for data frames."""

from __future__ import annotations

import numpy as np
import pytest

import faceproof
from faceproof.detector import ChosenOn, OperatingPoint
from faceproof.errors import UnknownChoiceError
from faceproof.evaluation.evaluate import evaluate_predictions
from faceproof.evaluation.predictions import Origin, Prediction, Scoring, make_table, write_table

pytestmark = pytest.mark.train

POINT = OperatingPoint(
    name="strict",
    real_below=0.3,
    fake_from=0.7,
    promise="p",
    chosen_on=ChosenOn(data_sha256="c" * 64, n=1),
)
EDGE = POINT.model_copy(update={"name": "edge", "real_below": 0.7})
SCORING = Scoring(
    detector_name="d",
    detector_version="1",
    operating_points=(POINT, EDGE),
    operating_point="strict",
    data_name="m.csv",
    split="test",
    faces="largest",
)


def row(n, label, p, *, cautions="", reason="", generator="g", **changes):
    ok = not reason
    return Prediction(
        path=f"{n}.png",
        source="home",
        generator="none" if label == "real" else generator if label else "",
        label=label,
        split="test",
        group=f"g{n}",
        condition="clean",
        logit=float(np.log(p / (1 - p))) if ok else None,
        fake_probability=p if ok else None,
        status="ok" if ok else "no_face" if reason in {"no_face", "face_lost"} else "error",
        cautions=cautions,
        reason=reason,
        **changes,
    )


def table(rows):
    origin = Origin(
        detector_sha256="a" * 64, data_sha256="b" * 64, purpose="final-report", scoring=SCORING
    )
    return make_table(rows, origin)


ROWS = [
    *(row(n, "real", 0.1) for n in range(8)),
    row(8, "real", 0.9),
    row(9, "real", 0.95, cautions="small,not_continuous_tone"),
    *(row(n, "fake", 0.9) for n in range(10, 18)),
    row(18, "fake", 0.2, cautions="damaged"),
    row(19, "fake", 0.2, cautions="blurred"),
]
LOST = [
    row(20, "real", 0.5, reason="no_face"),
    row(21, "real", 0.5, reason="no_face"),
    row(22, "fake", 0.5, reason="changed_file", generator="h"),
]


def test_a_caution_that_withholds_the_verdict_makes_a_face_unsure_in_every_figure():
    found = evaluate_predictions(table(ROWS), resamples=100)
    (matrix,) = found.confusion
    assert (matrix.real, matrix.fake) == ((8, 1, 1), (1, 1, 8))
    assert found.find("bpcer").value == 0.1
    assert found.find("apcer").value == 0.1
    assert found.find("unsure_rate").value == 0.1
    plain = evaluate_predictions(
        table([row(n, one.label, one.fake_probability) for n, one in enumerate(ROWS)]),
        resamples=100,
    )
    assert found.find("roc_auc").value == plain.find("roc_auc").value
    assert plain.find("bpcer").value == 0.2
    assert {one.metric for one in found.findings} == {one.metric for one in plain.findings}
    assert len(found.findings) == len(plain.findings)
    assert "2 judged faces have a caution" in found.cautions[-1]
    assert "all figures at the thresholds" in found.cautions[-1]


def test_a_withheld_verdict_is_unsure_also_where_both_thresholds_are_one():
    found = evaluate_predictions(table(ROWS), resamples=100, at="edge")
    assert found.confusion[0].real == (8, 1, 1)
    assert found.confusion[0].fake == (1, 1, 8)
    assert found.find("bpcer").value == 0.1
    assert found.find("apcer").value == 0.1
    assert found.find("unsure_rate").value == 0.1
    assert "unsure in all figures at the thresholds" in found.cautions[-1]


def test_faces_without_a_label_change_nothing():
    other = row(0, "", 0.99, face=1)
    both = [evaluate_predictions(table(rows), resamples=100) for rows in (ROWS, [*ROWS, other])]
    assert both[0] == both[1]


def test_what_was_not_judged_is_counted_with_its_reasons_in_each_slice():
    found = evaluate_predictions(table(ROWS + LOST), resamples=100)
    every = found.find_coverage("all", "clean")
    assert (every.judged, every.not_judged) == (20, 3)
    assert every.reasons == (("no_face", 2), ("changed_file", 1))
    assert every.describe() == "3 (no_face 2, changed_file 1)"
    assert found.find_coverage("generator=g", "clean").describe() == "0"
    lost = found.find_coverage("generator=h", "clean")
    assert (lost.judged, lost.reasons) == (0, (("changed_file", 1),))
    assert "3 of 23 pictures were not judged (no_face 2, changed_file 1)" in found.cautions[1]
    assert found.data.rows == 23


@pytest.mark.parametrize("name", ["findings", "coverage", "confusion"])
def test_tables_for_polars_and_pandas(name):
    pytest.importorskip("pandas")
    found = evaluate_predictions(table(ROWS + LOST), resamples=100)
    one, other = found.to_polars(name), found.to_pandas(name)
    assert one.columns == list(other.columns)
    assert one.rows() == [tuple(values) for values in other.itertuples(index=False)]


def test_the_tables_have_what_the_record_has():
    found = evaluate_predictions(table(ROWS + LOST), resamples=100)
    frame = found.to_polars()
    assert frame.height == len(found.findings)
    auc = frame.filter(metric="roc_auc", slice="all", condition="clean").row(0, named=True)
    assert (auc["value"], auc["low"], auc["n"]) == (
        found.find("roc_auc").value,
        found.find("roc_auc").low,
        20,
    )
    assert found.to_polars("confusion").row(0) == ("clean", "real", 8, 1, 1)
    assert found.to_polars("coverage").row(0) == (
        *("all", "clean", 20, 3),
        "no_face 2, changed_file 1",
    )
    with pytest.raises(UnknownChoiceError, match="unknown table 'finding', did you mean"):
        found.to_polars("finding")


def test_the_file_gives_the_same_record(tmp_path):
    made = table(ROWS + LOST)
    write_table(made, tmp_path / "p.parquet")
    direct = evaluate_predictions(made, resamples=100)
    again = faceproof.evaluate_predictions(
        tmp_path / "p.parquet", resamples=100, output=tmp_path / "out"
    )
    assert again == direct
    assert faceproof.Evaluation.read(tmp_path / "out" / "evaluation.json") == direct
