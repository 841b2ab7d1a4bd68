"""Heat maps of a detector: members joined, each map put to its test, none where there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from faceproof.detector import Bundle, Detector, DetectorSpec
from faceproof.detector.heatmaps import (
    STEPS,
    average_maps,
    cell_overlaps,
    delete_regions,
    hottest_mask,
    ring_shifts,
    run_deletion_test,
)
from faceproof.detector.scorers import OnnxScorer, RunOptions
from faceproof.errors import BundleError, NoHeatMapError
from support.heatmap_bundles import FIXTURES, MappedBundle

Made = Callable[..., Detector]


@pytest.fixture
def made(tmp_path: Path, tiny_spec: DetectorSpec, tiny_files: dict[str, bytes]) -> Made:
    """Return a maker of detectors whose members are ONNX fixtures of these names and weights."""

    def make(*onnx: str, weights: Sequence[float] = (), declared: bool = True) -> Detector:
        folder = tmp_path / "-".join(onnx)
        wish = MappedBundle(onnx, weights=tuple(weights), declared=declared)
        return Detector.load(wish.written(folder, tiny_spec, tiny_files))

    return make


def spot(row: int, column: int) -> np.ndarray:
    """Return an input that is dark but for one bright block of 8 x 8 px, float32 [3, 32, 32]."""
    picture = np.full((3, 32, 32), -1.0, np.float32)
    picture[:, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 2.0
    return picture


SPOTS = np.stack([spot(0, 0), spot(3, 1), spot(2, 2)])


def test_the_map_shows_where_and_its_cells_and_a_rest_are_the_logit(made: Made) -> None:
    found = made("bright-4x4").explain(SPOTS)
    assert [np.unravel_index(heat.argmax(), heat.shape) for heat in found.values] == [
        (0, 0),
        (3, 1),
        (2, 2),
    ]
    assert found.values.dtype == np.float64
    assert np.allclose(found.values.sum(axis=(1, 2)) + 0.5, found.logits, atol=1e-5)


def test_logits_are_the_same_bits_as_without_maps(made: Made) -> None:
    inputs = np.random.default_rng(0).normal(size=(19, 3, 32, 32)).astype(np.float32)
    detector = made("bright-4x4", "bright-2x2", weights=(1.0, 2.5))
    assert np.array_equal(detector.explain(inputs).logits, detector.logits(inputs))


EVERYWHERE = np.stack([spot(row, column) for row in range(4) for column in range(4)])


def test_a_map_that_points_to_the_evidence_is_reliable(made: Made) -> None:
    """Mostly: a blurred spot is not gone, and at an edge much of it is thrown back."""
    found = made("bright-4x4").explain(EVERYWHERE)
    assert found.reliable.mean() > 0.7
    assert found.reliable.dtype == np.bool_
    assert (found.hottest_deleted < found.random_deleted).all()
    assert (found.hottest_deleted < 0).all()


def test_a_map_that_points_elsewhere_is_not(made: Made) -> None:
    found = made("bright-wrong").explain(EVERYWHERE)
    assert found.reliable.mean() < 0.1
    assert (found.hottest_deleted > -1e-6).all()


def test_a_picture_without_evidence_has_no_reliable_map(made: Made) -> None:
    """Where all is flat, to delete here or there is the same."""
    found = made("bright-4x4").explain(np.full((1, 3, 32, 32), 0.3, np.float32))
    assert not found.reliable.any()
    assert np.allclose(found.hottest_deleted, 0, atol=1e-5)


def test_the_test_says_by_how_much_the_logit_changes(made: Made) -> None:
    detector, picture = made("bright-4x4"), spot(1, 2)
    found = detector.explain(picture[None])
    variants = delete_regions(picture, found.values[0])
    changes = [float(4 * (one - picture).mean(dtype=np.float64)) for one in variants]
    assert found.hottest_deleted[0] == pytest.approx(changes[0], abs=1e-5)
    assert found.random_deleted[0] == pytest.approx(np.mean(changes[1:]), abs=1e-5)


def test_explaining_twice_says_the_same(made: Made) -> None:
    detector = made("bright-4x4")
    one, two = detector.explain(SPOTS), detector.explain(SPOTS[1:])
    assert np.array_equal(one.random_deleted[1:], two.random_deleted)
    assert np.array_equal(one.reliable[1:], two.reliable)


def test_nothing_to_explain(made: Made) -> None:
    found = made("bright-4x4").explain(np.empty((0, 3, 32, 32), np.float32))
    assert found.logits.shape == found.reliable.shape == found.random_deleted.shape == (0,)
    assert found.values.ndim == 3


def test_members_maps_are_weighed_and_brought_to_the_finest_grid(made: Made) -> None:
    found = made("bright-2x2", "bright-4x4", weights=(3.0, 1.0)).explain(SPOTS)
    fine = made("bright-4x4").explain(SPOTS).values
    blocks = fine.reshape(3, 2, 2, 2, 2).sum(axis=(2, 4))
    coarse = np.kron(blocks / 4, np.ones((2, 2)))
    assert np.allclose(found.values, 0.75 * coarse + 0.25 * fine, atol=1e-6)
    assert np.allclose(found.values.sum(axis=(1, 2)) + 0.5, found.logits, atol=1e-5)


def test_a_network_without_maps_says_so(made: Made, tiny_bundle: Path) -> None:
    for detector in (
        Detector.load(tiny_bundle),
        made("bright", declared=False),
        made("bright-4x4", "bright", declared=False),
    ):
        with pytest.raises(NoHeatMapError, match=r"has no heat maps: .*export this one again"):
            detector.explain(SPOTS)
        assert detector.logits(SPOTS).shape == (3,)


def test_a_bundle_that_claims_maps_it_lacks_is_refused(made: Made) -> None:
    with pytest.raises(BundleError, match="lacks the heat maps"):
        made("bright")


class Broken:
    """A stand-in for a network whose logit is a number, and whose map is none."""

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        return np.zeros(len(inputs))

    def explain(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(len(inputs)), np.full((len(inputs), 2, 2), np.nan)


def test_a_map_that_is_no_number_is_refused(made: Made) -> None:
    whole = made("bright-4x4")
    with pytest.raises(BundleError, match="NaN or infinity"):
        whole.map_evidence(np.full((1, 3, 32, 32), np.inf, np.float32))
    with pytest.raises(BundleError, match="NaN or infinity"):
        Detector(whole.bundle, [Broken()]).explain(SPOTS)


def test_a_file_with_another_second_output_is_refused() -> None:
    other = (FIXTURES / "bright-4x4.onnx").read_bytes().replace(b"heatmap", b"hotness")
    with pytest.raises(BundleError, match="with or without a second output `heatmap`"):
        OnnxScorer(other, name="other.onnx", options=RunOptions())


def test_what_came_later_is_not_written_where_it_is_empty(
    made: Made, tiny_bundle: Path, tiny_spec: DetectorSpec
) -> None:
    assert b"heatmap" not in Bundle.read(tiny_bundle).spec.to_json()
    spec = made("bright-4x4").spec
    assert DetectorSpec.model_validate_json(spec.to_json()) == spec
    assert spec.members[0].onnx.heatmap == "grad-cam"


def noise(side: int = 40) -> np.ndarray:
    """Return an input of noise, float32 [3, side, side]."""
    return np.random.default_rng(1).normal(size=(3, side, side)).astype(np.float32)


def test_a_fifth_is_deleted_and_the_others_are_as_large_and_elsewhere() -> None:
    picture, heat = noise(), np.random.default_rng(2).normal(size=(5, 5))
    variants = delete_regions(picture, heat)
    changed = (variants != picture).any(axis=1)
    assert changed.sum(axis=(1, 2)).tolist() == [320] * 5
    assert len({mask.tobytes() for mask in changed}) == 5
    assert (changed[0] == hottest_mask(heat, side=40)).all()


def test_the_five_places_are_a_ring() -> None:
    """From each of them the others lie alike, so that none has an advantage."""
    for side in (40, 160):
        places = ring_shifts(noise(side))
        assert places[0] == (0, 0)
        seen = {((a - c) % side, (b - d) % side) for a, b in places for c, d in places}
        assert seen == set(places)


def test_every_way_around_the_ring_is_another() -> None:
    rings = [frozenset((down * k % 5, right * k % 5) for k in range(1, 5)) for down, right in STEPS]
    assert len(set(rings)) == 6
    assert len(frozenset.union(*rings)) == 24


def test_a_map_that_knows_nothing_passes_in_one_case_of_five() -> None:
    """The tested share is between 0.155 and 0.245 with a chance of 0.99 (binomial, n 500)."""
    maps = np.random.default_rng(4).normal(size=(500, 5, 5))

    class Guessing:
        def logits(self, inputs: np.ndarray) -> np.ndarray:
            return inputs[:, :, :7, :9].mean(axis=(1, 2, 3), dtype=np.float64)

        def map_evidence(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return self.logits(inputs), maps

    pictures = np.random.default_rng(5).normal(size=(500, 3, 20, 20)).astype(np.float32)
    assert 0.155 < run_deletion_test(Guessing(), pictures).reliable.mean() < 0.245


def test_the_hottest_fifth_is_hotter_than_the_rest() -> None:
    heat = np.arange(25.0).reshape(5, 5)
    mask = hottest_mask(heat, side=50)
    assert mask.sum() == 500
    assert mask[-5:].all()
    assert not mask[:30].any()


def test_no_share_is_lost_between_grids() -> None:
    random = np.random.default_rng(3)
    maps = [random.normal(size=(2, 3, 3)), random.normal(size=(2, 5, 4))]
    together = average_maps(maps, np.array([0.3, 0.7]))
    assert together.shape == (2, 5, 4)
    sums = 0.3 * maps[0].sum(axis=(1, 2)) + 0.7 * maps[1].sum(axis=(1, 2))
    assert np.allclose(together.sum(axis=(1, 2)), sums)
    assert np.allclose(cell_overlaps(3, 5).sum(axis=0), 1)


class Blind:
    """A stand-in whose logit never changes: nothing that is deleted matters to it."""

    def logits(self, inputs: np.ndarray) -> np.ndarray:
        return np.zeros(len(inputs))

    def map_evidence(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(len(inputs)), np.random.default_rng(0).normal(size=(len(inputs), 5, 5))


def test_a_map_of_what_changes_nothing_is_not_reliable() -> None:
    assert not run_deletion_test(Blind(), SPOTS).reliable.any()
