"""The e-process gives the published numbers and keeps its promises at the edges."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from becas_ft.evidence.eprocess import (
    EVEN,
    STRICT,
    UNIFORM,
    Mixture,
    fewest_wins,
    further_decisive,
    futility_log_e,
    log_e_value,
    log_e_values,
    mixture_of_variance,
    p_value,
    tuned,
)


@pytest.mark.parametrize(
    ("wins", "losses", "uniform", "tuned_to_100"),
    [
        (65, 35, 3.130804, 3.653127),
        (60, 40, 0.578891, 1.390121),
        (55, 45, -1.069443, -0.097418),
        (20, 5, 3.881985, 3.156057),
    ],
)
def test_log_e_of_statistics_page(wins: int, losses: int, uniform: float, tuned_to_100: float) -> None:
    """Uniform and tuned mixtures give the values that two code paths agreed on."""
    assert log_e_value(wins, losses) == pytest.approx(uniform, abs=1e-5)
    assert log_e_value(wins, losses, mixture=tuned(100)) == pytest.approx(tuned_to_100, abs=1e-5)


@pytest.mark.parametrize(("wins", "losses", "e_value"), [(80, 20, 64.2327), (65, 35, 0.1639)])
def test_strict_e_value_of_statistics_page(wins: int, losses: int, e_value: float) -> None:
    """Against a true win rate of 65 %, 80 of 100 is evidence and 65 of 100 is none."""
    assert math.exp(log_e_value(wins, losses, null=STRICT)) == pytest.approx(e_value, abs=5e-5)


def test_tuned_mixture_of_statistics_page() -> None:
    """Tuning to 100 decisive pairs gives the symmetric beta density of the page."""
    mixture = tuned(100)

    assert (mixture.wins, mixture.losses) == pytest.approx((7.400317, 7.400317), abs=1e-6)


@pytest.mark.parametrize(("one_sided", "log_e"), [(False, -0.6941012), (True, -0.07134019)])
def test_confseq_beta_binomial_log_mixture(*, one_sided: bool, log_e: float) -> None:
    """Confseq test/uniform_boundaries_unittest.cpp: g=.2, h=.8, v_opt=100, alpha_opt=.05 at s=10, v=100."""
    mixture = mixture_of_variance(100, 0.05, 0.2, one_sided=one_sided)
    trials = 100 / (0.2 * 0.8)
    wins = 10 + 0.2 * trials

    actual = log_e_value(wins, trials - wins, null=0.2, mixture=mixture, one_sided=one_sided)

    assert actual == pytest.approx(log_e, abs=1e-5)


@pytest.mark.parametrize(("one_sided", "bound"), [(False, 31.4308), (True, 28.41238)])
def test_confseq_beta_binomial_bound(*, one_sided: bool, bound: float) -> None:
    """Confseq test/uniform_boundaries_unittest.cpp: at the published bound the mixture stands at 1/alpha."""
    mixture = mixture_of_variance(100, 0.05, 0.2, one_sided=one_sided)
    trials = 100 / (0.2 * 0.8)
    wins = bound + 0.2 * trials

    actual = log_e_value(wins, trials - wins, null=0.2, mixture=mixture, one_sided=one_sided)

    assert actual == pytest.approx(math.log(20), abs=1e-4)


@pytest.mark.parametrize(
    ("decisive", "for_20", "for_100"),
    [
        (20, 16, 18),
        (35, 26, 28),
        (50, 36, 37),
        (100, 65, 68),
        (150, 94, 97),
        (200, 122, 126),
        (300, 178, 182),
        (500, 286, 292),
        (1000, 553, 560),
    ],
)
def test_fewest_wins_of_statistics_page(decisive: int, for_20: int, for_100: int) -> None:
    """The table of wins that are enough for e-values of 20 and 100 holds."""
    assert fewest_wins(decisive, 20) == for_20
    assert fewest_wins(decisive, 100) == for_100


def test_seven_pairs_are_the_least() -> None:
    """Six wins in a row give 18.1 and never reach 20; seven give 31.9."""
    assert math.exp(log_e_value(6, 0)) == pytest.approx(18.1, abs=0.05)
    assert math.exp(log_e_value(7, 0)) == pytest.approx(31.9, abs=0.05)
    assert fewest_wins(6, 20) is None
    assert fewest_wins(7, 20) == 7


def test_no_pairs_are_no_evidence() -> None:
    """A test starts at an e-value of exactly 1 and a p-value of 1."""
    assert log_e_value(0, 0) == 0.0
    assert p_value([]) == 1.0
    assert p_value([log_e_value(0, 0)]) == 1.0


def test_p_value_remembers_the_best_look() -> None:
    """The always-valid p-value is 1 over the largest e-value so far, and never above 1."""
    assert p_value([0.0, math.log(25), math.log(2)]) == pytest.approx(0.04)
    assert p_value([-3.0, -1.0]) == 1.0


@given(wins=st.integers(0, 25), losses=st.integers(0, 25), null=st.sampled_from([EVEN, STRICT, 0.05]))
def test_uniform_mixture_is_a_fair_bet(wins: int, losses: int, null: float) -> None:
    """At a win rate of exactly the null, the next pair changes no e-value on average."""
    after = null * math.exp(log_e_value(wins + 1, losses, null=null)) + (1 - null) * math.exp(
        log_e_value(wins, losses + 1, null=null)
    )

    assert after == pytest.approx(math.exp(log_e_value(wins, losses, null=null)), rel=1e-9)


@given(wins=st.integers(0, 25), losses=st.integers(0, 25), rate=st.floats(0.01, 0.5))
def test_equal_or_worse_candidate_cannot_gain(wins: int, losses: int, rate: float) -> None:
    """At any win rate below the null, the next pair lowers the e-value on average."""
    after = rate * math.exp(log_e_value(wins + 1, losses)) + (1 - rate) * math.exp(log_e_value(wins, losses + 1))

    assert after <= math.exp(log_e_value(wins, losses)) * (1 + 1e-9)


@pytest.mark.parametrize(("wins", "losses"), [(0, 300), (3, 50), (40, 60), (9, 1)])
def test_uniform_mixture_against_exact_integral(wins: int, losses: int) -> None:
    """The e-value is the mean likelihood ratio over win rates above one half, in rational arithmetic."""
    total = Fraction(0)
    for power in range(losses + 1):
        exponent = wins + power + 1
        term = Fraction(math.comb(losses, power) * (-1) ** power, exponent)
        total += term * (1 - Fraction(1, 2**exponent))
    exact = total * 2 * 2 ** (wins + losses)

    assert math.exp(log_e_value(wins, losses)) == pytest.approx(float(exact), rel=1e-9)


def test_hopeless_counts_stay_finite() -> None:
    """Thousands of losses underflow no logarithm: without a win the e-value is 1 / (losses + 1) exactly."""
    assert log_e_value(0, 900) == pytest.approx(-math.log(901), abs=1e-9)
    assert log_e_value(0, 50_000) == pytest.approx(-math.log(50_001), abs=1e-6)
    assert np.isfinite(log_e_values([10, 1000, 20_000], [5000, 40_000, 60_000])).all()


def test_tail_joins_smoothly() -> None:
    """Where the series takes over from scipy, consecutive counts still differ by the same small steps."""
    steps = np.diff(log_e_values(20, np.arange(900, 1400)))

    assert np.all(steps < 0)
    assert np.abs(np.diff(steps)).max() < 1e-5


def test_futility_is_the_mirror() -> None:
    """Evidence that the candidate is worse is the evidence with wins and losses exchanged."""
    assert futility_log_e(35, 65) == pytest.approx(3.130804, abs=1e-5)


def test_further_decisive_reaches_the_threshold() -> None:
    """The forecast is the first count at the seen rate that is enough."""
    more = further_decisive(14, 6, 20)

    assert more is not None
    assert log_e_value(14 + more * 0.7, 6 + more * 0.3) >= math.log(20)
    assert log_e_value(14 + (more - 1) * 0.7, 6 + (more - 1) * 0.3) < math.log(20)


def test_further_decisive_without_hope() -> None:
    """No forecast without pairs, at a rate not above the null, or a rate so near to it that it would take for ever."""
    assert further_decisive(0, 0, 20) is None
    assert further_decisive(10, 10, 20) is None
    assert further_decisive(50_001, 50_000, 20) is None
    assert further_decisive(65, 35, 20) == 0


@pytest.mark.parametrize(("wins", "null"), [(-1, EVEN), (1, 0.0), (1, 1.0)])
def test_impossible_counts_are_refused(wins: int, null: float) -> None:
    """Negative counts and nulls outside (0, 1) raise instead of returning a number."""
    with pytest.raises(ValueError, match="must"):
        log_e_value(wins, 1, null=null)


def test_mixture_changes_speed_only() -> None:
    """Any beta density starts at 1."""
    assert log_e_value(0, 0, mixture=Mixture(3.0, 0.5)) == pytest.approx(0.0, abs=1e-12)
    assert Mixture(1.0, 1.0) == UNIFORM
