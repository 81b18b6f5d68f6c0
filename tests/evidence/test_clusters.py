"""One stake a cluster: bursts and patience are capped, looks at any time are fair."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from becas_ft.evidence.clusters import STAKES, capped_log_e, capped_log_e_path
from becas_ft.evidence.eprocess import STRICT, log_e_value

scores_and_clusters = st.lists(st.tuples(st.sampled_from([-1, 0, 1]), st.integers(0, 5)), min_size=1, max_size=40)


def _by_definition(bets: list[tuple[int, int]]) -> float:
    """Mean over stakes of the product of 1 + stake * score / k^2, without logarithms and arrays."""
    wealth = []
    for stake in STAKES:
        seen: Counter[int] = Counter()
        product = 1.0
        for score, cluster in bets:
            seen[cluster] += 1
            product *= 1 + stake * score / seen[cluster] ** 2
        wealth.append(product)
    return math.log(np.mean(wealth))


@given(bets=scores_and_clusters)
def test_capped_e_value_by_definition(bets: list[tuple[int, int]]) -> None:
    """The k-th disagreement of a cluster bets the k-squared part of each stake."""
    actual = capped_log_e([score for score, _ in bets], [cluster for _, cluster in bets])

    assert actual == pytest.approx(_by_definition(bets), abs=1e-9)


@given(bets=scores_and_clusters)
def test_order_between_clusters_does_not_matter(bets: list[tuple[int, int]]) -> None:
    """Labels of different users may come in any order."""
    by_cluster = sorted(bets, key=lambda bet: bet[1])

    first = capped_log_e([score for score, _ in bets], [cluster for _, cluster in bets])
    second = capped_log_e([score for score, _ in by_cluster], [cluster for _, cluster in by_cluster])

    assert first == pytest.approx(second, abs=1e-9)


def test_one_user_never_decides() -> None:
    """200 wins of one user are overwhelming pair by pair and less than a factor of sinh(pi) / pi with the cap."""
    assert log_e_value(200, 0) > math.log(1e50)
    assert math.exp(capped_log_e([1] * 200, ["user"] * 200)) < math.sinh(math.pi) / math.pi
    assert math.exp(capped_log_e([1] * 200, ["user"] * 200)) < 20


def test_few_users_are_not_enough() -> None:
    """Three users with 100 wins each stay below 20; twelve with one win each do not."""
    assert math.exp(capped_log_e([1] * 300, [number % 3 for number in range(300)])) < 20
    assert math.exp(capped_log_e([1] * 12, range(12))) > 20


def test_separate_users_keep_the_power() -> None:
    """Where every pair is its own cluster, the cap costs less than half an e-fold."""
    capped = capped_log_e([1] * 50 + [-1] * 20, range(70))

    assert capped > log_e_value(50, 20) - 0.5


def test_strict_payoffs_are_fair_at_the_strict_null() -> None:
    """At a win rate of exactly 65 % a bet changes no e-value on average."""
    won, lost = (math.exp(capped_log_e([score], [0], null=STRICT)) for score in (1, -1))

    assert pytest.approx(1.0) == STRICT * won + (1 - STRICT) * lost


def test_looks_after_each_label_keep_the_error_rate() -> None:
    """Equal models, a look after each label, users with several disagreements: at most 5 % ever reach 20."""
    random = np.random.default_rng(20)
    crossed = 0
    for _ in range(2000):
        scores = random.choice([-1, 0, 1], p=[0.45, 0.1, 0.45], size=150)
        path = capped_log_e_path(scores.tolist(), random.integers(0, 90, size=150).tolist())
        crossed += bool(np.any(path >= math.log(20)))

    assert stats.binomtest(crossed, 2000, 0.05, alternative="greater").pvalue > 0.01
    assert crossed > 0


def test_path_ends_at_the_value_and_nothing_is_no_evidence() -> None:
    """The path has one value a disagreement; without any the e-value is exactly 1."""
    path = capped_log_e_path([1, 0, -1, 1], ["a", "a", "b", "c"])

    assert path.shape == (4,)
    assert path[0] == path[1] == pytest.approx(math.log(np.mean(1 + STAKES)))
    assert path[-1] == capped_log_e([1, 0, -1, 1], ["a", "a", "b", "c"])
    assert capped_log_e_path([], []).size == 0
    assert capped_log_e([], []) == 0.0


def test_each_score_has_a_cluster() -> None:
    """Lists of different lengths are refused."""
    with pytest.raises(ValueError, match="one cluster for each score"):
        capped_log_e([1, 1], [0])
