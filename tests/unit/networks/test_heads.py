"""The first seed's head."""

import pytest
from pydantic import ValidationError

torch = pytest.importorskip("torch")

from faceproof.networks import HeadSpec  # noqa: E402
from faceproof.networks.heads import build_head  # noqa: E402

pytestmark = pytest.mark.train


def kinds(head):
    return [type(layer).__name__ for layer in head]


def test_layers_stand_in_the_first_seeds_order():
    assert kinds(build_head(HeadSpec(), features=8)) == [
        "AdaptiveAvgPool2d",
        "Flatten",
        "Dropout",
        "BatchNorm1d",
        "Linear",
        "ReLU",
        "Dropout",
        "Linear",
    ]


def test_pooled_features_are_not_pooled_again():
    head = build_head(HeadSpec(), features=8, pooled=True)

    assert kinds(head)[0] == "Dropout"
    assert head.eval()(torch.zeros(3, 8)).shape == (3, 1)


def test_sizes_are_those_of_the_spec():
    head = build_head(HeadSpec(dropout=0.1, hidden=5, hidden_dropout=0.2), features=8)

    assert (head.dropout.p, head.hidden_dropout.p) == (0.1, 0.2)
    assert head.dense.weight.shape == (5, 8)
    assert head.logit.weight.shape == (1, 5)
    assert head(torch.randn(4, 8, 3, 2)).shape == (4, 1)


def test_pooling_is_the_mean_over_the_grid():
    head = build_head(HeadSpec(), features=2).eval()
    maps = torch.randn(3, 2, 5, 4)

    torch.testing.assert_close(head[:2](maps), maps.mean((2, 3)))


@pytest.mark.parametrize(
    "wrong", [{"dropout": 1.0}, {"hidden": -1}, {"dropout": -0.1}, {"width": 3}]
)
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(ValidationError):
        HeadSpec(**wrong)


def test_a_head_without_a_hidden_layer_is_a_linear_probe():
    head = build_head(HeadSpec(hidden=0, dropout=0.0), features=6, pooled=True)
    assert [name for name, _ in head.named_children()] == ["dropout", "norm", "logit"]
    head.eval()
    x, y = torch.randn(4, 6), torch.randn(4, 6)
    assert torch.allclose(head((x + y) / 2), (head(x) + head(y)) / 2, atol=1e-6)
