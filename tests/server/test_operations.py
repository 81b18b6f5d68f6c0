"""What operators switch on and off, and what load balancers are told."""

import os
import shutil
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from helpers.rpc import INGEST, code_of, raw_stream, raw_unary
from helpers.server import ServerProcess, ServerStarter

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
# What other programs write meanwhile.
SLACK = 2 << 30


def test_reflection_can_be_switched_off(start_server: ServerStarter) -> None:
    """Under both names; the services answer all the same."""
    server = start_server(BECAS_FT_SERVER__REFLECTION="false")
    with server.channel() as channel:
        for version in ("v1", "v1alpha"):
            call = raw_stream(channel, f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")
            with pytest.raises(grpc.RpcError) as caught:
                list(call(iter([b""]), timeout=30))
            assert code_of(caught.value) is grpc.StatusCode.UNIMPLEMENTED
        assert raw_unary(channel, INGEST)(b"", timeout=30) == b""


def test_channelz_is_on_a_port_of_its_own(start_server: ServerStarter) -> None:
    """It knows of the server's calls, and is not on the server's own port; by default it is nowhere."""
    server = start_server(BECAS_FT_SERVER__CHANNELZ="127.0.0.1:0")
    [address] = [line["address"] for line in server.log() if line["event"] == "serving_channelz"]
    assert address != server.address
    with server.channel() as channel, grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as debug:
        for _ in range(3):
            raw_unary(channel, INGEST)(b"", timeout=30)
        stub: Any = channelz_pb2_grpc.ChannelzStub(debug)
        servers = stub.GetServers(channelz_pb2.GetServersRequest(start_server_id=0), timeout=30).server
        elsewhere: Any = channelz_pb2_grpc.ChannelzStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            elsewhere.GetServers(channelz_pb2.GetServersRequest(start_server_id=0), timeout=30)

    assert max(one.data.calls_started for one in servers) >= 3
    assert code_of(caught.value) is grpc.StatusCode.UNIMPLEMENTED
    assert server.stop() == 0
    assert not [line for line in start_server().log() if line["event"] == "serving_channelz"]


def test_a_disk_that_is_nearly_full_is_not_ready(tmp_path: Path, data_dir: Path) -> None:
    """Watchers hear NOT_SERVING while less than the watermark is left, and SERVING again after; reading goes on."""
    watermark = shutil.disk_usage(tmp_path).free - SLACK
    if watermark < SLACK:
        pytest.skip("the disk has no room for the file that fills it")
    settings = {"BECAS_FT_SERVER__MIN_FREE_DISK": str(watermark)}
    server = ServerProcess(data_dir, tmp_path / "server", variables=settings).start()
    filling = tmp_path / "filling"
    try:
        with server.channel() as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            watches = {
                name: stub.Watch(health_pb2.HealthCheckRequest(service=name), timeout=60)
                for name in ("", "becas.ft.v1.IngestService")
            }
            assert {next(watch).status for watch in watches.values()} == {SERVING}

            with filling.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, 2 * SLACK)
            assert {next(watch).status for watch in watches.values()} == {NOT_SERVING}
            reading = stub.Check(health_pb2.HealthCheckRequest(service="becas.ft.v1.DatasetService"), timeout=30)
            assert reading.status == SERVING
            assert raw_unary(channel, INGEST)(b"", timeout=30) == b""

            filling.unlink()
            assert {next(watch).status for watch in watches.values()} == {SERVING}
    finally:
        filling.unlink(missing_ok=True)
        assert server.stop() == 0
    assert [line["event"] for line in server.log() if line["event"].startswith("disk_")] == [
        "disk_low",
        "disk_recovered",
    ]


def test_every_service_has_a_health_of_its_own(server: ServerProcess) -> None:
    """And when the server goes all of them are NOT_SERVING before it does."""
    names = [f"becas.ft.v1.{name}Service" for name in ("Ingest", "Dataset", "Training", "Shadow", "Model", "Event")]
    with server.channel() as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watches = [stub.Watch(health_pb2.HealthCheckRequest(service=name), timeout=60) for name in ["", *names]]
        assert [next(watch).status for watch in watches] == [SERVING] * 7
        server.process.terminate()
        assert [next(watch).status for watch in watches] == [NOT_SERVING] * 7
    assert server.stop() == 0
