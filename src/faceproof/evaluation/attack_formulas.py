"""Error rates that report the worst generator: worst APCER, ACER, and BPCER at a fixed APCER.

ISO/IEC 30107-3 reports the APCER of each attack instrument and compares systems by the highest
one. Here a generator is the instrument. Functions as in `faceproof.evaluation.formulas`: of
a `ScoreCounts` of B weightings and two thresholds to B values. A `ScoreCounts` without generators
has all fakes as one generator.

The highest of several measured rates is biased upwards, the more so the smaller the generators
are: `faceproof.evaluation.sample_size` flags those.
"""

from __future__ import annotations

import numpy as np

from faceproof.evaluation.formulas import (
    HALF,
    Floats,
    GeneratorCounts,
    ScoreCounts,
    Thresholds,
    bpcer,
)

_ROUNDING = 1e-12


def worst_apcer(counts: ScoreCounts, at: Thresholds = HALF) -> Floats:
    """Return the highest share of fakes called real of any generator, float64 [B] in [0, 1].

    Source: ISO/IEC 30107-3 in spirit (APCER of the worst attack instrument).
    """
    rates = [_apcer(one, at.real_below) for one in _generators(counts)]
    return np.asarray(np.max(rates, axis=0))


def acer(counts: ScoreCounts, at: Thresholds = HALF) -> Floats:
    """Return the mean of BPCER and the worst generator's APCER, float64 [B] in [0, 1].

    A face called unsure counts in neither rate, so a wide band of unsure lowers it: read it with
    the unsure rate. ISO/IEC 30107-3 reports the two rates apart.

    Source: average classification error rate, Boulkenafet et al. 2017, IEEE FG (OULU-NPU).
    """
    return np.asarray((worst_apcer(counts, at) + bpcer(counts, at)) / 2)


def bpcer10(counts: ScoreCounts, _: Thresholds = HALF) -> Floats:
    """Return the BPCER at the threshold where no generator's APCER exceeds 10 %, float64 [B]."""
    return _bpcer_at_apcer(counts, 1 / 10)


def bpcer20(counts: ScoreCounts, _: Thresholds = HALF) -> Floats:
    """Return the BPCER at the threshold where no generator's APCER exceeds 5 %, float64 [B]."""
    return _bpcer_at_apcer(counts, 1 / 20)


def bpcer100(counts: ScoreCounts, _: Thresholds = HALF) -> Floats:
    """Return the BPCER at the threshold where no generator's APCER exceeds 1 %, float64 [B]."""
    return _bpcer_at_apcer(counts, 1 / 100)


def _bpcer_at_apcer(counts: ScoreCounts, limit: float) -> Floats:
    """Return the share of real faces at or above the highest threshold that keeps the limit.

    One threshold divides real from fake here, so nothing is unsure.

    Source: ISO/IEC 30107-3 (BPCER at a fixed APCER, as in BPCER20).
    """
    highest = np.min([_highest_threshold(one, limit) for one in _generators(counts)], axis=0)
    above = len(counts.scores) - np.searchsorted(counts.scores, highest, side="left")
    return np.take_along_axis(counts.real_above, above[:, None], axis=1)[:, 0] / counts.reals


def _highest_threshold(generator: GeneratorCounts, limit: float) -> Floats:
    """Return the highest threshold with at most ``limit`` of the fakes below it, float64 [B].

    It is the score of the first face that may not be missed; infinite without any weight.
    """
    below = np.cumsum(generator.fake, axis=1)
    limits = (limit + _ROUNDING) * below[:, -1]
    pairs = zip(below, limits, strict=True)
    first = [np.searchsorted(row, most, side="right") for row, most in pairs]
    return np.asarray(np.append(generator.scores, np.inf)[first])


def _apcer(generator: GeneratorCounts, threshold: float) -> Floats:
    """Return the share of a generator's fakes below the threshold, float64 [B]; 0 without any."""
    whole = generator.fake.sum(axis=1)
    cut = np.searchsorted(generator.scores, threshold, side="left")
    missed = generator.fake[:, :cut].sum(axis=1)
    return np.asarray(np.divide(missed, whole, out=np.zeros_like(whole), where=whole > 0))


def _generators(counts: ScoreCounts) -> tuple[GeneratorCounts, ...]:
    return counts.by_generator or (GeneratorCounts(counts.scores, counts.fake),)
