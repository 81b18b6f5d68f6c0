"""Fixed-sample intervals give the published limits."""

import math

import numpy as np
import pytest
from scipy import stats

from becas_ft.evidence.intervals import newcombe_paired, tango, wilson


def test_statsmodels_wilson() -> None:
    """Statsmodels stats/tests/test_proportion.py: 19 of 38."""
    interval = wilson(19, 38)

    assert (interval.lower, interval.upper) == pytest.approx((0.348499283643951, 0.651500716356049), abs=1e-12)


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (10, 10), (1, 7), (930, 1000)])
def test_wilson_against_scipy(successes: int, trials: int) -> None:
    """The limits are those of scipy's binomtest."""
    expected = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    interval = wilson(successes, trials)

    assert (interval.lower, interval.upper) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_contingencytables_newcombe() -> None:
    """ocbe-uio/contingencytables tests/testthat/test-ch8.R: [[59, 6], [16, 80]] and [[1, 0], [0, 1]]."""
    interval = newcombe_paired(59, 6, 16, 80)
    small = newcombe_paired(1, 0, 0, 1)

    assert (interval.lower, interval.upper) == pytest.approx((-0.1186, -0.0046), abs=5e-5)
    assert interval.estimate == pytest.approx(-0.0621, abs=5e-5)
    assert (small.estimate, small.lower, small.upper) == pytest.approx((0, -0.5734, 0.5734), abs=5e-5)


def test_contingencytables_tango() -> None:
    """ocbe-uio/contingencytables tests/testthat/test-ch8.R: [[59, 6], [16, 80]] and [[0, 3], [0, 0]]."""
    interval = tango(6, 16, 161)
    certain = tango(3, 0, 3)

    assert interval.estimate == pytest.approx(-0.0621, abs=5e-5)
    assert (interval.lower, interval.upper) == pytest.approx((-0.1240, -0.0054), abs=5e-5)
    assert (certain.estimate, certain.lower, certain.upper) == pytest.approx((1, -0.1230, 1), abs=5e-5)


@pytest.mark.parametrize(
    ("first_only", "second_only", "pairs", "estimate", "lower", "upper"),
    [(1, 7, 21, -0.285714, -0.517232, -0.026003), (40, 20, 160, 0.125, 0.030865, 0.218064)],
)
def test_tango_of_statistics_page(
    *, first_only: int, second_only: int, pairs: int, estimate: float, lower: float, upper: float
) -> None:
    """Tango's interval of [[1, 1], [7, 12]] and PropCIs scoreci.mp(40, 20, 160)."""
    interval = tango(first_only, second_only, pairs)

    assert (interval.estimate, interval.lower, interval.upper) == pytest.approx((estimate, lower, upper), abs=2e-6)


@pytest.mark.parametrize(("first_only", "second_only", "pairs"), [(0, 3, 3), (0, 0, 5), (5, 5, 10), (0, 1, 1000)])
def test_tango_edges_are_ordered_and_mirrored(first_only: int, second_only: int, pairs: int) -> None:
    """At the edges the interval holds the estimate, stays in [-1, 1] and mirrors when the models are exchanged."""
    interval, mirrored = tango(first_only, second_only, pairs), tango(second_only, first_only, pairs)

    assert -1 <= interval.lower <= interval.estimate <= interval.upper <= 1
    assert (mirrored.lower, mirrored.upper) == pytest.approx((-interval.upper, -interval.lower), abs=1e-9)


@pytest.mark.parametrize("method", ["newcombe", "tango"])
def test_paired_intervals_cover(method: str) -> None:
    """Over 1,000 samples of 300 pairs, 93 to 97 % of the intervals hold the true difference of 3 points."""
    covered = 0
    for both, wins, losses, neither in np.random.default_rng(25).multinomial(300, [0.85, 0.08, 0.05, 0.02], size=1000):
        interval = newcombe_paired(both, wins, losses, neither) if method == "newcombe" else tango(wins, losses, 300)
        covered += interval.lower <= 0.03 <= interval.upper

    assert 930 <= covered <= 975


def test_nothing_seen_says_nothing() -> None:
    """Without trials the intervals are the whole scale and the estimate is not a number."""
    assert (wilson(0, 0).lower, wilson(0, 0).upper) == (0.0, 1.0)
    for interval in (newcombe_paired(0, 0, 0, 0), tango(0, 0, 0)):
        assert (interval.lower, interval.upper) == (-1.0, 1.0)
        assert math.isnan(interval.estimate)


def test_impossible_counts_are_refused() -> None:
    """Counts that cannot be raise."""
    with pytest.raises(ValueError, match="between 0 and the trials"):
        wilson(3, 2)
    with pytest.raises(ValueError, match="must not be negative"):
        newcombe_paired(1, -1, 0, 0)
    with pytest.raises(ValueError, match="more than all pairs"):
        tango(3, 3, 5)
    with pytest.raises(ValueError, match="confidence"):
        wilson(1, 2, confidence=1)
