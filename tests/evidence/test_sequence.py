"""Confidence sequences give the published intervals and cover at all looks together."""

import math

import numpy as np
import pytest
from scipy import stats

from becas_ft.evidence.eprocess import intrinsic_time_scale, log_e_values, mixture_of_variance
from becas_ft.evidence.sequence import (
    accuracy_difference_interval,
    asymptotic_half_width,
    asymptotic_scale,
    normal_mixture_bound,
    normal_mixture_log_e,
    tuned_normal_scale,
    win_rate_interval,
)


def test_confseq_best_rho() -> None:
    """Confseq test/uniform_boundaries_unittest.cpp: best_rho(100, .05)."""
    assert intrinsic_time_scale(100, 0.05) == pytest.approx(12.60056, abs=1e-5)


@pytest.mark.parametrize(("one_sided", "log_e"), [(False, -0.6510052), (True, -0.06502391)])
def test_confseq_normal_log_mixture(*, one_sided: bool, log_e: float) -> None:
    """Confseq test/uniform_boundaries_unittest.cpp: normal mixtures at s=10, v=100."""
    rho = tuned_normal_scale(100, 0.05, one_sided=one_sided)

    assert normal_mixture_log_e(10, 100, rho, one_sided=one_sided) == pytest.approx(log_e, abs=1e-5)


@pytest.mark.parametrize(("one_sided", "bound"), [(False, 30.35209), (True, 27.66071)])
def test_confseq_normal_bound(*, one_sided: bool, bound: float) -> None:
    """Confseq test/uniform_boundaries_unittest.cpp: bounds of the normal mixtures at v=100."""
    rho = tuned_normal_scale(100, 0.05, one_sided=one_sided)

    assert normal_mixture_bound(100, 0.05, rho, one_sided=one_sided) == pytest.approx(bound, abs=1e-5)


@pytest.mark.parametrize(
    ("wins", "decisive", "horizon", "lower", "upper"),
    [
        (700, 1000, 100, 0.651629, 0.745949),
        (15, 50, 50, 0.129556, 0.511896),
        (5, 50, 50, 0.013021, 0.269264),
        (1, 50, 50, 0.0, 0.13489),
        (1, 2, 50, 0.0, 1.0),
        (100, 200, 1, 0.328923, 0.671076),
    ],
)
def test_confseq_bernoulli_confidence_interval(
    wins: int, decisive: int, horizon: float, lower: float, upper: float
) -> None:
    """Confseq test/uniform_boundaries_unittest.cpp: bernoulli_confidence_interval, alpha .05."""
    interval = win_rate_interval(wins, decisive, alpha=0.05, horizon=horizon)

    assert (interval.lower, interval.upper) == pytest.approx((lower, upper), abs=1e-5)
    assert interval.estimate == wins / decisive


def test_win_rate_edges() -> None:
    """Nothing seen says nothing, and all wins or none touch the end of the scale."""
    nothing = win_rate_interval(0, 0)
    all_won, none_won = win_rate_interval(30, 30), win_rate_interval(0, 30)

    assert math.isnan(nothing.estimate)
    assert (nothing.lower, nothing.upper) == (0.0, 1.0)
    assert all_won.upper == 1.0
    assert 0.7 < all_won.lower < 0.9
    assert none_won.lower == 0.0
    assert none_won.upper == pytest.approx(1 - all_won.lower, abs=1e-9)


def test_tensorzero_asymptotic_confidence_sequence() -> None:
    """Tensorzero experimentation/asymptotic_confidence_sequences.rs: mean .5, variance .25, n 100, alpha .05."""
    assert asymptotic_scale(0.05, 100) == pytest.approx(0.296341, abs=1e-6)
    assert asymptotic_half_width(0.25, 100, alpha=0.05) == pytest.approx(0.161333, abs=1e-6)


def test_growthbook_sequential_proportions() -> None:
    """Growthbook stats/gbstats/frequentist/tests.py: relative uplift of 2422/3461 over 1396/3000, N* = 5000."""
    control, treated, control_size, treated_size = 1396 / 3000, 2422 / 3461, 3000, 3461
    error = math.sqrt(
        treated * (1 - treated) / (control**2 * treated_size)
        + control * (1 - control) * treated**2 / (control**4 * control_size)
    )
    doubled = -2 * math.log(0.05)
    pairs = control_size + treated_size
    uplift = treated / control - 1

    half = (
        error
        * math.sqrt(pairs)
        * asymptotic_half_width(1.0, pairs, rho=math.sqrt((doubled + math.log1p(doubled)) / 5000))
    )

    assert error == pytest.approx(0.03386, abs=1e-5)
    assert (uplift - half, uplift + half) == pytest.approx((0.40098, 0.60675), abs=1e-5)


def test_asymptotic_without_values_is_unbounded() -> None:
    """No values, no bound."""
    assert asymptotic_half_width(1.0, 0) == math.inf


def test_win_rate_sequence_covers_at_every_look() -> None:
    """The true rate is ever outside in at most 5 % of streams looked at after each outcome."""
    random = np.random.default_rng(21)
    for rate in (0.5, 0.714, 0.95):
        wins = np.cumsum(random.random((1000, 500)) < rate, axis=1)
        mixture = mixture_of_variance(100 * rate * (1 - rate), 0.05, rate, one_sided=False)
        log_e = log_e_values(wins, np.arange(1, 501) - wins, null=rate, mixture=mixture, one_sided=False)
        missed = int(np.any(log_e > math.log(20), axis=1).sum())

        assert stats.binomtest(missed, 1000, 0.05, alternative="greater").pvalue > 0.01


def test_difference_sequence_covers_at_every_look() -> None:
    """The true accuracy difference is ever outside in at most 5 % of trials, with many ties, at 20 looks each."""
    random = np.random.default_rng(22)
    missed = 0
    for _ in range(150):
        outcomes = random.choice([1, -1, 0], p=[0.05, 0.02, 0.93], size=2000)
        for look in range(100, 2001, 100):
            seen = outcomes[:look]
            interval = accuracy_difference_interval(
                int((seen > 0).sum()), int((seen < 0).sum()), int((seen == 0).sum())
            )
            if not interval.lower <= 0.03 <= interval.upper:
                missed += 1
                break

    assert stats.binomtest(missed, 150, 0.05, alternative="greater").pvalue > 0.01


def test_difference_narrows_and_mirrors() -> None:
    """More pairs of the same kind narrow the interval, and exchanging the models mirrors it."""
    few, many = accuracy_difference_interval(5, 2, 93), accuracy_difference_interval(50, 20, 930)
    mirrored = accuracy_difference_interval(20, 50, 930)

    assert few.lower < many.lower < many.estimate == pytest.approx(0.03)
    assert many.estimate < many.upper < few.upper
    assert (mirrored.lower, mirrored.upper) == pytest.approx((-many.upper, -many.lower), abs=1e-9)


def test_difference_of_thousand_pairs_excludes_zero() -> None:
    """90 % against 93 % right with 7 % disagreement: a thousand pairs show a difference above 0 at any look."""
    assert accuracy_difference_interval(50, 20, 930).lower > 0


def test_difference_edges() -> None:
    """Nothing seen says nothing; only wins leave the upper end at 1."""
    nothing = accuracy_difference_interval(0, 0, 0)

    assert (nothing.lower, nothing.upper) == (-1.0, 1.0)
    assert accuracy_difference_interval(40, 0, 0).upper == pytest.approx(1.0)
    assert accuracy_difference_interval(40, 0, 0).lower > 0.5
    with pytest.raises(ValueError, match="must not be negative"):
        accuracy_difference_interval(-1, 0, 5)
    with pytest.raises(ValueError, match="between 0 and the number"):
        win_rate_interval(5, 4)
