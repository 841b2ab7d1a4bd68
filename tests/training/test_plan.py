"""`train --init` and `--dry-run`: a recipe to start from, and what a training would take."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

pytest.importorskip("torch")
pytestmark = pytest.mark.train

from faceproof.cli import app  # noqa: E402
from faceproof.errors import TrainingError  # noqa: E402
from faceproof.training.plan import plan  # noqa: E402


@pytest.fixture(scope="module")
def dry_run(prepared, tmp_path_factory):
    """What `train --dry-run` prints, and the folders beside the recipe before and after."""
    before = sorted(prepared.rglob("*"))
    place = tmp_path_factory.mktemp("plan")
    output = place / "run"
    words = ["train", str(prepared / "recipe.toml"), "--dry-run", "--output", str(output)]
    found = CliRunner().invoke(app, [*words, "--set", "schedule.epochs=10"])
    assert sorted(prepared.rglob("*")) == before
    assert not output.exists()
    return found


def test_it_says_how_much_how_long_and_how_that_is_known(dry_run):
    assert dry_run.exit_code == 0, dry_run.output
    lines = dry_run.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        *("network", "data", "schedule", "time", "disk")
    ]
    assert lines[1] == "data: train 24, validation 16, calibration 78, test 16 faces"
    assert lines[2] == ("schedule: 30 steps of 8 faces, 240 faces (10.0 epochs), 10 validations")
    measured = r"from [\d.]+ s a step, measured now on 3 steps \(cpu, 32-true\)"
    assert re.match(rf"time: about 0:\d\d:\d\d, {measured}; calibration", lines[3])
    assert re.match(r"disk: about \d+ MB for checkpoints and detector", lines[4])
    assert "measuring 4 steps of 8 faces" in dry_run.stderr


def test_the_estimate_is_that_of_its_parts(mini):
    found = plan(mini())
    assert (found.steps, found.validations, found.validation_batches) == (6, 2, 6)
    assert found.seconds == pytest.approx(6 * found.step_seconds + 12 * found.batch_seconds)
    assert 0 < found.batch_seconds < 10
    assert found.weights_bytes > 4 * found.parameters
    assert found.checkpoint_bytes > 2 * found.weights_bytes


def test_data_that_a_training_would_refuse_is_refused(mini):
    with pytest.raises(TrainingError, match="needs at least 299"):
        plan(mini("calibration.budgets=[0.2, 0.01]"))
