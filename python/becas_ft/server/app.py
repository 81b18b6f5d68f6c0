"""Builds and runs the server: the only wiring."""

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from becas.ft.v1 import (
    dataset_service_pb2,
    event_service_pb2,
    ingest_service_pb2,
    model_service_pb2,
    shadow_service_pb2,
    training_service_pb2,
)
from becas_ft._core import Core, __version__
from becas_ft.config import Config
from becas_ft.errors import ListenError
from becas_ft.ledger import Ledger
from becas_ft.observability import Metrics
from becas_ft.rollout.promotion import Promoter
from becas_ft.server import backup, pipeline, rollout
from becas_ft.server.access import DOOR, Access, AccessInterceptor, open_access
from becas_ft.server.application import Application
from becas_ft.server.channelz import channelz_port
from becas_ft.server.commits import Commits
from becas_ft.server.dataset import DatasetService
from becas_ft.server.event import EventService
from becas_ft.server.figures import Figures
from becas_ft.server.http import door, http_pages
from becas_ft.server.ingest import IngestService
from becas_ft.server.ingest_rate import sample_ingest
from becas_ft.server.interceptors import CallInterceptor
from becas_ft.server.model import ModelService
from becas_ft.server.readiness import watch_disk
from becas_ft.server.reflection import add_reflection
from becas_ft.server.retention import expire
from becas_ft.server.rollout import recover, watch_promoted
from becas_ft.server.runtime import ServerRuntime
from becas_ft.server.service import Service
from becas_ft.server.shadow import ShadowService
from becas_ft.server.tracing import open_tracing
from becas_ft.server.training import TrainingService
from becas_ft.server.truths import take_truths

# How long load balancers have to see NOT_SERVING before calls are refused.
_NOTICE_SECONDS: Final = 0.25
_FLUSH_SECONDS: Final = 1.0
# A call that gRPC has received and not handed over when it stops is CANCELLED, which no client repeats: callers get
# time to hear UNAVAILABLE and go, up to the limit for those that never pause.
_QUIET_SECONDS: Final = 0.1
_QUIET_LIMIT_SECONDS: Final = 2.0
# Who connects and says nothing holds a place among the connections.
_HANDSHAKE_MS: Final = 20_000
# Bots keep idle channels alive; gRPC's own limit of five minutes would cut them off.
_PING_MS: Final = 10_000
# In a flood of calls begun and reset, thousands wait to be taken for a moment.
_PENDING: Final = 10_000
# Each waits for the disk, some for the rewrite of a store.
_WRITERS: Final = 16

_log = structlog.get_logger("becas_ft.server")


def services(application: Application) -> list[Service]:
    """Every service that is served; reflection and health name exactly these."""
    ingest = ingest_service_pb2.DESCRIPTOR.services_by_name
    dataset = dataset_service_pb2.DESCRIPTOR.services_by_name
    shadow = shadow_service_pb2.DESCRIPTOR.services_by_name
    model = model_service_pb2.DESCRIPTOR.services_by_name
    event = event_service_pb2.DESCRIPTOR.services_by_name
    return [
        Service(ingest["IngestService"], IngestService(application), raw=True),
        Service(dataset["DatasetService"], DatasetService(application), raw=True),
        Service(
            training_service_pb2.DESCRIPTOR.services_by_name["TrainingService"],
            TrainingService(application, application.jobs),
        ),
        Service(shadow["ShadowService"], ShadowService(application)),
        Service(model["ModelService"], ModelService(application)),
        Service(event["EventService"], EventService(application)),
    ]


# What runs beside the calls, until the server stops.
BACKGROUND: Final[tuple[Callable[[Application], Awaitable[None]], ...]] = (
    expire,
    recover,
    pipeline.drive,
    take_truths,
    watch_promoted,
    watch_disk,
    sample_ingest,
)


async def serve(config: Config, ready: Callable[[str, str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight and close the store.

    Arguments:
        config: everything.
        ready: told the actual address, and the dashboard's URL or nothing, once calls are answered.

    Raises:
        ConfigurationError: the address is open to others, and TLS or tokens are missing or unusable.
        ListenError: the address is taken or not this machine's.
        CoreError: the store cannot be opened.
    """
    stop = asyncio.Event()
    impatient = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: impatient.set() if stop.is_set() else stop.set())
    async with open_application(config) as application, channelz_port(config.server.channelz):
        with door(config.server.dashboard) as own:
            listening = await start(application, own)
            async with http_pages(application, own) as url:
                background = [asyncio.create_task(_watched(run, application)) for run in BACKGROUND]
                access = application.access
                safety = {"tls": access.certificate is not None, "tokens_required": access.required}
                # What is there now is there until the end: a collection that looks at it again makes calls wait.
                gc.freeze()
                _log.info("serving", address=listening.address, version=__version__, **safety)
                ready(listening.address, url)
                await stop.wait()
                for task in background:
                    task.cancel()
                await _drain(application, listening, impatient)
    _log.info("stopped")


@dataclass(frozen=True)
class Listening:
    """A started server.

    Attributes:
        address: with the port that was taken.
        calls: what surrounds each of its calls.
    """

    server: grpc.aio.Server
    address: str
    calls: CallInterceptor


@asynccontextmanager
async def open_application(config: Config) -> AsyncIterator[Application]:
    """The shared parts, opened; closed at the end, the store last."""
    access = open_access(config)
    data_dir = config.store.data_dir
    core = await asyncio.to_thread(Core, str(data_dir), config.core_json(), config.store.key_path)
    # Only whoever has the store open knows that no other server is at it.
    await asyncio.to_thread(backup.sweep, data_dir)
    preparers = ThreadPoolExecutor(config.server.ingest_threads or len(os.sched_getaffinity(0)), "ingest")
    writers = ThreadPoolExecutor(_WRITERS, "write")
    readers = ThreadPoolExecutor(config.server.reader_threads, "read")
    metrics = Metrics()
    metrics.add_core(core)
    if damaged := core.metrics()["damaged_records"]:
        remedy = "stop the server and run `becas-ft verify`, which names them"
        _log.error("store_damaged", records=int(damaged), remedy=remedy)
    async with AsyncExitStack() as parts:
        commits = Commits(core)
        parts.callback(commits.close)
        parts.push_async_callback(asyncio.to_thread, core.close)
        tracing = parts.enter_context(open_tracing(config))
        for pool in (preparers, writers, readers):
            parts.push_async_callback(asyncio.to_thread, pool.shutdown, wait=True, cancel_futures=True)
        ledger = await asyncio.to_thread(Ledger, data_dir / "ledger")
        parts.push_async_callback(asyncio.to_thread, ledger.close)
        runtime = ServerRuntime(config, ledger)
        parts.push_async_callback(runtime.close)
        jobs = pipeline.jobs(config, core, runtime, ledger)
        parts.push_async_callback(jobs.close)
        tester = rollout.tester(config, core, runtime, ledger)
        tester.start()
        parts.push_async_callback(tester.close)
        metrics.registry.register(Figures(core, ledger))
        promoter = Promoter(ledger, runtime, partial(rollout.judge, ledger, policy=rollout.policy(config)))
        parts.push_async_callback(promoter.close)
        yield Application(
            config=config,
            access=access,
            core=core,
            commits=commits,
            metrics=metrics,
            health=health_aio.HealthServicer(),
            draining=asyncio.Event(),
            preparers=preparers,
            writers=writers,
            readers=readers,
            ledger=ledger,
            runtime=runtime,
            jobs=jobs,
            driver=pipeline.driver(config, jobs, ledger, promoter, tester.production),
            tester=tester,
            promoter=promoter,
            tracing=tracing,
        )


async def start(application: Application, own: str = "") -> Listening:
    """Serve every service, health and reflection.

    Arguments:
        application: what they are made of.
        own: a second address, for the dashboard of this process alone; empty: none.
    """
    settings = application.config.server
    interceptor = CallInterceptor(
        application.metrics, settings.default_deadline_seconds, application.draining, application.tracing
    )
    server = grpc.aio.server(
        interceptors=(interceptor, AccessInterceptor(application.access, settings.max_streams)),
        maximum_concurrent_rpcs=settings.max_concurrent_rpcs,
        options=(
            ("grpc.max_receive_message_length", int(settings.max_message_bytes)),
            ("grpc.max_send_message_length", int(settings.max_message_bytes)),
            ("grpc.max_concurrent_streams", settings.max_connection_calls),
            ("grpc.max_allowed_incoming_connections", settings.max_connections),
            # Between the two limits gRPC refuses at random: one limit is plain.
            ("grpc.max_metadata_size", int(settings.max_metadata_bytes)),
            ("grpc.absolute_max_metadata_size", int(settings.max_metadata_bytes)),
            # Calls begun and reset by another wait to be taken too; beyond this gRPC ends new ones with CANCELLED.
            ("grpc.server.max_pending_requests", _PENDING),
            ("grpc.server.max_pending_requests_hard_limit", _PENDING),
            # New connections see new certificates; what is in flight on an old one has its time to end there.
            ("grpc.max_connection_age_ms", int(settings.max_connection_age_seconds * 1000)),
            ("grpc.max_connection_age_grace_ms", int(settings.max_connection_grace_seconds * 1000)),
            ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MS),
            ("grpc.enable_channelz", int(bool(settings.channelz))),
            # Two servers on one port would each get a share of the calls.
            ("grpc.so_reuseport", 0),
            ("grpc.http2.min_ping_interval_without_data_ms", _PING_MS),
            ("grpc.keepalive_permit_without_calls", 1),
        ),
    )
    served = services(application)
    server.add_generic_rpc_handlers(tuple(service.handler() for service in served))
    health_pb2_grpc.add_HealthServicer_to_server(application.health, server)
    names = [service.descriptor.full_name for service in served]
    if settings.reflection:
        add_reflection((*names, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name), server)
    address = _listen(server, settings.listen, application.access)
    if own:
        server.add_secure_port(own, DOOR)
    await server.start()
    for name in names:
        await application.health.set(name, health_pb2.HealthCheckResponse.SERVING)
    return Listening(server, address, interceptor)


def _listen(server: grpc.aio.Server, address: str, access: Access) -> str:
    """Bind; the address with the port that was taken."""
    try:
        if access.certificate is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, access.certificate.credentials())
    except RuntimeError as error:
        raise ListenError(
            f"cannot listen on {address}: it is taken, or not this machine's; choose another with --listen"
        ) from error
    return address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"


async def _drain(application: Application, listening: Listening, impatient: asyncio.Event) -> None:
    """NOT_SERVING first; then no new calls; then wait for what is in flight, or for a second signal."""
    _log.info("draining")
    await application.health.enter_graceful_shutdown()
    await asyncio.sleep(_NOTICE_SECONDS)
    application.draining.set()
    idle, hurry = asyncio.create_task(_settled(listening.calls)), asyncio.create_task(impatient.wait())
    seconds = application.config.server.drain_seconds
    await asyncio.wait({idle, hurry}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    # What was answered a moment ago still has to leave the socket.
    await listening.server.stop(_FLUSH_SECONDS if idle.done() else None)
    idle.cancel()
    hurry.cancel()
    if application.erasures and not impatient.is_set():
        await asyncio.wait(set(application.erasures))


async def _settled(calls: CallInterceptor) -> None:
    """Wait until every call that was in flight has ended and callers have stopped coming."""
    await calls.idle()
    with suppress(TimeoutError):
        async with asyncio.timeout(_QUIET_LIMIT_SECONDS):
            await calls.quiet(_QUIET_SECONDS)


async def _watched(run: Callable[[Application], Awaitable[None]], application: Application) -> None:
    """Run something in the background; its end by an error is seen in the log."""
    try:
        await run(application)
    except Exception as error:  # noqa: BLE001 - it must not take the server with it
        _log.error("background_failed", task=run.__name__, error=type(error).__name__)
