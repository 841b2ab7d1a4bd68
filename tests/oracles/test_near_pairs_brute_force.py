"""Near pairs against a comparison of each hash with each other one."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceproof.data import duplicates, hamming
from faceproof.data.duplicates import (
    MOST_ALIKE,
    merge_clusters,
    merge_near_clusters,
    near_pairs,
    near_pairs_between,
)

UNHURRIED = settings(deadline=None, max_examples=60)  # a busy machine is no fault of a search


def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return int [N, M]: in how many bits each of one differs from each of the other."""
    return np.bitwise_count(first[:, None] ^ second[None]).sum(axis=2, dtype=np.int64)


def brute(hashes: np.ndarray, distance: int) -> list[list[int]]:
    near = np.triu(distances(hashes, hashes) <= distance, k=1)
    return np.argwhere(near).tolist()


def flip_bits(rng: np.random.Generator, hashes: np.ndarray, flips: int) -> np.ndarray:
    """Return the hashes with ``flips`` different bits of each turned over."""
    bits = np.unpackbits(hashes, axis=1)
    for row in bits:
        row[rng.choice(bits.shape[1], flips, replace=False)] ^= 1
    return np.packbits(bits, axis=1)


@pytest.fixture(params=["few", "many"])
def bands(request, monkeypatch):
    """Search as for a few strings, each with each, and as for many."""
    if request.param == "many":
        monkeypatch.setattr(hamming, "_STEP", 0)


@pytest.mark.usefixtures("bands")
@pytest.mark.parametrize("distance", [0, 1, 8, 31, 32, 47, 90, 128, 255, 256, 300])
def test_any_distance(distance):
    """Copies at every number of turned bits, the borders of the distance among them."""
    rng = np.random.default_rng(distance)
    kinds = rng.integers(0, 256, (12, 32), np.uint8)
    flips = {0, 1, 2, 15, 16, 30, 31, 32, 33, max(distance - 1, 0), distance, distance + 1}
    copies = [flip_bits(rng, kinds, many) for many in sorted(flips) if many <= 256]
    hashes = rng.permutation(np.concatenate([kinds, *copies]))
    found = near_pairs(hashes, distance=distance)
    assert found.dtype == np.int64
    assert found.tolist() == brute(hashes, distance)


@pytest.mark.usefixtures("bands")
@pytest.mark.parametrize("width", [1, 3, 8, 9, 32])
def test_any_width(width):
    rng = np.random.default_rng(width)
    hashes = rng.integers(0, 256, (120, width), np.uint8)
    for distance in (0, 1, 4 * width // 2, 8 * width):
        assert near_pairs(hashes, distance=distance).tolist() == brute(hashes, distance)


def test_a_thousand_skewed_hashes(monkeypatch):
    """Aligned portraits share most low frequencies: some keys are crowded."""
    rng = np.random.default_rng(5)
    bits = rng.random((1000, 256)) < np.linspace(0.02, 0.6, 256)
    hashes = np.packbits(bits, axis=1)
    pairs = brute(hashes, 70)
    assert len(pairs) > 100
    used = hamming.BandPlan(bands=36, width=7, radius=1)
    monkeypatch.setattr(hamming, "choose_plan", lambda *_, **__: used)
    assert near_pairs(hashes, distance=70).tolist() == pairs


@pytest.mark.parametrize("radius", [0, 1, 2])
def test_every_plan_finds_all(radius, monkeypatch):
    """A radius of 2 pays from a million hashes on only."""
    used = hamming.BandPlan(bands=31 // (radius + 1) + 1, width=8, radius=radius)
    monkeypatch.setattr(hamming, "choose_plan", lambda *_, **__: used)
    rng = np.random.default_rng(radius)
    kinds = rng.integers(0, 256, (40, 32), np.uint8)
    hashes = np.concatenate([kinds, *(flip_bits(rng, kinds, many) for many in (15, 31, 32))])
    assert near_pairs(hashes, distance=31).tolist() == brute(hashes, 31)


@pytest.mark.parametrize("count", [10, 1000, 10_000, 100_000, 1_000_000, 10_000_000])
@pytest.mark.parametrize("distance", [0, 3, 31, 47, 128])
def test_a_plan_misses_nothing(count, distance):
    """The pigeonhole principle: differences in all bands beyond the radius would be too many."""
    used = hamming.choose_plan(count, bits=256, distance=distance)
    assert used.bands * (used.radius + 1) > distance or used.radius >= used.width
    assert 1 <= used.bands * used.width <= 256


def test_chunks_do_not_show(monkeypatch):
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 4, (150, 4), np.uint8)
    expected = near_pairs(hashes, distance=4).tolist()
    monkeypatch.setattr(hamming, "_CANDIDATES", 7)
    assert near_pairs(hashes, distance=4).tolist() == expected == brute(hashes, 4)


rows = st.lists(st.binary(min_size=2, max_size=2), max_size=30)
alike = st.lists(st.sampled_from([b"\0\0", b"\0\1", b"\0\3", b"\xff\xff"]), max_size=30)


def array(values: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(values), np.uint8).reshape(-1, 2)


@UNHURRIED
@given(rows | alike, st.integers(0, 16), st.sampled_from([0, 2000]))
def test_any_hashes(values, distance, step):
    hashes = array(values)
    assert len(values) <= MOST_ALIKE
    with mock.patch.object(hamming, "_STEP", step):
        assert near_pairs(hashes, distance=distance).tolist() == brute(hashes, distance)


@UNHURRIED
@given(rows | alike, rows | alike, st.integers(0, 16), st.sampled_from([0, 2000]))
def test_any_two_sets(first, second, distance, step):
    one, other = array(first), array(second)
    expected = np.argwhere(distances(one, other) <= distance).tolist()
    with mock.patch.object(hamming, "_STEP", step):
        assert near_pairs_between(one, other, distance=distance).tolist() == expected


@UNHURRIED
@given(rows | alike, st.integers(0, 16), st.integers(0, 2**32 - 1), st.sampled_from([0, 2000]))
def test_clusters_are_those_of_the_pairs(values, distance, seed, step):
    hashes = array(values)
    count = len(values)
    own = np.random.default_rng(seed).integers(0, max(count, 1), (count // 8, 2))
    roots = merge_clusters(np.arange(count), own)
    expected = merge_clusters(roots, np.array(brute(hashes, distance), np.int64).reshape(-1, 2))
    with mock.patch.object(hamming, "_STEP", step):
        assert merge_near_clusters(hashes, roots, distance=distance).tolist() == expected.tolist()


@pytest.mark.usefixtures("bands")
@pytest.mark.parametrize("noise", [0.02, 0.07, 0.085, 0.1, 0.2])
def test_clusters_of_a_crowd(noise, monkeypatch):
    """Frames of two scenes, near one another or only just, or not at all."""
    monkeypatch.setattr(duplicates, "_PENDING", 50)
    rng = np.random.default_rng(3)
    scenes = rng.integers(0, 256, (2, 32), np.uint8)[rng.integers(0, 2, 400)]
    hashes = scenes ^ np.packbits(rng.random((400, 256)) < noise, axis=1)
    expected = merge_clusters(np.arange(400), np.array(brute(hashes, 31), np.int64).reshape(-1, 2))
    found = merge_near_clusters(hashes, np.arange(400), distance=31)
    assert found.tolist() == expected.tolist()


def test_twenty_thousand_frames_of_one_scene_take_no_square_of_comparisons(monkeypatch):
    """All pairs would be 2e8."""
    compared = []
    verified = hamming.verify_pairs

    def counting(i, j, *rest):
        compared.append(len(i))
        return verified(i, j, *rest)

    monkeypatch.setattr(hamming, "verify_pairs", counting)
    rng = np.random.default_rng(4)
    scene = rng.integers(0, 256, (1, 32), np.uint8)
    hashes = scene ^ np.packbits(rng.random((20_000, 256)) < 0.02, axis=1)
    assert set(merge_near_clusters(hashes, np.arange(20_000), distance=31).tolist()) == {0}
    assert sum(compared) < 1e6
