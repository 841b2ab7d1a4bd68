"""Perceptual hashes, near pairs and clusters, against pictures and against brute force."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from faceproof.data.duplicates import clusters, near_pairs, perceptual_hash
from faceproof.imaging.degradations import jpeg, resize, tone

UNHURRIED = settings(deadline=None, max_examples=60)  # a busy machine is no fault of a hash


def bits(one: int, other: int) -> int:
    return (one ^ other).bit_count()


class TestHash:
    def test_a_worn_picture_keeps_its_hash(self):
        picture = data.astronaut()[:256, 100:356]
        kept = perceptual_hash(picture)
        for worn in (jpeg(picture, 40), resize(picture, 0.5), tone(picture, gain=0.7)):
            assert bits(kept, perceptual_hash(worn)) <= 4

    def test_other_pictures_differ_in_many_bits(self):
        pictures = (data.astronaut(), data.coffee(), data.chelsea(), data.rocket())
        hashes = [perceptual_hash(picture) for picture in pictures]
        assert all(bits(a, b) > 12 for i, a in enumerate(hashes) for b in hashes[:i])

    def test_a_mirrored_picture_is_another_one(self):
        picture = data.astronaut()
        mirrored = np.ascontiguousarray(picture[:, ::-1])
        assert bits(perceptual_hash(picture), perceptual_hash(mirrored)) > 12

    def test_it_is_frozen(self):
        """Groups, and so splits, hang on it."""
        y, x = np.indices((64, 64))
        waves = ((3 * y * y + 7 * x * x + x * y) // 40 % 256).astype(np.uint8)
        found = perceptual_hash(np.repeat(waves[..., None], 3, axis=2))
        assert bits(found, 0x8E0C1DF106F883FE) <= 1, "a rounding of the cosine transform at most"

    def test_any_size_has_a_hash_of_64_bits(self):
        for height, width in ((1, 1), (1, 50), (7, 3), (300, 200)):
            picture = np.full((height, width, 3), 99, np.uint8)
            assert perceptual_hash(picture).bit_length() <= 64

    def test_about_half_of_the_bits_are_set(self):
        assert perceptual_hash(data.astronaut()).bit_count() == 32

    def test_it_is_the_formula(self):
        """The 8 x 8 lowest frequencies against their median, most significant bit first."""
        picture = data.chelsea()
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(float)
        k, n = np.arange(32)[:, None], np.arange(32)[None]
        basis = np.cos(np.pi * k * (2 * n + 1) / 64) * np.sqrt(np.where(k == 0, 1, 2) / 32)
        low = (basis @ small @ basis.T)[:8, :8].ravel()
        text = "".join("1" if value else "0" for value in low > np.median(low))
        assert bits(perceptual_hash(picture), int(text, 2)) == 0


hashes = st.lists(
    st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 31)), max_size=30
)  # small numbers lie near one another


@UNHURRIED
@given(hashes, st.integers(0, 64))
def test_near_pairs_are_all_pairs_within_the_distance(values, distance):
    expected = [
        (i, j)
        for i in range(len(values))
        for j in range(i + 1, len(values))
        if bits(values[i], values[j]) <= distance
    ]
    assert list(near_pairs(np.array(values, np.uint64), distance=distance)) == expected


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
    assert clusters(count, iter(pairs)) == [int(np.argmax(row)) for row in reached]


def test_no_item_has_no_cluster():
    assert clusters(0, iter(())) == []
    assert list(near_pairs(np.array([], np.uint64), distance=4)) == []
