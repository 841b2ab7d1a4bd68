"""Families of networks, each by a tiny member: they learn what they are told, and become ONNX."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("onnx")

from faceproof.errors import TrainingError  # noqa: E402
from faceproof.export import export_onnx  # noqa: E402
from faceproof.imaging.preprocessing import Preprocessing  # noqa: E402
from faceproof.networks import (  # noqa: E402
    HeadSpec,
    build,
    input_defaults,
    parameter_groups,
    set_trainable,
)
from faceproof.networks.modules import refuse_side  # noqa: E402
from faceproof.networks.parameters import freeze_batch_norm  # noqa: E402

pytestmark = pytest.mark.train

#: timm's tiny networks of each family, with their own normalising layers.
FAMILIES = {
    "test_resnet": "BatchNorm",
    "test_efficientnet_ln": "LayerNorm",
    "test_convnext": "LayerNorm",
    "test_vit": "LayerNorm",
    "test_vit3": "LayerNorm",
}
#: This one reads pictures of its own side alone, as most vision transformers do.
FIXED = ("test_vit3",)
#: Becomes ONNX at its own side alone: its places are stretched otherwise, which ONNX cannot.
OWN_SIDE = (*FIXED, "test_vit")
#: Convolutions are quick on a smaller picture.
SMALL = 64


@pytest.fixture(scope="module", params=FAMILIES)
def name(request):
    return request.param


def side_of(name: str) -> int:
    return input_defaults(name).size if name in OWN_SIDE else SMALL


def made(name: str):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return build(name, head=HeadSpec(hidden=8))


def learned(name: str, what: str) -> set[str]:
    """Return which parameters one step of the optimiser changes, and check that it is finite."""
    network = made(name)
    before = {key: value.detach().clone() for key, value in network.named_parameters()}
    set_trainable(network, what)
    network.train()
    if what == "head":
        freeze_batch_norm(network.backbone)
    groups = parameter_groups(network, learning_rate=0.1, weight_decay=0.0)
    optimizer = torch.optim.SGD([{"params": g["params"], "lr": g["lr"]} for g in groups])
    side = side_of(name)
    inputs = torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(2))
    loss = torch.nn.functional.softplus(network(inputs) * torch.tensor([1.0, -1.0, 1.0, -1.0]))
    loss.mean().backward()
    optimizer.step()
    after = dict(network.named_parameters())
    assert all(value.isfinite().all() for value in after.values())
    assert all((value.grad is not None) == value.requires_grad for value in after.values())
    return {key for key, value in before.items() if not torch.equal(value, after[key])}


def test_a_head_learns_alone(name):
    changed = learned(name, "head")
    assert {key.partition(".")[0] for key in changed} == {"head"}


def test_norms_learn_with_the_head_and_nothing_else_does(name):
    changed = learned(name, "head_and_norms")
    modules = dict(made(name).named_modules())
    owners = {key.rpartition(".")[0] for key in changed if key.startswith("backbone.")}
    assert owners
    assert all(FAMILIES[name] in type(modules[owner]).__name__ for owner in owners)


def test_all_learns(name):
    """Not everything in the first step: a residual branch begins with a scale of 0."""
    changed, every = learned(name, "all"), dict(made(name).named_parameters())
    assert {key.partition(".")[0] for key in changed} == {"backbone", "head"}
    assert changed > learned(name, "head")
    assert any(every[key].ndim > 1 for key in changed if key.startswith("backbone."))


def test_it_becomes_onnx_at_the_side_that_it_reads(name):
    own = input_defaults(name)
    crop = {"size": side_of(name)}
    spec = Preprocessing.model_validate({"crop": crop, "input": {"mean": own.mean, "std": own.std}})
    assert len(export_onnx(made(name), spec)) > 10_000


def test_a_side_that_it_cannot_read_is_refused_with_its_own(name):
    network, own = made(name).train(), input_defaults(name).size
    refuse_side(network, name, side=own, own=own)
    if name in FIXED:
        with pytest.raises(TrainingError, match=rf"of 64 px .*crop\.size = {own}, the side"):
            refuse_side(network, name, side=SMALL, own=own)
    else:
        refuse_side(network, name, side=SMALL, own=own)
    assert all(module.training for module in network.modules())


def test_crops_too_small_for_convolutions_are_refused():
    with pytest.raises(TrainingError, match=r"inception_resnet_v1 cannot read crops of 32 px"):
        refuse_side(build("inception_resnet_v1"), "inception_resnet_v1", side=32, own=160)
