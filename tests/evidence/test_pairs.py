"""The whole evidence is recomputed from stored pairs, in whatever order they are read."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from becas_ft.evidence.clusters import capped_log_e
from becas_ft.evidence.eprocess import log_e_value
from becas_ft.evidence.intervals import wilson
from becas_ft.evidence.pairs import Outcome, Pair, evidence_path, hour_of, summary


def _pair(number: int, base: bool | None, candidate: bool | None, *, agreed: bool = False, task: str = "") -> Pair:
    return Pair(agreed, base, candidate, resolved=number, user=f"user-{number}", hour=number // 10, task=task)


def _trial() -> list[Pair]:
    """30 wins, 10 losses, 40 both right, 5 both wrong, 15 agreed without a truth, 8 unjudged."""
    kinds = (
        [(False, True, False)] * 30
        + [(True, False, False)] * 10
        + [(True, True, True)] * 40
        + [(False, False, False)] * 5
        + [(None, None, True)] * 15
        + [(None, None, False)] * 8
    )
    order = np.random.default_rng(50).permutation(len(kinds))
    return [
        _pair(number, kinds[kind][0], kinds[kind][1], agreed=kinds[kind][2], task="ab"[number % 2])
        for number, kind in enumerate(order)
    ]


@pytest.mark.parametrize(
    ("agreed", "base", "candidate", "outcome"),
    [
        (False, False, True, Outcome.WIN),
        (False, True, False, Outcome.LOSS),
        (False, True, True, Outcome.TIE),
        (False, False, False, Outcome.TIE),
        (True, True, True, Outcome.TIE),
        (True, None, None, Outcome.TIE),
        (False, None, None, Outcome.UNJUDGED),
    ],
)
def test_outcomes(*, agreed: bool, base: bool | None, candidate: bool | None, outcome: Outcome) -> None:
    """Only B right is a win, only A a loss, the same of both a tie; a disagreement without a truth is unjudged."""
    assert Pair(agreed, base, candidate).outcome is outcome


def test_contradictions_are_refused() -> None:
    """A truth judges both models, and two equal answers cannot be right and wrong."""
    with pytest.raises(ValueError, match="given together"):
        Pair(agreed=False, base_right=True)
    with pytest.raises(ValueError, match="agreed"):
        Pair(agreed=True, base_right=True, candidate_right=False)


def test_counts_and_evidence() -> None:
    """Wins, losses, ties and unjudged are counted, and the smaller of the plain and the capped e-value decides."""
    found = summary(_trial())

    assert (found.standing.wins, found.standing.losses, found.standing.ties, found.unjudged) == (
        30,
        10,
        60,
        8,
    )
    assert found.standing.judged == 100
    assert found.standing.win_rate == 0.75
    assert found.resolved_share == pytest.approx(100 / 108)
    assert found.standing.log_e_plain == log_e_value(30, 10)
    assert found.standing.log_e_capped == pytest.approx(capped_log_e([1] * 30 + [-1] * 10, range(40)))
    assert found.standing.log_e == min(found.standing.log_e_plain, found.standing.log_e_capped)


def test_worst_case_of_unjudged_pairs() -> None:
    """Unjudged pairs as ties change no evidence; as losses they count against the candidate one by one."""
    found = summary(_trial())

    assert found.unjudged_as_ties.ties == 68
    assert found.unjudged_as_ties.log_e == found.standing.log_e
    assert (found.unjudged_as_losses.wins, found.unjudged_as_losses.losses) == (30, 18)
    assert found.unjudged_as_losses.log_e_plain == log_e_value(30, 18)
    assert found.unjudged_as_losses.log_e_capped == pytest.approx(capped_log_e([1] * 30 + [-1] * 18, range(48)))


def test_accuracies() -> None:
    """Accuracies are over pairs with a truth (Wilson), the difference over all judged pairs (Newcombe)."""
    found = summary(_trial())

    assert found.base_accuracy == wilson(50, 85)
    assert found.candidate_accuracy == wilson(70, 85)
    assert found.difference_now.estimate == pytest.approx(0.20)
    assert 0 < found.difference_now.lower < 0.20 < found.difference_now.upper
    assert found.difference.lower < found.difference_now.lower


def test_difference_of_a_known_table() -> None:
    """ocbe-uio/contingencytables test-ch8.R: a trial of the table [[59, 6], [16, 80]] gives Newcombe's limits."""
    kinds = [(True, True)] * 59 + [(False, True)] * 6 + [(True, False)] * 16 + [(False, False)] * 80
    found = summary([_pair(number, *kind) for number, kind in enumerate(kinds)])

    assert (found.difference_now.lower, found.difference_now.upper) == pytest.approx((-0.1186, -0.0046), abs=5e-5)


@given(seed=st.integers(0, 10_000))
def test_reading_order_does_not_matter(seed: int) -> None:
    """Pairs read back in any order give the same summary: a restart changes nothing."""
    pairs = _trial()
    shuffled = [pairs[place] for place in np.random.default_rng(seed).permutation(len(pairs))]
    first, second = summary(pairs), summary(shuffled)

    assert second.standing.log_e_plain == first.standing.log_e_plain
    assert second.standing.log_e_capped == first.standing.log_e_capped
    assert second.unjudged_as_losses.log_e == pytest.approx(first.unjudged_as_losses.log_e)
    assert second.p_value == first.p_value
    assert second.win_rate == first.win_rate
    assert {task: standing.wins for task, standing in second.tasks.items()} == {
        task: standing.wins for task, standing in first.tasks.items()
    }


def test_corrected_label_corrects_the_evidence() -> None:
    """Replacing one pair gives the evidence of a trial that always had the right label."""
    pairs = _trial()
    place = next(place for place, pair in enumerate(pairs) if pair.outcome is Outcome.WIN)
    pairs[place] = dataclasses.replace(pairs[place], base_right=True, candidate_right=False)

    found = summary(pairs)

    assert (found.standing.wins, found.standing.losses, found.standing.ties) == (29, 11, 60)
    assert found.standing.log_e_plain == log_e_value(29, 11)


def test_p_value_is_of_the_best_look() -> None:
    """A trial that once was convincing keeps its p-value when it fades, though not its e-value."""
    pairs = [_pair(number, base=number >= 30, candidate=number < 30) for number in range(60)]
    found = summary(pairs)

    assert found.standing.log_e < 0
    assert found.p_value == pytest.approx(math.exp(-summary(pairs[:30]).standing.log_e))
    assert found.confidence == 1 - found.p_value


def test_path_ends_at_the_standing() -> None:
    """The path has a point for each judged pair and ends where the summary stands."""
    found, path = summary(_trial()), evidence_path(_trial())

    assert path.log_e.shape == (100,)
    assert (path.wins[-1], path.losses[-1]) == (30, 10)
    assert path.log_e[-1] == pytest.approx(found.standing.log_e, abs=1e-9)
    assert found.p_value == pytest.approx(math.exp(-path.log_e.max()))


def test_evidence_by_task() -> None:
    """Each task type has its own standing, and together they are the whole."""
    found = summary(_trial())

    assert list(found.tasks) == ["a", "b"]
    assert sum(standing.judged for standing in found.tasks.values()) == 100
    assert sum(standing.wins for standing in found.tasks.values()) == 30


def test_clusters_of_users_and_guilds() -> None:
    """A user is one cluster across guilds and hours, a guild one an hour; a pair of unknown origin stands alone."""
    user = [Pair(False, False, True, number, user="u", guild=f"g-{number}", hour=number) for number in range(50)]
    guild = [Pair(False, False, True, number, guild="g", hour=3) for number in range(50)]
    hours = [Pair(False, False, True, number, guild="g", hour=number) for number in range(50)]
    alone = [Pair(False, False, True, number, hour=3) for number in range(50)]

    assert summary(user).standing.log_e_capped == capped_log_e([1] * 50, ["one"] * 50)
    assert summary(guild).standing.log_e_capped == capped_log_e([1] * 50, ["one"] * 50)
    assert summary(hours).standing.log_e_capped == capped_log_e([1] * 50, range(50))
    assert summary(alone).standing.log_e_capped == capped_log_e([1] * 50, range(50))
    assert [summary(pairs).unattributed for pairs in (user, guild, hours, alone)] == [0, 0, 0, 50]


def test_hours_of_times() -> None:
    """An hour starts at its full second."""
    assert (hour_of(0), hour_of(3599.9), hour_of(3600)) == (0, 0, 1)


def test_empty_trial() -> None:
    """Before the first pair there is no evidence, no rate, and every interval is the whole scale."""
    found = summary([])

    assert (found.standing.log_e, found.p_value, found.confidence) == (0.0, 1.0, 0.0)
    assert math.isnan(found.standing.win_rate)
    assert (found.difference.lower, found.difference.upper) == (-1.0, 1.0)
    assert found.tasks == {}


def test_strict_mode() -> None:
    """Against a null of 65 % a win rate of 75 % over 40 decisive pairs is weak evidence."""
    assert summary(_trial()).standing.e_value > 20
    assert summary(_trial(), null=0.65).standing.e_value < 3
