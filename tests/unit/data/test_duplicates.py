"""Perceptual hashes on pictures; clusters; what near pairs promise of equal hashes."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from faceproof.data.duplicates import (
    MOST_ALIKE,
    NEAR_BITS,
    hash_array,
    merge_clusters,
    near_pairs,
    near_pairs_between,
    perceptual_hash,
)
from faceproof.errors import ManifestError
from faceproof.imaging.degradations import jpeg, resize, tone

UNHURRIED = settings(deadline=None, max_examples=60)  # a busy machine is no fault of a hash


def bits(one: int, other: int) -> int:
    return (one ^ other).bit_count()


#: Of the waves below.
FROZEN = "19723b56e2540cacf14d06997d7282cc3f39e0e01f8ff07c03e1fe0e02f9fe07"

PICTURES = (data.astronaut, data.coffee, data.chelsea, data.rocket, data.cat)


def differing(one: bytes, other: bytes) -> int:
    return bits(int.from_bytes(one, "big"), int.from_bytes(other, "big"))


class TestHash256:
    @pytest.mark.parametrize(
        "wear",
        [
            lambda picture: jpeg(picture, 40),
            lambda picture: resize(picture, 0.5),
            lambda picture: tone(picture, gain=0.7),
            lambda picture: jpeg(resize(picture, 0.4), 60),
        ],
    )
    def test_a_worn_picture_stays_near(self, wear):
        picture = data.astronaut()[:256, 100:356]
        assert differing(perceptual_hash(picture), perceptual_hash(wear(picture))) <= NEAR_BITS

    def test_other_pictures_are_far(self):
        """Random strings of 256 bits differ in 128, give or take 8."""
        hashes = [perceptual_hash(picture()) for picture in PICTURES[:4]]
        assert all(differing(a, b) > 3 * NEAR_BITS for a, b in combinations(hashes, 2))

    def test_a_mirrored_picture_is_another_one(self):
        picture = data.astronaut()
        mirrored = np.ascontiguousarray(picture[:, ::-1])
        assert differing(perceptual_hash(picture), perceptual_hash(mirrored)) > NEAR_BITS

    def test_it_is_the_formula(self):
        """Frequencies 1 to 16 of 64 against their median, most significant bit first."""
        picture = data.chelsea()
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey, (64, 64), interpolation=cv2.INTER_AREA).astype(float)
        k, n = np.arange(64)[:, None], np.arange(64)[None]
        basis = np.cos(np.pi * k * (2 * n + 1) / 128) * np.sqrt(np.where(k == 0, 1, 2) / 64)
        low = (basis @ small @ basis.T)[1:17, 1:17].ravel()
        text = "".join("1" if value else "0" for value in low > np.median(low))
        assert perceptual_hash(picture) == int(text, 2).to_bytes(32, "big")

    def test_it_is_frozen(self):
        """Manifests on disk hold it."""
        y, x = np.indices((64, 64))
        waves = ((3 * y * y + 7 * x * x + x * y) // 40 % 256).astype(np.uint8)
        found = perceptual_hash(np.repeat(waves[..., None], 3, axis=2))
        assert differing(found, bytes.fromhex(FROZEN)) <= 2, "a rounding of the cosine transform"

    def test_any_size_has_a_hash_of_32_bytes(self):
        for height, width in ((1, 1), (1, 50), (7, 3), (300, 200)):
            assert len(perceptual_hash(np.full((height, width, 3), 99, np.uint8))) == 32

    def test_half_of_the_bits_are_set(self):
        assert int.from_bytes(perceptual_hash(data.astronaut()), "big").bit_count() == 128


class TestHashArray:
    def test_it_is_what_was_written(self):
        hashes = [perceptual_hash(picture()) for picture in PICTURES[:2]]
        found = hash_array(pl.Series("phash", [one.hex() for one in hashes]))
        assert found.dtype == np.uint8
        assert [row.tobytes() for row in found] == hashes

    def test_no_row_is_no_hash(self):
        assert hash_array(pl.Series("phash", [], dtype=pl.String)).shape == (0, 32)

    @pytest.mark.parametrize("wrong", [None, "", "ab", "A" * 64, "0" * 63 + "\n", "0" * 65])
    def test_what_is_no_hash_is_named(self, wrong):
        column = pl.Series("phash", ["0" * 64, wrong], dtype=pl.String)
        with pytest.raises(ManifestError, match="64 hexadecimal digits") as error:
            hash_array(column)
        assert repr(wrong) in str(error.value)


class TestEqualHashes:
    def test_some_are_each_beside_each(self):
        equal = np.zeros((4, 32), np.uint8)
        assert near_pairs(equal, distance=31).tolist() == [
            list(p) for p in combinations(range(4), 2)
        ]

    def test_of_very_many_the_first_stands_beside_each(self):
        """Fifty thousand blank pictures have 1.25e9 pairs."""
        equal = np.zeros((50_000, 32), np.uint8)
        pairs = near_pairs(equal, distance=31)
        assert pairs[:, 0].max() == 0
        assert pairs[:, 1].tolist() == list(range(1, 50_000))

    def test_what_is_near_many_equal_ones_stands_beside_their_first(self):
        many = np.zeros((MOST_ALIKE**2 + 1, 1), np.uint8)
        near = np.array([[1]], np.uint8)
        pairs = near_pairs(np.concatenate([near, many]), distance=1)
        assert [0, 1] in pairs.tolist()
        assert set(pairs.ravel().tolist()) == set(range(len(many) + 1))
        assert len(pairs) == len({tuple(pair) for pair in pairs.tolist()}) < 3 * len(many)

    def test_between_two_sets_every_row_is_in_some_pair(self):
        one, other = np.zeros((3000, 32), np.uint8), np.zeros((2000, 32), np.uint8)
        pairs = near_pairs_between(one, other, distance=0)
        assert set(pairs[:, 0].tolist()) == set(range(3000))
        assert set(pairs[:, 1].tolist()) == set(range(2000))
        assert len(pairs) == 3000 + 2000 - 1


@UNHURRIED
@given(st.integers(1, 25), st.data())
def test_clusters_are_what_can_be_reached(count, draw):
    item = st.integers(0, count - 1)
    pairs = draw.draw(st.lists(st.tuples(item, item), max_size=30))
    reached = np.eye(count, dtype=bool)
    for i, j in pairs:
        reached[i, j] = reached[j, i] = True
    for middle in range(count):
        reached |= np.outer(reached[:, middle], reached[middle])
    expected = [int(np.argmax(row)) for row in reached]
    links = np.array(pairs, np.int64).reshape(-1, 2)
    assert merge_clusters(np.arange(count), links).tolist() == expected


def test_a_long_chain_is_one_cluster():
    links = np.stack([np.arange(50_000), np.arange(1, 50_001)], axis=1)
    links = np.random.default_rng(0).permutation(links)
    assert merge_clusters(np.arange(50_001), links).tolist() == [0] * 50_001


def test_no_item_has_no_cluster():
    assert merge_clusters(np.arange(0), np.empty((0, 2), np.int64)).tolist() == []
    assert near_pairs(np.empty((0, 32), np.uint8), distance=4).shape == (0, 2)
    nothing = np.empty((0, 32), np.uint8)
    assert near_pairs_between(nothing, np.zeros((2, 32), np.uint8), distance=4).shape == (0, 2)
    assert near_pairs_between(np.zeros((2, 32), np.uint8), nothing, distance=4).shape == (0, 2)
