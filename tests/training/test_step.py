"""One optimiser step: parts of a batch sum to the whole, memory is asked for less, all is wired."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")
pytestmark = pytest.mark.train

from lightning_fabric import Fabric  # noqa: E402
from torch import nn  # noqa: E402

from faceproof.errors import TrainingError  # noqa: E402
from faceproof.training import step as stepping  # noqa: E402
from faceproof.training.step import Step  # noqa: E402

SIDE, COUNT = 32, 8


def small() -> nn.Module:
    torch.manual_seed(1)
    layers = (nn.Conv2d(3, 4, 5, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(196, 1))
    return nn.Sequential(*layers, nn.Flatten(0))


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(COUNT, 3, SIDE, SIDE, generator=generator)
    return inputs, (inputs.mean((1, 2, 3)) > 0).double()


@pytest.fixture
def stepped(mini, batch):
    """Take a few steps with overrides; return weights, what was found and what was noted."""

    def run(*overrides: str, model=None, steps: int = 1, teacher=None):
        recipe, notes = mini("optimizer.average_decay=0", *overrides), []
        fabric = Fabric(accelerator="cpu", devices=1)
        model = model or small()
        wrapped, optimizer = fabric.setup(model, torch.optim.SGD(model.parameters(), 0.1))
        step = Step(fabric, wrapped, optimizer, recipe, teacher=teacher, note=notes.append)
        taken = [step(*batch, number=number) for number in range(steps)]
        return [p.detach().clone() for p in model.parameters()], taken, notes

    return run


def alike(one, other, tolerance=1e-6):
    return all(torch.allclose(a, b, atol=tolerance) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_a_batch_in_parts_is_the_same_step(stepped, parts):
    whole, (taken,), _ = stepped()
    cut, (again,), _ = stepped(f"schedule.accumulate={parts}")
    assert alike(whole, cut)
    assert again.loss == pytest.approx(taken.loss, abs=1e-6)
    assert again.accuracy == taken.accuracy


def test_the_loss_falls_and_the_accuracy_is_a_share(stepped):
    _, taken, _ = stepped("optimizer.label_smoothing=0", steps=40)
    assert taken[-1].loss < taken[0].loss / 2
    assert taken[-1].accuracy == 1.0


class Hungry(nn.Module):
    """A network that has memory for so many pictures at once."""

    def __init__(self, most: int, error: Exception) -> None:
        super().__init__()
        self.inside, self.most, self.error = small(), most, error

    def forward(self, pictures):
        if len(pictures) > self.most and self.training and torch.is_grad_enabled():
            raise self.error
        return self.inside(pictures)


OUT_OF_MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_too_little_memory_halves_the_parts_and_says_so(stepped, error):
    weights, _, notes = stepped(model=Hungry(2, error))
    assert alike(weights, stepped()[0])
    assert [note.partition(":")[0] for note in notes] == [
        "too little memory for 8 pictures at once",
        "too little memory for 4 pictures at once",
    ]
    assert "schedule.accumulate = 4" in notes[-1]


def test_too_little_memory_for_two_pictures_says_what_to_set(stepped):
    with pytest.raises(TrainingError, match=r"too little memory for 2 pictures.*schedule\.accumul"):
        stepped(model=Hungry(1, MemoryError()))


def test_another_error_is_not_taken_for_it(stepped):
    with pytest.raises(RuntimeError, match="shapes"):
        stepped(model=Hungry(1, RuntimeError("shapes differ")))


def test_a_loss_that_is_no_number_says_what_to_do(stepped):
    model = small()
    with torch.no_grad():
        model[0].bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"not finite at step 0 \(loss nan\).*learning_rate"):
        stepped(model=model)


@pytest.mark.parametrize(
    "override",
    [
        "optimizer.sam_radius=0.5",
        "optimizer.loss=focal",
        "optimizer.cvar=0.3",
        "optimizer.label_smoothing=0.2",
        "augment.mixup=1.0",
        "augment.cutmix=1.0",
        "adversarial.share=1.0",
        "optimizer.clip_norm=1e-3",
    ],
)
def test_each_option_changes_the_step_and_repeats_exactly(stepped, override):
    plain, once, twice = (stepped(*how)[0] for how in ((), (override,), (override,)))
    assert not alike(plain, once, 1e-7)
    assert alike(once, twice, 0)


def test_a_sharpness_aware_step_is_the_gradient_uphill(stepped, batch, mini):
    """The step taken by hand: climb the unit gradient times the radius, then go back."""
    radius, model = 0.5, small()
    before = [p.detach().clone() for p in model.parameters()]

    def gradients():
        model.zero_grad()
        loss = stepping.picture_losses(model(batch[0]), batch[1], mini().optimizer).mean()
        return torch.autograd.grad(loss, list(model.parameters()))

    first = gradients()
    length = torch.sqrt(sum((g**2).sum() for g in first))
    with torch.no_grad():
        for parameter, gradient in zip(model.parameters(), first, strict=True):
            parameter.add_(radius * gradient / length)
    uphill = gradients()
    norm = torch.sqrt(sum((g**2).sum() for g in uphill))
    expected = [p - 0.1 * g * min(1, 1 / norm) for p, g in zip(before, uphill, strict=True)]
    assert alike(stepped(f"optimizer.sam_radius={radius}")[0], expected, 1e-6)


class TestDistillation:
    def test_the_teachers_answers_are_learned_against_the_labels(self, stepped, batch):
        """A teacher that knows nothing but the opposite of every label."""
        against = ("distil.weight=1.0", "optimizer.label_smoothing=0")
        wrong = (1 - batch[1]).float() * 8 - 4
        taken = stepped(*against, steps=60, teacher=lambda _: wrong)[1]
        assert taken[-1].accuracy <= 0.125

    def test_a_weight_of_0_is_no_teacher(self, stepped):
        taught = stepped("distil.weight=0.0", teacher=lambda inputs: torch.ones(len(inputs)))[0]
        assert alike(taught, stepped()[0], 0)

    def test_a_teacher_that_is_followed_where_right_teaches_nothing_wrong(self, stepped, batch):
        """It errs about every fake: there the labels alone are learned."""
        only = ("distil.weight=1.0", "distil.follow='where_right'", "optimizer.label_smoothing=0")
        real = torch.full_like(batch[1], -4.0, dtype=torch.float32)
        taken = stepped(*only, steps=60, teacher=lambda _: real)[1]
        assert taken[-1].accuracy >= 0.875
        always = ("distil.weight=1.0", "optimizer.label_smoothing=0")
        assert stepped(*always, steps=60, teacher=lambda _: real)[1][-1].accuracy <= 0.5
