"""Simulated trials that are looked at after every pair: false promotions, power and speed."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from becas_ft.evidence.clusters import STAKES, capped_log_e_path
from becas_ft.evidence.decision import Rule, promotes
from becas_ft.evidence.eprocess import log_e_values, log_mean
from becas_ft.evidence.spending import threshold_of_version
from becas_ft.rollout.gate import Decision, Policy, TrialEvidence, decide

RUNS = 2000
PAIRS = 2000
Counts = tuple[NDArray[np.int_], NDArray[np.int_]]


def _trials(win_share: float, loss_share: float, seed: int, *, runs: int = RUNS, pairs: int = PAIRS) -> Counts:
    draws = np.random.default_rng(seed).random((runs, pairs))
    wins = np.cumsum(draws < win_share, axis=1, dtype=np.int_)
    losses = np.cumsum(draws >= 1 - loss_share, axis=1, dtype=np.int_)
    return wins, losses


@pytest.mark.parametrize("ties", [0.0, 0.5, 0.8, 0.9])
def test_equal_models_are_seldom_promoted(ties: float) -> None:
    """Equal models, looked at after every one of 2,000 pairs, are promoted in at most 5 % of 2,000 trials."""
    wins, losses = _trials((1 - ties) / 2, (1 - ties) / 2, seed=60)

    promoted = promotes(wins, losses, np.arange(1, PAIRS + 1), Rule()).any(axis=1)

    assert promoted.mean() <= 0.05


@pytest.mark.parametrize("ties", [0.0, 0.5, 0.8, 0.9])
def test_the_gate_seldom_promotes_equal_models(ties: float) -> None:
    """The gate itself, asked after every one of 2,000 pairs, promotes equal models in at most 5 % of 2,000 trials."""
    wins, losses = _trials((1 - ties) / 2, (1 - ties) / 2, seed=66)

    looks = _looks_of_the_gate(wins, losses)

    assert looks.any(axis=1).mean() <= 0.05
    # The gate does promote: a run of luck is among so many trials.
    assert looks.any()


def _looks_of_the_gate(wins: NDArray[np.int_], losses: NDArray[np.int_]) -> NDArray[np.bool_]:
    """Whether the gate promotes after each pair of each trial.

    Each pair is another user's, so that both e-values are those of the counts; every state that a trial came through
    is put before the gate itself.
    """
    judged = np.minimum(np.arange(1, wins.shape[1] + 1), Policy().minimum_judged)
    states, place = np.unique(wins * 10**8 + losses * 10**4 + judged, return_inverse=True)
    won, lost, enough = states // 10**8, states // 10**4 % 10**4, states % 10**4
    capped = log_mean(np.outer(won, np.log1p(STAKES)) + np.outer(lost, np.log1p(-STAKES)))
    e_values = np.exp(np.minimum(log_e_values(won, lost), capped))
    threshold = threshold_of_version(1)
    promotes_at = np.array(
        [
            decide(TrialEvidence(int(n), int(w), int(v), float(e), threshold), Policy()).decision is Decision.PROMOTE
            for n, w, v, e in zip(enough, won, lost, e_values, strict=True)
        ]
    )
    looks: NDArray[np.bool_] = promotes_at[place.reshape(wins.shape)]
    return looks


@pytest.mark.parametrize(
    ("ties", "by_gate_alone", "with_e_value"), [(0.5, 0.029, 0.008), (0.8, 0.152, 0.014), (0.9, 0.301, 0.023)]
)
def test_false_promotions_of_statistics_page(ties: float, by_gate_alone: float, with_e_value: float) -> None:
    """Looks every 10 pairs: the rates of the page, with and without the e-value, within four standard errors."""
    wins, losses = _trials((1 - ties) / 2, (1 - ties) / 2, seed=61)
    looks = np.arange(99, PAIRS, 10)
    wins, losses = wins[:, looks], losses[:, looks]

    gate = ((wins + losses > 0) & (wins >= 0.65 * (wins + losses))).any(axis=1).mean()
    rule = promotes(wins, losses, looks + 1, Rule()).any(axis=1).mean()

    for actual, expected in ((gate, by_gate_alone), (rule, with_e_value)):
        error = math.sqrt(expected * (1 - expected) * (1 / RUNS + 1 / 4000))
        assert actual == pytest.approx(expected, abs=4 * error)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(minimum_win_rate=0.0), {0.50: 0.012, 0.55: 0.913, 0.60: 1.0}),
        (Rule(), {0.50: 0.0025, 0.55: 0.041, 0.60: 0.298, 0.65: 0.926, 0.70: 1.0}),
        (Rule(threshold=100), {0.50: 0.0009, 0.55: 0.025, 0.60: 0.250, 0.65: 0.918, 0.70: 1.0}),
    ],
    ids=["E>=20", "E>=20 and 65%", "E>=100 and 65%"],
)
def test_promotion_chances_of_statistics_page(rule: Rule, expected: dict[float, float]) -> None:
    """Without ties and with looks at each pair from 100 to 2,000: the exact chance of ever being promoted."""
    rates = np.array(list(expected))
    undecided = np.zeros((rates.size, PAIRS + 2))
    undecided[:, 0] = 1.0
    promoted = np.zeros(rates.size)
    for pairs in range(1, PAIRS + 1):
        won = np.zeros_like(undecided)
        won[:, 1:] = undecided[:, :-1] * rates[:, None]
        undecided = won + undecided * (1 - rates[:, None])
        wins = np.arange(pairs + 1)
        # Chances below this are nothing, and skipping them keeps the exact recursion quick.
        wins = wins[undecided[:, : pairs + 1].max(axis=0) > 1e-9]
        stop = wins[promotes(wins, pairs - wins, pairs, rule)]
        promoted += undecided[:, stop].sum(axis=1)
        undecided[:, stop] = 0.0

    for chance, of_page in zip(promoted, expected.values(), strict=True):
        assert chance == pytest.approx(of_page, abs=0.0006 if of_page < 0.5 else 0.002)


def test_crossing_fraction_of_the_e_process() -> None:
    """The plain e-value of equal models ever reaches 20 in at most 5 % of trials, looked at from the first pair."""
    wins, losses = _trials(0.5, 0.5, seed=62, pairs=500)

    crossed = int((log_e_values(wins, losses) >= math.log(20)).any(axis=1).sum())

    assert stats.binomtest(crossed, RUNS, 0.05, alternative="greater").pvalue > 0.01
    assert crossed > 0


def test_power_floor() -> None:
    """A candidate that wins 75 % of the pairs, no ties, is promoted by pair 200 in at least 99 % of trials."""
    wins, losses = _trials(0.75, 0.25, seed=63, pairs=200)

    assert promotes(wins, losses, np.arange(1, 201), Rule()).any(axis=1).mean() >= 0.99


def test_93_against_90_percent_is_decided_within_a_thousand_pairs() -> None:
    """93 % against 90 % right with 7 % disagreement: promoted after fewer than 1,000 pairs on average.

    A disagreement is a win in 5 cases of 7. Both e-values must be enough, the plain and the capped one, for the
    error rate of the first version, which is stricter than 5 %.
    """
    rule = Rule(threshold=threshold_of_version(1))
    wins, losses = _trials(0.05, 0.02, seed=64, runs=300, pairs=5000)
    enough = promotes(wins, losses, np.arange(1, 5001), rule)
    decided_after = []
    for run in range(300):
        decisive = np.flatnonzero(np.diff(wins[run] + losses[run], prepend=0))
        scores = np.where(np.diff(wins[run], prepend=0)[decisive] > 0, 1, -1)
        capped = np.r_[0.0, capped_log_e_path(scores.tolist(), range(scores.size))][wins[run] + losses[run]]
        decision = enough[run] & (capped >= math.log(rule.threshold))
        decided_after.append(int(decision.argmax()) + 1 if decision.any() else 5000)

    assert np.mean(decided_after) < 1000


def test_worse_candidate_is_never_promoted() -> None:
    """A candidate that loses 60 % of the disagreements is promoted in none of 200 trials of 4,000 pairs.

    By the rule and by the gate itself, asked after every pair.
    """
    wins, losses = _trials(0.08, 0.12, seed=65, runs=200, pairs=4000)

    assert not promotes(wins, losses, np.arange(1, 4001), Rule()).any()
    assert not _looks_of_the_gate(wins, losses).any()
