"""Sampling by a keyed hash: the same request is always sampled the same way, and nobody can steer it."""

from collections.abc import Callable

AUDIT_SHARE = 0.02
"""Share of agreements that a person is asked about all the same."""

_DIGITS = 16
_RANGE = float(16**_DIGITS)

Pseudonym = Callable[[str, str], str]


def is_sampled(pseudonym: Pseudonym, trial_id: str, request: str, rate: float) -> bool:
    """Whether B sees the request; `pseudonym` is the store's keyed hash (kind, text)."""
    return share(pseudonym, f"sample/{trial_id}/{request}") < rate


def is_audited(pseudonym: Pseudonym, trial_id: str, request: str) -> bool:
    """Whether an agreement is put before a person."""
    return share(pseudonym, f"audit/{trial_id}/{request}") < AUDIT_SHARE


def share(pseudonym: Pseudonym, text: str) -> float:
    """Where a text stands between 0 and 1 by the keyed hash: uniform, and the same for good."""
    return int(pseudonym("event", text)[:_DIGITS], 16) / _RANGE
