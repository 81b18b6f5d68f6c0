"""Latency shifts, quantiles and the sequential guardrail."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from becas_ft.evidence.latency import (
    hodges_lehmann,
    log_ratio,
    over_budget_log_e,
    quantile_interval,
    slower_log_e,
)

DEPRESSION_BEFORE = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
DEPRESSION_AFTER = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])
CONOVER = [189, 233, 195, 160, 212, 176, 231, 185, 199, 213, 202, 193, 174, 166, 248]


def test_hollander_wolfe_depression_data() -> None:
    """Hollander and Wolfe's depression data: V=40, estimate .46, 95 % interval (.010, .786)."""
    differences = DEPRESSION_BEFORE - DEPRESSION_AFTER
    interval = hodges_lehmann(differences)
    signed_rank = stats.wilcoxon(differences, alternative="greater", method="exact")

    assert signed_rank.statistic == 40
    assert signed_rank.pvalue == pytest.approx(0.01953125)
    assert (interval.estimate, interval.lower, interval.upper) == pytest.approx((0.46, 0.010, 0.786), abs=1e-9)


@pytest.mark.parametrize("count", [1, 2, 7, 40, 301])
def test_hodges_lehmann_by_listing_all_averages(count: int) -> None:
    """Estimate and limits are the ones found by listing every average of two differences."""
    values = np.random.default_rng(count).standard_t(3, size=count)
    averages = [(a + b) / 2 for a, b in itertools.combinations_with_replacement(values, 2)]
    interval = hodges_lehmann(values)

    assert interval.estimate == pytest.approx(np.median(averages), abs=1e-12)
    if math.isfinite(interval.lower):
        assert min(abs(interval.lower - average) for average in averages) < 1e-12
        below = np.sum(np.array(averages) < interval.lower - 1e-12)
        above = np.sum(np.array(averages) > interval.upper + 1e-12)
        assert below == above


def test_hodges_lehmann_interval_covers() -> None:
    """Of 95 % intervals over skewed paired ratios, 93 to 98 % hold the shift; five values are too few for any."""
    random = np.random.default_rng(26)
    covered = 0
    for _ in range(400):
        interval = hodges_lehmann(0.2 + random.laplace(size=40))
        covered += interval.lower <= 0.2 <= interval.upper

    assert 0.93 <= covered / 400 <= 0.98
    assert hodges_lehmann([1, 2, 3, 4, 5]).lower == -math.inf


def test_ratio_of_paired_latencies() -> None:
    """A candidate that takes 20 % longer on each request has a ratio of 1.2 whatever the requests are like."""
    base = np.random.default_rng(27).lognormal(5, 2, size=500)

    assert log_ratio(base, 1.2 * base).estimate == pytest.approx(1.2)


@pytest.mark.parametrize("quantile", [0.25, 0.5, 0.75])
def test_quantile_interval_of_conover_data(quantile: float) -> None:
    """Scipy stats/tests/test_stats.py, Conover's scores: p .0346 for 193 at .75, and scipy's limits."""
    result = stats.quantile_test(CONOVER, q=193, p=0.75)
    expected: Any = stats.quantile_test(CONOVER, p=quantile).confidence_interval(confidence_level=0.95)
    interval = quantile_interval(CONOVER, quantile)

    assert result.pvalue == pytest.approx(0.0346, abs=5e-5)
    assert (interval.lower, interval.upper) == (expected.low, expected.high)


def test_quantile_beyond_the_sample_is_unbounded() -> None:
    """Fifteen values cannot bound their 95th percentile from above, and none bound nothing."""
    assert quantile_interval(CONOVER, 0.95).upper == math.inf
    assert quantile_interval([], 0.5).lower == -math.inf


def test_slow_candidate_is_found() -> None:
    """A candidate 30 % slower breaks a margin of 10 %; one 5 % slower does not."""
    base = np.random.default_rng(28).lognormal(5, 1, size=200)

    assert slower_log_e(base, 1.3 * base, margin=0.1) > math.log(1e4)
    assert slower_log_e(base, 1.05 * base, margin=0.1) < 0


def test_latency_alarm_keeps_its_error_rate() -> None:
    """A candidate as often slower as faster, looked at after every request, is accused in at most 5 % of streams."""
    random = np.random.default_rng(29)
    accused = 0
    for _ in range(200):
        base, candidate = random.lognormal(5, 1, size=(2, 150))
        accused += any(slower_log_e(base[:n], candidate[:n], margin=0) >= math.log(20) for n in range(1, 151))

    assert stats.binomtest(accused, 200, 0.05, alternative="greater").pvalue > 0.01


def test_budget_of_the_95th_percentile() -> None:
    """15 % of answers over the budget break a p95 promise; 4 % do not."""
    over = np.array([900] * 45 + [100] * 255)
    under = np.array([900] * 12 + [100] * 288)

    assert over_budget_log_e(over, 500) > math.log(1e4)
    assert over_budget_log_e(under, 500) < 0


def test_no_latencies_say_nothing() -> None:
    """Without requests there is neither shift nor evidence."""
    assert math.isnan(hodges_lehmann([]).estimate)
    assert slower_log_e([], []) == 0.0
