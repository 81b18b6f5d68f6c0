"""The rule promotes on enough evidence only, whatever a single user does."""

import math

import numpy as np
import pytest

from becas_ft.evidence.decision import Recommendation, Rule, further_disagreements, promotes, recommend
from becas_ft.evidence.pairs import Pair, summary
from becas_ft.evidence.spending import threshold_of_version


def _pairs(wins: int, losses: int, ties: int, *, user: str | None = None, hours: int = 1) -> list[Pair]:
    kinds = [(False, True)] * wins + [(True, False)] * losses + [(True, True)] * ties
    return [
        Pair(base == candidate, base, candidate, number, user or f"user-{number}", "guild", number % hours)
        for number, (base, candidate) in enumerate(kinds)
    ]


def test_enough_evidence_promotes() -> None:
    """100 judged pairs, 65 % and an e-value above the threshold promote."""
    assert recommend(summary(_pairs(40, 10, 50)), Rule()) is Recommendation.PROMOTE_B


@pytest.mark.parametrize(
    ("wins", "losses", "ties"),
    [(40, 10, 49), (64, 36, 0), (13, 7, 80)],
    ids=["99 pairs", "64 percent", "e-value too small"],
)
def test_each_condition_is_needed(wins: int, losses: int, ties: int) -> None:
    """99 pairs, a rate of 64 %, or too small an e-value need more data."""
    assert recommend(summary(_pairs(wins, losses, ties)), Rule()) is Recommendation.NEED_MORE_DATA
    assert not promotes(wins, losses, wins + losses + ties, Rule())


def test_later_versions_need_more() -> None:
    """What is enough for the first version is not for the fourth."""
    found = summary(_pairs(39, 14, 60))

    assert recommend(found, Rule(threshold=threshold_of_version(1))) is Recommendation.PROMOTE_B
    assert recommend(found, Rule(threshold=threshold_of_version(4))) is Recommendation.NEED_MORE_DATA


def test_worse_candidate_is_given_up() -> None:
    """Evidence of the opposite, or the end of the trial, keeps the base."""
    assert recommend(summary(_pairs(10, 40, 50)), Rule()) is Recommendation.KEEP_A
    assert recommend(summary(_pairs(10, 9, 181)), Rule(maximum_pairs=200)) is Recommendation.KEEP_A
    assert recommend(summary(_pairs(10, 9, 180)), Rule(maximum_pairs=200)) is Recommendation.NEED_MORE_DATA


@pytest.mark.parametrize("hours", [1, 4, 48, 200])
def test_label_attack_by_one_user_does_not_decide(hours: int) -> None:
    """200 wins of one user, in one burst or patiently over days, do not promote a candidate that is otherwise equal."""
    honest = _pairs(15, 15, 120)
    attack = _pairs(200, 0, 0, user="attacker", hours=hours)
    found = summary([*honest, *attack])

    assert found.standing.log_e_plain > math.log(1e20)
    assert found.standing.e_value < 20
    assert recommend(found, Rule()) is Recommendation.NEED_MORE_DATA


def test_label_attack_by_one_user_does_not_give_up_a_test() -> None:
    """Losses of one user, early and alone or many among honest wins, keep no base: the end needs many hands as well."""
    early = summary(_pairs(0, 7, 0, user="attacker"))
    late = summary([*_pairs(25, 10, 80), *_pairs(0, 90, 0, user="attacker")])

    assert recommend(early, Rule()) is recommend(late, Rule()) is Recommendation.NEED_MORE_DATA
    assert max(early.futility_log_e, late.futility_log_e) < math.log(20)
    assert recommend(summary(_pairs(0, 9, 0)), Rule()) is Recommendation.KEEP_A


def test_the_forecast_counts_the_cap() -> None:
    """Where one user's wins hold the capped e-value back, the forecast counts the users that it takes."""
    pairs = [*_pairs(10, 4, 80), *_pairs(60, 0, 0, user="one")]
    found = summary(pairs)

    assert found.standing.log_e_plain > math.log(20) > found.standing.log_e
    more = further_disagreements(found, Rule())
    assert more is not None
    for further, enough in ((more, True), (more // 2, False)):
        fresh = [Pair(False, False, True, 1000 + number, f"new-{number}") for number in range(further)]
        assert (summary([*pairs, *fresh]).standing.e_value >= 20) is enough


def test_further_disagreements_by_the_rule() -> None:
    """The forecast follows the seen rate, is 0 where there is enough, None where the rate is too low, 7 at first."""
    assert further_disagreements(summary(_pairs(40, 10, 50)), Rule()) == 0
    assert further_disagreements(summary(_pairs(60, 40, 0)), Rule()) is None
    assert further_disagreements(summary([]), Rule()) == 7
    more = further_disagreements(summary(_pairs(14, 6, 0)), Rule())
    assert more is not None
    assert 10 < more < 60


def test_rule_on_arrays() -> None:
    """Counts of many trials are judged at once like one by one."""
    wins, losses = np.array([40, 64, 0]), np.array([10, 36, 0])

    assert promotes(wins, losses, 100, Rule()).tolist() == [True, False, False]
