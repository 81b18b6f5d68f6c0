"""What a request leaves in the ledger: itself, its pair, and what is counted of its trial."""

from becas.ft.ledger.v1 import records_pb2
from becas_ft.ledger import WriteTransaction
from becas_ft.ledger.schema import PAIRS, REQUESTS, TRIAL_COUNTS
from becas_ft.shadow import truth


def request(
    transaction: WriteTransaction, *, pseudonym: str, record: records_pb2.ShadowRequest, sampled: bool, dropped: bool
) -> None:
    """Keeps an answered request, and counts it where a trial was running."""
    transaction.put(REQUESTS, pseudonym, record)
    if not record.running_trial_id:
        return
    counts = transaction.get(TRIAL_COUNTS, record.running_trial_id) or records_pb2.TrialCounts()
    counts.requests += 1
    counts.sampled += sampled
    counts.overflow += dropped
    transaction.put(TRIAL_COUNTS, record.running_trial_id, counts)


def drop(transaction: WriteTransaction, *, trial_id: str) -> None:
    """Counts a sampled request whose pair will not come."""
    counts = transaction.get(TRIAL_COUNTS, trial_id) or records_pb2.TrialCounts()
    counts.overflow += 1
    transaction.put(TRIAL_COUNTS, trial_id, counts)


def pair(transaction: WriteTransaction, *, key: str, row: records_pb2.Pair, agreed: bool) -> None:
    """Keeps a pair; a truth that came before it stays."""
    known = transaction.get(PAIRS, key)
    if known is not None and known.HasField("truth"):
        # The truth came first: it keeps its place in the order of resolution.
        row.truth, row.resolved = known.truth, known.resolved
    elif agreed:
        # Both say the same: a tie whatever the truth, so it is resolved now.
        row.resolved = truth.next_place(transaction)
    transaction.put(PAIRS, key, row)
