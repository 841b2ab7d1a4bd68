"""Which parameters learn, and how fast."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from faceproof.errors import UnknownChoiceError  # noqa: E402
from faceproof.networks import TRAINABLE, build, parameter_groups, set_trainable  # noqa: E402

pytestmark = pytest.mark.train


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


def test_an_unknown_part_is_told(network):
    with pytest.raises(UnknownChoiceError, match="unknown part to train 'heads', did you mean"):
        set_trainable(network, "heads")
