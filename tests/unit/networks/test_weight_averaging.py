"""The mean of several networks' weights."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from safetensors.torch import save_file  # noqa: E402

from faceproof.errors import SourceNotFoundError, TrainingError  # noqa: E402
from faceproof.networks import build  # noqa: E402
from faceproof.networks.heads import HeadSpec  # noqa: E402
from faceproof.networks.weight_averaging import average_weights  # noqa: E402

NAME = "test_resnet"


def saved(path, seed, head=None):
    torch.manual_seed(seed)
    network = build(NAME, head=head or HeadSpec(hidden=4))
    save_file(network.state_dict(), path)
    return network


def test_weights_and_statistics_are_the_mean(tmp_path):
    first, second = saved(tmp_path / "1.safetensors", 1), saved(tmp_path / "2.safetensors", 2)
    network = saved(tmp_path / "0.safetensors", 0)
    states = [one.state_dict() for one in (network, first, second)]
    wanted = {name: sum(state[name] for state in states) / 3 for name in states[0]}

    average_weights(network, [tmp_path / "1.safetensors", str(tmp_path / "2.safetensors")])

    found = network.state_dict()
    assert any(name.endswith("running_var") for name in found)
    for name, value in found.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, wanted[name])


def test_without_others_nothing_changes(tmp_path):
    network = saved(tmp_path / "0.safetensors", 0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    average_weights(network, ())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_another_head_is_refused(tmp_path):
    saved(tmp_path / "1.safetensors", 1, HeadSpec(hidden=8))
    network = saved(tmp_path / "0.safetensors", 0)
    with pytest.raises(TrainingError, match="head"):
        average_weights(network, [tmp_path / "1.safetensors"])


def test_another_backbone_and_a_missing_file_are_refused(tmp_path):
    torch.manual_seed(1)
    save_file(build("test_vit").state_dict(), tmp_path / "1.safetensors")
    network = saved(tmp_path / "0.safetensors", 0)
    with pytest.raises(TrainingError):
        average_weights(network, [tmp_path / "1.safetensors"])
    with pytest.raises(SourceNotFoundError):
        average_weights(network, [tmp_path / "none.safetensors"])
