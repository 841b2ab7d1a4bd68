"""Killed and stopped trainings go on as if nothing had happened, bit for bit."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.train,
    pytest.mark.slow,  # a dozen processes; test_loop.py has it in one
    pytest.mark.skipif(os.name == "nt", reason="signals as on Linux and macOS"),
]

PROGRAM = Path(__file__).with_name("program.py")
#: A worker, batch norm, dropout and averaging: whatever could forget its state.
OVERRIDES = ("network.name=test_resnet", "device.loader_workers=1", "schedule.steps=8")
#: All that draws or counts, at once.
EVERYTHING = (
    *("schedule.accumulate=2", "schedule.thaw_steps=3", "schedule.patience=5"),
    *("optimizer.sam_radius=0.05", "optimizer.cvar=0.7", "optimizer.loss=focal"),
    *("augment.mixup=0.5", "augment.cutmix=0.5", "augment.reconstruct=0.2"),
    *("adversarial.share=0.5", "adversarial.steps=2", "network.batch_norm=precise"),
)


@pytest.fixture(scope="module")
def train(prepared, program):
    """Train in a process of its own; return its exit code and what it said."""

    def to_the_end(run: Path, *options: str) -> tuple[int, list[str]]:
        code, output, errors = program(prepared, run, *OVERRIDES, *options)
        assert "Traceback" not in errors, errors
        return code, output.splitlines()

    return to_the_end


@pytest.fixture(scope="module")
def unbroken(train, tmp_path_factory) -> Path:
    """The run folder of a training that nobody disturbed."""
    run = tmp_path_factory.mktemp("unbroken")
    assert train(run)[0] == 0
    return run


def flat(value: object, place: str) -> dict[str, object]:
    """Return every leaf of nested dicts and lists with its place."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for key, one in items for k, v in flat(one, f"{place}/{key}").items()}
    return {place: value}


def left_behind(run: Path) -> dict[str, object]:
    """Return all that a run left; the random state of torch is no part of it."""
    last, best = (torch.load(run / name, weights_only=True) for name in ("last.pt", "best.pt"))
    last.pop("random", None)
    return flat(last, "last") | flat(best, "best")


def assert_same(run: Path, other: Path) -> None:
    """Assert that weights, averages, statistics and the optimiser's state are the same bits."""
    one, two = left_behind(run), left_behind(other)
    assert one.keys() == two.keys()
    different = [
        place
        for place, value in one.items()
        if not (torch.equal(value, two[place]) if torch.is_tensor(value) else value == two[place])
    ]
    assert different == []
    for part in ("last/network", "last/average", "exp_avg_sq", "running_var", "best/"):
        assert any(part in place for place in one), part


def step_of(run: Path) -> int:
    return int(torch.load(run / "last.pt", weights_only=True)["step"])


def test_killed_between_two_checkpoints(train, unbroken, tmp_path):
    """The checkpoint of step 3 is written, that of step 6 is not."""
    code, _ = train(tmp_path, f"--signal={int(signal.SIGKILL)}", "--at=step 6: validation")
    assert code == -signal.SIGKILL
    assert step_of(tmp_path) == 3
    assert train(tmp_path)[0] == 0
    assert_same(tmp_path, unbroken)


def test_killed_with_everything_on(train, tmp_path):
    """Attacks, mixing, sharpness, parts, counters: the same bits after SIGKILL."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert train(whole, *EVERYTHING)[0] == 0
    kill = (f"--signal={int(signal.SIGKILL)}", "--at=step 6: validation")
    assert train(cut, *EVERYTHING, *kill)[0] == -signal.SIGKILL
    assert step_of(cut) == 3
    assert train(cut, *EVERYTHING)[0] == 0
    assert_same(cut, whole)


@pytest.mark.parametrize("options", [(), ("--helpers-too",)], ids=["alone", "with its worker"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "ctrl-c"])
def test_stopped_by_a_signal(train, unbroken, tmp_path, number, options):
    """It saves the step under way. A terminal sends Ctrl-C to the loader's worker too."""
    rarely = "schedule.checkpoint_steps=100"
    at = "--at=step 3: validation"
    code, output = train(tmp_path, rarely, f"--signal={int(number)}", at, *options)
    assert code == 128 + number
    assert output[-1] == f"stopped by {number.name}; run the same command again to resume"
    assert step_of(tmp_path) == 3
    assert train(tmp_path, rarely)[0] == 0
    assert_same(tmp_path, unbroken)


def test_two_signals_interrupt_at_once(prepared, python, tmp_path):
    """Whoever presses Ctrl-C twice does not want to wait for the step to end."""
    twice = f"""
import os, signal, sys
from faceproof.training import loop
def step(self, *batch):
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)
loop.Trainer._take = step
sys.argv = ["program.py", {str(prepared)!r}, {str(tmp_path)!r}]
exec(open({str(PROGRAM)!r}).read())
"""
    process = python(twice)
    process.communicate(timeout=900)
    assert process.returncode == -signal.SIGINT
    assert not (tmp_path / "last.pt").exists()
