"""The server as a process: what it offers, how it starts, how it stops."""

import importlib
import itertools
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from becas.ft.v1 import dataset_pb2, dataset_service_pb2_grpc, ingest_pb2, ingest_service_pb2_grpc
from helpers import events
from helpers.rpc import code_of, details, raw_unary, until_error
from helpers.server import COMMAND, ServerProcess, ServerStarter, environment

SERVED = {"becas.ft.v1.IngestService", "becas.ft.v1.DatasetService"}
ROOT = Path(__file__).resolve().parent.parent.parent


def health(channel: grpc.Channel) -> Any:  # noqa: ANN401 - the stub ships without its methods' types
    return health_pb2_grpc.HealthStub(channel)


def reflected(channel: grpc.Channel, method: str) -> list[str]:
    """Services that reflection lists under one of its names."""
    call = channel.stream_stream(
        method,
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    answer = next(iter(call(iter([request]), timeout=30)))
    return [service.name for service in answer.list_services_response.service]


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_lists_what_is_served(channel: grpc.Channel, version: str) -> None:
    """Clients without a proto file find every service that answers, and none that does not."""
    names = reflected(channel, f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")

    assert len(names) == len(set(names))
    assert {name for name in names if name.startswith("becas.")} >= SERVED
    assert {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"} <= set(names)
    for name in names:
        if name.startswith("becas."):
            assert _answers(channel, name), name


def _answers(channel: grpc.Channel, service: str) -> bool:
    """Whether a method of the service exists; a request of bad bytes reaches it or not."""
    # The descriptors of a service are known once its module is there.
    module = re.sub(r"(?<!^)(?=[A-Z])", "_", service.rpartition(".")[2]).lower()
    importlib.import_module(f"becas.ft.v1.{module}_pb2")
    descriptor = descriptor_pool.Default().FindServiceByName(service)
    method = next(method for method in descriptor.methods if not method.client_streaming)
    try:
        if method.server_streaming:
            call: Any = channel.unary_stream(f"/{service}/{method.name}")
            next(call(b"\x0a\xff", timeout=30), None)
        else:
            raw_unary(channel, f"/{service}/{method.name}")(b"\x0a\xff", timeout=30)
    except grpc.RpcError as error:
        return code_of(error) is not grpc.StatusCode.UNIMPLEMENTED
    return True


def test_reflection_describes_the_messages(channel: grpc.Channel) -> None:
    """The file of every service, with all that it imports, can be asked for."""
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    requests = [reflection_pb2.ServerReflectionRequest(file_containing_symbol=name) for name in sorted(SERVED)]

    answers = list(stub.ServerReflectionInfo(iter(requests), timeout=30))

    for answer in answers:
        assert answer.file_descriptor_response.file_descriptor_proto


def test_health_by_service(channel: grpc.Channel) -> None:
    """The server as a whole and each service are SERVING; an unknown one is NOT_FOUND."""
    stub = health(channel)

    for name in ("", *SERVED):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=30)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(health_pb2.HealthCheckRequest(service="nobody"), timeout=30)
    assert code_of(caught.value) is grpc.StatusCode.NOT_FOUND


def test_health_says_so_before_the_server_goes(server: ServerProcess, channel: grpc.Channel) -> None:
    """On SIGTERM watchers see NOT_SERVING while the server still answers; then both end."""
    watch = health(channel).Watch(health_pb2.HealthCheckRequest(service=""), timeout=60)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    started = time.monotonic()
    stopper = threading.Thread(target=server.stop)
    stopper.start()

    second = next(watch).status
    answered = raw_unary(channel, "/becas.ft.v1.IngestService/Ingest")(b"", timeout=10)
    with pytest.raises(grpc.RpcError) as caught:
        next(watch)
    stopper.join()

    assert (second, answered) == (health_pb2.HealthCheckResponse.NOT_SERVING, b"")
    assert details(caught.value).reason == "DRAINING"
    assert server.process.returncode == 0
    # Nobody waited for the watch to end by itself.
    assert time.monotonic() - started < 15


@dataclass
class Load:
    """Callers that send until the server refuses."""

    server: ServerProcess
    acknowledged: set[str] = field(default_factory=set)
    ends: list[grpc.StatusCode] = field(default_factory=list)

    def unary(self, caller: int) -> None:
        """Call by call."""
        with self.server.channel(use_local_subchannel_pool=1) as channel:
            stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
            self._take(stub.Ingest(request, timeout=30) for request in _requests(f"u-{caller}", caller, 3))

    def stream(self, caller: int) -> None:
        """One stream."""
        with self.server.channel(use_local_subchannel_pool=1) as channel:
            stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
            self._take(stub.IngestStream(_requests(f"s-{caller}", 100 + caller, 1), timeout=60))

    def _take(self, responses: Iterable[ingest_pb2.IngestResponse]) -> None:
        received, error = until_error(responses)
        self.ends.append(code_of(error))
        self.acknowledged.update(receipt.event_id for response in received for receipt in response.receipts)


def _requests(name: str, part: int, size: int) -> Iterator[ingest_pb2.IngestRequest]:
    for turn in itertools.count():
        numbers = range(turn * size, turn * size + size)
        yield events.request([events.scam_message(f"{name}-{number}", part * 10**6 + number) for number in numbers])


def test_drain_under_load_loses_nothing(start_server: ServerStarter) -> None:
    """SIGTERM under load: what was acknowledged is there afterwards, and the exit code is 0."""
    server = start_server()
    load = Load(server)
    threads = [threading.Thread(target=load.unary, args=(caller,)) for caller in range(4)]
    threads += [threading.Thread(target=load.stream, args=(caller,)) for caller in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(1.5)
    code = server.stop()
    for thread in threads:
        thread.join()

    again = start_server()
    batch = [events.scam_message(event_id, 1) for event_id in sorted(load.acknowledged)]
    with again.channel() as channel:
        stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
        starts = range(0, len(batch), 1000)
        answers = [stub.Ingest(events.request(batch[start : start + 1000]), timeout=60) for start in starts]
    statuses = {receipt.status for answer in answers for receipt in answer.receipts}

    assert code == 0
    assert load.ends == [grpc.StatusCode.UNAVAILABLE] * len(threads)
    assert len(load.acknowledged) > 100
    assert statuses == {ingest_pb2.STATUS_DUPLICATE}


def test_ready_line_is_the_only_output(server: ServerProcess) -> None:
    """Standard output is one line with the actual address; everything else is the log."""
    assert server.stop() == 0

    lines = server.stdout.read_text().splitlines()
    assert len(lines) == 1
    assert re.fullmatch(r"becas-ft is ready: listening on 127\.0\.0\.1:\d+, data in .*", lines[0])
    assert not server.address.endswith(":0")


def test_the_ready_line_as_json(tmp_path: Path) -> None:
    """With --json scripts read the address and the folder."""
    command = [str(COMMAND), "serve", "--json", "--data-dir", str(tmp_path / "data"), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        process.terminate()

    assert re.fullmatch(r"127\.0\.0\.1:\d+", ready["address"])
    assert ready["data_dir"] == str(tmp_path / "data")
    assert process.returncode == 0


def test_metrics_are_read_over_http(start_server: ServerStarter) -> None:
    """Calls by method and code, and the core's own figures: duplicates, conflicts and evictions among them."""
    server = start_server("--dashboard", "127.0.0.1:0")
    with server.channel() as channel:
        stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
        for _ in range(2):
            stub.Ingest(events.request([events.scam_message("a", 1)]), timeout=30)
    figures = dict(line.rsplit(" ", 1) for line in server.metrics().splitlines() if line[0] != "#")

    assert figures['becas_rpcs_total{code="OK",method="/becas.ft.v1.IngestService/Ingest"}'] == "2.0"
    assert figures["becas_core_duplicates_total"] == "1.0"
    assert {"becas_core_conflicts_total", "becas_core_evictions_total"} <= figures.keys()
    assert server.stop() == 0


def test_log_is_json_without_people(server: ServerProcess, channel: grpc.Channel) -> None:
    """Each call is a line with method, code, time and a request id; no id of a member or guild is in it."""
    stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)
    stub.Forget(dataset_pb2.ForgetRequest(user_id="700000000000000123"), timeout=60)
    with pytest.raises(grpc.RpcError):
        stub.SetConsent(dataset_pb2.SetConsentRequest(), timeout=30)
    server.stop()

    calls = [line for line in server.log() if line["event"] == "rpc"]
    assert [(line["method"], line["code"]) for line in calls] == [
        ("/becas.ft.v1.DatasetService/Forget", "OK"),
        ("/becas.ft.v1.DatasetService/SetConsent", "INVALID_ARGUMENT"),
    ]
    assert all(line["milliseconds"] > 0 and len(line["request_id"]) == 32 for line in calls)
    assert "700000000000000123" not in server.stderr.read_text()


def test_second_server_on_a_store_is_told_so(server: ServerProcess, data_dir: Path) -> None:
    """One store, one server: the second ends with a readable error and exit code 1, the first goes on."""
    done = subprocess.run(
        [COMMAND, "serve", "--data-dir", data_dir, "--listen", "127.0.0.1:0"],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: store: ")
    assert "open" in done.stderr
    assert "Traceback" not in done.stderr
    with server.channel() as channel:
        assert raw_unary(channel, "/becas.ft.v1.IngestService/Ingest")(b"", timeout=30) == b""


def test_taken_port_is_told_so(server: ServerProcess, tmp_path: Path) -> None:
    """A port that another server has is a readable error, not a silent share of its calls."""
    done = subprocess.run(
        [COMMAND, "serve", "--data-dir", tmp_path / "other", "--listen", server.address],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert f"cannot listen on {server.address}" in done.stderr
    assert "Traceback" not in done.stderr


def test_bad_configuration_is_told_so(tmp_path: Path) -> None:
    """Every problem of the configuration is named before anything is opened."""
    done = subprocess.run(
        [COMMAND, "serve", "--data-dir", tmp_path / "data", "--listen", "localhost"],
        capture_output=True,
        text=True,
        env=environment(BECAS_FT_STORE__CAPACITY="0"),
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert "server.listen: " in done.stderr
    assert "store.capacity: " in done.stderr
    assert not (tmp_path / "data").exists()


def test_unix_socket(tmp_path: Path, data_dir: Path) -> None:
    """A socket in the file system is an address too."""
    server = ServerProcess(data_dir, tmp_path / "server", listen=f"unix:{tmp_path}/becas.sock").start()
    try:
        with server.channel() as channel:
            assert raw_unary(channel, "/becas.ft.v1.IngestService/Ingest")(b"", timeout=30) == b""
        assert server.address == f"unix:{tmp_path}/becas.sock"
    finally:
        assert server.stop() == 0


def test_services_that_are_not_there_are_unimplemented(channel: grpc.Channel) -> None:
    """A method that nobody serves is UNIMPLEMENTED."""
    with pytest.raises(grpc.RpcError) as caught:
        raw_unary(channel, "/becas.ft.v1.IngestService/Nothing")(b"", timeout=30)

    assert code_of(caught.value) is grpc.StatusCode.UNIMPLEMENTED


def test_key_file_open_to_others_refuses_to_start(start_server: ServerStarter, data_dir: Path) -> None:
    """The key of the pseudonyms is nobody else's to read; a server says so instead of going on."""
    start_server().stop()
    key = data_dir / "becas.key"
    assert key.stat().st_mode & 0o777 == 0o600
    os.chmod(key, 0o644)  # noqa: PTH101 - as an operator would

    with pytest.raises(AssertionError, match=r"serve ended with 1: .*key file"):
        start_server()
