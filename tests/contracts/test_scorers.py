"""Every entry of SCORERS keeps the same promises, and all give the same answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from faceproof.detector import SCORERS, Bundle, Detector, RunOptions, Scorer, scorers
from faceproof.errors import BundleHashError, NoHeatMapError, UsageError

Open = Callable[[Path], Scorer]
RUNTIMES = [
    pytest.param(name, marks=[pytest.mark.train] if name == "torch" else []) for name in SCORERS
]


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each runtime's name; where torch runs, the network "bright" is known to it."""
    if request.param == "torch":
        monkeypatch.setattr(scorers, "build", bright_network)
    return request.param


def bright_network(name: str, *, head: object) -> object:
    """Return the torch module that the fixture's ONNX file was made after."""
    import torch

    class Bright(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.zeros(()))
            self.bias = torch.nn.Parameter(torch.zeros(()))

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return self.scale * pictures.mean(dim=(1, 2, 3)) + self.bias

    assert name == "bright"
    return Bright()


def opened(runtime: str, folder: Path, **options: object) -> Scorer:
    bundle = Bundle.read(folder)
    return SCORERS[runtime].open(bundle, bundle.spec.members[0], RunOptions(**options))


def pictures(count: int) -> np.ndarray:
    random = np.random.default_rng(3)
    return (random.random((count, 1, 1, 1)) - 0.5 + random.random((count, 3, 32, 32))).astype("f4")


def expected(inputs: np.ndarray) -> Iterator[float]:
    return 4 * inputs.astype(float).mean(axis=(1, 2, 3)) + 0.5


@pytest.mark.parametrize("count", [0, 1, 2, 7, 65])
def test_logits_are_float64_one_for_each_picture(
    runtime: str, tiny_bundle: Path, count: int
) -> None:
    inputs = pictures(count)
    found = opened(runtime, tiny_bundle)(inputs)
    assert found.shape == (count,)
    assert found.dtype == np.float64
    assert np.allclose(found, expected(inputs), atol=1e-5)


def test_a_picture_gets_the_same_answer_in_any_company(runtime: str, tiny_bundle: Path) -> None:
    scorer, inputs = opened(runtime, tiny_bundle), pictures(7)
    alone = np.concatenate([scorer(inputs[at : at + 1]) for at in range(7)])
    assert np.allclose(scorer(inputs), alone, atol=1e-6)


def test_inputs_stay_as_they_were(runtime: str, tiny_bundle: Path) -> None:
    inputs = pictures(2)
    before = inputs.copy()
    opened(runtime, tiny_bundle)(inputs)
    assert np.array_equal(inputs, before)


def test_many_threads_may_call_at_once(runtime: str, tiny_bundle: Path) -> None:
    scorer = opened(runtime, tiny_bundle, threads=1)
    inputs = [pictures(3) + np.float32(shift) for shift in range(30)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(scorer, inputs))
    for one, answer in zip(inputs, found, strict=True):
        assert np.allclose(answer, expected(one), atol=1e-4)


def test_its_own_file_must_be_the_named_one(runtime: str, tiny_bundle: Path) -> None:
    for path in tiny_bundle.glob("bright.*"):
        path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(BundleHashError):
        opened(runtime, tiny_bundle)


def test_an_impossible_device_is_a_usage_error(runtime: str, tiny_bundle: Path) -> None:
    with pytest.raises(UsageError):
        opened(runtime, tiny_bundle, device="abacus")


@pytest.mark.parametrize("count", [0, 3])
def test_a_network_without_heat_maps_says_so(runtime: str, tiny_bundle: Path, count: int) -> None:
    with pytest.raises(NoHeatMapError, match="has no heat maps"):
        opened(runtime, tiny_bundle).explain(pictures(count))


def test_detector_runs_on_it(runtime: str, tiny_bundle: Path) -> None:
    inputs = pictures(9)[::-1, :, :, ::-1]  # torch takes no negative strides by itself
    found = Detector.load(tiny_bundle, runtime=runtime).fake_probabilities(inputs)
    assert np.allclose(found, Detector.load(tiny_bundle).fake_probabilities(inputs), atol=1e-6)
