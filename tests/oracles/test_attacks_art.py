"""Our attacks are those of the Adversarial Robustness Toolbox, where its gradients are not 0."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
evasion = pytest.importorskip("art.attacks.evasion")
pytestmark = pytest.mark.train

from art.estimators.classification import PyTorchClassifier  # noqa: E402
from torch import nn  # noqa: E402

from faceproof.audits.black_box import square_attack  # noqa: E402
from faceproof.audits.white_box import WhiteBox  # noqa: E402
from faceproof.detector import Detector  # noqa: E402

SIDE, COUNT = 32, 12
FAKE = np.arange(COUNT) % 2 == 1
UPHILL = np.where(FAKE, -1, 1)


class Small(nn.Module):
    """A small curved network, drawn at random; its logits are near 0 for any factor of 1."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.factor = factor
        self.layers = nn.Sequential(
            *(nn.Conv2d(3, 8, 3, stride=2), nn.GELU(), nn.Conv2d(8, 8, 3, stride=2), nn.GELU()),
            *(nn.Flatten(), nn.Linear(8 * 49, 1), nn.Flatten(0)),
        )

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.factor * self.layers(inputs)


class TwoLogits(nn.Module):
    """The same network as ART needs it: pixels of 0..255 to a logit for each class."""

    def __init__(self, network: nn.Module, mean: float, std: float) -> None:
        super().__init__()
        self.network, self.mean, self.std = network, mean, std

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits = self.network((pixels / 255 - self.mean) / self.std)
        return torch.stack([torch.zeros_like(logits), logits], dim=1)


@pytest.fixture
def crops():
    made = np.random.default_rng(0).integers(30, 226, (COUNT, SIDE, SIDE, 3))
    return made.astype(np.uint8)


@pytest.fixture
def both(tiny_bundle):
    """Return our attacker and ART's of the same network."""

    def make(factor: float = 1.0) -> tuple[WhiteBox, PyTorchClassifier]:
        detector = Detector.load(tiny_bundle)
        spec = detector.preprocessing.input
        network = Small(factor).eval()
        theirs = PyTorchClassifier(
            model=TwoLogits(network, spec.mean[0], spec.std[0]),
            loss=nn.CrossEntropyLoss(),
            input_shape=(3, SIDE, SIDE),
            nb_classes=2,
            clip_values=(0.0, 255.0),
        )
        return WhiteBox(detector, networks=[network]), theirs

    return make


def theirs_on(attack, crops):
    """Return the pixels [N, S, S, 3] of one of ART's attacks against the labels."""
    inputs = np.moveaxis(crops, -1, 1).astype(np.float32)
    return np.moveaxis(attack.generate(inputs, y=FAKE.astype(np.int64)), 1, -1)


def test_one_step_is_theirs(both, crops):
    ours, theirs = both()
    ((_, moved),) = ours.fgsm(crops, FAKE, (4,))
    expected = theirs_on(evasion.FastGradientMethod(theirs, norm=np.inf, eps=4.0), crops)
    assert (np.abs(moved - expected) > 1e-2).mean() < 1e-3, "signs of gradients of nearly 0"


@pytest.mark.parametrize(("norm", "order"), [("linf", np.inf), ("l2", 2)])
def test_many_steps_reach_as_far_as_theirs(both, crops, norm, order):
    ours, theirs = both()
    budget, steps = 4.0, 10
    size = budget if norm == "linf" else budget * np.sqrt(3 * SIDE * SIDE)
    attack = evasion.ProjectedGradientDescent(
        theirs,
        norm=order,
        eps=size,
        eps_step=2.5 * size / steps,
        max_iter=steps,
        num_random_init=0,
        verbose=False,
    )
    never = lambda pixels, _: np.zeros(len(pixels), dtype=bool)  # noqa: E731
    ((_, moved),) = ours.pgd(crops, FAKE, (budget,), norm=norm, steps=steps, succeeded=never)
    before = ours.logits(crops)
    reached = UPHILL * (ours.logits(moved) - before)
    expected = UPHILL * (ours.logits(theirs_on(attack, crops)) - before)
    assert (expected > 0).all()
    np.testing.assert_allclose(reached, expected, rtol=0.1)


def test_squares_reach_as_far_as_theirs(both, crops):
    """Theirs draws one square for all pictures and asks three times for each query."""
    ours, theirs = both()
    clean = ours.logits(crops)

    def never(logits, _):
        return np.zeros(len(logits), dtype=bool)

    _, reached = square_attack(
        ours.logits, crops, FAKE, clean=clean, budget=8, queries=150, succeeded=never
    )
    np.random.seed(0)  # noqa: NPY002 - theirs draws from it
    attack = evasion.SquareAttack(
        theirs,
        norm=np.inf,
        eps=8.0,
        max_iter=150,
        adv_criterion=lambda predicted, _: np.zeros(len(predicted), dtype=bool),
        verbose=False,
    )
    expected = ours.logits(theirs_on(attack, crops))
    assert (UPHILL * (reached - clean)).mean() > 0.9 * (UPHILL * (expected - clean)).mean() > 0


def test_a_certain_network_has_no_gradient_for_them_and_one_for_us(both, crops):
    """Why the attacks are not theirs: cross-entropy rounds to 0 where logits are far from it."""
    ours, theirs = both(3000.0)
    logits = ours.logits(crops)
    right = ((logits > 0) == FAKE) & (np.abs(logits) > 110)
    assert right.any()
    expected = theirs_on(evasion.FastGradientMethod(theirs, norm=np.inf, eps=4.0), crops)
    ((_, moved),) = ours.fgsm(crops, FAKE, (4,))
    assert np.abs(expected - crops)[right].max() < 1e-3
    assert np.abs(moved - crops)[right].mean() > 3.5, "the stride leaves out the last pixels"
