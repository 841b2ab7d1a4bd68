"""Whatever a recipe asks for, a training that is broken off goes on bit for bit.

In one process; trainings that are killed are in test_resume.py.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")
pytestmark = [pytest.mark.train, pytest.mark.slow]

from faceproof.runs import RunFolder  # noqa: E402
from faceproof.training import fit as fitting  # noqa: E402
from faceproof.training import loop  # noqa: E402
from faceproof.training.fit import fit  # noqa: E402
from faceproof.training.loop import Trainer  # noqa: E402
from faceproof.training.run.journal import TrainingJournal  # noqa: E402

#: Checkpoints at steps 2 and 4; what breaks at step 3 has forgotten one step.
SHORT = ("schedule.steps=5", "schedule.validate_steps=2", "schedule.checkpoint_steps=2")
BREAKS_AT = 3

OPTIONS = {
    "parts, sharpness, mixing": (
        "schedule.accumulate=2",
        "optimizer.sam_radius=0.05",
        "augment.mixup=0.5",
        "augment.cutmix=0.5",
    ),
    "attacks, momentum, stages that thaw": (
        "adversarial.share=0.5",
        "adversarial.steps=2",
        "optimizer.name=sgd",
        "optimizer.layer_decay=0.8",
        "schedule.thaw_steps=3",
        "schedule.shape=step",
    ),
    "the worst, focal, statistics anew": (
        "network.name=test_resnet",
        "network.batch_norm=precise",
        "network.batch_norm_pictures=16",
        "optimizer.cvar=0.5",
        "optimizer.loss=focal",
    ),
    "norms alone, frozen statistics": (
        "network.name=test_resnet",
        "network.trainable=head_and_norms",
        "network.frozen_stages=2",
        "network.batch_norm=frozen",
    ),
    "reconstruction, blends, a worker": (
        "augment.reconstruct=0.4",
        "augment.self_blend=0.4",
        "augment.swap=0.2",
        "device.loader_workers=1",
    ),
}


@pytest.fixture(autouse=True)
def without_export_and_pages(monkeypatch):
    monkeypatch.setattr(fitting, "_try_export", lambda *_: None)
    monkeypatch.setattr(TrainingJournal, "_try", lambda *_: None)


def silent(_: str) -> None:
    """Say nothing."""


def flat(value: object, place: str = "") -> dict[str, object]:
    """Return every leaf of nested dicts and lists with its place."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for key, one in items for k, v in flat(one, f"{place}/{key}").items()}
    return {place: value}


def assert_same(run: RunFolder, other: RunFolder) -> None:
    """Assert that two runs left the same bits."""
    for name in ("last.pt", "best.pt"):
        one, two = (flat(torch.load(r.path / name, weights_only=True)) for r in (run, other))
        assert one.keys() == two.keys()
        different = [
            place
            for place, value in one.items()
            if not (
                torch.equal(value, two[place]) if torch.is_tensor(value) else value == two[place]
            )
        ]
        assert different == []


@pytest.fixture
def both(tmp_path, manifest, monkeypatch) -> Callable:
    """Train a recipe at once, and once more broken at step 3; return the two run folders."""
    take = Trainer._take

    def breaking(trainer, *batch):
        if trainer.state.step == BREAKS_AT:
            raise RuntimeError("the plug is pulled")
        return take(trainer, *batch)

    def trained(recipe) -> tuple[RunFolder, RunFolder]:
        whole, cut = (RunFolder(tmp_path / name) for name in ("whole", "cut"))
        fit(recipe, manifest, whole, progress=silent)
        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "_take", breaking)
            with pytest.raises(RuntimeError, match="plug"):
                fit(recipe, manifest, cut, progress=silent)
        assert torch.load(cut.path / "last.pt", weights_only=True)["step"] == BREAKS_AT - 1
        torch.rand(100)
        fit(recipe, manifest, cut, progress=silent)
        return whole, cut

    return trained


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_each_option_goes_on_exactly(mini, both, options):
    assert_same(*both(mini(*SHORT, *options)))


def test_a_teacher_goes_on_exactly(mini, both, monkeypatch):
    monkeypatch.setattr(fitting, "_load_teacher", lambda _: lambda inputs: inputs.mean((1, 2, 3)))
    assert_same(*both(mini(*SHORT, "distil.weight=0.5")))


def test_early_stopping_counts_on(mini, both, monkeypatch):
    """The first validation is the best; patience ends with the third, after the break."""
    values = {"validation_auc": 0.5, "validation_accuracy": 0.5, "validation_loss": 0.7}
    monkeypatch.setattr(loop, "validate", lambda *_: values)
    often = ("schedule.steps=20", "schedule.validate_steps=1", "schedule.checkpoint_steps=2")
    whole, cut = both(mini(*often, "schedule.patience=3"))
    assert_same(whole, cut)
    assert torch.load(cut.path / "last.pt", weights_only=True)["step"] == 4
    (note,) = [line["note"] for line in cut.read_log() if "note" in line]
    assert note.startswith("stopped early at step 4: 3 validations without")


def test_parts_that_memory_forced_are_kept(mini, both, monkeypatch):
    """A run that had to halve its batches does not try the whole ones again."""
    from faceproof.networks.modules import Network

    forward = Network.forward

    def hungry(network, pictures):
        if len(pictures) > 4 and network.training:
            raise MemoryError
        return forward(network, pictures)

    monkeypatch.setattr(Network, "forward", hungry)
    whole, cut = both(mini(*SHORT))
    assert_same(whole, cut)
    assert sum("too little memory" in line.get("note", "") for line in cut.read_log()) == 1


def test_what_the_recipe_says_of_weight_decay_holds_from_then_on(tmp_path, mini, manifest):
    """Rates are set at every step; the decay would come back with the optimiser's state."""
    run = RunFolder(tmp_path / "run")
    fit(mini("schedule.steps=2"), manifest, run, progress=silent)
    fit(mini("schedule.steps=3", "optimizer.weight_decay=0.5"), manifest, run, progress=silent)
    groups = torch.load(run.path / "last.pt", weights_only=True)["optimizer"]["param_groups"]
    assert {group["weight_decay"] for group in groups} == {0.0, 0.5}
