"""Pairs that bots made by calling both models themselves."""

import hashlib

from becas.ft.ledger.v1 import records_pb2
from becas.ft.v1 import shadow_pb2
from becas_ft.ledger import WriteTransaction
from becas_ft.ledger.schema import PAIRS, REQUESTS
from becas_ft.rollout import registry
from becas_ft.shadow import grade, trials, truth
from becas_ft.shadow.tester import RequestConflictError


class TrialEndedError(Exception):
    """The trial takes no more pairs."""


def answer(category: str, model: str, output: str, confidence: float, latency_ms: float) -> records_pb2.Answer:
    """A model's answer as it is stored; the output is redacted already, and empty for a timeout."""
    label = grade.label_of(category, output) or ""
    failure = "" if label else ("unparsable" if output else "timeout")
    return records_pb2.Answer(
        model=model, output=output, label=label, confidence=confidence, latency_ms=latency_ms, failure=failure
    )


def store(transaction: WriteTransaction, trial: shadow_pb2.Trial, pseudonym: str, pair: records_pb2.Pair) -> bool:
    """Stores a pair; whether the same one was there before.

    Raises: TrialEndedError; RequestConflictError where the request_id names another pair or request.
    """
    if not trials.get(transaction, trial.trial_id).running:
        raise TrialEndedError("the trial has ended: set up another one")
    digest = _digest(trial, pair)
    known = transaction.get(REQUESTS, pseudonym)
    if known is not None:
        if known.input_digest != digest:
            raise RequestConflictError("request_id was used for another input: choose a new one for each request")
        return True
    request = records_pb2.ShadowRequest(
        category=trial.category,
        input_digest=digest,
        answer=pair.a,
        trial_id=trial.trial_id,
        time_ms=pair.time_ms,
        user=pair.user,
        guild=pair.guild,
    )
    transaction.put(REQUESTS, pseudonym, request)
    category = registry.category_name(trial.category)
    if pair.HasField("truth") or grade.agree(category, pair.a.output, pair.b.output):
        pair.resolved = truth.next_place(transaction)
    transaction.put(PAIRS, f"{trial.trial_id}/{pseudonym}", pair)
    return False


def _digest(trial: shadow_pb2.Trial, pair: records_pb2.Pair) -> str:
    """Without time and truth: a repetition may bring either anew."""
    said = (trial.trial_id, pair.a.output, pair.b.output)
    return hashlib.sha256("\0".join(said).encode()).hexdigest()
