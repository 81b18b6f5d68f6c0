"""IngestService of a real server."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from becas.ft.v1 import (
    dataset_pb2,
    dataset_service_pb2_grpc,
    event_pb2,
    example_pb2,
    ingest_pb2,
    ingest_service_pb2_grpc,
)
from helpers import canaries, events, faults
from helpers.rpc import INGEST, INGEST_STREAM, code_of, details, raw_stream, raw_unary, until_error
from helpers.server import ServerProcess, ServerStarter

# A message whose first field has a length beyond its end.
BAD_BYTES = b"\x0a\xff\xff\xff\x0f"


@pytest.fixture
def ingest(channel: grpc.Channel) -> ingest_service_pb2_grpc.IngestServiceStub:
    """The generated stub."""
    return ingest_service_pb2_grpc.IngestServiceStub(channel)


def total(channel: grpc.Channel) -> int:
    stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)
    return stub.GetTrainingStats(dataset_pb2.GetTrainingStatsRequest(), timeout=30).total_examples


def test_receipts_keep_the_order(ingest: ingest_service_pb2_grpc.IngestServiceStub) -> None:
    """A receipt an event, in the order of the request, with the id as it was sent."""
    batch = [events.scam_message(f"order/{number} é", number) for number in range(30)]

    receipts = ingest.Ingest(events.request(batch), timeout=30).receipts

    assert [receipt.event_id for receipt in receipts] == [event.event_id for event in batch]
    assert {receipt.status for receipt in receipts} == {ingest_pb2.STATUS_ACCEPTED}
    assert {receipt.category for receipt in receipts} == {example_pb2.CATEGORY_SCAM_DETECTION}
    assert {(receipt.tier, receipt.score) for receipt in receipts} == {(example_pb2.TIER_GOLD, 0.915)}


def test_event_counts_once(ingest: ingest_service_pb2_grpc.IngestServiceStub, channel: grpc.Channel) -> None:
    """The same event id again, with another text too, is a DUPLICATE with its score; nothing is stored twice."""
    request = events.request([events.scam_message("once", 1)])
    first = ingest.Ingest(request, timeout=30).receipts[0]

    second = ingest.Ingest(request, timeout=30).receipts[0]
    other = ingest.Ingest(events.request([events.scam_message("once", 2)]), timeout=30).receipts[0]

    assert (first.status, second.status) == (ingest_pb2.STATUS_ACCEPTED, ingest_pb2.STATUS_DUPLICATE)
    assert other.status == ingest_pb2.STATUS_DUPLICATE
    assert (second.category, second.tier, second.score) == (first.category, first.tier, first.score)
    assert total(channel) == 1


def test_unusable_events_are_receipts(ingest: ingest_service_pb2_grpc.IngestServiceStub) -> None:
    """An empty oneof, a missing id or an impossible number is an INVALID receipt; others are taken."""
    no_payload = event_pb2.Event(event_id="no-payload")
    no_id = events.scam_message("", 2)
    impossible = events.scam_message("impossible", 3)
    impossible.scam_detected.analysis.confidence = float("nan")
    good = events.scam_message("good", 4)

    receipts = ingest.Ingest(events.request([no_payload, no_id, impossible, good]), timeout=30).receipts

    assert [receipt.status for receipt in receipts] == [ingest_pb2.STATUS_INVALID] * 3 + [ingest_pb2.STATUS_ACCEPTED]
    assert [receipt.event_id for receipt in receipts] == ["no-payload", "", "impossible", "good"]
    assert all(receipt.reasons for receipt in receipts[:3])
    assert {(receipt.category, receipt.tier, receipt.score) for receipt in receipts[:3]} == {(0, 0, 0.0)}


def test_bad_bytes_are_an_invalid_argument(channel: grpc.Channel) -> None:
    """Bytes that are no request are INVALID_ARGUMENT with the field and a reason; the server goes on."""
    with pytest.raises(grpc.RpcError) as caught:
        raw_unary(channel, INGEST)(BAD_BYTES, timeout=30)

    found = details(caught.value)
    assert found.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (found.reason, found.domain) == ("INVALID_ARGUMENT", "becas.ft.v1")
    assert list(found.fields) != []
    assert len(found.request_id) == 32
    assert raw_unary(channel, INGEST)(b"", timeout=30) == b""


def test_stream_answers_each_request_in_order(channel: grpc.Channel) -> None:
    """One response a request, in order, however many are on their way."""
    batches = [
        [events.scam_message(f"stream-{number}-{index}", number * 100 + index) for index in range(1 + number % 7)]
        for number in range(120)
    ]

    responses = list(
        ingest_service_pb2_grpc.IngestServiceStub(channel).IngestStream(
            (events.request(batch) for batch in batches), timeout=60
        )
    )

    sent = [[event.event_id for event in batch] for batch in batches]
    assert [[receipt.event_id for receipt in response.receipts] for response in responses] == sent


def test_stream_is_decided_in_order(channel: grpc.Channel) -> None:
    """Of the same event in two requests of a stream the first is taken, however quick the second is to prepare."""
    for turn in range(5):
        twice = events.scam_message(f"twice-{turn}", turn)
        many = [events.scam_message(f"many-{turn}-{number}", 1000 + turn * 1000 + number) for number in range(1000)]
        requests = [events.request([*many, twice]), events.request([twice])]

        first, second = ingest_service_pb2_grpc.IngestServiceStub(channel).IngestStream(iter(requests), timeout=60)

        assert first.receipts[-1].status == ingest_pb2.STATUS_ACCEPTED
        assert second.receipts[0].status == ingest_pb2.STATUS_DUPLICATE


def test_stream_answers_before_it_ends(channel: grpc.Channel) -> None:
    """A response comes when its request is on disk, not when the stream is over."""
    turn = threading.Semaphore(1)

    def requests() -> Iterator[bytes]:
        for number in range(5):
            assert turn.acquire(timeout=30)
            yield events.request([events.scam_message(f"turn-{number}", number)]).SerializeToString()

    answered = 0
    for _ in raw_stream(channel, INGEST_STREAM)(requests(), timeout=60):
        answered += 1
        turn.release()

    assert answered == 5


def test_bad_bytes_end_a_stream_after_the_answers_before_them(channel: grpc.Channel) -> None:
    """What came before the bad request is answered; then the stream fails as a single call does."""
    good = [
        events.request([events.scam_message(f"before-{number}", number)]).SerializeToString() for number in range(9)
    ]

    received, error = until_error(raw_stream(channel, INGEST_STREAM)(iter([*good, BAD_BYTES, good[0]]), timeout=60))

    assert details(error).code is grpc.StatusCode.INVALID_ARGUMENT
    receipts = [ingest_pb2.IngestResponse.FromString(response).receipts[0] for response in received]
    assert [receipt.event_id for receipt in receipts] == [f"before-{number}" for number in range(9)]
    assert {receipt.status for receipt in receipts} == {ingest_pb2.STATUS_ACCEPTED}


def test_many_callers_at_once(server: ServerProcess, channel: grpc.Channel) -> None:
    """Forty callers on four channels: every event is acknowledged to its own caller and stored once."""
    channels = [server.channel(use_local_subchannel_pool=1) for _ in range(4)]

    def call(caller: int) -> list[str]:
        stub = ingest_service_pb2_grpc.IngestServiceStub(channels[caller % 4])
        ids = []
        for turn in range(5):
            seed = caller * 1000 + turn * 10
            batch = [events.scam_message(f"caller-{caller}-{turn}-{index}", seed + index) for index in range(5)]
            receipts = stub.Ingest(events.request(batch), timeout=60).receipts
            assert {receipt.status for receipt in receipts} == {ingest_pb2.STATUS_ACCEPTED}
            ids += [receipt.event_id for receipt in receipts]
        return ids

    with ThreadPoolExecutor(40) as pool:
        ids = [event_id for found in pool.map(call, range(40)) for event_id in found]
    for opened in channels:
        opened.close()

    assert len(ids) == len(set(ids)) == 1000
    assert total(channel) == 1000


def test_deadline_of_the_caller_is_kept(
    ingest: ingest_service_pb2_grpc.IngestServiceStub, channel: grpc.Channel
) -> None:
    """A deadline that cannot be met is DEADLINE_EXCEEDED, and what was sent may simply be sent again."""
    request = events.request([events.scam_message(f"late-{number}", number) for number in range(2000)])

    with pytest.raises(grpc.RpcError) as caught:
        ingest.Ingest(request, timeout=0.001)

    assert code_of(caught.value) is grpc.StatusCode.DEADLINE_EXCEEDED
    receipts = ingest.Ingest(request, timeout=60).receipts
    assert {receipt.status for receipt in receipts} <= {
        ingest_pb2.STATUS_ACCEPTED,
        ingest_pb2.STATUS_DUPLICATE,
    }
    assert total(channel) == 2000


def test_call_without_a_deadline_gets_one(start_server: ServerStarter) -> None:
    """The default deadline ends a call that set none; the details say so."""
    server = start_server(BECAS_FT_SERVER__DEFAULT_DEADLINE_SECONDS="0.0001")
    request = events.request([events.scam_message(f"none-{number}", number) for number in range(3000)])

    with server.channel() as channel:
        with pytest.raises(grpc.RpcError) as caught:
            ingest_service_pb2_grpc.IngestServiceStub(channel).Ingest(request)
        assert total(channel) == 0
    found = details(caught.value)
    assert (found.code, found.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")


def test_what_waited_longer_than_its_deadline_is_not_written(
    start_server: ServerStarter, tmp_path: Path, data_dir: Path
) -> None:
    """A call whose time is over before its turn comes, behind a commit that takes long, leaves nothing."""
    data_dir.mkdir()
    slow = tmp_path / "slow"
    server = start_server(**faults.Preload(faults.library(tmp_path), data_dir, slow=slow).variables())
    late = events.request([events.scam_message("late", 2)])
    with server.channel() as channel:
        stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
        assert total(channel) == 0
        slow.touch()
        first = stub.Ingest.future(events.request([events.scam_message("first", 1)]), timeout=60)
        # Its commit begins, so that the next call is not of the same one.
        time.sleep(1)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Ingest(late, timeout=0.5)
        assert not first.done()
        slow.unlink()

        assert first.result().receipts[0].status == ingest_pb2.STATUS_ACCEPTED
        assert stub.Ingest(late, timeout=60).receipts[0].status == ingest_pb2.STATUS_ACCEPTED
    assert code_of(caught.value) is grpc.StatusCode.DEADLINE_EXCEEDED


def scams(caller: int) -> list[event_pb2.Event]:
    return [events.scam_message(f"{caller}-{number}", caller * 200 + number) for number in range(200)]


def unusable(caller: int) -> list[event_pb2.Event]:
    """Nothing of these is written, so that none of them waits for the writer."""
    return [event_pb2.Event(event_id=f"{caller}-{number}", correlation_id="x" * 1000) for number in range(2000)]


@pytest.mark.parametrize(
    ("threads", "made", "status"),
    [("1", unusable, ingest_pb2.STATUS_INVALID), ("64", scams, ingest_pb2.STATUS_ACCEPTED)],
    ids=["waiting for a thread", "waiting for the writer"],
)
def test_a_full_queue_says_when_to_come_back(
    start_server: ServerStarter,
    threads: str,
    made: Callable[[int], list[event_pb2.Event]],
    status: "ingest_pb2.Status.ValueType",
) -> None:
    """More bytes than may wait are refused at once, with the limit and a delay; who comes back is served."""
    server = start_server(BECAS_FT_STORE__QUEUE_BYTES="64 KiB", BECAS_FT_SERVER__INGEST_THREADS=threads)

    def call(caller: int) -> list[grpc.RpcError]:
        batch = events.request(made(caller))
        refusals: list[grpc.RpcError] = []
        with server.channel(enable_retries=0, use_local_subchannel_pool=1) as own:
            stub = ingest_service_pb2_grpc.IngestServiceStub(own)
            while True:
                try:
                    receipts = stub.Ingest(batch, timeout=60).receipts
                except grpc.RpcError as error:
                    refusals.append(error)
                    time.sleep(details(error).retry_seconds or 60)
                else:
                    assert {receipt.status for receipt in receipts} == {status}
                    return refusals

    with ThreadPoolExecutor(16) as pool:
        refused = [error for found in pool.map(call, range(16)) for error in found]

    assert refused
    for error in refused:
        told = details(error)
        assert (told.code, told.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        assert (told.quota.subject, told.quota.quota_id) == ("server", "store.queue_bytes")
        assert told.retry_seconds == 0.2
        assert int(told.metadata["queued_bytes"]) > 0
        assert isinstance(error, grpc.Call)
        assert ("grpc-retry-pushback-ms", "200") in [tuple(pair) for pair in error.trailing_metadata() or ()]


@pytest.mark.parametrize(
    ("settings", "limit"), [({}, 4 << 20), ({"BECAS_FT_SERVER__MAX_MESSAGE_BYTES": "1 MiB"}, 1 << 20)]
)
def test_oversize_requests_are_refused(start_server: ServerStarter, settings: dict[str, str], limit: int) -> None:
    """A request over the limit is RESOURCE_EXHAUSTED before it reaches the core; one just under it is taken."""
    filler = event_pb2.Event(event_id="filler", correlation_id="x" * 1000).SerializeToString()
    count = limit // (len(filler) + 3)
    framed = b"\x0a" + bytes([len(filler) & 0x7F | 0x80, len(filler) >> 7]) + filler
    with start_server(**settings).channel() as channel:
        ingest = raw_unary(channel, INGEST)
        with pytest.raises(grpc.RpcError) as caught:
            ingest(framed * (count + 2), timeout=60)
        answer = ingest_pb2.IngestResponse.FromString(ingest(framed * (count - 1), timeout=60))

    assert code_of(caught.value) is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert {receipt.status for receipt in answer.receipts} == {ingest_pb2.STATUS_INVALID}


def test_compressed_bomb_is_refused(server: ServerProcess) -> None:
    """Two hundred megabytes of zeros in a small gzip frame are refused without taking the memory."""
    with server.channel(max_send_message_length=-1) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            raw_unary(channel, INGEST)(bytes(200 << 20), timeout=60, compression=grpc.Compression.Gzip)

        assert code_of(caught.value) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert raw_unary(channel, INGEST)(b"", timeout=30) == b""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    peak_kilobytes = int(status.partition("VmHWM:")[2].split()[0])
    assert peak_kilobytes < 400 << 10


def test_secrets_stay_out_of_every_file(server: ServerProcess, channel: grpc.Channel) -> None:
    """Secrets in every string field of every payload kind are echoed in receipts only; no file shows one.

    The search itself is the fixture that runs after every test.
    """
    planted = list(canaries.planted_events())

    receipts = ingest_service_pb2_grpc.IngestServiceStub(channel).Ingest(events.request(planted), timeout=60).receipts

    assert [receipt.event_id for receipt in receipts] == [event.event_id for event in planted]
    stored = {receipt.event_id for receipt in receipts if receipt.status == ingest_pb2.STATUS_ACCEPTED}
    for kind in event_pb2.Event.DESCRIPTOR.oneofs_by_name["payload"].fields:
        assert stored & {f"{canaries.EVENT_PREFIX}_{kind.name}", f"{canaries.EVENT_PREFIX}_{kind.name}_closed"}
    assert canaries.found_in("\n".join(reason for receipt in receipts for reason in receipt.reasons).encode()) == []
    assert server.stop() == 0


def test_search_would_find_a_secret(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The search bites: a secret in a file, with or without spaces, and in a file's name, is found."""
    folder = tmp_path_factory.mktemp("leaky")
    (folder / "log.txt").write_text("card 4539148803436467 seen")
    (folder / f"dump-{canaries.USER}.bin").write_bytes(b"\0\1" + canaries.SECRETS["e-mail"].encode() + b"\0")

    found = [line.partition(":")[0] for line in canaries.search(folder)]

    assert sorted(found) == ["card", "e-mail", "user id"]
