"""How often a category's alias may move without a person: once in an hour, whoever of the two moves it.

Promotions by the pipeline and rollbacks by the watch count together. A hard trip of the watch (a model that is gone or
does not answer) waits for nobody: it only ever goes back, and a second one goes back to the base, where it ends.
"""

from becas_ft.ledger import ReadTransaction
from becas_ft.rollout import audit

PIPELINE = "pipeline"
"""Who promotes by itself, in the audit log."""

WATCH = "watch"
"""Who rolls back by itself, in the audit log."""

AUTOMATIC = frozenset({("promote", PIPELINE), ("rollback", WATCH)})
"""(action, actor) of the switches that no person asked for."""


def seconds_left(transaction: ReadTransaction, category: int, now: float, interval: float) -> float:
    """Seconds until the next automatic switch of a category may be; 0 where it may be now.

    Arguments:
        transaction: reads the audit log.
        category: its number.
        now: seconds since the epoch.
        interval: seconds between two of them.
    """
    times = [
        entry.time.ToNanoseconds() / 1e9
        for entry in audit.entries(transaction)
        if entry.category == category and (entry.action, entry.actor) in AUTOMATIC
    ]
    # A clock that was set back must not stop everything until it has caught up.
    past = [time for time in times if time <= now]
    return max(0.0, max(past) + interval - now) if past else 0.0
