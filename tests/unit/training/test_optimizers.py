"""Optimisers learn, and sharpness-aware steps are those computed by hand."""

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from faceproof.errors import UnknownChoiceError  # noqa: E402
from faceproof.training.optimizers import (  # noqa: E402
    OPTIMIZERS,
    ascend_gradient,
    freeze_statistics,
    make_optimizer,
    restore_parameters,
    sam_ascent,
)
from faceproof.training.recipe import OptimizerRecipe  # noqa: E402

pytestmark = pytest.mark.train


def parameter(*values):
    return nn.Parameter(torch.tensor(values))


def recipe(name="adamw", **changes):
    return OptimizerRecipe.model_validate({"name": name, **changes})


def quadratic(weight):
    """Return w1^2 / 2 + 2 w2^2, whose gradient is (w1, 4 w2)."""
    return (torch.tensor([0.5, 2.0]) * weight**2).sum()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_reduces_a_loss(name):
    weight = parameter(1.0, -1.0)
    optimizer = make_optimizer([{"params": [weight]}], recipe(name, learning_rate=0.02))
    start = quadratic(weight).item()
    for _ in range(60):
        optimizer.zero_grad()
        quadratic(weight).backward()
        optimizer.step()
    assert quadratic(weight).item() < 0.1 * start


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_groups_keep_their_own_rates_decay_and_names(name):
    groups = [
        {"name": "head", "params": [parameter(1.0)], "lr": 0.5, "weight_decay": 0.0},
        {"name": "backbone", "params": [parameter(1.0)], "lr": 0.1, "weight_decay": 0.3},
    ]
    kept = make_optimizer(groups, recipe(name)).param_groups
    assert [(g["name"], g["lr"], g["weight_decay"]) for g in kept] == [
        ("head", 0.5, 0.0),
        ("backbone", 0.1, 0.3),
    ]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_a_group_leaves_open_is_the_recipes(name):
    made = recipe(name, learning_rate=0.07, weight_decay=0.2)
    (group,) = make_optimizer([{"params": [parameter(1.0)]}], made).param_groups
    assert (group["lr"], group["weight_decay"]) == (0.07, 0.2)


def test_the_first_steps_are_the_papers():
    """One step from w = 2 with gradient 3, rate 0.1 and decay 0.5."""
    expected = {
        "adamw": 2 * (1 - 0.1 * 0.5) - 0.1,  # the decay apart, then the sign of the gradient
        "adam": 2 - 0.1,  # the decay is in the gradient, whose sign stays
        "sgd": 2 - 0.1 * (3 + 0.5 * 2) * 1.9,  # Nesterov: gradient and 0.9 of it again
    }
    assert set(expected) == set(OPTIMIZERS)
    for name, value in expected.items():
        weight = parameter(2.0)
        weight.grad = torch.tensor([3.0])
        made = recipe(name, learning_rate=0.1, weight_decay=0.5)
        make_optimizer([{"params": [weight]}], made).step()
        assert weight.item() == pytest.approx(value, rel=1e-5), name


def test_an_unknown_optimizer_lists_the_choices():
    unknown = recipe().model_copy(update={"name": "adamm"})
    with pytest.raises(UnknownChoiceError, match=r"did you mean 'adam'.*adam, adamw, sgd"):
        make_optimizer([{"params": [parameter(1.0)]}], unknown)


def test_the_climb_is_the_radius_along_the_gradient():
    weight = parameter(3.0, 1.0)
    quadratic(weight).backward()  # (3, 4), of length 5
    ascend_gradient([weight], 0.5)
    torch.testing.assert_close(weight.detach(), torch.tensor([3.3, 1.4]))


def test_the_radius_is_of_all_parameters_together():
    first, second, rests = parameter(3.0), parameter(1.0), parameter(9.0)
    quadratic(torch.cat([first, second])).backward()
    ascend_gradient([first, rests, second], 0.5)
    assert first.item() == pytest.approx(3.3)
    assert second.item() == pytest.approx(1.4)
    assert rests.item() == 9


def test_a_sharpness_aware_step_on_a_quadratic():
    """From (3, 1), gradient (3, 4), up to (3.3, 1.4): the step at (3, 1) is by its (3.3, 5.6)."""
    weight = parameter(3.0, 1.0)
    optimizer = torch.optim.SGD([weight], 0.1)
    quadratic(weight).backward()
    places = ascend_gradient([weight], 0.5)
    optimizer.zero_grad()
    quadratic(weight).backward()
    restore_parameters(places)
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([3 - 0.33, 1 - 0.56]))


def test_the_way_back_is_exact():
    generator = torch.Generator().manual_seed(0)
    weights = [nn.Parameter(torch.randn(50, generator=generator)) for _ in range(3)]
    before = [one.detach().clone() for one in weights]
    for one in weights:
        one.grad = 1e3 * torch.randn(50, generator=generator)
    places = ascend_gradient(weights, 7.3)
    assert not any(torch.equal(one, was) for one, was in zip(weights, before, strict=True))
    restore_parameters(places)
    assert all(torch.equal(one, was) for one, was in zip(weights, before, strict=True))


def test_a_gradient_of_zero_moves_nothing():
    weight = parameter(0.0, 0.0)
    quadratic(weight).backward()
    ascend_gradient([weight], 0.5)
    assert weight.tolist() == [0, 0]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, momentum=0.3), nn.Linear(3, 1))


def test_steady_statistics_stay_and_move_again_afterwards(network):
    inputs = 3 + torch.randn(8, 4)
    norm = network[1]
    network(inputs)
    before = norm.running_mean.clone(), norm.running_var.clone()
    with freeze_statistics(network):
        steady = network(5 * inputs)
    assert torch.equal(norm.running_mean, before[0])
    assert torch.equal(norm.running_var, before[1])
    assert norm.momentum == 0.3
    again = network(5 * inputs)
    torch.testing.assert_close(steady, again)  # the batch's own statistics count in both
    assert not torch.equal(norm.running_mean, before[0])


def test_steady_statistics_can_be_learned_through(network):
    with freeze_statistics(network):
        network(torch.randn(8, 4)).sum().backward()
    assert network[0].weight.grad is not None


@pytest.mark.parametrize("fails", [False, True])
def test_climbed_is_there_and_back_with_statistics_kept(network, fails):
    inputs = torch.randn(8, 4)
    network(inputs).square().sum().backward()
    before = {name: value.clone() for name, value in network.named_parameters()}
    mean = network[1].running_mean.clone()

    def there():
        with sam_ascent(network, 0.5):
            moved = [(one - before[name]).norm() for name, one in network.named_parameters()]
            network(inputs)
            if fails:
                raise MemoryError
        return moved

    if fails:
        with pytest.raises(MemoryError):
            there()
    else:
        assert torch.stack(there()).norm().item() == pytest.approx(0.5, rel=1e-4)
    assert all(torch.equal(one, before[name]) for name, one in network.named_parameters())
    assert torch.equal(network[1].running_mean, mean)
    assert network[1].momentum == 0.3
