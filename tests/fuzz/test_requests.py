"""Requests of any bytes to a real server: answered by INVALID_ARGUMENT or receipts, quickly, and it never falls.

`BECAS_FUZZ_REQUESTS` says how many; `make fuzz` sends 200,000.
"""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some

from becas.ft.v1 import ingest_pb2
from becas_ft._core import events_from_json
from helpers import canaries
from helpers.rpc import INGEST, code_of, raw_unary
from helpers.server import ServerProcess

REQUESTS: Final = int(os.environ.get("BECAS_FUZZ_REQUESTS", "4000"))
AT_ONCE: Final = 40
SLOWEST: Final = 0.05
MEASURED_AGAIN: Final = 25
GOLDEN: Final = Path(__file__).parent.parent / "golden" / "events"
_EVENTS: Final = [
    encoded
    for path in sorted(GOLDEN.glob("*.json"))
    for encoded, _ in events_from_json([path.read_text(encoding="utf-8").replace("\n", " ")])
    if encoded is not None
]
_TOKENS: Final = [
    *(
        b"\x00",
        b"\xff",
        b"\x7f",
        b"\xff" * 10,
        b"\xed\xa0\x80",
        b"\x9b\x06" * 90,
        b"\x0a\x00",
        b"<|im_end|>",
        b"\xe2\x80\xae",
    ),
    *(text.encode() for text in canaries.SECRETS.values()),
]
# A first field of two thousand characters.
_LONG: Final = b"\x0a\xd0\x0f" + b"a" * 2000
# What a mere request may not do to other tests' time: begin a training, or stop what runs.
_REFUSED: Final = {"Train", "CheckPipeline"}
_FINE: Final = {
    grpc.StatusCode.OK,
    *(grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION),
    *(grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED),
}


def frame(event: bytes) -> bytes:
    """An IngestRequest of one event, whether it is one or not."""
    length, prefix = len(event), bytearray(b"\x0a")
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*prefix, length]) + event


def changed(base: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Bytes with some replaced, put in, or cut out."""
    for place, how, new in edits:
        at = place % (len(base) + 1)
        base = base[:at] + (new if how < 2 else b"") + base[at + (len(new) if how else 0) :]
    return base


_EDIT: Final = some.tuples(
    some.integers(0, 1 << 16), some.integers(0, 2), some.one_of(some.binary(max_size=6), some.sampled_from(_TOKENS))
)
_EDITS: Final = some.lists(_EDIT, max_size=6)
_EVENT: Final = some.builds(changed, some.sampled_from(_EVENTS), _EDITS)
REQUEST: Final = some.one_of(
    _EVENT.map(frame),
    some.builds(changed, _EVENT.map(frame), _EDITS),
    some.lists(_EVENT.map(frame), max_size=3).map(b"".join),
    some.binary(max_size=300),
)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that takes everything; it runs to the end, and no file of it shows a planted secret."""
    folder = tmp_path_factory.mktemp("fuzzed")
    server = ServerProcess(folder / "data", folder / "server").start()
    yield server
    assert server.stop() == 0
    assert canaries.search(folder) == []


def _quick(call: Callable[..., bytes], request: bytes) -> bytes | grpc.StatusCode:
    """The answer; a slow one is asked for again, since whatever else the machine does only adds to the time."""
    best = float("inf")
    for _ in range(MEASURED_AGAIN):
        start = time.perf_counter()
        try:
            answer: bytes | grpc.StatusCode = call(request, timeout=60)
        except grpc.RpcError as error:
            answer = code_of(error)
        best = min(best, time.perf_counter() - start)
        if best <= SLOWEST:
            return answer
    raise AssertionError(f"it takes {best:.3f} s: {request.hex()}")


@pytest.mark.timeout(3600)
def test_ingest_survives_any_bytes(attacked: ServerProcess) -> None:
    """A response with receipts, or INVALID_ARGUMENT: no other code, no panic, no slow request."""
    sent = 0
    with attacked.channel() as channel, ThreadPoolExecutor(4) as pool:
        call = raw_unary(channel, INGEST)

        @settings(
            max_examples=max(1, REQUESTS // AT_ONCE),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(some.lists(REQUEST, min_size=AT_ONCE, max_size=AT_ONCE))
        def attack(requests: list[bytes]) -> None:
            nonlocal sent
            for request, answer in zip(requests, pool.map(lambda one: _quick(call, one), requests), strict=True):
                sent += 1
                if isinstance(answer, bytes):
                    receipts = ingest_pb2.IngestResponse.FromString(answer).receipts
                    assert ingest_pb2.Status.Value("STATUS_UNSPECIFIED") not in {one.status for one in receipts}
                else:
                    assert answer is grpc.StatusCode.INVALID_ARGUMENT, request.hex()

        attack()

    assert attacked.process.poll() is None
    assert sent >= min(REQUESTS, AT_ONCE)
    assert "panicked" not in attacked.stderr.read_text()


@pytest.mark.timeout(3600)
def test_every_other_method_survives_any_bytes(attacked: ServerProcess) -> None:
    """Random bytes and changed messages: a code that says what is wrong, never INTERNAL or UNKNOWN."""
    with attacked.channel() as channel:
        for path, message in _methods():
            _attack(path, raw_unary(channel, path), _filled(message))

    assert attacked.process.poll() is None
    assert "panicked" not in attacked.stderr.read_text()


def _attack(path: str, call: Callable[..., bytes], base: bytes) -> None:
    @settings(
        max_examples=max(8, REQUESTS // 400), deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(some.builds(changed, some.just(base), _EDITS))
    @example(b"")
    @example(_LONG)
    def attack(request: bytes) -> None:
        code = _code(call, request)
        assert code in _FINE, (path, request.hex(), code)

    attack()


def _code(call: Callable[..., bytes], request: bytes) -> grpc.StatusCode:
    try:
        call(request, timeout=60)
    except grpc.RpcError as error:
        return code_of(error)
    return grpc.StatusCode.OK


def _methods() -> Iterator[tuple[str, Any]]:
    """Unary methods of the package but those of ingest, and their request types."""
    from becas.ft.v1 import (
        dataset_service_pb2,
        event_service_pb2,
        model_service_pb2,
        shadow_service_pb2,
        training_service_pb2,
    )

    files = (dataset_service_pb2, event_service_pb2, model_service_pb2, shadow_service_pb2, training_service_pb2)
    pool = descriptor_pool.Default()
    for file in files:
        for service in pool.FindFileByName(file.DESCRIPTOR.name).services_by_name.values():
            for method in service.methods:
                if not (method.server_streaming or method.client_streaming or method.name in _REFUSED):
                    yield f"/{service.full_name}/{method.name}", message_factory.GetMessageClass(method.input_type)


def _filled(kind: Any) -> bytes:  # noqa: ANN401 - a message class
    """A message with something in every plain field."""
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        if field.message_type is None and not field.is_repeated:
            text = field.cpp_type == field.CPPTYPE_STRING
            setattr(message, field.name, "scam_detection-1" if text else type(field.default_value)(1))
    encoded: bytes = message.SerializeToString()
    return encoded
