"""The gate promotes when every condition of the design holds, and never otherwise."""

from dataclasses import replace

import pytest

from becas_ft.rollout.gate import ClassEvidence, Decision, Policy, TrialEvidence, decide

# 65 wins of 100 decisive pairs at the first version: 1/α_1 = π²/(6·.05) = 32.9.
GOOD = TrialEvidence(
    judged=100, wins=65, losses=35, e_value=32.9, e_threshold=32.9, p95_a=100, p95_b=150, answers_b=100
)


def test_all_conditions_met_exactly_promotes_and_says_why() -> None:
    """The design's own edges suffice."""
    verdict = decide(GOOD, Policy())

    assert verdict.decision is Decision.PROMOTE
    assert "win rate 0.650, at least 0.650" in verdict.reasons


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"judged": 99}, "99 of 100 judged pairs"),
        ({"wins": 64, "losses": 36}, "win rate 0.640 of 0.650"),
        ({"e_value": 32.8}, "e-value 32.8 of 32.9"),
        ({"wins": 0, "losses": 0}, "win rate 0.000 of 0.650"),
    ],
)
def test_one_condition_short_needs_more_and_says_which(change: dict[str, float], reason: str) -> None:
    """No condition stands in for another."""
    verdict = decide(replace(GOOD, **change), Policy())  # type: ignore[arg-type]  # by field name

    assert verdict.decision is Decision.NEED_MORE
    assert verdict.reasons == (reason,)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"p95_b": 150.1}, "p95 latency"),
        ({"p95_a": 0.0, "p95_b": 10_001.0}, "p95 latency 10001 ms is over 10000 ms"),
        ({"invalid_rate_b": 0.021}, "2.1% of the candidate's answers"),
        ({"classes": (ClassEvidence("true", 50, 48, 46, severe=True),)}, "severe class true"),
    ],
)
def test_a_broken_guardrail_keeps_the_incumbent(change: dict[str, object], words: str) -> None:
    """However good the win rate, nothing that does harm is promoted."""
    verdict = decide(replace(GOOD, **change), Policy())  # type: ignore[arg-type]  # by field name

    assert verdict.decision is Decision.KEEP
    assert any(words in reason for reason in verdict.broken_guardrails)


@pytest.mark.parametrize(
    "group",
    [
        ClassEvidence("true", 50, 48, 47, severe=True),
        ClassEvidence("true", 29, 29, 0, severe=True),
        ClassEvidence("false", 50, 50, 0, severe=False),
    ],
)
def test_small_losses_rare_classes_and_harmless_ones_break_nothing(group: ClassEvidence) -> None:
    """2 % is tolerated, 29 pairs say nothing, and a class that does no harm is left to the win rate."""
    assert decide(replace(GOOD, classes=(group,)), Policy()).decision is Decision.PROMOTE


def test_an_incumbent_that_flags_everything_has_no_severe_class_to_lose() -> None:
    """It misses no scam because it calls everything one: 40 harmless messages, 19 of them right, is too few."""
    scams = ClassEvidence("true", 50, 50, 40, severe=True)
    blind = replace(GOOD, classes=(scams, ClassEvidence("false", 40, 19, 38)))
    seeing = replace(GOOD, classes=(scams, ClassEvidence("false", 40, 20, 38)))

    assert decide(blind, Policy()).decision is Decision.PROMOTE
    assert decide(seeing, Policy()).decision is Decision.KEEP


def test_a_worse_candidate_is_given_up_early() -> None:
    """Reversed evidence of 20 ends it, though pairs are few."""
    verdict = decide(TrialEvidence(30, 3, 20, 0.01, 32.9, reversed_e_value=20.0), Policy())

    assert (verdict.decision, verdict.final) == (Decision.KEEP, True)
    assert "the candidate is worse" in verdict.reasons[0]


def test_a_worse_candidate_is_given_up_whatever_else_is_broken() -> None:
    """A guardrail may mend, evidence against the candidate does not: the trial is over with and without one."""
    broken = decide(replace(GOOD, invalid_rate_b=0.03), Policy())
    worse = decide(replace(GOOD, invalid_rate_b=0.03, reversed_e_value=20.0), Policy())

    assert (broken.decision, broken.final) == (Decision.KEEP, False)
    assert (worse.decision, worse.final) == (Decision.KEEP, True)


def test_the_horizon_ends_an_undecided_trial() -> None:
    """A tie keeps the incumbent in the end."""
    verdict = decide(TrialEvidence(500, 50, 50, 0.1, 32.9, horizon=500), Policy())

    assert verdict.decision is Decision.KEEP
