"""What a connection may do to the server: limits that it is told of, and floods that it does not get through."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from h2.errors import ErrorCodes
from h2.events import ResponseReceived, StreamEnded, StreamReset, TrailersReceived
from h2.settings import SettingCodes

from helpers import process
from helpers.access import keys
from helpers.http2 import Client, client, framed
from helpers.rpc import INGEST, INGEST_STREAM, code_of, raw_stream, raw_unary
from helpers.server import ServerProcess, ServerStarter

CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
FLOOD = 50_000
PER_CONNECTION = 5_000
AT_ONCE = 100


@pytest.fixture
def raw(server: ServerProcess) -> Iterator[Client]:
    """A connection to `server`."""
    with client(server) as opened:
        yield opened


def status_of(opened: Client, stream: int) -> str:
    """The gRPC status that a stream ended with."""
    for event in opened.events:
        # A call that fails at once has its status in its only headers.
        if isinstance(event, TrailersReceived | ResponseReceived) and event.stream_id == stream:
            headers = {str(name): str(value) for name, value in event.headers or ()}
            if "grpc-status" in headers:
                return headers["grpc-status"]
    raise AssertionError("the stream has not ended")


def ended(opened: Client, stream: int) -> bool:
    return any(isinstance(event, StreamEnded | StreamReset) and event.stream_id == stream for event in opened.events)


def test_a_connection_is_told_its_limits(start_server: ServerStarter) -> None:
    """Streams of one connection and bytes of metadata, as configured, in the first thing that the server says."""
    server = start_server(
        BECAS_FT_SERVER__MAX_CONNECTION_CALLS="77",
        BECAS_FT_SERVER__MAX_METADATA_BYTES="8192",
    )
    with client(server) as opened:
        assert opened.settings[SettingCodes.MAX_CONCURRENT_STREAMS] == 77
        assert opened.settings[SettingCodes.MAX_HEADER_LIST_SIZE] == 8192


def test_too_many_pings_end_a_connection(raw: Client) -> None:
    """Who pings without pause is told ENHANCE_YOUR_CALM, too_many_pings, and has to connect anew."""
    for number in range(10):
        raw.connection.ping(number.to_bytes(8, "big"))
        raw.flush()
        raw.read(0.05)
        if raw.gone is not None:
            break
    raw.read_until(lambda: raw.gone is not None)

    assert raw.gone == ErrorCodes.ENHANCE_YOUR_CALM


@pytest.mark.long
def test_keepalive_of_a_bot_is_no_flood(raw: Client) -> None:
    """An idle connection stays, pinged as often as the documents allow; gRPC would by itself end it at the fourth."""
    for number in range(5):
        raw.connection.ping(number.to_bytes(8, "big"))
        raw.flush()
        until = time.monotonic() + 10.5
        while raw.gone is None and (left := until - time.monotonic()) > 0:
            raw.read(left)
        assert raw.gone is None


def test_rapid_resets(server: ServerProcess) -> None:
    """Calls that are begun and reset by the ten thousand take no memory, and others are served meanwhile."""
    with server.channel() as channel:
        call: Any = raw_unary(channel, INGEST)
        assert call(b"", timeout=30) == b""
        before = process.anonymous_kb(server.process.pid)
        for _ in range(FLOOD // PER_CONNECTION):
            with client(server) as opened:
                for _ in range(PER_CONNECTION // AT_ONCE):
                    for _ in range(AT_ONCE):
                        stream = opened.call(INGEST)
                        opened.connection.reset_stream(stream, ErrorCodes.CANCEL)
                    opened.flush()
                # They come in while what was begun and reset still waits to be taken.
                others = [call.future(b"", timeout=30) for _ in range(20)]
                assert [other.result() for other in others] == [b""] * 20
        grown = process.anonymous_kb(server.process.pid) - before

        assert call(b"", timeout=30) == b""
    assert grown < 50 << 10


def test_a_call_that_is_begun_and_not_sent_ends_at_its_deadline(start_server: ServerStarter, data_dir: Path) -> None:
    """Headers without a message hold no place for longer than the default deadline, with a token or without."""
    made = keys(data_dir / "access")
    settings = made.settings() | {
        "BECAS_FT_SERVER__TLS_CERT": "",
        "BECAS_FT_SERVER__TLS_KEY": "",
        "BECAS_FT_SERVER__DEFAULT_DEADLINE_SECONDS": "1",
    }
    server = start_server(**settings)
    with client(server) as opened:
        check = opened.call(CHECK)
        ingest = opened.call(INGEST, ("authorization", f"Bearer {made.secrets['bot']}"))
        opened.flush()
        opened.read_until(lambda: ended(opened, check) and ended(opened, ingest), 20)

        assert status_of(opened, check) == status_of(opened, ingest) == str(grpc.StatusCode.DEADLINE_EXCEEDED.value[0])


def test_watchers_of_health_hold_up_nobody(start_server: ServerStarter) -> None:
    """Streams that need no token have a quarter of the places, and every other stream still finds one."""
    server = start_server(BECAS_FT_SERVER__MAX_STREAMS="20")
    with client(server) as opened, server.channel() as channel:
        for _ in range(20):
            stream = opened.call(WATCH)
            opened.connection.send_data(stream, framed(b""), end_stream=True)
        opened.flush()
        opened.read_until(lambda: sum(isinstance(event, StreamEnded) for event in opened.events) >= 15)
        refused = [event.stream_id for event in opened.events if isinstance(event, StreamEnded)]

        assert {status_of(opened, stream) for stream in refused} == {str(grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])}
        assert len(refused) == 15
        stub: Any = health_pb2_grpc.HealthStub(channel)
        assert stub.Check(health_pb2.HealthCheckRequest(), timeout=30).status == health_pb2.HealthCheckResponse.SERVING
        assert list(raw_stream(channel, INGEST_STREAM)(iter([b""]), timeout=30)) == [b""]


def test_a_reader_that_does_not_read_does_not_hold_up_the_end(server: ServerProcess) -> None:
    """A watcher with no room for an answer keeps neither health from changing nor the server from stopping."""
    with client(server, window=0) as opened:
        stream = opened.call(WATCH)
        opened.connection.send_data(stream, framed(b""), end_stream=True)
        opened.flush()
        time.sleep(0.5)
        began = time.monotonic()

        assert server.stop() == 0
        assert time.monotonic() - began < 15


def test_more_calls_than_there_is_room_for(start_server: ServerStarter) -> None:
    """Past max_concurrent_rpcs a call is RESOURCE_EXHAUSTED at once; when others have ended, it is served."""
    server = start_server(BECAS_FT_SERVER__MAX_CONCURRENT_RPCS="5", BECAS_FT_SERVER__MAX_STREAMS="4")
    with client(server) as opened, server.channel() as channel:
        for _ in range(5):
            opened.call(INGEST)
        opened.flush()
        opened.read(0.5)
        refused = None
        until = time.monotonic() + 20
        while refused is None:
            # A busy server may take a moment to see the calls before this one.
            assert time.monotonic() < until
            try:
                raw_unary(channel, INGEST)(b"", timeout=30)
            except grpc.RpcError as error:
                refused = error
        assert code_of(refused) is grpc.StatusCode.RESOURCE_EXHAUSTED
        opened.close()
        until = time.monotonic() + 20
        while True:
            try:
                assert raw_unary(channel, INGEST)(b"", timeout=30) == b""
                break
            except grpc.RpcError:
                assert time.monotonic() < until
                time.sleep(0.1)
