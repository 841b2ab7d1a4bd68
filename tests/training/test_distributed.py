"""Two processes on one machine train as one does, stop together, and go on as one."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.train,
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="gloo between processes as on Linux and macOS"),
]

PROGRAM = Path(__file__).with_name("program.py")
STEPS = ("schedule.steps=40", "schedule.validate_steps=20", "schedule.checkpoint_steps=20")


@pytest.fixture(scope="module")
def train(python, prepared):
    """Train in processes of their own; return the exit code and what was said."""

    def to_the_end(run: Path, devices: int, *options: str) -> tuple[int, list[str]]:
        how = ("--plain", f"device.devices={devices}", *STEPS, *options)
        process = python(PROGRAM, prepared, run, *how)
        said, errors = process.communicate(timeout=900)
        assert "Traceback" not in errors, errors
        return process.returncode, said.splitlines()

    return to_the_end


@pytest.fixture(scope="module")
def alone(train, tmp_path_factory) -> Path:
    """The run folder of one process."""
    run = tmp_path_factory.mktemp("alone")
    assert train(run, 1)[0] == 0
    return run


def losses(run: Path) -> dict[int, float]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def assert_alike(run: Path, other: Path) -> None:
    """Assert equal loss curves and averages.

    The mean gradient of two halves is that of the whole but for rounding, which 40 steps of
    AdamW carry to the fifth digit; 1e-4 is allowed.
    """
    assert list(losses(run)) == list(losses(other)) == [10, 20, 30, 40]
    assert list(losses(run).values()) == pytest.approx(list(losses(other).values()), abs=1e-4)
    averages = [torch.load(r / "last.pt", weights_only=True)["average"] for r in (run, other)]
    for name, value in averages[0].items():
        assert torch.allclose(value.double(), averages[1][name].double(), atol=1e-4), name


def test_two_processes_train_as_one(train, alone, tmp_path):
    code, said = train(tmp_path, 2)
    assert code == 0
    assert said[-1] == "the first process goes on alone"
    assert sum("step 20/40" in line for line in said) == 1, "its helper says nothing"
    assert_alike(tmp_path, alone)
    assert losses(alone)[40] < losses(alone)[10]


def test_two_processes_stop_together_and_go_on_as_one(train, alone, tmp_path):
    """SIGTERM reaches the first process alone."""
    code, said = train(tmp_path, 2, f"--signal={int(signal.SIGTERM)}", "--at=step 30/40")
    assert code == 143
    assert said[-1] == "stopped by SIGTERM; the same command goes on"
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] == 30
    assert train(tmp_path, 1)[0] == 0
    assert_alike(tmp_path, alone)


def test_a_batch_that_does_not_divide_is_refused(python, prepared, tmp_path):
    how = ("--plain", "device.devices=2", "schedule.batch_size=5")
    process = python(PROGRAM, prepared, tmp_path, *how)
    _, errors = process.communicate(timeout=900)
    assert process.returncode != 0
    assert "batch_size 5 does not divide by 2 devices" in errors
