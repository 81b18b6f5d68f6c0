"""An erasure is whole, whoever waits for it."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from becas.ft.v1 import dataset_pb2
from becas_ft.server.dataset import DatasetService


class SlowErasure:
    """Stands for an application whose store takes its time: a real one cannot be made to at a given moment."""

    def __init__(self) -> None:
        self.core = SimpleNamespace(forget=None, set_consent=None, pseudonym=lambda kind, _: kind)
        self.tester = self
        self.erasures: set[asyncio.Task[Any]] = set()
        self.erased: list[str] = []
        self.ledger = SimpleNamespace(write="the ledger")
        self.jobs = self
        self.released = asyncio.Event()
        self.both_stores = asyncio.Lock()
        self.trainings_ended = 0

    async def write(self, call: object, *_: object) -> Any:  # noqa: ANN401 - what the call gives
        """The core at work, and the ledger, which has no models."""
        await self.released.wait()
        return [] if call == self.ledger.write else (0, 1, [])

    async def forget(self) -> None:
        """A training that may hold what is not stored any more."""
        self.trainings_ended += 1

    async def erase(self, *, user: str = "", guild: str = "") -> int:
        """The second store."""
        self.erased.append(user or guild)
        return 1


@pytest.mark.parametrize(
    ("method", "request_", "erased"),
    [
        ("Forget", dataset_pb2.ForgetRequest(user_id="1"), "user"),
        ("SetConsent", dataset_pb2.SetConsentRequest(guild_id="1"), "guild"),
    ],
)
async def test_a_caller_that_goes_away_leaves_no_half_erasure(method: str, request_: Any, erased: str) -> None:  # noqa: ANN401
    """Cancelled between the two stores: the second one is erased all the same, and a stop can wait for it."""
    application = SlowErasure()
    service = DatasetService(application)  # type: ignore[arg-type]  # the parts that an erasure asks
    call = asyncio.create_task(getattr(service, method)(request_.SerializeToString(), None))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    [running] = application.erasures

    application.released.set()
    await asyncio.wait({running})

    assert application.erased == [erased]
    assert application.erasures == set()
    assert application.trainings_ended == 1
