"""Running statistics estimated anew."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
from torch import nn  # noqa: E402

from faceproof.errors import TrainingError  # noqa: E402
from faceproof.networks import build, reestimate_batch_norm  # noqa: E402

pytestmark = pytest.mark.train


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
    ("wrong", "told"), [([], "at least one batch"), ([64, 1], "2 pictures or more")]
)
def test_after_an_error_all_is_as_before(small, batches, wrong, told):
    reestimate_batch_norm(small, batches)
    before = {n: t.clone() for n, t in small.state_dict().items()}

    with pytest.raises(TrainingError, match=told):
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
