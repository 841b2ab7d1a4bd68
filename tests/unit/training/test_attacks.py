"""Attacks: within budget and box, uphill, and without a trace on the network."""

import pytest

torch = pytest.importorskip("torch")
import numpy as np  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.functional import binary_cross_entropy_with_logits  # noqa: E402

from faceproof.errors import UnknownChoiceError  # noqa: E402
from faceproof.imaging.preprocessing import InputSpec, network_input  # noqa: E402
from faceproof.training.attacks import ATTACKS, perturb, pixel_box  # noqa: E402
from faceproof.training.recipe import AdversarialRecipe  # noqa: E402

pytestmark = pytest.mark.train

SPEC = InputSpec()
BOX = pixel_box(SPEC)
COUNT, SIDE = 16, 12


@pytest.fixture
def faces():
    """Inputs of random pictures whose lower rows are brighter in fakes, black and white among."""
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (COUNT, SIDE, SIDE, 3))
    levels[1::2, SIDE // 2 :] = (levels[1::2, SIDE // 2 :] + 120).clip(0, 255)
    inputs = torch.from_numpy(network_input(levels.astype(np.uint8), SPEC))
    return inputs, torch.tensor([0.0, 1.0] * (COUNT // 2))


@pytest.fixture
def network(faces):
    """A small network with dropout and batch norm that tells the classes apart."""
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(8 * 25, 1),
        nn.Flatten(0),
    )
    optimizer = torch.optim.Adam(made.parameters(), 0.02)
    for _ in range(25):
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(made(faces[0]), faces[1]).backward()
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return made


def recipe(attack, **changes):
    return AdversarialRecipe.model_validate({"attack": attack, "budget": 8.0, **changes})


def losses(network, inputs, targets):
    network.eval()
    with torch.no_grad():
        return binary_cross_entropy_with_logits(network(inputs), targets, reduction="none")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def levels(inputs, box=BOX):
    """Return inputs as grey levels of 0..255."""
    return (inputs - box.low) / box.grey_level


@pytest.mark.parametrize(
    "spec",
    [SPEC, InputSpec(mean=(0.5, 0.5, 0.5), std=(0.5, 0.25, 1.0)), InputSpec(mean=(0, 0, 0))],
)
def test_the_box_is_what_the_one_function_makes_of_black_and_white(spec):
    box, ramp = pixel_box(spec), np.arange(256, dtype=np.uint8)
    inputs = torch.from_numpy(network_input(np.repeat(ramp, 3).reshape(1, 256, 3), spec))
    assert box.low.shape == box.high.shape == box.grey_level.shape == (3, 1, 1)
    assert torch.equal(inputs.amin((1, 2), keepdim=True), box.low)
    assert torch.equal(inputs.amax((1, 2), keepdim=True), box.high)
    steps = inputs.diff(dim=2)
    torch.testing.assert_close(steps, box.grey_level.expand_as(steps), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("budget", [0.5, 2.0, 40.0])
def test_attacks_stay_within_budget_and_box(network, faces, attack, budget):
    inputs, targets = faces
    made = recipe(attack, budget=budget, steps=4, step=budget)
    changed = perturb(network, inputs, targets, BOX, made, share=1, generator=seeded())
    moved = (levels(changed) - levels(inputs)).abs()
    assert float(moved.max()) <= budget + 1e-3
    assert float(moved.max()) == pytest.approx(budget, abs=1e-3)
    assert (changed >= BOX.low).all()
    assert (changed <= BOX.high).all()
    assert (changed.shape, changed.dtype) == (inputs.shape, inputs.dtype)


def test_black_and_white_pixels_are_among_the_attacked(faces):
    """Else the test of the box could not fail."""
    assert float(levels(faces[0]).min()) == 0
    assert float(levels(faces[0]).max()) == pytest.approx(255)


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_raise_the_loss_of_every_picture(network, faces, attack):
    inputs, targets = faces
    changed = perturb(network, inputs, targets, BOX, recipe(attack, budget=1.0, step=0.5), share=1)
    assert (losses(network, changed, targets) > losses(network, inputs, targets)).all()


def test_fgsm_takes_the_sign_of_the_gradient_of_cross_entropy(network, faces):
    inputs, targets = faces
    network.eval()
    place = inputs.clone().requires_grad_()
    binary_cross_entropy_with_logits(network(place), targets).backward()
    expected = torch.clamp(inputs + 8 * BOX.grey_level * place.grad.sign(), BOX.low, BOX.high)
    changed = perturb(network, inputs, targets, BOX, recipe("fgsm"), share=1)
    torch.testing.assert_close(changed, expected)


@pytest.mark.parametrize("budget", [4.0, 16.0])
def test_many_steps_find_at_least_what_one_step_finds(network, faces, budget):
    inputs, targets = faces
    found = {
        name: losses(
            network,
            perturb(
                network,
                inputs,
                targets,
                BOX,
                recipe(name, budget=budget, steps=20, step=budget / 4),
                share=1,
                generator=seeded(),
            ),
            targets,
        ).mean()
        for name in ATTACKS
    }
    assert found["pgd"] >= found["fgsm"]


def test_a_wide_budget_turns_every_answer(network, faces):
    inputs, targets = faces
    changed = perturb(
        network, inputs, targets, BOX, recipe("pgd", budget=64.0, steps=20, step=8.0), share=1
    )
    network.eval()
    assert ((network(inputs) > 0) == (targets > 0.5)).all()
    assert ((network(changed) > 0) != (targets > 0.5)).all()


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_network_that_is_too_sure_is_attacked_all_the_same(network, faces, attack):
    """Where a float32 probability is exactly right, cross-entropy has no gradient."""
    inputs, targets = faces
    with torch.no_grad():
        network[5].weight.mul_(1e5)
        network[5].bias.mul_(1e5)
    assert float(losses(network, inputs, targets).max()) == 0
    changed = perturb(network, inputs, targets, BOX, recipe(attack, step=8.0), share=1)
    network.eval()
    moved = (network(changed) - network(inputs)).detach()
    assert (moved * (1 - 2 * targets) > 0).all()


def test_a_mixed_target_is_led_away_from(network, faces):
    """The answer to a half-fake picture is pushed to whichever side it is on already."""
    inputs, _ = faces
    network.eval()
    before = network(inputs).detach()
    changed = perturb(network, inputs, torch.full((COUNT,), 0.5), BOX, recipe("fgsm"), share=1)
    after = network(changed).detach()
    assert ((after > before) == (before > 0)).all()


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_network_is_left_as_it_was(network, faces, attack):
    inputs, targets = faces
    network.train()
    network[4].eval()
    network[1].requires_grad_(False)
    network[0].weight.grad = torch.full_like(network[0].weight, 7.0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    given = inputs.clone()
    changed = perturb(network, inputs, targets, BOX, recipe(attack), share=1)
    assert [module.training for module in network] == [True] * 4 + [False] + [True] * 2
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert (network[0].weight.grad == 7).all()
    assert all(one.grad is None for one in list(network.parameters())[1:])
    assert [one.requires_grad for one in network[1].parameters()] == [False, False]
    assert torch.equal(inputs, given)
    assert not changed.requires_grad


@pytest.mark.parametrize("attack", ATTACKS)
def test_modes_come_back_after_an_error(network, faces, attack):
    network.train()
    with pytest.raises(RuntimeError):
        perturb(network, faces[0][:, :1], faces[1], BOX, recipe(attack), share=1)
    assert all(module.training for module in network.modules())


def test_the_attack_is_on_the_network_as_in_use(network, faces):
    """Dropout and batch statistics of the training mode would attack another network."""
    made = recipe("fgsm")
    network.eval()
    resting = perturb(network, *faces, BOX, made, share=1)
    network.train()
    assert torch.equal(perturb(network, *faces, BOX, made, share=1), resting)


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_work_without_gradients_and_under_autocast(network, faces, attack):
    inputs, targets = faces
    made = recipe(attack, budget=4.0)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        changed = perturb(network, inputs, targets, BOX, made, share=1)
    assert changed.dtype == torch.float32
    assert losses(network, changed, targets).mean() > losses(network, inputs, targets).mean()


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_training_step_under_the_same_autocast_learns_from_the_attacked(network, faces, attack):
    inputs, targets = faces
    network.train()
    with torch.autocast("cpu", torch.bfloat16):
        changed = perturb(network, inputs, targets, BOX, recipe(attack), share=0.5)
        loss = binary_cross_entropy_with_logits(network(changed).float(), targets)
    loss.backward()
    assert all(torch.isfinite(one.grad).all() for one in network.parameters())
    assert any(one.grad.abs().max() > 0 for one in network.parameters())


def test_a_seeded_start_repeats(network, faces):
    made = recipe("pgd", steps=1, step=1.0)
    one, other, third = (
        perturb(network, *faces, BOX, made, share=0.5, generator=seeded(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one, other)
    assert not torch.equal(one, third)


def test_without_a_generator_torchs_own_is_drawn_from(network, faces):
    made = recipe("pgd", steps=1, step=1.0)
    torch.manual_seed(5)
    one = perturb(network, *faces, BOX, made, share=1)
    torch.manual_seed(5)
    assert torch.equal(perturb(network, *faces, BOX, made, share=1), one)
    assert not torch.equal(perturb(network, *faces, BOX, made, share=1), one)


def test_pgd_starts_anywhere_within_the_budget(network, faces):
    """A step of nearly nothing shows the start."""
    made = recipe("pgd", budget=8.0, steps=1, step=1e-4)
    changed = perturb(network, *faces, BOX, made, share=1, generator=seeded())
    inner = (levels(faces[0]) > 8) & (levels(faces[0]) < 247)
    moved = (levels(changed) - levels(faces[0]))[inner]
    assert float(moved.abs().mean()) == pytest.approx(4, abs=0.3)
    assert float(moved.mean()) == pytest.approx(0, abs=0.3)


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.25, 4, 4), (0.3, 4, 5)])
def test_a_share_of_the_batch_is_attacked(network, faces, share, least, most):
    """Sixteen pictures: 0.25 are four, 0.3 are four or five, 4.8 on average."""
    counts, hit = [], torch.zeros(COUNT, dtype=torch.bool)
    for seed in range(40):
        made = recipe("fgsm", share=share)
        changed = perturb(network, *faces, BOX, made, generator=seeded(seed))
        different = (changed != faces[0]).flatten(1).any(1)
        counts.append(int(different.sum()))
        hit |= different
    assert (min(counts), max(counts)) == (least, most)
    assert np.mean(counts) == pytest.approx(share * COUNT, abs=0.25)
    assert bool(hit.all()) == (share > 0)


def test_a_given_share_is_in_place_of_the_recipes(network, faces):
    made = recipe("fgsm", share=0.0)
    changed = perturb(network, *faces, BOX, made, share=1)
    assert (changed != faces[0]).flatten(1).any(1).all()


def test_the_memory_format_stays(network, faces):
    inputs = faces[0].to(memory_format=torch.channels_last)
    changed = perturb(network, inputs, faces[1], BOX, recipe("pgd"), share=1)
    assert changed.is_contiguous(memory_format=torch.channels_last)


def test_an_unknown_attack_lists_the_choices(network, faces):
    unknown = recipe("fgsm").model_copy(update={"attack": "deepfool"})
    with pytest.raises(UnknownChoiceError, match="fgsm, pgd"):
        perturb(network, *faces, BOX, unknown, share=1)
