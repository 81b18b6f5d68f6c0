"""The canary: decides the share of the guilds that a candidate answers before it is promoted, and who is in it.

Who is in is a keyed hash of trial and guild: nobody can steer it, a guild stays in or out as long as the share stays,
and whoever is in at 1 % is in at 5 %. Each step asks for the evidence of the promotion itself, the pairs of the canary
included, and for so many answers in production; a broken guardrail takes the share back to nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from becas.ft.ledger.v1 import records_pb2
from becas_ft.rollout.gate import MINIMUM_CLASS_PAIRS, Decision, Verdict
from becas_ft.rollout.production import p95
from becas_ft.shadow import sampling

EVERYBODY = 100
"""The share after the last step, in per cent: the alias itself moves."""


class Move(StrEnum):
    """What becomes of the share."""

    WIDEN = "widen"
    HOLD = "hold"
    BACK = "back"


@dataclass(frozen=True)
class Policy:
    """How a canary is widened, and what takes it back.

    Arguments:
        steps: shares in per cent of the guilds, ascending, each over 0 and under 100.
        minimum_answers: usable answers of the candidate in production at a step, before the next.
        maximum_invalid_rate: share of its requests that it may give no usable answer to, 0 to 1.
        maximum_p95_ms: 95th percentile of its latency in production, milliseconds.
        maximum_silence: requests in a row that it did not answer.
    """

    steps: tuple[int, ...] = (1, 5, 25, 50)
    minimum_answers: int = 100
    maximum_invalid_rate: float = 0.02
    maximum_p95_ms: float = 10_000.0
    maximum_silence: int = 5

    def after(self, percent: int) -> int:
        """The next share, in per cent; EVERYBODY after the last step."""
        return next((step for step in self.steps if step > percent), EVERYBODY)


@dataclass(frozen=True)
class Progress:
    """A canary at its present step.

    Arguments:
        trial_id: the shadow test that gathers its evidence.
        percent: share of the guilds.
        answers: usable answers that the candidate gave in production.
        failures: requests that it gave no usable answer to, while the incumbent did.
        silence: of them, late or missing ones in a row up to now.
        p95_ms: 95th percentile of its latency over the last answers, milliseconds.
        latencies: answers behind that.
    """

    trial_id: str = ""
    percent: int = 0
    answers: int = 0
    failures: int = 0
    silence: int = 0
    p95_ms: float = 0.0
    latencies: int = 0


@dataclass(frozen=True)
class Course:
    """What to do with the share, and why in words."""

    move: Move
    reasons: tuple[str, ...]


def is_member(pseudonym: sampling.Pseudonym, trial_id: str, who: str, percent: int) -> bool:
    """Whether the candidate answers.

    Arguments:
        pseudonym: the store's keyed hash (kind, text).
        trial_id: of the canary: another trial draws other guilds.
        who: pseudonym of the guild; of the user where there is no guild, of the request where there is neither.
        percent: the share now.
    """
    return sampling.share(pseudonym, f"canary/{trial_id}/{who}") < percent / EVERYBODY


def decide(progress: Progress, verdict: Verdict, policy: Policy) -> Course:
    """Back when a guardrail is broken or the gate says keep; wider when the gate and the answers suffice."""
    reasons = _broken(progress, policy) + (verdict.reasons if verdict.decision is Decision.KEEP else ())
    if reasons or verdict.decision is Decision.KEEP:
        return Course(Move.BACK, reasons)
    if verdict.decision is not Decision.PROMOTE:
        return Course(Move.HOLD, (f"the evidence does not suffice any more: {'; '.join(verdict.reasons)}",))
    reason = f"{progress.answers:,} of {policy.minimum_answers:,} answers"
    if progress.answers < policy.minimum_answers:
        return Course(Move.HOLD, (reason,))
    return Course(Move.WIDEN, (reason, *verdict.reasons))


def progress(record: records_pb2.Canary, seen: Sequence[records_pb2.Answer]) -> Progress:
    """A canary as it is stored, with the candidate's last answers in production since the step began."""
    latencies = [answer.latency_ms for answer in seen if not answer.failure]
    return Progress(
        trial_id=record.trial_id,
        percent=record.percent,
        answers=record.answers,
        failures=record.failures,
        silence=record.silence,
        p95_ms=p95(latencies),
        latencies=len(latencies),
    )


def _broken(progress: Progress, policy: Policy) -> tuple[str, ...]:
    broken = []
    asked = progress.answers + progress.failures
    # Already more than the whole step may have: no need to wait for the rest of its answers.
    if progress.failures > policy.maximum_invalid_rate * max(asked, policy.minimum_answers):
        limit = policy.maximum_invalid_rate
        broken.append(
            f"{progress.failures:,} of {asked:,} requests had no usable answer of the candidate, over {limit:.1%} of "
            f"{max(asked, policy.minimum_answers):,}"
        )
    if progress.silence >= policy.maximum_silence:
        broken.append(f"the candidate did not answer the last {progress.silence:,} requests")
    if progress.latencies >= MINIMUM_CLASS_PAIRS and progress.p95_ms > policy.maximum_p95_ms:
        broken.append(f"p95 latency {progress.p95_ms:.0f} ms is over {policy.maximum_p95_ms:.0f} ms")
    return tuple(broken)
