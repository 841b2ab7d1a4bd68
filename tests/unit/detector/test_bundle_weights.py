"""Weights on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from faceproof.detector.bundle import (  # noqa: E402
    fits_half,
    load_weights,
    put_weights,
    round_to_stored,
    save_weights,
    weights_bytes,
)
from faceproof.errors import BundleError  # noqa: E402


def network(width: int = 4) -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, width, 3), torch.nn.BatchNorm2d(width))


def test_what_was_saved_is_loaded_with_the_same_rounding(tmp_path: Path) -> None:
    first, second = network(), network()
    path = save_weights(first, tmp_path / "w.safetensors")
    torch.nn.init.zeros_(second[0].weight)
    load_weights(second, path)
    assert torch.equal(second[0].weight, first[0].weight.half().float())
    assert second[0].weight.dtype == torch.float32
    assert torch.equal(second[0].bias, first[0].bias)
    assert weights_bytes(second) == path.read_bytes()


def test_statistics_keep_every_digit(tmp_path: Path) -> None:
    first, second = network(), network()
    first[1].running_var.copy_(torch.tensor([1e-12, 1e9, 1 / 3, 1.0]))
    load_weights(second, save_weights(first, tmp_path / "w.safetensors"))
    assert torch.equal(second[1].running_var, first[1].running_var)
    assert torch.equal(second[1].num_batches_tracked, first[1].num_batches_tracked)


@pytest.mark.parametrize(
    ("values", "half"),
    [
        ([[1.0, 1 / 3]], True),
        ([[1.0, 1e-9]], True),
        ([[0.0, 0.0]], True),
        ([[1.0, 70_000.0]], False),
        ([[1e-7, 3e-7]], False),
        ([[float("nan"), 1.0]], False),
        ([1.0, 2.0], False),
        ([[]], False),
    ],
)
def test_half_precision_only_where_it_loses_little(values: list[object], half: bool) -> None:
    assert fits_half(torch.tensor(values)) is half


def test_whole_numbers_stay_whole() -> None:
    kept = round_to_stored({"steps": torch.tensor([[70_000, 1]])})
    assert kept["steps"].dtype == torch.int64


def test_shared_and_turned_tensors_are_stored_apart() -> None:
    base = torch.rand(4, 4)
    kept = round_to_stored(
        {"a": base.T, "b": base, "c": base[:2], "d": torch.ones(3), "e": torch.ones(3)}
    )
    assert torch.equal(kept["a"].float(), kept["b"].T.float())


@pytest.mark.parametrize("data", [b"", b"\0" * 8, b"\xff" * 100, b"PK\x03\x04 a pickle in a zip"])
def test_what_is_no_safetensors_file_is_refused(data: bytes) -> None:
    with pytest.raises(BundleError, match=r"w\.safetensors is not a safetensors file"):
        put_weights(network(), data, name="w.safetensors")


def test_the_weights_of_another_network_are_refused() -> None:
    with pytest.raises(BundleError, match="another network"):
        put_weights(network(width=5), weights_bytes(network(width=4)))
