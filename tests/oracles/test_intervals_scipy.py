"""Wilson's and Clopper and Pearson's intervals against scipy's."""

import pytest

from faceproof.evaluation.intervals import clopper_pearson_upper, wilson

pytestmark = pytest.mark.train

CASES = [(0, 1), (1, 1), (0, 50), (1, 50), (25, 50), (50, 50), (3, 2000), (1999, 2000), (40, 9000)]


@pytest.mark.parametrize(("count", "n"), CASES)
def test_wilson_agrees_with_scipy(count, n):
    from scipy.stats import binomtest

    theirs = binomtest(count, n).proportion_ci(0.95, method="wilson")
    assert wilson(count, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize(("count", "n"), CASES)
def test_the_exact_bound_agrees_with_scipy(count, n):
    from scipy.stats import binomtest

    theirs = binomtest(count, n, alternative="less").proportion_ci(0.95, method="exact")
    assert clopper_pearson_upper(count, n) == pytest.approx(theirs.high, abs=1e-10)
