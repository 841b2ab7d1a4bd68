"""The calibration error against netcal, the bins against scikit-learn; left out without netcal."""

import warnings

import numpy as np
import pytest

pytest.importorskip("torch")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # netcal 1.4 has invalid escapes in its docstrings
    pytest.importorskip("netcal")
    from netcal.metrics import ECE

from faceproof.evaluation.formulas import ECE_BINS, reliability
from faceproof.evaluation.metrics import METRICS

pytestmark = pytest.mark.train


def drawn(seed, n):
    """Return labels and probabilities that are too sure of themselves."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=n) * 2
    return rng.uniform(size=n) < 1 / (1 + np.exp(-logits / 2)), 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n", [15 * 20, 15 * 200])
def test_ece_with_bins_of_equal_mass(seed, n):
    fake, odds = drawn(seed, n)
    theirs = ECE(bins=ECE_BINS, equal_intervals=False).measure(odds, fake.astype(int))
    assert METRICS["ece"](fake, odds) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_reliability_has_the_bins_of_scikit_learn(seed):
    """netcal returns no single bins."""
    from sklearn.calibration import calibration_curve

    fake, odds = drawn(seed, 15 * 100)
    shares, means = calibration_curve(fake, odds, n_bins=ECE_BINS, strategy="quantile")
    ours = reliability(fake, odds)
    assert ours.share_fake == pytest.approx(shares)
    assert ours.mean_probability == pytest.approx(means)


def test_few_faces_and_ties_keep_close_to_netcal():
    rng = np.random.default_rng(3)
    odds = rng.integers(0, 101, size=2000) / 100
    fake = rng.uniform(size=2000) < odds**2
    theirs = ECE(bins=ECE_BINS, equal_intervals=False).measure(odds, fake.astype(int))
    # Ties are put on one side of a bin's end by both, but not on the same one.
    assert METRICS["ece"](fake, odds) == pytest.approx(theirs, abs=0.005)
