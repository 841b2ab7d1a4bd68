"""Detectors and other tools side by side: figures, tests, coverage and refusals."""

import json

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from typer.testing import CliRunner

from faceproof.cli import app
from faceproof.detector import ChosenOn, OperatingPoint
from faceproof.errors import DataError, UsageError
from faceproof.evaluation.auc_tests import delong, holm
from faceproof.evaluation.compare import compare
from faceproof.evaluation.evaluate import DatasetRef, DetectorRef, make_evaluation
from faceproof.evaluation.formulas import Thresholds
from faceproof.evaluation.predictions import (
    Origin,
    Prediction,
    make_table,
    read_table,
    write_table,
)
from support.metric_values import metric_values

N = 240
FAKE = np.arange(N) % 2 == 1
GENERATORS = np.where(FAKE, np.where(np.arange(N) % 4 == 1, "gan", "swap"), "none")


def scores(seed, shift):
    rng = np.random.default_rng(seed)
    return 1 / (1 + np.exp(-rng.normal(size=N) - shift * (FAKE - 0.5)))


def write_predictions(path, values, *, detector="a", data="d", lost=(), kept=range(N)):
    rows = [
        Prediction(
            path=f"{i}.png",
            source="made" if FAKE[i] else "home",
            generator=str(GENERATORS[i]),
            label="fake" if FAKE[i] else "real",
            split="test",
            group=f"g{i}",
            condition="clean",
            logit=None if i in lost else 0.0,
            fake_probability=None if i in lost else float(values[i]),
            status="no_face" if i in lost else "ok",
        )
        for i in kept
    ]
    origin = Origin(detector_sha256=detector * 64, data_sha256=data * 64, purpose="final-report")
    write_table(make_table(rows, origin), path)
    return path


def write_scores(path, values, kept=range(N)):
    lines = [f"{i}.png,{values[i]!r}" for i in kept]
    path.write_text("\n".join(["path,score", *lines]), encoding="utf-8")
    return path


@pytest.fixture
def three(tmp_path):
    """Two detectors and another tool whose scores are logits; each without some faces."""
    values = scores(0, 2.0), scores(1, 2.5), np.log(scores(2, 1.0))
    return values, (
        write_predictions(tmp_path / "ours.parquet", values[0], lost={0, 3}),
        write_predictions(tmp_path / "other.parquet", values[1], detector="b", lost={3, 5}),
        write_scores(tmp_path / "tool.csv", list(map(float, values[2])), kept=range(10, N)),
    )


def found_value(compared, metric, slice_="all"):
    (one,) = [f for f in compared.findings if (f.metric, f.slice) == (metric, slice_)]
    return one


def test_every_figure_is_of_the_faces_that_all_judged(three):
    values, paths = three
    result = compare(*paths, resamples=100)
    assert [one.name for one in result.compared] == ["ours", "other", "tool"]
    assert [one.kind for one in result.compared] == ["detector", "detector", "scores"]
    assert [(one.judged, one.not_judged) for one in result.compared] == [
        (N - 2, 2),
        (N - 2, 2),
        (N - 10, 10),
    ]
    assert result.faces == {"clean": N - 10}
    for one, value in zip(result.compared, values, strict=True):
        expected = metric_values(FAKE[10:], value[10:], generators=GENERATORS[10:])
        for metric in ("roc_auc", "average_precision", "eer", "tpr_at_fpr_5", "bpcer10"):
            finding = found_value(one, metric)
            assert finding.value == pytest.approx(expected[metric])
            assert finding.low <= finding.value <= finding.high
            assert finding.n in {N - 10}
        gan = (~FAKE | (GENERATORS == "gan")) & (np.arange(N) >= 10)
        by_gan = metric_values(FAKE[gan], value[gan], names=["roc_auc"])["roc_auc"]
        assert found_value(one, "roc_auc", "generator=gan").value == pytest.approx(by_gan)


def test_each_pair_has_delongs_p_adjusted_for_all_pairs(three):
    values, paths = three
    result = compare(*paths, resamples=100)
    pairs = [(one.first, one.second) for one in result.changes]
    assert pairs == [("ours", "other"), ("ours", "tool"), ("other", "tool")]
    test = delong(FAKE[10:], np.stack(values)[:, 10:])
    p = [test.p_value(0, 1), test.p_value(0, 2), test.p_value(1, 2)]
    assert [one.p for one in result.changes] == pytest.approx(p)
    assert [one.p_holm for one in result.changes] == pytest.approx(holm(p))
    for one in result.changes:
        assert one.change == pytest.approx(one.second_auc - one.first_auc)
        assert one.low <= one.change <= one.high


def test_scores_that_are_no_probabilities_have_no_calibration(three):
    result = compare(*three[1], resamples=100)
    measured = {f.metric for f in result.compared[2].findings}
    assert not measured & {"brier", "log_loss", "ece"}
    assert "brier" in {f.metric for f in result.compared[0].findings}
    assert "tool: scores are not probabilities, so calibration is not measured" in result.cautions


def test_a_folder_brings_its_operating_point(tmp_path):
    folder, values = tmp_path / "ours", scores(0, 2.0)
    folder.mkdir()
    table = read_table(write_predictions(folder / "predictions.parquet", values))
    point = OperatingPoint(
        name="half",
        real_below=0.4,
        fake_from=0.6,
        promise="p",
        chosen_on=ChosenOn(data_sha256="c" * 64, n=1),
    )
    make_evaluation(
        table,
        DetectorRef(name="ours", version="1", sha256="a" * 64),
        DatasetRef(name="set", sha256="d" * 64, split="test", rows=N),
        point,
        chosen_faces="largest",
        number=100,
    ).write(folder / "evaluation.json")
    tool = write_scores(tmp_path / "tool.csv", scores(1, 2.0).tolist())
    ours, other = compare(folder, tool, resamples=100).compared
    assert (ours.operating_point, other.operating_point) == (point, None)
    at = metric_values(FAKE, values, Thresholds(0.4, 0.6), generators=GENERATORS)
    for metric in ("bpcer", "worst_apcer", "acer"):
        assert found_value(ours, f"{metric}@half").value == pytest.approx(at[metric])
    assert not [f for f in other.findings if f.metric.startswith(("bpcer@", "apcer"))]
    (folder / "evaluation.json").write_text("{}")
    with pytest.raises(DataError, match=r"evaluation\.json cannot be read"):
        compare(folder, tool)


def test_what_is_left_out_is_stated(three):
    cautions = compare(*three[1], resamples=100).cautions
    assert f"10 of {N} rows were not judged by all and are excluded" in cautions
    assert any(c.startswith("clean: tpr_at_fpr_0_1 needs at least 1,000 groups") for c in cautions)
    assert "ours: no thresholds are known, so no error rate at them is measured" in cautions


def test_scores_of_unknown_pictures_and_without_a_number_are_stated(tmp_path):
    ours = write_predictions(tmp_path / "ours.parquet", scores(0, 2.0))
    values = [float("nan"), *map(float, scores(1, 2.0)[1:])]
    tool = write_scores(tmp_path / "tool.csv", values)
    tool.write_text(tool.read_text() + "\nelsewhere.png,0.5\n")
    result = compare(ours, tool, resamples=100)
    assert result.faces == {"clean": N - 1}
    assert any("1 scores are of pictures or conditions without" in c for c in result.cautions)
    assert "tool: 1 scores are empty or not finite: not judged" in result.cautions


def test_one_class_has_no_area_and_says_why(tmp_path):
    reals = np.flatnonzero(~FAKE)
    paths = [
        write_predictions(tmp_path / f"{name}.parquet", scores(i, 1.0), detector=name, kept=reals)
        for i, name in enumerate("ab")
    ]
    result = compare(*paths, resamples=100)
    assert result.changes == ()
    assert "clean: roc_auc needs fake faces, but there are none" in result.cautions
    assert any("compared from two of each on" in c for c in result.cautions)


def test_what_cannot_be_compared_is_refused(tmp_path):
    ours = write_predictions(tmp_path / "ours.parquet", scores(0, 2.0))
    tool = write_scores(tmp_path / "tool.csv", list(map(float, scores(1, 2.0))))
    with pytest.raises(UsageError, match="at least two"):
        compare(ours)
    with pytest.raises(UsageError, match="named twice"):
        compare(ours, ours)
    with pytest.raises(UsageError, match="no labels"):
        compare(tool, write_scores(tmp_path / "a.csv", scores(2, 1.0).tolist()))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="Run faceproof evaluate"):
        compare(ours, tmp_path / "empty")
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(UsageError, match="neither an evaluation folder"):
        compare(ours, tmp_path / "x.txt")
    other = write_predictions(tmp_path / "other.parquet", scores(0, 2.0), data="e")
    with pytest.raises(DataError, match="have different data"):
        compare(ours, other)
    short = write_predictions(tmp_path / "short.parquet", scores(0, 2.0), kept=range(9))
    with pytest.raises(DataError, match="differs in 231 pictures"):
        compare(ours, short)
    (tmp_path / "foreign.csv").write_text("path,score\nx.png,1\n")
    with pytest.raises(DataError, match="none of its 1 pictures"):
        compare(ours, tmp_path / "foreign.csv")


def test_the_command_writes_a_table_and_json(three):
    paths = [str(path) for path in three[1]]
    shown = CliRunner().invoke(app, ["compare", *paths, "--resamples", "100"])
    assert shown.exit_code == 0, shown.output
    head, *lines = shown.stdout.splitlines()
    assert head.split() == ["condition", "faces", "metric", "ours", "other", "tool"]
    assert lines[1].split()[-3:] == ["2", "2", "10"]
    assert "* rests on few groups; --format json has the reason" in lines
    assert any(line.startswith("clean      ours   tool") for line in lines)
    assert "caution: tool: scores are not probabilities" in shown.stderr
    written = CliRunner().invoke(app, ["compare", *paths, "--resamples", "100", "-f", "json"])
    record = json.loads(written.stdout)
    assert record["schema"] == "faceproof.comparison/1"
    assert len(record["changes"]) == 3
