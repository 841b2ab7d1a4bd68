"""Two processes on one machine train as one does, stop together, and go on as one.

``schedule.batch_size`` is that of all processes: two that take 4 pictures each are one that takes 8
(the doubled batch).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.train,
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="gloo between processes as on Linux and macOS"),
]

AGENT = ("-m", "torch.distributed.run")
TORCHRUN = (*AGENT, "--standalone", "--nproc-per-node", "2")
PROGRAM = Path(__file__).with_name("program.py")
STEPS = ("schedule.steps=40", "schedule.validate_steps=20", "schedule.checkpoint_steps=20")


@pytest.fixture(scope="module")
def train(program, prepared):
    """Train in processes of their own; return the exit code and what was said."""

    def to_the_end(run: Path, devices: int, *options: str) -> tuple[int, list[str]]:
        how = ("--plain", f"device.devices={devices}", *STEPS, *options)
        code, output, errors = program(prepared, run, *how)
        assert "Traceback" not in errors, errors
        return code, output.splitlines()

    return to_the_end


@pytest.fixture(scope="module")
def alone(train, tmp_path_factory) -> Path:
    """The run folder of one process."""
    run = tmp_path_factory.mktemp("alone")
    assert train(run, 1)[0] == 0
    return run


@pytest.fixture(scope="module")
def torchrun():
    """Start two processes with torchrun; return the exit code and what was said."""

    def to_the_end(*arguments: object) -> tuple[int, str, str]:
        command = [sys.executable, *TORCHRUN, *map(str, arguments)]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        return done.returncode, done.stdout, done.stderr

    return to_the_end


def losses(run: Path) -> dict[int, float]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def assert_alike(run: Path, other: Path, tolerance: float = 1e-5) -> None:
    """Assert equal loss curves and averages.

    The mean gradient of two halves is that of the whole but for rounding, which 40 steps of
    AdamW carry to the seventh digit of a weight; 1e-5 is allowed.
    """
    assert list(losses(run)) == list(losses(other)) == [10, 20, 30, 40]
    assert list(losses(run).values()) == pytest.approx(list(losses(other).values()), abs=tolerance)
    averages = [torch.load(r / "last.pt", weights_only=True)["average"] for r in (run, other)]
    for name, value in averages[0].items():
        assert torch.allclose(value.double(), averages[1][name].double(), atol=tolerance), name


#: An attack follows signs, which a rounding may turn over; so more is allowed.
ALIKE = {
    "in parts": (("schedule.accumulate=2",), 1e-5),
    "the head alone": (("network.trainable=head",), 1e-5),
    "uphill": (("optimizer.sam_radius=0.05", "schedule.accumulate=2"), 1e-5),
    "attacked": (("adversarial.share=1.0", "adversarial.attack=fgsm"), 1e-3),
}


@pytest.mark.parametrize(("options", "tolerance"), ALIKE.values(), ids=ALIKE)
def test_two_processes_train_as_one_with(train, tmp_path, options, tolerance):
    for devices in (1, 2):
        assert train(tmp_path / str(devices), devices, *options)[0] == 0
    assert_alike(tmp_path / "1", tmp_path / "2", tolerance)


def test_two_processes_train_as_one(train, alone, tmp_path):
    code, output = train(tmp_path, 2)
    assert code == 0
    assert output[-1] == "the first process goes on alone"
    assert sum("step 20/40" in line for line in output) == 1, "its helper says nothing"
    assert_alike(tmp_path, alone)
    assert losses(alone)[40] < losses(alone)[10]


def test_two_processes_stop_together_and_go_on_as_one(train, alone, tmp_path):
    """SIGTERM reaches the first process alone."""
    code, output = train(tmp_path, 2, f"--signal={int(signal.SIGTERM)}", "--at=step 30/40")
    assert code == 143
    assert output[-1] == "stopped by SIGTERM; run the same command again to resume"
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] == 30
    assert train(tmp_path, 1)[0] == 0
    assert_alike(tmp_path, alone)


def test_under_torchrun_two_processes_train_as_one(torchrun, prepared, alone, tmp_path):
    how = (PROGRAM, prepared, tmp_path, "--plain", "device.devices=2", *STEPS)
    code, output, errors = torchrun(*how)
    assert code == 0, errors
    assert sum("step 20/40" in line for line in output.splitlines()) == 1
    assert_alike(tmp_path, alone)


@pytest.fixture(scope="module")
def agents():
    """Start an agent of torchrun for each of two machines, both this one, with a process each."""

    def to_the_end(*arguments: object) -> list[tuple[int, str, str]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            where = f"127.0.0.1:{free.getsockname()[1]}"
        machines = ("--nnodes", "2", "--nproc-per-node", "1", "--local-addr", "127.0.0.1")
        meeting = ("--rdzv-backend", "c10d", "--rdzv-id", "test", "--rdzv-endpoint", where)
        command = [sys.executable, *AGENT, *machines, *meeting, *map(str, arguments)]
        started = [
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
            for _ in range(2)
        ]
        try:
            said = [one.communicate(timeout=900) for one in started]
        finally:
            for one in started:
                one.kill()
        return [(one.returncode, *text) for one, text in zip(started, said, strict=True)]

    return to_the_end


@pytest.mark.parametrize(
    "frozen",
    [
        pytest.param(True, id="frozen"),
        pytest.param(False, id="learning", marks=pytest.mark.nightly),
    ],
)
def test_two_machines_train_as_one_with_a_batch_norm_that_is_frozen(
    program, agents, prepared, tmp_path, frozen
):
    """Two machines with 4 pictures each are one with 8, unless the batch norm learns."""
    norm = f"network.batch_norm={'frozen' if frozen else 'train'}"
    how = ("--normed", *STEPS, norm)
    code, _, errors = program(prepared, tmp_path / "one", *how, "device.devices=1")
    assert code == 0, errors
    two = ("device.devices=1", "device.nodes=2")
    ended = agents(PROGRAM, prepared, tmp_path / "two", *how, *two)
    assert [code for code, *_ in ended] == [0, 0], ended
    assert sum("step 20/40" in line for _, said, _ in ended for line in said.splitlines()) == 1
    (one, other) = (losses(tmp_path / run) for run in ("one", "two"))
    assert list(one) == list(other) == [10, 20, 30, 40]
    same = list(one.values()) == pytest.approx(list(other.values()), abs=1e-4)
    assert same is frozen, (one, other)


def test_torchrun_starts_the_command(torchrun, prepared, tmp_path):
    """From the recipe to the bundle; both processes run it, the first one writes and speaks."""
    run = tmp_path / "run"
    options = ("--output", run, "--set", "device.devices=2", "--set", "schedule.steps=10")
    code, output, errors = torchrun("-m", "faceproof", "train", prepared / "recipe.toml", *options)
    assert code == 0, errors
    assert output.strip() == str(run / "bundle")
    assert errors.count("trial export") == errors.count("step 10/10: ") == 1
    (start,) = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert start["devices"] == 2
    assert list(losses(run)) == [10]


def test_torchrun_and_the_recipe_must_agree(torchrun, prepared, tmp_path):
    code, _, errors = torchrun(PROGRAM, prepared, tmp_path, "--plain")
    assert code != 0
    assert "torchrun started 2 processes, but the recipe has 1" in errors
    assert not (tmp_path / "last.pt").exists()


def test_a_helper_that_dies_takes_the_first_process_with_it(
    program, train, prepared, alone, tmp_path
):
    """Nothing waits for ever, the last checkpoint is whole, and one process goes on with it."""
    kill = ("--helpers-alone", f"--signal={int(signal.SIGKILL)}", "--at=step 30/40")
    code, _, _ = program(prepared, tmp_path, "--plain", "device.devices=2", *STEPS, *kill)
    assert code != 0
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] == 20
    assert train(tmp_path, 1)[0] == 0
    assert_alike(tmp_path, alone)


def test_a_batch_that_does_not_divide_is_refused(program, prepared, tmp_path):
    how = ("--plain", "device.devices=2", "schedule.batch_size=5")
    code, _, errors = program(prepared, tmp_path, *how)
    assert code != 0
    assert "batch_size 5 is not divisible by 2 devices" in errors
