"""White-box attacks: known budgets of a linear network, both norms, valid pixels, ensembles."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from tests.support.heatmap_bundles import MappedBundle  # noqa: E402
from torch import nn  # noqa: E402

from faceproof.audits.white_box import NORMS, WhiteBox  # noqa: E402
from faceproof.detector import Detector  # noqa: E402
from faceproof.errors import UnknownChoiceError  # noqa: E402
from faceproof.imaging.preprocessing import InputSpec, network_input  # noqa: E402

pytestmark = pytest.mark.train

SIDE, COUNT = 32, 6
FAKE = np.arange(COUNT) % 2 == 1
PER_LEVEL = 16 / 255
"""How much a grey level of the mean adds to the tiny detector's logit."""


class Bright(nn.Module):
    """The network of tests/fixtures/bright.onnx, times ``factor``."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor

    def forward(self, inputs):
        return self.factor * (4 * inputs.mean((1, 2, 3)) + 0.5)


class Curved(nn.Module):
    """A small network with curved surfaces, drawn at random."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.layers = nn.Sequential(
            *(nn.Conv2d(3, 6, 3, stride=2), nn.GELU(), nn.Conv2d(6, 6, 3, stride=2), nn.GELU()),
            *(nn.Flatten(), nn.Linear(6 * 49, 1), nn.Flatten(0)),
        )

    def forward(self, inputs):
        return 3 * self.layers(inputs)


@pytest.fixture
def crops():
    """Grainy crops with black and white pixels: reals of 130, fakes of 140 grey levels."""
    grain = np.random.default_rng(0).integers(-60, 61, (COUNT, SIDE, SIDE, 3))
    grain -= np.rint(grain.mean((1, 2, 3), keepdims=True)).astype(int)
    made = (np.where(FAKE, 140, 130)[:, None, None, None] + grain).astype(np.uint8)
    made[:, 0, 0], made[:, 0, 1] = 0, 255
    return made


@pytest.fixture
def box(tiny_bundle):
    def make(*networks):
        return WhiteBox(Detector.load(tiny_bundle), networks=networks)

    return make


def never(pixels, _):
    return np.zeros(len(pixels), dtype=bool)


def attack(box, crops, budgets, *, norm="linf", steps=10, succeeded=never):
    return dict(box.pgd(crops, FAKE, budgets, norm=norm, steps=steps, succeeded=succeeded, seed=1))


def test_the_logits_are_those_of_the_detector(box, crops, tiny_bundle):
    detector = Detector.load(tiny_bundle)
    running = detector.logits(network_input(crops, detector.preprocessing.input))
    np.testing.assert_allclose(box(Bright()).logits(crops), running, atol=1e-5)


def test_one_step_moves_a_linear_network_by_exactly_its_budget(box, crops):
    inner = crops.clip(10, 245)
    white = box(Bright())
    before = white.logits(inner)
    for budget, moved in white.fgsm(inner, FAKE, (1, 2.5, 8)):
        expected = np.where(FAKE, -1, 1) * budget * PER_LEVEL
        np.testing.assert_allclose(white.logits(moved) - before, expected, atol=1e-4)


@pytest.mark.parametrize("network", [Bright, Curved])
def test_pixels_stay_valid_and_within_the_largest_change(box, crops, network):
    white = box(network())
    attacks = [*white.fgsm(crops, FAKE, (2, 8)), *attack(white, crops, (2, 8)).items()]
    for budget, moved in attacks:
        assert moved.min() >= 0
        assert moved.max() <= 255
        assert np.abs(moved - crops).max() <= budget + 1e-4
        assert (moved == 0).any() or (moved == 255).any(), "the box is reached"


def test_the_root_mean_square_is_within_the_budget_and_used_up(box, crops):
    inner = crops.clip(40, 215)
    for budget, moved in attack(box(Curved()), inner, (0.5, 2), norm="l2").items():
        size = np.sqrt(((moved - inner) ** 2).mean((1, 2, 3)))
        assert (size <= budget * (1 + 1e-5)).all()
        assert (size > 0.9 * budget).all()


def test_steps_are_at_least_as_strong_as_one_step(box, crops):
    white = box(Curved())
    single, many = dict(white.fgsm(crops, FAKE, (2, 8))), attack(white, crops, (2, 8))
    uphill = np.where(FAKE, -1, 1)
    for budget, moved in many.items():
        assert (uphill * (white.logits(moved) - white.logits(single[budget])) > -1e-3).all()


def test_of_all_changes_of_a_size_the_steepest_is_taken(box, crops):
    """For a linear network the best change of an L2 size is one grey level for each value."""
    white, inner = box(Bright()), crops.clip(10, 245)
    moved = attack(white, inner, (1,), norm="l2")[1]
    gain = np.abs(white.logits(moved) - white.logits(inner)) / PER_LEVEL
    np.testing.assert_allclose(gain, 1, atol=0.02)


def test_a_face_that_is_done_is_left_and_stays_done_at_wider_budgets(box, crops):
    white = box(Bright())

    def succeeded(pixels, fake):
        return np.where(fake, pixels.mean((1, 2, 3)) < 137, pixels.mean((1, 2, 3)) >= 999)

    moved = attack(white, crops, (2, 4, 8), succeeded=succeeded)
    assert not succeeded(moved[2], FAKE).any()
    assert succeeded(moved[4], FAKE)[FAKE].all()
    np.testing.assert_array_equal(moved[4][FAKE], moved[8][FAKE])
    assert (moved[4][~FAKE] != moved[8][~FAKE]).any()


def test_all_members_are_attacked_each_in_its_normalisation(tmp_path, tiny_spec, tiny_files, crops):
    folder = MappedBundle(("bright", "bright"), (3.0, 1.0), declared=False).written(
        tmp_path / "two", tiny_spec, tiny_files
    )
    detector = Detector.load(folder)
    plain = [m.model_copy(update={"input": InputSpec()}) for m in detector.spec.members]
    spec = detector.spec.model_copy(update={"members": (detector.spec.members[0], plain[1])})
    detector.bundle = type(detector.bundle)(**{**vars(detector.bundle), "spec": spec})
    white = WhiteBox(detector, networks=[Bright(), Bright(5.0)])
    own = [Bright(), Bright(5.0)]
    specs = [spec.preprocessing_of(one).input for one in spec.members]
    parts = [
        net(torch.from_numpy(network_input(crops, one))).numpy()
        for net, one in zip(own, specs, strict=True)
    ]
    np.testing.assert_allclose(white.logits(crops), (3 * parts[0] + parts[1]) / 4, rtol=1e-4)


def test_an_unknown_norm_is_an_error(box, crops):
    with pytest.raises(UnknownChoiceError, match="l2, linf"):
        attack(box(Bright()), crops, (1,), norm="l1")
    assert set(NORMS) == {"linf", "l2"}
