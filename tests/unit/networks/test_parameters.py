"""Running statistics estimated anew.

Which parameters learn, and how fast.
"""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
pytestmark = pytest.mark.train
from torch import nn  # noqa: E402

from faceproof.errors import TrainingError, UnknownChoiceError  # noqa: E402
from faceproof.networks import (  # noqa: E402
    TRAINABLE,
    build,
    parameter_groups,
    reestimate_batch_norm,
    set_trainable,
)


@pytest.fixture
def batches():
    generator = torch.Generator().manual_seed(0)
    return [3 + 2 * torch.randn(64, 5, generator=generator) for _ in range(7)]


@pytest.fixture
def small():
    return nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(5, momentum=0.3), nn.Linear(5, 1))


def test_statistics_are_the_plain_average_over_batches_without_dropout(small, batches):
    assert reestimate_batch_norm(small, iter(batches)) == 7

    mean = torch.stack([b.mean(0) for b in batches]).mean(0)
    variance = torch.stack([b.var(0) for b in batches]).mean(0)
    torch.testing.assert_close(small[1].running_mean, mean)
    torch.testing.assert_close(small[1].running_var, variance)


@pytest.mark.parametrize("training", [True, False])
def test_weights_modes_and_momentum_stay(small, batches, training):
    small.train(training)
    small[2].eval()
    weights = {n: p.clone() for n, p in small.named_parameters()}

    reestimate_batch_norm(small, batches)

    assert [m.training for m in small] == [training, training, False]
    assert small[1].momentum == 0.3
    assert all(torch.equal(p, weights[n]) for n, p in small.named_parameters())
    assert all(p.grad is None for p in small.parameters())


@pytest.mark.parametrize(
    ("wrong", "expected"), [([], "at least one batch"), ([64, 1], "2 pictures or more")]
)
def test_after_an_error_all_is_as_before(small, batches, wrong, expected):
    reestimate_batch_norm(small, batches)
    before = {n: t.clone() for n, t in small.state_dict().items()}

    with pytest.raises(TrainingError, match=expected):
        reestimate_batch_norm(small, [torch.zeros(n, 5) for n in wrong])

    assert all(torch.equal(t, before[n]) for n, t in small.state_dict().items())
    assert small[1].momentum == 0.3
    assert small.training


def test_it_works_on_timms_own_batch_norms():
    network = build("densenet121").eval()
    first = network.backbone.features.norm0
    batches = [
        torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(i)) for i in (0, 1)
    ]
    with torch.no_grad():
        means = [network.backbone.features.conv0(b).mean((0, 2, 3)) for b in batches]

    reestimate_batch_norm(network, batches)

    torch.testing.assert_close(first.running_mean, (means[0] + means[1]) / 2)
    assert int(network.head.norm.num_batches_tracked) == 2


@pytest.fixture(scope="module")
def network():
    return build("densenet121")


def learning(network):
    return {name for name, p in network.named_parameters() if p.requires_grad}


def test_every_parameter_stands_in_one_group(network):
    groups = parameter_groups(network, learning_rate=1e-3, weight_decay=0.05)

    listed = [id(p) for group in groups for p in group["params"]]
    assert len(listed) == len(set(listed))
    assert set(listed) == {id(p) for p in network.parameters()}
    assert {group["lr"] for group in groups} == {1e-3}
    torch.optim.AdamW(groups)


def test_vectors_are_not_decayed(network):
    for group in parameter_groups(network, learning_rate=1e-3, weight_decay=0.05):
        vectors = {p.ndim < 2 for p in group["params"]}
        assert vectors == {group["weight_decay"] == 0}


def test_early_stages_learn_slower(network):
    groups = parameter_groups(
        network, learning_rate=1.0, weight_decay=0, backbone_factor=0.1, layer_decay=0.5
    )

    rates = {group["name"]: group["lr"] for group in groups}
    assert rates["head.matrices"] == 1.0
    assert rates["backbone.features.norm5.vectors"] == pytest.approx(0.1)
    assert rates["backbone.features.denseblock4.matrices"] == pytest.approx(0.05)
    assert rates["backbone.features.conv0.matrices"] == pytest.approx(0.1 * 0.5**9)


@pytest.mark.parametrize("name", ["inception_resnet_v1", "test_vit", "test_convnext"])
def test_other_networks_have_stages_too(name):
    network = build(name)
    groups = parameter_groups(network, learning_rate=1.0, weight_decay=0.1, layer_decay=0.5)

    assert len({group["lr"] for group in groups}) > 2
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))


@pytest.mark.parametrize("what", TRAINABLE)
def test_what_learns_is_what_was_named(network, what):
    count = set_trainable(network, what)

    names = learning(network)
    assert count == sum(p.numel() for n, p in network.named_parameters() if n in names)
    assert {n for n in names if n.startswith("head.")} == {
        n for n, _ in network.named_parameters() if n.startswith("head.")
    }
    of_backbone = {n for n in names if n.startswith("backbone.")}
    if what == "head":
        assert not of_backbone
    elif what == "head_and_norms":
        assert of_backbone
        assert all(".norm" in n for n in of_backbone)
    else:
        assert len(names) == len(list(network.parameters()))


def test_the_first_stages_stay_frozen_and_get_no_gradient(network):
    set_trainable(network, "all", frozen_stages=3)

    network.train()(torch.rand(2, 3, 64, 64)).sum().backward()
    given = {n for n, p in network.named_parameters() if p.grad is not None}
    assert given == learning(network)
    first = ("conv0", "norm0", "denseblock1")
    assert not [n for n in given if n.startswith(tuple(f"backbone.features.{s}." for s in first))]
    assert "backbone.features.transition1.conv.weight" in given
    assert set_trainable(network, "all") == sum(p.numel() for p in network.parameters())


def test_freezing_every_stage_is_refused(network):
    with pytest.raises(TrainingError, match=r"has 10 stages \(conv0, norm0, denseblock1"):
        set_trainable(network, "all", frozen_stages=10)


def test_an_unknown_part_is_told(network):
    with pytest.raises(UnknownChoiceError, match="unknown part to train 'heads', did you mean"):
        set_trainable(network, "heads")
