"""Subscribers see every event, in order, also after they or the service were gone."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from becas.ft.v1 import published_event_pb2
from becas_ft.ledger import Ledger, ReadTransaction
from becas_ft.ledger.schema import EVENTS
from becas_ft.rollout import published


def publish(ledger: Ledger, reason: str) -> int:
    event = published_event_pb2.PublishedEvent(name="fine_tuning.promoted", reason=reason)
    return ledger.write(partial(published.publish, event=event))


async def test_a_follower_sees_what_was_and_what_comes(tmp_path: Path) -> None:
    """Kept events first, then new ones, with no gap and no repetition."""
    ledger = Ledger(tmp_path)
    publish(ledger, "before")
    seen: list[str] = []

    async def follow() -> None:
        async for event in published.Feed(ledger).follow(after=0):
            seen.append(event.reason)
            if event.reason == "last":
                return

    follower = asyncio.create_task(follow())
    await asyncio.sleep(0.1)
    publish(ledger, "after")
    publish(ledger, "last")
    await asyncio.wait_for(follower, 10)

    assert seen == ["before", "after", "last"]


async def test_many_followers_cost_as_much_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One looks for news on behalf of all, and all see them."""
    ledger = Ledger(tmp_path)
    publish(ledger, "before")
    feed, reads, seen = published.Feed(ledger), [0], [0]
    read = ledger.read

    def counted(view: Callable[[ReadTransaction], Any]) -> Any:  # noqa: ANN401 - whatever the view gives
        reads[0] += 1
        return read(view)

    monkeypatch.setattr(ledger, "read", counted)

    async def follow() -> None:
        async for event in feed.follow(after=0):
            if event.reason == "last":
                seen[0] += 1
                return

    followers = [asyncio.create_task(follow()) for _ in range(100)]
    await asyncio.sleep(1.5)
    publish(ledger, "last")
    await asyncio.wait_for(asyncio.gather(*followers), 60)

    assert seen == [100]
    # Two pages before anything is waited for, one after; and the looks of some seconds.
    assert reads[0] < 100 * 3 + 50


def test_a_cursor_survives_a_restart(tmp_path: Path) -> None:
    """Whoever comes back with the last cursor gets what follows, and cursors never start again."""
    ledger = Ledger(tmp_path)
    cursor = publish(ledger, "one")
    ledger.close()

    reopened = Ledger(tmp_path)
    publish(reopened, "two")

    assert [event.reason for event in published.read(reopened, after=cursor)] == ["two"]


def test_the_oldest_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retention is bounded."""
    monkeypatch.setattr(published, "KEPT", 3)
    ledger = Ledger(tmp_path)
    for number in range(5):
        publish(ledger, str(number))

    assert [event.cursor for event in published.read(ledger, after=0)] == [3, 4, 5]
    assert ledger.read(lambda transaction: transaction.count(EVENTS)) == 3


def test_only_names_of_the_contract_are_published(tmp_path: Path) -> None:
    """A typing error never reaches a subscriber."""
    ledger = Ledger(tmp_path)

    with pytest.raises(ValueError, match="is not a published event"):
        ledger.write(partial(published.publish, event=published_event_pb2.PublishedEvent(name="x")))
