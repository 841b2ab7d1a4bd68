"""The closed form of the best similarity in the plane, against Umeyama's with singular values."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from faceproof.imaging.preprocessing import similarity

seeds = st.integers(0, 2**32 - 1)


def umeyama(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the 2 x 3 similarity after equations 38 to 43 of the paper (PAMI 1991)."""
    x, y = source - source.mean(axis=0), target - target.mean(axis=0)
    left, values, right = np.linalg.svd(y.T @ x / len(x))
    signs = np.ones(2)
    if np.linalg.det(left) * np.linalg.det(right) < 0:
        signs[1] = -1
    rotation = left @ np.diag(signs) @ right
    scale = (values * signs).sum() / x.var(axis=0).sum()
    shift = target.mean(axis=0) - scale * rotation @ source.mean(axis=0)
    return np.column_stack([scale * rotation, shift])


@settings(deadline=None, max_examples=60)
@given(seeds, st.integers(2, 12))
def test_any_points(seed, count):
    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(2, count, 2)) * 100
    assert np.allclose(similarity(source, target), umeyama(source, target), atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(
    seeds,
    st.floats(-np.pi, np.pi),
    st.floats(0.01, 100),
    st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)),
)
def test_an_exact_transform_is_found_again(seed, angle, scale, shift):
    source = np.random.default_rng(seed).normal(size=(5, 2)) * 50
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = similarity(source, source @ turn.T + shift)
    assert np.allclose(found, np.column_stack([turn, shift]), atol=1e-6 * max(1.0, scale * 50))


@settings(deadline=None, max_examples=60)
@given(seeds)
def test_no_other_similarity_lies_nearer(seed):
    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(2, 5, 2)) * 30

    def error(matrix: np.ndarray) -> float:
        return float(((np.column_stack([source, np.ones(5)]) @ matrix.T - target) ** 2).sum())

    best = similarity(source, target)
    (a, b), (c, d) = rng.normal(size=(2, 2)) * 1e-2
    assert error(best) <= error(best + np.array([[a, -b, c], [b, a, d]])) + 1e-9
