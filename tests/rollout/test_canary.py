"""The canary: who is in it, when it is widened, and what takes it back."""

import hashlib
import itertools
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from scipy.stats import binom

from becas.ft.ledger.v1 import records_pb2
from becas.ft.v1 import example_pb2, model_pb2, shadow_pb2
from becas_ft.ledger import Ledger, WriteTransaction
from becas_ft.ledger.schema import CANARIES, TRIALS
from becas_ft.rollout import audit, canary_record, limits, registry
from becas_ft.rollout.canary import EVERYBODY, Move, Policy, Progress, decide, is_member, progress
from becas_ft.rollout.gate import Decision, Verdict

SCAM = example_pb2.CATEGORY_SCAM_DETECTION
A, B, TRIAL = "smollm2", "becas-smollm2-scam_detection-v1", "scam_detection-trial-1"
GUILDS = [f"guild-{number}" for number in range(4_000)]
STEPS = (1, 5, 25, 50)

POLICY = Policy()
GOOD = Progress(TRIAL, percent=5, answers=100, p95_ms=400.0, latencies=100)
YES = Verdict(Decision.PROMOTE, ("all conditions hold",))
MORE = Verdict(Decision.NEED_MORE, ("e-value 3 of 32.9",))
NO = Verdict(Decision.KEEP, ("the candidate is worse",))


def keyed(kind: str, text: str) -> str:
    """A keyed hash, as the store has one."""
    return hashlib.blake2b(f"{kind}\0{text}".encode(), key=b"k" * 32, digest_size=16).hexdigest()


def members(trial: str, percent: int) -> set[str]:
    return {guild for guild in GUILDS if is_member(keyed, trial, guild, percent)}


@pytest.mark.parametrize("percent", STEPS)
def test_the_share_is_the_one_that_is_stated(percent: int) -> None:
    """Within the binomial bounds of 99.9 %, for each step of the default."""
    low, high = binom.interval(0.999, len(GUILDS), percent / 100)

    assert low <= len(members(TRIAL, percent)) <= high


def test_who_is_in_stays_in_as_the_share_grows() -> None:
    """Asked again it is the same guilds, and each step holds the one before."""
    steps = [members(TRIAL, percent) for percent in STEPS]

    assert steps == [members(TRIAL, percent) for percent in STEPS]
    for narrow, wide in itertools.pairwise(steps):
        assert narrow < wide


def test_another_trial_draws_other_guilds() -> None:
    """Nobody is the first to be tried every time: two trials share no more than chance has it."""
    low, high = binom.interval(0.999, len(GUILDS), 0.25 * 0.25)

    assert low <= len(members("trial-1", 25) & members("trial-2", 25)) <= high


def test_steps_end_with_everybody() -> None:
    """1, 5, 25, 50 %, then the alias; a share that the settings do not know any more goes to the next that they do."""
    assert [POLICY.after(percent) for percent in (0, 1, 5, 25, 50)] == [1, 5, 25, 50, EVERYBODY]
    assert Policy(steps=(10, 20)).after(5) == 10


@pytest.mark.parametrize(
    ("progress", "verdict", "move", "words"),
    [
        (GOOD, YES, Move.WIDEN, "100 of 100 answers"),
        (replace(GOOD, answers=37), YES, Move.HOLD, "37 of 100 answers"),
        (replace(GOOD, answers=99), YES, Move.HOLD, "99 of 100 answers"),
        # 2 % of 100 are 2; a third is too many, however few were asked; of 200, 4 may fail.
        (replace(GOOD, answers=98, failures=2), YES, Move.HOLD, "98 of 100 answers"),
        (replace(GOOD, answers=98, failures=3), YES, Move.BACK, "3 of 101 requests had no usable answer"),
        (replace(GOOD, answers=1, failures=3), YES, Move.BACK, "3 of 4 requests had no usable answer"),
        (replace(GOOD, answers=196, failures=4), YES, Move.WIDEN, "196 of 100 answers"),
        (replace(GOOD, answers=195, failures=5), YES, Move.BACK, "5 of 200 requests had no usable answer"),
        # A silence is noticed where more may fail.
        (replace(GOOD, answers=1_000, failures=5, silence=5), YES, Move.BACK, "did not answer the last 5 requests"),
        (replace(GOOD, answers=1_000, failures=5, silence=4), YES, Move.WIDEN, "1,000 of 100"),
        # Fewer than 30 latencies have no 95th percentile worth the name.
        (replace(GOOD, p95_ms=10_001.0), YES, Move.BACK, "p95 latency 10001 ms is over 10000 ms"),
        (replace(GOOD, p95_ms=10_001.0, latencies=29), YES, Move.WIDEN, "100 of 100"),
        # The gate is asked at each step.
        (GOOD, NO, Move.BACK, "the candidate is worse"),
        (replace(GOOD, answers=0), NO, Move.BACK, "the candidate is worse"),
        (GOOD, MORE, Move.HOLD, "the evidence does not suffice any more: e-value 3 of 32.9"),
        # Production's guardrails hold whatever the pairs say.
        (replace(GOOD, failures=3), MORE, Move.BACK, "3 of 103 requests"),
    ],
)
def test_a_share_is_widened_held_or_taken_back(progress: Progress, verdict: Verdict, move: Move, words: str) -> None:
    """By the gate, the answers, and the guardrails of production."""
    course = decide(progress, verdict, POLICY)

    assert course.move is move
    assert words in "; ".join(course.reasons)


def test_latency_is_that_of_answers() -> None:
    """A request without an answer is a failure; its waiting is no latency."""
    record = records_pb2.Canary(trial_id=TRIAL, percent=5, answers=100, failures=1)
    seen = [records_pb2.Answer(latency_ms=float(number)) for number in range(1, 101)]
    seen.append(records_pb2.Answer(latency_ms=30_000.0, failure="timeout"))

    found = progress(record, seen)

    assert (found.percent, found.answers, found.failures, found.latencies) == (5, 100, 1, 100)
    assert 95 <= found.p95_ms <= 96
    assert progress(record, []).p95_ms == 0.0


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A running trial of B against A."""
    ledger = Ledger(tmp_path)
    trial = shadow_pb2.Trial(trial_id=TRIAL, category=SCAM, base_model=A, candidate_model=B, running=True)
    ledger.write(lambda transaction: transaction.put(TRIALS, TRIAL, trial))
    return ledger


def widen(ledger: Ledger, percent: int, trial_id: str = TRIAL) -> bool:
    change = partial(
        canary_record.move, trial_id=trial_id, percent=percent, now_ms=percent, reason="r", evidence='{"wins": 30}'
    )
    return ledger.write(change)


def share(ledger: Ledger) -> int:
    record = ledger.read(partial(canary_record.of, category=SCAM))
    return record.percent if record else 0


def log(ledger: Ledger) -> list[model_pb2.AuditEntry]:
    return ledger.read(lambda transaction: list(audit.entries(transaction)))


def test_every_change_of_the_share_is_in_the_audit_log(ledger: Ledger) -> None:
    """With the share, the reason, the evidence and what the step before has shown; a new step counts from 0."""
    widen(ledger, 1)
    for failure in ("", "", "timeout", "unparsable", "unavailable", "timeout"):
        ledger.write(partial(canary_record.note, category=SCAM, trial_id=TRIAL, failure=failure))
    widen(ledger, 5)
    ledger.write(partial(canary_record.end, category=SCAM, why="too slow", actor=limits.PIPELINE))

    entries = log(ledger)
    assert [(entry.action, entry.actor, entry.from_model, entry.to_model) for entry in entries] == [
        ("canary", "pipeline", A, B),
        ("canary", "pipeline", A, B),
        ("canary", "pipeline", B, A),
    ]
    assert [entry.reason for entry in entries] == ["1 % of guilds: r", "5 % of guilds: r", "0 % of guilds: too slow"]
    assert [json.loads(entry.evidence) for entry in entries] == [
        {"wins": 30, "percent": 1},
        {"wins": 30, "percent": 5, "answers": 2, "failures": 4, "silence": 2},
        {"trial": TRIAL, "percent": 0, "answers": 0, "failures": 0, "silence": 0},
    ]
    assert audit.broken_links(entries) == []
    assert share(ledger) == 0


def test_what_was_overtaken_changes_nothing(ledger: Ledger) -> None:
    """The same step twice, a narrower one, one of a trial that has ended, and one after the alias moved."""
    assert widen(ledger, 5)
    assert not widen(ledger, 5)
    assert not widen(ledger, 1)
    assert not widen(ledger, 25, trial_id="another")

    def point(transaction: WriteTransaction) -> None:
        registry.point(transaction, SCAM, "another-model")

    ledger.write(point)
    assert not widen(ledger, 25)
    assert (share(ledger), len(log(ledger))) == (5, 1)


def test_a_trial_that_has_ended_begins_no_canary(ledger: Ledger) -> None:
    """Nobody gathers the evidence any more."""
    ended = shadow_pb2.Trial(trial_id=TRIAL, category=SCAM, base_model=A, candidate_model=B)
    ledger.write(lambda transaction: transaction.put(TRIALS, TRIAL, ended))

    assert not widen(ledger, 1)
    assert log(ledger) == []


def test_a_late_count_of_an_ended_canary_is_dropped(ledger: Ledger) -> None:
    """It neither brings one back nor counts for another trial's; an end without a canary leaves no entry."""
    ledger.write(partial(canary_record.note, category=SCAM, trial_id=TRIAL, failure=""))
    ledger.write(partial(canary_record.end, category=SCAM, why="w", actor=limits.PIPELINE))
    assert (share(ledger), log(ledger)) == (0, [])

    widen(ledger, 1)
    ledger.write(partial(canary_record.note, category=SCAM, trial_id="another", failure=""))
    record = ledger.read(lambda transaction: transaction.get(CANARIES, int(SCAM)))
    assert record is not None
    assert record.answers == 0
