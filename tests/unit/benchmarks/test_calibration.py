"""The benchmark of calibration: from two tables of answers to tables of figures, in one command."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from faceproof.evaluation import predictions
from support.calibration_faces import answers, degraded_faces

pytestmark = pytest.mark.train

FILE = Path(__file__).parents[3] / "benchmarks" / "calibration.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark_calibration", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder with answers about 350 real and 350 fake faces in each of two splits."""
    folder = tmp_path_factory.mktemp("run")
    for seed, (split, purpose) in enumerate(
        [("calibration", "calibrate"), ("test", "final-report")]
    ):
        table = answers(degraded_faces(350, seed=seed), split=split, purpose=purpose)
        predictions.write_table(table, folder / f"predictions-{split}.parquet")
    return folder


def test_it_prints_what_was_promised_and_what_came_of_it(benchmark, run, capsys):
    benchmark.main([str(run), "--resamples", "40"])
    output = capsys.readouterr().out
    lines = output.splitlines()
    assert "Calibration: 350 real in 350 groups, 350 fake in 350 groups, each under 3" in output
    assert sum(line.startswith("| 1-in-20 |") for line in lines) == 1 + 3 + 2
    assert sum(line.startswith("| 1-in-100, plain | ") for line in lines) == 3
    assert "| 1-in-1000 | - | - | the calibration split cannot support" in output
    for name in ("none", "temperature", "platt"):
        assert f"| {name} | 0." in output
    assert "isotonic needs 500 groups of each class, found 350" in output


def test_the_plain_quantile_uses_the_budget_up(benchmark):
    faces = degraded_faces(350)
    made = benchmark.keep_promises(
        faces, benchmark.CalibrationRecipe(budgets=(0.05,)), data_sha256="b" * 64
    )
    (point,) = benchmark.plain_quantiles(faces, made).points.values()
    assert point.fake_from < made.points["1-in-20"].fake_from
    alarms = faces.probabilities[~faces.fake & (faces.conditions == "jpeg-60")] >= point.fake_from
    assert alarms.sum() == int(0.05 * 350)


def test_drawn_splits_have_the_risk_that_they_are_said_to_have(benchmark):
    rng = np.random.default_rng(0)
    scores, groups = benchmark.drawn(rng, 4000, 30, 0.7)
    assert (scores.mean(), scores.std()) == pytest.approx((0, 1), abs=0.12)
    assert len(np.unique(groups)) == 4000
    single, alone = benchmark.drawn(rng, 50, 1, 0.0)
    assert len(single) == len(np.unique(alone)) == 50
