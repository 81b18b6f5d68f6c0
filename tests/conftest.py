"""Fixtures that every area may use: real servers, the command line, and the search for planted secrets."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from helpers import canaries
from helpers.server import CommandLine, ServerProcess, ServerStarter

pytest_plugins = ["helpers.leaks", "helpers.server_errors"]


@pytest.fixture(autouse=True)
def no_secret_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every test that had a folder, no file in it shows a planted secret; `inputs` is not searched."""
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if folder is not None:
        found = canaries.search(folder)

        assert found == []


@pytest.fixture
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what a test hands in, and for receipts: raw ids may stand there."""
    return tmp_path_factory.mktemp("inputs")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Where a server of the test keeps its store."""
    return tmp_path / "data"


@pytest.fixture
def start_server(tmp_path: Path, data_dir: Path) -> Iterator[ServerStarter]:
    """Starts servers: `start_server(*options, **environment)`; all are stopped when the test ends."""
    started: list[ServerProcess] = []

    def start(*options: str, data: Path = data_dir, **variables: str) -> ServerProcess:
        server = ServerProcess(data, tmp_path / f"server-{len(started)}", options, variables)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        if hasattr(server, "process"):
            server.kill()


@pytest.fixture
def server(start_server: ServerStarter) -> ServerProcess:
    """A server with the default settings and an empty store."""
    return start_server()


@pytest.fixture
def channel(server: ServerProcess) -> Iterator[grpc.Channel]:
    """A channel to `server`."""
    with server.channel() as opened:
        yield opened


@pytest.fixture
def cli(tmp_path: Path, server: ServerProcess) -> CommandLine:
    """`becas-ft`, speaking to `server`."""
    return CommandLine(tmp_path / "cli", server.address)


@pytest.fixture
def offline_cli(tmp_path: Path) -> CommandLine:
    """`becas-ft`, with no server."""
    return CommandLine(tmp_path / "cli")
