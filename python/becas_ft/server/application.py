"""What every service shares: configuration, the open store, threads, metrics, health."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ParamSpec, TypeVar

from grpc_health.v1.health import aio as health_aio
from grpc_health.v1.health_pb2 import HealthCheckResponse

from becas_ft._core import Core
from becas_ft.config import Config
from becas_ft.ledger import Ledger
from becas_ft.observability import Metrics
from becas_ft.orchestrator.driver import Driver
from becas_ft.orchestrator.jobs import Jobs
from becas_ft.rollout.promotion import Promoter
from becas_ft.server.access import Access
from becas_ft.server.commits import Commits
from becas_ft.server.ingest_rate import IngestRates
from becas_ft.server.runtime import ServerRuntime
from becas_ft.server.tracing import Tracing
from becas_ft.shadow.tester import ShadowTester

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Application:
    """The parts that services are made of; built once, by `app`.

    Attributes:
        config: frozen.
        access: who may call.
        core: the open store.
        metrics: what Prometheus reads.
        health: the health service, by service name and as a whole.
        draining: set when the server is about to stop; long streams end then.
        commits: what waits for one.
        preparers: threads for requests with more work than an event loop can stand; they wait for nothing.
        writers: threads for what waits for a commit.
        readers: threads for exports and lists, so that they never keep ingest waiting.
        ledger: jobs, models, trials, the audit log, published events.
        runtime: serves the models; opens when it is first needed.
        jobs: trains.
        driver: takes the steps of the pipeline that are due.
        tester: production requests and their shadows.
        promoter: moves aliases.
        tracing: None: no spans.
        erasures: under way; a stop waits for them.
        not_ready: parts that keep events from being taken.
        both_stores: held by whatever changes both stores, one after the other, and by a backup: it never falls between.
        backing_up: held while a backup is taken.
        ingest_rates: of the last hour.
    """

    config: Config
    access: Access
    core: Core
    commits: Commits
    metrics: Metrics
    health: health_aio.HealthServicer
    draining: asyncio.Event
    preparers: ThreadPoolExecutor
    writers: ThreadPoolExecutor
    readers: ThreadPoolExecutor
    ledger: Ledger
    runtime: ServerRuntime
    jobs: Jobs
    driver: Driver
    tester: ShadowTester
    promoter: Promoter
    tracing: Tracing | None = None
    erasures: set["asyncio.Task[Any]"] = field(default_factory=set)
    not_ready: set[str] = field(default_factory=set)
    both_stores: asyncio.Lock = field(default_factory=asyncio.Lock)
    backing_up: asyncio.Lock = field(default_factory=asyncio.Lock)
    ingest_rates: IngestRates = field(default_factory=IngestRates)

    async def prepare(
        self, call: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        """Run a call that computes."""
        return await asyncio.get_running_loop().run_in_executor(self.preparers, partial(call, *args, **kwargs))

    async def write(
        self, call: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        """Run a call that waits for a commit."""
        return await asyncio.get_running_loop().run_in_executor(self.writers, partial(call, *args, **kwargs))

    async def read(
        self, call: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        """Run a call that reads the store."""
        return await asyncio.get_running_loop().run_in_executor(self.readers, partial(call, *args, **kwargs))

    async def disk_failed(self) -> None:
        """Tell load balancers that nothing can be written until the store is opened again."""
        await self.ready("writes", ready=False)

    async def ready(self, part: str, *, ready: bool) -> None:
        """Say of a part whether events can be taken as far as it goes; SERVING needs all of them."""
        if ready:
            self.not_ready.discard(part)
        else:
            self.not_ready.add(part)
        status = HealthCheckResponse.NOT_SERVING if self.not_ready else HealthCheckResponse.SERVING
        for service in ("", "becas.ft.v1.IngestService"):
            await self.health.set(service, status)
