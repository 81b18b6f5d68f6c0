"""The gate: a pure decision from a trial's evidence and a policy to a verdict with reasons."""

from dataclasses import dataclass, field
from enum import StrEnum

MINIMUM_CLASS_PAIRS = 30
"""Below this a class's shares say nothing (a rare class is then watched after promotion instead)."""


class Decision(StrEnum):
    """What the evidence says to do."""

    PROMOTE = "promote"
    KEEP = "keep"
    NEED_MORE = "need_more"


@dataclass(frozen=True)
class Policy:
    """What a promotion takes.

    Arguments:
        minimum_judged: judged pairs.
        minimum_win_rate: wins / (wins + losses), 0 to 1.
        futility_e_value: reversed evidence (that B is worse) from which the trial is given up.
        maximum_p95_ratio: B's 95th percentile of latency over A's.
        maximum_p95_ms: B's 95th percentile of latency in any case, milliseconds.
        maximum_invalid_rate: share of B's answers that are unparsable or late, 0 to 1.
        maximum_severe_loss: by how much B's hit rate in a severe class may fall below A's, 0 to 1.
    """

    minimum_judged: int = 100
    minimum_win_rate: float = 0.65
    futility_e_value: float = 20.0
    maximum_p95_ratio: float = 1.5
    maximum_p95_ms: float = 10_000.0
    maximum_invalid_rate: float = 0.02
    maximum_severe_loss: float = 0.02


@dataclass(frozen=True)
class ClassEvidence:
    """Judged pairs of one true label.

    Arguments:
        label: the truth.
        pairs: how many.
        right_a: A right.
        right_b: B right.
        severe: whether a miss does harm (a scam let through).
    """

    label: str
    pairs: int
    right_a: int
    right_b: int
    severe: bool = False


@dataclass(frozen=True)
class TrialEvidence:
    """What a trial has shown; e-values as in `becas_ft.evidence`.

    Arguments:
        judged: pairs with truth.
        wins: B right, A wrong.
        losses: A right, B wrong.
        e_value: the deciding one: the smaller of the plain and the cluster-capped.
        e_threshold: 1/α_v.
        reversed_e_value: evidence that B is worse.
        horizon: judged pairs after which the trial ends.
        p95_a: 95th percentile of A's latency, milliseconds.
        p95_b: the same of B.
        latencies: pairs behind both, of requests beside which nothing else ran.
        invalid_rate_b: share of B's answers that are unparsable or late.
        answers_b: B's answers behind that share.
        classes: by true label.
    """

    judged: int
    wins: int
    losses: int
    e_value: float
    e_threshold: float
    reversed_e_value: float = 0.0
    horizon: int = 10_000
    p95_a: float = 0.0
    p95_b: float = 0.0
    latencies: int = MINIMUM_CLASS_PAIRS
    invalid_rate_b: float = 0.0
    answers_b: int = 0
    classes: tuple[ClassEvidence, ...] = field(default=())

    @property
    def win_rate(self) -> float:
        """Wins / (wins + losses); 0 where there is neither."""
        decisive = self.wins + self.losses
        return self.wins / decisive if decisive else 0.0


@dataclass(frozen=True)
class Verdict:
    """The decision, why, and which guardrails are broken.

    Arguments:
        decision: what to do.
        reasons: in words.
        broken_guardrails: in words.
        final: no further pair can change the decision: the trial is over.
    """

    decision: Decision
    reasons: tuple[str, ...]
    broken_guardrails: tuple[str, ...] = ()
    final: bool = False


def decide(evidence: TrialEvidence, policy: Policy) -> Verdict:
    """Promote only when every condition holds; keep when it is hopeless or a guardrail is broken."""
    broken = broken_guardrails(evidence, policy)
    missing = _missing(evidence, policy)
    if evidence.reversed_e_value >= policy.futility_e_value:
        reason = f"the candidate is worse: reversed e-value {evidence.reversed_e_value:.4g}"
        return Verdict(Decision.KEEP, (reason, *broken), broken, final=True)
    over = evidence.judged >= evidence.horizon
    if not missing and not broken:
        return Verdict(Decision.PROMOTE, _met(evidence, policy), final=over)
    if over:
        reason = f"the horizon of {evidence.horizon:,} judged pairs is reached"
        return Verdict(Decision.KEEP, (reason, *missing, *broken), broken, final=True)
    if broken and evidence.judged >= policy.minimum_judged:
        # Guardrails may mend: the trial goes on.
        return Verdict(Decision.KEEP, broken, broken)
    return Verdict(Decision.NEED_MORE, missing + broken, broken)


def broken_guardrails(evidence: TrialEvidence, policy: Policy) -> tuple[str, ...]:
    """Guardrails that are broken, in words."""
    broken = []
    for group in evidence.classes:
        if group.severe and group.pairs >= MINIMUM_CLASS_PAIRS and _discerns(evidence):
            loss = (group.right_a - group.right_b) / group.pairs
            if loss > policy.maximum_severe_loss:
                broken.append(
                    f"the candidate misses more of the severe class {group.label}: "
                    f"{group.right_b} of {group.pairs} right, the incumbent {group.right_a}"
                )
    if evidence.latencies < MINIMUM_CLASS_PAIRS:
        # Too few to speak of a 95th percentile; the watch looks at production's own latency after a promotion.
        pass
    elif evidence.p95_b > policy.maximum_p95_ms:
        broken.append(f"p95 latency {evidence.p95_b:.0f} ms is over {policy.maximum_p95_ms:.0f} ms")
    elif evidence.p95_a > 0 and evidence.p95_b > evidence.p95_a * policy.maximum_p95_ratio:
        broken.append(
            f"p95 latency {evidence.p95_b:.0f} ms is over {policy.maximum_p95_ratio:g} times "
            f"the incumbent's {evidence.p95_a:.0f} ms"
        )
    if evidence.answers_b >= MINIMUM_CLASS_PAIRS and evidence.invalid_rate_b > policy.maximum_invalid_rate:
        broken.append(
            f"{evidence.invalid_rate_b:.1%} of the candidate's answers are unparsable or late, "
            f"more than {policy.maximum_invalid_rate:.1%}"
        )
    return tuple(broken)


def _discerns(evidence: TrialEvidence) -> bool:
    """Whether the incumbent tells harmless from severe: one that flags everything misses nothing, to no merit."""
    harmless = [group for group in evidence.classes if not group.severe]
    pairs = sum(group.pairs for group in harmless)
    return pairs < MINIMUM_CLASS_PAIRS or 2 * sum(group.right_a for group in harmless) >= pairs


def _missing(evidence: TrialEvidence, policy: Policy) -> tuple[str, ...]:
    missing = []
    if evidence.judged < policy.minimum_judged:
        missing.append(f"{evidence.judged:,} of {policy.minimum_judged:,} judged pairs")
    if evidence.win_rate < policy.minimum_win_rate:
        missing.append(f"win rate {evidence.win_rate:.3f} of {policy.minimum_win_rate:.3f}")
    if evidence.e_value < evidence.e_threshold:
        missing.append(f"e-value {evidence.e_value:.4g} of {evidence.e_threshold:.4g}")
    return tuple(missing)


def _met(evidence: TrialEvidence, policy: Policy) -> tuple[str, ...]:
    return (
        f"{evidence.judged:,} judged pairs, at least {policy.minimum_judged:,}",
        f"win rate {evidence.win_rate:.3f}, at least {policy.minimum_win_rate:.3f}",
        f"e-value {evidence.e_value:.4g}, at least {evidence.e_threshold:.4g}",
        "no guardrail is broken",
    )
