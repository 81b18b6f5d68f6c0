"""Truth: the right label of a request, told late, in any order, once or corrected later."""

import json
from typing import Protocol

from becas.ft.ledger.v1 import records_pb2
from becas_ft.ledger import Ledger, WriteTransaction
from becas_ft.ledger.schema import PAIRS, REQUESTS
from becas_ft.rollout import registry
from becas_ft.shadow import grade

OUTBOX_CURSOR = "outbox"
"""The ledger's number: the last correction of the core's outbox that was consumed."""

_RESOLVED = "resolved"
_PAGE = 1_000


class UnknownRequestError(Exception):
    """No request of this id was sampled or answered."""


class Outbox(Protocol):
    """What is needed of the core."""

    def outbox(self, after: int, limit: int) -> list[tuple[int, str]]:
        """Corrections after a cursor: (cursor, JSON)."""

    def outbox_trim(self, up_to: int) -> None:
        """Forgets entries up to a cursor."""


def record(transaction: WriteTransaction, pseudonym: str, truth: str) -> tuple[str, bool]:
    """Writes the truth of a request; (the trial whose pair it judged or empty, whether it replaced another).

    A corrected truth keeps the first one's place in the order of resolution.

    Raises: UnknownRequestError.
    """
    request = transaction.get(REQUESTS, pseudonym)
    if request is None:
        raise UnknownRequestError("no request of this request_id is known: send ShadowTest first")
    if not request.trial_id:
        return "", False
    key = f"{request.trial_id}/{pseudonym}"
    # A truth may come before B's answer, which may never come: whose pair it is must be known all the same.
    pair = transaction.get(PAIRS, key) or records_pb2.Pair(
        a=request.answer, time_ms=request.time_ms, user=request.user, guild=request.guild
    )
    replaced = pair.HasField("truth") and pair.truth != truth
    if not pair.resolved:
        pair.resolved = next_place(transaction)
    pair.truth = truth
    transaction.put(PAIRS, key, pair)
    return request.trial_id, replaced


def next_place(transaction: WriteTransaction) -> int:
    """The next place in the order in which outcomes become known, from 1."""
    place = transaction.number(_RESOLVED) + 1
    transaction.set_number(_RESOLVED, place)
    return place


def consume(ledger: Ledger, outbox: Outbox) -> int:
    """Turns corrections that name a request into its truth, each exactly once; how many did.

    The cursor moves in the transaction of what was consumed, so that a crash between the two stores repeats nothing.
    """
    judged = 0
    while True:
        after = ledger.read(lambda transaction: transaction.number(OUTBOX_CURSOR))
        entries = outbox.outbox(after, _PAGE)
        if not entries:
            return judged

        def apply(transaction: WriteTransaction, entries: list[tuple[int, str]] = entries) -> int:
            count = 0
            for _, text in entries:
                entry = json.loads(text)
                if entry["verified"] and entry["label"] is not None:
                    count += _apply(transaction, entry["request"], entry["label"], entry["guild"] or "")
            transaction.set_number(OUTBOX_CURSOR, entries[-1][0])
            return count

        judged += ledger.write(apply)
        outbox.outbox_trim(entries[-1][0])


def _apply(transaction: WriteTransaction, pseudonym: str, label: str, guild: str) -> int:
    request = transaction.get(REQUESTS, pseudonym)
    if request is None:
        # Most corrections name an ingested event, not a request.
        return 0
    if guild and request.guild and guild != request.guild:
        # Nobody corrects what was decided elsewhere.
        return 0
    if not grade.is_label(registry.category_name(request.category), label):  # type: ignore[arg-type]  # stored as the enum's number
        return 0
    trial_id, _ = record(transaction, pseudonym, label)
    return int(bool(trial_id))
