"""Every entry of SCORERS keeps the same promises, and all give the same answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from faceproof.detector import (
    SCORERS,
    Bundle,
    Detector,
    DetectorSpec,
    RunOptions,
    Scorer,
    scorers,
)
from faceproof.errors import BundleError, BundleHashError, NoHeatMapError, UsageError
from support.heatmap_bundles import MappedBundle

Open = Callable[[Path], Scorer]
MARKS = {
    # pytest.importorskip would import it with its telemetry.
    "openvino": pytest.mark.skipif(find_spec("openvino") is None, reason="needs openvino"),
    "openvino-bf16": pytest.mark.skipif(
        not SCORERS["openvino-bf16"].can_use("cpu"), reason="needs openvino and bf16 instructions"
    ),
    "torch": pytest.mark.train,
}
ENTRIES = [pytest.param(name, marks=[MARKS[name]] if name in MARKS else []) for name in SCORERS]
ONNX_ENTRIES = [entry for entry in ENTRIES if entry.values != ("torch",)]
#: How far answers may be off with bfloat16, which has 8 significant bits.
BF16_TOLERANCE = 0.1


@pytest.fixture(params=ENTRIES)
def scorer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each scorer's name; where torch runs, the network "bright" is known to it."""
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


def opened(scorer: str, folder: Path, **options: object) -> Scorer:
    bundle = Bundle.read(folder)
    return SCORERS[scorer].open(bundle, bundle.spec.members[0], RunOptions(**options))


def pictures(count: int) -> np.ndarray:
    random = np.random.default_rng(3)
    return (random.random((count, 1, 1, 1)) - 0.5 + random.random((count, 3, 32, 32))).astype("f4")


def tolerance(scorer: str, float32: float) -> float:
    return BF16_TOLERANCE if scorer == "openvino-bf16" else float32


def expected(inputs: np.ndarray) -> Iterator[float]:
    return 4 * inputs.astype(float).mean(axis=(1, 2, 3)) + 0.5


@pytest.mark.parametrize("count", [0, 1, 2, 7, 65])
def test_logits_are_float64_one_for_each_picture(
    scorer: str, tiny_bundle: Path, count: int
) -> None:
    inputs = pictures(count)
    found = opened(scorer, tiny_bundle)(inputs)
    assert found.shape == (count,)
    assert found.dtype == np.float64
    assert np.allclose(found, expected(inputs), atol=tolerance(scorer, 1e-5))


def test_a_picture_gets_the_same_answer_in_any_company(scorer: str, tiny_bundle: Path) -> None:
    network, inputs = opened(scorer, tiny_bundle), pictures(7)
    alone = np.concatenate([network(inputs[at : at + 1]) for at in range(7)])
    assert np.allclose(network(inputs), alone, atol=tolerance(scorer, 1e-6))


def test_inputs_stay_as_they_were(scorer: str, tiny_bundle: Path) -> None:
    inputs = pictures(2)
    before = inputs.copy()
    opened(scorer, tiny_bundle)(inputs)
    assert np.array_equal(inputs, before)


def test_many_threads_may_call_at_once(scorer: str, tiny_bundle: Path) -> None:
    network = opened(scorer, tiny_bundle, threads=1)
    inputs = [pictures(3) + np.float32(shift) for shift in range(30)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(network, inputs))
    for one, answer in zip(inputs, found, strict=True):
        assert np.allclose(answer, expected(one), atol=tolerance(scorer, 1e-4))


def test_its_own_file_must_be_the_named_one(scorer: str, tiny_bundle: Path) -> None:
    for path in tiny_bundle.glob("bright.*"):
        path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(BundleHashError):
        opened(scorer, tiny_bundle)


def test_an_impossible_device_is_a_usage_error(scorer: str, tiny_bundle: Path) -> None:
    with pytest.raises(UsageError):
        opened(scorer, tiny_bundle, device="abacus")


@pytest.mark.parametrize("count", [0, 3])
def test_a_network_without_heat_maps_says_so(scorer: str, tiny_bundle: Path, count: int) -> None:
    with pytest.raises(NoHeatMapError, match="has no heat maps"):
        opened(scorer, tiny_bundle).explain(pictures(count))


def test_detector_runs_on_it(scorer: str, tiny_bundle: Path) -> None:
    inputs = pictures(9)[::-1, :, :, ::-1]  # torch takes no negative strides by itself
    found = Detector.load(tiny_bundle, scorer=scorer).fake_probabilities(inputs)
    ours = Detector.load(tiny_bundle).fake_probabilities(inputs)
    assert np.allclose(found, ours, atol=tolerance(scorer, 1e-6))


@pytest.mark.parametrize("name", ONNX_ENTRIES)
def test_heat_maps_are_those_of_the_onnx_file(
    name: str, tmp_path: Path, tiny_spec: DetectorSpec, tiny_files: dict[str, bytes]
) -> None:
    folder = MappedBundle(("bright-4x4",)).written(tmp_path / "b", tiny_spec, tiny_files)
    inputs = pictures(3)
    logits, maps = opened(name, folder).explain(inputs)
    means = inputs.astype(float).reshape(3, 3, 4, 8, 4, 8).mean(axis=(1, 3, 5))
    assert maps.dtype == np.float64
    assert np.allclose(
        maps, means / 4, atol=tolerance(name, 1e-6)
    )  # 4 x the mean of the picture is their sum
    assert np.allclose(logits, expected(inputs), atol=tolerance(name, 1e-5))
    assert np.array_equal(opened(name, folder)(inputs), logits)


@pytest.mark.parametrize("name", ONNX_ENTRIES)
def test_a_map_that_the_file_lacks_is_refused(
    name: str, tmp_path: Path, tiny_spec: DetectorSpec, tiny_files: dict[str, bytes]
) -> None:
    wish = MappedBundle(("bright",), declared=True)
    folder = wish.written(tmp_path / "b", tiny_spec, tiny_files)
    with pytest.raises(BundleError, match="lacks the heat maps"):
        opened(name, folder)


def test_a_result_can_name_what_ran(scorer: str, tiny_bundle: Path) -> None:
    detector = Detector.load(tiny_bundle, scorer=scorer)
    assert (detector.scorer, detector.device) == (scorer, "cpu")


def test_every_scorer_that_is_installed_can_use_the_cpu(scorer: str) -> None:
    assert SCORERS[scorer].can_use("cpu")
    assert not SCORERS[scorer].can_use("abacus")


@pytest.mark.parametrize("name", [one for one in ONNX_ENTRIES if one.values != ("onnxruntime",)])
def test_the_shipped_detector_gives_the_same_answers(name: str) -> None:
    ours, other = Detector.load("default"), Detector.load("default", scorer=name)
    side = ours.preprocessing.crop.size
    inputs = np.random.default_rng(0).normal(size=(3, 3, side, side)).astype("f4")
    inputs[0] *= 0.1
    (logits, maps), (logits2, maps2) = ours.map_evidence(inputs), other.map_evidence(inputs)
    probabilities = ours.fake_probabilities(inputs), other.fake_probabilities(inputs)
    assert np.allclose(*probabilities, atol=tolerance(name, 1e-4))
    if name != "openvino-bf16":  # whose logits may move more where the probability is near 0 or 1
        assert np.allclose(logits, logits2, atol=1e-4)
        assert np.allclose(maps, maps2, atol=1e-4)
