"""A mean over faces with its interval, when faces come in groups."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from faceproof.evaluation.bootstrap import RESAMPLES, resamples
from faceproof.evaluation.intervals import CONFIDENCE, Interval


def mean_interval(
    values: ArrayLike, fake: ArrayLike, groups: ArrayLike, *, seed: int = 0
) -> Interval:
    """Return the normal interval of the mean of ``values`` [N], from resampled groups.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13; clusters
    after Field and Welsh 2007, JRSS B 69:369.
    """
    numbers = np.asarray(values, np.float64)
    drawn = [
        (weights @ numbers) / weights.sum(axis=1)
        for weights in resamples(fake, groups, number=RESAMPLES, seed=seed)
    ]
    half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * float(np.concatenate(drawn).std(ddof=1))
    mean = float(numbers.mean())
    return Interval(mean - half, mean + half)
