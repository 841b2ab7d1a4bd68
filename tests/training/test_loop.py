"""The loop on a hundred small faces: it learns, it logs, it goes on exactly where it was."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")
pytestmark = pytest.mark.train

from lightning_fabric import Fabric  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

from faceproof.errors import TrainingError  # noqa: E402
from faceproof.networks import build, reestimate_batch_norm  # noqa: E402
from faceproof.runs import RunFolder  # noqa: E402
from faceproof.training import fit as fitting  # noqa: E402
from faceproof.training.fit import fit, load_saved_network  # noqa: E402
from faceproof.training.loop import Trainer  # noqa: E402
from faceproof.training.optimizers import rate_factor  # noqa: E402
from faceproof.training.origins import read_starting_points  # noqa: E402
from faceproof.training.recipe import ScheduleRecipe  # noqa: E402
from faceproof.training.run.checkpoint import make_average, seed_step  # noqa: E402
from faceproof.training.run.journal import TrainingJournal  # noqa: E402
from faceproof.training.run.stopping import TrainingStopped  # noqa: E402


@pytest.fixture(autouse=True)
def without_trial_export(monkeypatch):
    monkeypatch.setattr(fitting, "_try_export", lambda *_: None)


def silent(_: str) -> None:
    """Say nothing."""


def same(one, other) -> bool:
    """Whether two checkpoints hold the same numbers, bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def trained(tmp_path, recipe, manifest, name="run"):
    """Train, and return the run folder."""
    run = RunFolder(tmp_path / name)
    fit(recipe, manifest, run, progress=silent)
    return run


def test_the_loss_falls_and_faces_are_told_apart(tmp_path, mini, manifest):
    """Who guesses has a loss of 0.69 and an AUC of 0.5."""
    recipe = mini("schedule.steps=30", "schedule.batch_size=16", "schedule.validate_steps=10")
    run = trained(tmp_path, recipe, manifest)
    losses = [line["loss"] for line in run.read_log() if "loss" in line]
    scores = [line["validation_auc"] for line in run.read_log() if "validation_auc" in line]
    assert losses[-1] < 0.5
    assert max(scores) > 0.9
    assert len(losses) == len(scores) == 3


def test_what_it_leaves_behind(tmp_path, mini, manifest):
    recipe, output = mini("schedule.steps=10"), []
    run = RunFolder(tmp_path / "run")
    network = fit(recipe, manifest, run, progress=output.append)
    left = {path.name for path in run.path.iterdir()} - {"tensorboard", "run.html", "curves.png"}
    assert left == {"best.pt", "last.pt", "metrics.jsonl", "run.json"}
    assert {"run.html", "curves.png"} <= {path.name for path in run.path.iterdir()}
    (start,) = run.read_starts()
    assert start["data_sha256"] == manifest.sha256
    assert start["rows"] == manifest.counts()
    assert start["precision"] == "32-true"
    assert start["recipe"] == json.loads(recipe.model_dump_json())
    assert not network.training
    assert output[0].startswith("step 3: validation AUC ")
    assert any(line.startswith("step 10/10: loss ") for line in output)
    assert any("pictures/s, 0:00:00 left" in line for line in output)
    assert output[-1].startswith("best validation AUC ")


def test_the_best_weights_are_those_of_the_best_validation(tmp_path, mini, manifest):
    run = trained(tmp_path, mini("schedule.steps=9"), manifest)
    scores = {
        line["step"]: (line["validation_auc"], -line["validation_loss"])
        for line in run.read_log()
        if "validation_auc" in line
    }
    last = torch.load(run.path / "last.pt", weights_only=True)
    assert list(scores) == [3, 6, 9]
    assert last["best_step"] == max(scores, key=lambda step: (scores[step], -step))
    assert last["best_score"] == pytest.approx(max(scores.values())[0], abs=1e-5)


def assert_same(run, other):
    """Assert that two runs left the same bits; the random state of torch is no part of them."""
    for name in ("last.pt", "best.pt"):
        one, two = (torch.load(folder.path / name, weights_only=True) for folder in (run, other))
        one.pop("random", None), two.pop("random", None)
        assert same(one, two)


@pytest.fixture
def whole(tmp_path, mini, manifest):
    """The run folder of a training that nobody disturbed."""
    return trained(tmp_path, mini(), manifest, "whole")


@pytest.mark.skipif(os.name == "nt", reason="no SIGTERM to oneself on Windows")
def test_a_run_stopped_by_a_signal_goes_on_exactly(tmp_path, mini, manifest, whole):
    def stop(text: str) -> None:
        if text.startswith("step 3: validation"):
            os.kill(os.getpid(), signal.SIGTERM)

    rarely, run = mini("schedule.checkpoint_steps=100"), RunFolder(tmp_path / "cut")
    with pytest.raises(TrainingStopped) as stopped:
        fit(rarely, manifest, run, progress=stop)
    assert stopped.value.exit_code == 143
    assert torch.load(run.path / "last.pt", weights_only=True)["step"] == 3
    torch.rand(100)
    assert_same(trained(tmp_path, rarely, manifest, "cut"), whole)


def test_a_broken_run_goes_on_exactly(tmp_path, mini, manifest, monkeypatch, whole):
    """Cut by an error after step 4; runs that are killed are in test_resume.py."""
    step = Trainer._take

    def breaking(self, *batch):
        if self.state.step == 4:
            raise RuntimeError("the plug is pulled")
        return step(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_take", breaking)
        with pytest.raises(RuntimeError, match="plug"):
            trained(tmp_path, mini(), manifest, "cut")
    assert torch.load(tmp_path / "cut" / "last.pt", weights_only=True)["step"] == 3
    torch.rand(100)
    cut = trained(tmp_path, mini(), manifest, "cut")
    assert_same(cut, whole)
    assert len(cut.read_starts()) == 2


def test_dropout_differs_from_step_to_step_and_not_from_run_to_run():
    def drawn(*place: int) -> list[float]:
        seed_step(*place)
        return torch.rand(3).tolist()

    assert drawn(1, 5, 0) == drawn(1, 5, 0)
    others = [drawn(1, 5, 0), drawn(2, 5, 0), drawn(1, 6, 0), drawn(1, 5, 1)]
    assert len({tuple(values) for values in others}) == 4


def test_workers_change_nothing(tmp_path, mini, manifest):
    losses = []
    for workers in (0, 2):
        recipe = mini(f"device.loader_workers={workers}", "schedule.steps=3")
        run = trained(tmp_path, recipe, manifest, f"run{workers}")
        losses.append(torch.load(run.path / "last.pt", weights_only=True)["network"])
    assert same(*losses)


def test_a_finished_run_is_not_trained_again(tmp_path, mini, manifest, monkeypatch):
    trained(tmp_path, mini(), manifest)
    monkeypatch.setattr(Trainer, "_take", None)
    run = trained(tmp_path, mini(), manifest)
    assert len(run.read_starts()) == 2


def test_a_gradient_that_is_no_number_says_what_to_do(tmp_path, mini, manifest):
    recipe = mini("optimizer.learning_rate=1e30", "schedule.warmup_steps=0")
    with pytest.raises(TrainingError, match=r"not finite at step \d.*learning_rate"):
        trained(tmp_path, recipe, manifest)


class TestGoingOnWithAnotherRecipe:
    def test_other_data_is_refused(self, tmp_path, mini, manifest):
        from faceproof.data.manifest import Manifest

        trained(tmp_path, mini("schedule.steps=3"), manifest)
        with pytest.raises(TrainingError, match="other data: use another --output"):
            trained(tmp_path, mini("schedule.steps=3"), Manifest(manifest.rows[1:]))

    def test_another_network_is_refused(self, tmp_path, mini, manifest):
        trained(tmp_path, mini("schedule.steps=3"), manifest)
        with pytest.raises(TrainingError, match=r"network\.head\.hidden differs"):
            trained(tmp_path, mini("network.head.hidden=9"), manifest)

    def test_anything_else_is_said(self, tmp_path, mini, manifest):
        trained(tmp_path, mini("schedule.steps=3"), manifest)
        output: list[str] = []
        recipe = mini("schedule.steps=4", "augment.flip=0.1", "device.devices=1", "export.name=x")
        fit(recipe, manifest, RunFolder(tmp_path / "run"), progress=output.append)
        assert output[0].endswith("it began with: augment.flip, schedule.steps")


class TestRates:
    def test_the_backbone_rests_while_the_head_comes_first(self, tmp_path, mini, manifest):
        recipe = mini("schedule.head_first_steps=2", "schedule.steps=2")
        before = build(recipe.network.name, head=recipe.network.head)
        fabric = Fabric(accelerator="cpu", devices=1)
        fabric.seed_everything(0, verbose=False)
        network = build(recipe.network.name, head=recipe.network.head)
        before.load_state_dict(network.state_dict())
        run = RunFolder(tmp_path)
        journal = TrainingJournal(run, silent, steps=2, show=True)
        trainer = Trainer(fabric, network, recipe, run, journal=journal)
        trainer.run(*fitting.make_streams(recipe, manifest))
        moved = {
            name.partition(".")[0]
            for name, value in network.named_parameters()
            if not torch.equal(value, before.get_parameter(name))
        }
        assert moved == {"head"}

    def test_without_warm_up_it_starts_at_the_full_rate(self):
        assert rate_factor(0, ScheduleRecipe(steps=5, warmup_steps=0)) == 1.0

    def test_a_warm_up_longer_than_the_schedule_never_divides_by_zero(self):
        schedule = ScheduleRecipe(steps=3, warmup_steps=10)
        assert [rate_factor(step, schedule) for step in range(4)] == [0.1, 0.2, 0.3, 0.4]


def test_the_average_is_its_formula():
    """Floats are averaged with a decay that warms up; counters are copied."""
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    average = make_average(network, 0.5)
    weight = network[0].weight
    expected = None
    for update in range(12):
        with torch.no_grad():
            weight.normal_()
            network[1].running_mean.normal_()
            network[1].num_batches_tracked += 1
        average.update_parameters(network)
        decay = min(0.5, (1 + update) / (10 + update))
        now = weight.double()
        expected = now.clone() if expected is None else decay * expected + (1 - decay) * now
    assert torch.allclose(average.module[0].weight.double(), expected, atol=1e-6)
    assert average.module[1].num_batches_tracked == 12
    assert not torch.equal(average.module[1].running_mean, network[1].running_mean)


class TestStartingNetwork:
    """What happens before the first step, with weights from a file."""

    @pytest.fixture
    def starting(self, tmp_path, mini):
        from safetensors.torch import save_file

        recipe = mini("network.name=test_resnet")
        torch.manual_seed(1)
        network = build(recipe.network.name, head=recipe.network.head)
        save_file(network.backbone.state_dict(), tmp_path / "start.safetensors")
        return mini(
            "network.name=test_resnet",
            f"network.starting_weights={(tmp_path / 'start.safetensors').as_posix()!r}",
            "network.batch_norm_pictures=16",
            "network.started_from=a test",
            "network.started_from_licence=MIT",
        )

    def test_weights_are_read_and_statistics_made_anew(self, tmp_path, starting, manifest):
        run, output = RunFolder(tmp_path / "run"), []
        fabric = Fabric(accelerator="cpu", devices=1)
        stream, _ = fitting.make_streams(starting, manifest)
        network = fitting.make_starting_network(starting, stream, run, fabric, output.append)
        again = build(starting.network.name, head=starting.network.head)
        again.load_state_dict(network.state_dict())
        batches = list(DataLoader(stream, batch_size=8, sampler=range(16)))
        reestimate_batch_norm(again, (inputs for inputs, _ in batches))
        for name, value in again.state_dict().items():
            assert torch.allclose(network.state_dict()[name], value, atol=1e-5), name
        (origin,) = read_starting_points(run.path)
        assert origin.name == "a test"
        assert len(origin.sha256) == 64
        assert output[-1] == "batch norm statistics anew, from 16 faces"

    def test_a_run_that_goes_on_reads_no_starting_weights(self, tmp_path, starting, manifest):
        run = RunFolder(tmp_path / "run")
        (run.path / "last.pt").touch()
        gone = starting.model_copy(
            update={"network": starting.network.model_copy(update={"starting_weights": "gone"})}
        )
        stream, _ = fitting.make_streams(gone, manifest)
        fitting.make_starting_network(gone, stream, run, Fabric(accelerator="cpu"), silent)
        assert read_starting_points(run.path) == ()


def test_kept_network_is_the_saved_one(tmp_path, mini, manifest):
    run = trained(tmp_path, mini("schedule.steps=3"), manifest)
    network = load_saved_network(mini(), run)
    saved = torch.load(run.path / "best.pt", weights_only=True)
    assert same(dict(network.state_dict()), dict(saved))
    inputs = torch.from_numpy(np.zeros((2, 3, 32, 32), np.float32))
    assert network(inputs).shape == (2,)


def test_the_last_weights_can_be_kept_instead(tmp_path, mini, manifest):
    run = trained(tmp_path, mini("schedule.steps=3"), manifest)
    kept = torch.load(run.path / "last.pt", weights_only=True)["average"]
    state = load_saved_network(mini("schedule.keep=last"), run).state_dict()
    assert all(torch.equal(value, kept[f"module.{name}"]) for name, value in state.items())


@pytest.mark.parametrize(
    ("asked", "capabilities", "expected"),
    [
        ("32-true", {"amx_bf16": True}, "32-true"),
        ("bf16-mixed", {}, "bf16-mixed"),
        ("auto", {"amx_bf16": True}, "bf16-mixed"),
        ("auto", {"amx_bf16": False, "avx512_bf16": True}, "bf16-mixed"),
        ("auto", {"amx_bf16": False, "avx512_bf16": False}, "32-true"),
        ("auto", None, "32-true"),
    ],
)
def test_precision(mini, monkeypatch, asked, capabilities, expected):
    if capabilities is None:
        monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    else:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert fitting.choose_precision(mini(f"device.precision={asked}").device) == expected
