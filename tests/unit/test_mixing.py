"""Mixup and cutmix: targets by the true share, nothing changed that is not mixed."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from faceproof.training.optimising.mixing import cutmix, mixed, mixup  # noqa: E402
from faceproof.training.recipe import AugmentRecipe  # noqa: E402

pytestmark = pytest.mark.train

COUNT, HEIGHT, WIDTH = 6, 12, 10


@pytest.fixture
def numbered():
    """Inputs that say whose they are: picture i is i all over; and a target each."""
    inputs = torch.arange(COUNT, dtype=torch.float32)[:, None, None, None].expand(
        COUNT, 3, HEIGHT, WIDTH
    )
    return inputs.clone(), torch.tensor([0.0, 1.0, 0.0, 1.0, 1.0, 0.0])


def rng(seed=0):
    return np.random.default_rng(seed)


def partner_of(inputs, mixed_inputs, number):
    """Return whose pixels stand in a cutmixed picture beside its own."""
    found = set(mixed_inputs[number].unique().tolist()) - {float(number)}
    assert len(found) <= 1
    return int(found.pop()) if found else number


@pytest.mark.parametrize("seed", range(20))
def test_cutmix_weighs_targets_by_the_pixels_that_are_there(numbered, seed):
    inputs, targets = numbered
    pasted, weighed = cutmix(inputs, targets, 1.0, rng(seed))
    for number in range(COUNT):
        partner = partner_of(inputs, pasted, number)
        share = float((pasted[number] == number).float().mean())
        expected = share * targets[number] + (1 - share) * targets[partner]
        assert float(weighed[number]) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_cutmix_pastes_one_box_at_the_same_place_in_every_channel(numbered, seed):
    inputs, targets = numbered
    pasted, _ = cutmix(inputs, targets, 1.0, rng(seed))
    foreign = (pasted != inputs)[(pasted != inputs).flatten(1).any(1)]
    for one in foreign:
        rows, columns = one[0].any(1), one[0].any(0)
        assert torch.equal(one[0], rows[:, None] & columns)
        assert all(torch.equal(channel, one[0]) for channel in one)
        for line in (rows, columns):
            where = line.nonzero().flatten()
            assert len(where) == where[-1] - where[0] + 1


def test_cutmix_boxes_are_of_the_drawn_area_where_no_border_cuts_them():
    """Shares near one half; some boxes lie wholly inside, and none is larger than drawn."""
    inputs, targets = torch.arange(2.0)[:, None, None, None].expand(2, 3, 100, 100), torch.ones(2)
    areas, drawn = [], []
    for seed in range(60):
        pasted, _ = cutmix(inputs, targets, 30.0, rng(seed))
        drawn.append(1 - rng(seed).beta(30.0, 30.0))
        areas.append(float((pasted[0] == 1).float().mean()))
    met = [(a, d) for a, d in zip(areas, drawn, strict=True) if a > 0]
    assert max(a - d for a, d in met) < 0.02
    assert max(a / d for a, d in met) == pytest.approx(1, abs=0.04)


def test_cutmix_boxes_reach_every_place():
    inputs, targets = torch.arange(2.0)[:, None, None, None].expand(2, 3, 8, 8), torch.ones(2)
    hits = sum((cutmix(inputs, targets, 1.0, rng(seed))[0][0, 0] == 1).int() for seed in range(100))
    assert int(hits.min()) > 0


@pytest.mark.parametrize("seed", range(5))
def test_mixup_is_one_share_for_pictures_and_targets(numbered, seed):
    inputs, targets = numbered
    averaged, weighed = mixup(inputs, targets, 1.0, rng(seed))
    again = rng(seed)
    share, partners = again.beta(1.0, 1.0), again.permutation(COUNT)
    own = torch.arange(COUNT, dtype=torch.float32)
    expected = share * own + (1 - share) * own[partners]
    torch.testing.assert_close(averaged, expected[:, None, None, None].expand_as(averaged))
    torch.testing.assert_close(weighed, share * targets + (1 - share) * targets[partners])


def test_a_small_alpha_leaves_one_picture_nearly_whole(numbered):
    inputs, targets = torch.arange(2.0)[:, None, None, None].expand(2, 3, 4, 4), torch.ones(2)
    middling = {
        alpha: sum(
            0.2 < float(mixup(inputs, targets, alpha, rng(seed))[0][0].mean()) < 0.8
            for seed in range(200)
        )
        for alpha in (0.05, 5.0)
    }
    assert middling[0.05] < 0.2 * middling[5.0]


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shapes_types_and_the_given_tensors_stay(numbered, kind, dtype):
    inputs, targets = (one.to(dtype) for one in numbered)
    inputs = inputs.to(memory_format=torch.channels_last)
    before = inputs.clone(), targets.clone()
    got, weighed = mixed(inputs, targets, AugmentRecipe.model_validate({kind: 1.0}), rng())
    assert (got.shape, got.dtype) == (inputs.shape, dtype)
    assert (weighed.shape, weighed.dtype) == (targets.shape, dtype)
    assert got.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(inputs, before[0])
    assert torch.equal(targets, before[1])
    assert not torch.equal(got, inputs)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_the_same_generator_mixes_the_same(numbered, kind):
    recipe = AugmentRecipe.model_validate({kind: 1.0})
    one, other, third = (mixed(*numbered, recipe, rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])
    assert not torch.equal(one[0], third[0])


def test_chances_are_kept_and_exclude_one_another(numbered):
    inputs, targets = numbered
    recipe, draw = AugmentRecipe(mixup=0.3, cutmix=0.2), rng()
    kinds = {"as given": 0, "mixup": 0, "cutmix": 0}
    for _ in range(600):
        got, _ = mixed(inputs, targets, recipe, draw)
        whole = bool((got == got.round()).all())
        kinds["as given" if got is inputs else "cutmix" if whole else "mixup"] += 1
    assert kinds["as given"] == pytest.approx(300, abs=60)
    assert kinds["mixup"] == pytest.approx(180, abs=50)
    assert kinds["cutmix"] == pytest.approx(120, abs=45)


def test_without_chances_nothing_is_drawn(numbered):
    draw = rng()
    before = draw.bit_generator.state
    got, weighed = mixed(*numbered, AugmentRecipe(), draw)
    assert got is numbered[0]
    assert weighed is numbered[1]
    assert draw.bit_generator.state == before


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_a_single_picture_has_only_itself_to_mix_with(kind):
    inputs, targets = torch.rand(1, 3, 4, 4), torch.ones(1)
    got, weighed = mixed(inputs, targets, AugmentRecipe.model_validate({kind: 1.0}), rng())
    torch.testing.assert_close(got, inputs)
    torch.testing.assert_close(weighed, targets)
