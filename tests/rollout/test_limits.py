"""A category's alias moves at most once an hour without a person."""

from pathlib import Path

import pytest

from becas.ft.v1 import example_pb2, model_pb2
from becas_ft.ledger import Ledger, WriteTransaction
from becas_ft.rollout import audit, limits

SCAM = example_pb2.CATEGORY_SCAM_DETECTION
NOW = 1_790_000_000


@pytest.mark.parametrize(
    ("action", "actor", "ago", "left"),
    [
        ("promote", "pipeline", 600, 3_000),
        ("rollback", "watch", 600, 3_000),
        ("promote", "pipeline", 3_600, 0),
        ("promote", "operator", 600, 0),
        ("rollback", "operator", 600, 0),
        # A clock that was set back.
        ("rollback", "watch", -600, 0),
    ],
)
def test_promotions_of_the_pipeline_and_rollbacks_of_the_watch_count_together(
    tmp_path: Path, action: str, actor: str, ago: int, left: float
) -> None:
    """What a person asked for does not count, nor what another category did."""
    ledger = Ledger(tmp_path)

    def change(transaction: WriteTransaction) -> None:
        for category, seconds in ((SCAM, ago), (example_pb2.CATEGORY_SENTIMENT_ANALYSIS, 1)):
            entry = model_pb2.AuditEntry(action=action, actor=actor, category=category)
            entry.time.FromSeconds(NOW - seconds)
            audit.append(transaction, entry)

    ledger.write(change)

    assert ledger.read(lambda transaction: limits.seconds_left(transaction, SCAM, NOW, 3_600)) == left
