"""`becas-ft events` beside a real server, either of them killed and back: every event, in order, once."""

import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from becas.ft.v1 import published_event_pb2
from becas_ft.ledger import Ledger, WriteTransaction
from becas_ft.rollout import published
from helpers import models
from helpers.served import Served, serving
from helpers.server import COMMAND, CommandLine, ServerStarter, environment

CANDIDATE = models.candidate(1)
KILLS = 3
SECONDS = 120.0
# Of 100 bytes and more: a pipe holds 64 KiB.
EVENTS = 3_000
# After which `becas-ft events` ends.
SILENCE = 2.0


@dataclass
class Follower:
    """`becas-ft events --follow`, running."""

    process: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path

    def seen(self) -> list[tuple[int, str]]:
        """(cursor, name) of what it has printed."""
        text = self.stdout.read_text()
        # A kill may leave half a line.
        lines = text[: text.rfind("\n") + 1].splitlines()
        return [(found["cursor"], found["name"]) for found in map(json.loads, lines)]

    def wait_for(self, count: int) -> None:
        """Until it has printed so many events."""
        deadline = time.monotonic() + SECONDS
        while len(self.seen()) < count:
            assert self.process.poll() is None, self.stderr.read_text()
            assert time.monotonic() < deadline, f"{len(self.seen())} of {count}: {self.stderr.read_text()}"
            time.sleep(0.05)

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


@contextmanager
def following(folder: Path, server: str, *options: str) -> Iterator[Follower]:
    folder.mkdir()
    stdout, stderr = folder / "stdout.txt", folder / "stderr.txt"
    command: list[str | Path] = [COMMAND, "events", "--follow", "--json", "--server", server, *options]
    with stdout.open("wb") as out, stderr.open("wb") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, env=environment())
    try:
        yield Follower(process, stdout, stderr)
    finally:
        process.kill()
        process.wait(30)


def publish(served: Served, enough: threading.Event) -> None:
    """The alias goes to the candidate and back, again and again, also while the server is away."""
    with served.process.channel() as channel:
        mine = Served(served.process, channel)
        while not enough.is_set():
            try:
                mine.promote(CANDIDATE)
                mine.rollback(0)
            except grpc.RpcError:
                time.sleep(0.05)


def test_follow_misses_nothing_over_kills_of_the_server(tmp_path: Path) -> None:
    """Kill -9 in the middle of what is published, and back on the same port: all of it is seen, in order, once."""
    enough = threading.Event()
    with serving(tmp_path, CANDIDATE) as served, following(tmp_path / "follower", served.process.address) as follower:
        publisher = threading.Thread(target=publish, args=(served, enough))
        publisher.start()
        try:
            for _ in range(KILLS):
                follower.wait_for(len(follower.seen()) + 10)
                served.process.kill()
                served.process.start()
            follower.wait_for(len(follower.seen()) + 10)
        finally:
            enough.set()
            publisher.join()
        with served.process.channel() as channel:
            kept = [(event.cursor, event.name) for event in Served(served.process, channel).published()]
        follower.wait_for(len(kept))
        code = follower.interrupt()

    said = follower.stderr.read_text()
    assert follower.seen() == kept
    assert [cursor for cursor, _ in kept] == list(range(1, len(kept) + 1))
    assert {"fine_tuning.promoted", "fine_tuning.rolled_back"} <= {name for _, name in kept}
    assert said.count(f"lost {served.process.address} (UNAVAILABLE)") == KILLS
    assert said.count(f"connected to {served.process.address} again") == KILLS
    # What shells give to a command that Ctrl-C ended.
    assert code == 128 + signal.SIGINT
    assert "Traceback" not in said


def test_a_follower_that_is_killed_goes_on_after_its_cursor(tmp_path: Path) -> None:
    """Kill -9 of the follower while events come, again and again: with its last cursor it misses none, in order."""
    enough = threading.Event()
    seen: list[tuple[int, str]] = []
    with serving(tmp_path, CANDIDATE) as served:
        publisher = threading.Thread(target=publish, args=(served, enough))
        publisher.start()
        try:
            for life in range(KILLS):
                after = str(seen[-1][0] if seen else 0)
                with following(tmp_path / str(life), served.process.address, "--after", after) as follower:
                    follower.wait_for(10)
                    follower.process.kill()
                    follower.process.wait(30)
                    seen += follower.seen()
        finally:
            enough.set()
            publisher.join()
        kept = [(event.cursor, event.name) for event in served.published()]
        with following(tmp_path / "last", served.process.address, "--after", str(seen[-1][0])) as follower:
            follower.wait_for(len(kept) - len(seen))
            seen += follower.seen()

    assert seen == kept
    assert [cursor for cursor, _ in kept] == list(range(1, len(kept) + 1))


def test_what_is_kept_is_shown_whole_however_slow_the_reader(
    data_dir: Path, start_server: ServerStarter, tmp_path: Path
) -> None:
    """More than a pipe holds, and nobody reads for longer than the silence that ends the command."""
    ledger = Ledger(data_dir / "ledger")

    def publish_many(transaction: WriteTransaction) -> None:
        for number in range(EVENTS):
            event = published_event_pb2.PublishedEvent(name="fine_tuning.failed", reason=f"reason {number}")
            published.publish(transaction, event)

    ledger.write(publish_many)
    ledger.close()
    command: list[str | Path] = [COMMAND, "events", "--json", "--server", start_server().address]
    with (tmp_path / "stderr.txt").open("wb") as err:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, env=environment())
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(2 * SILENCE)
    shown = [json.loads(line)["cursor"] for line in [first, *process.stdout]]
    process.stdout.close()

    assert process.wait(30) == 0
    assert shown == list(range(1, EVENTS + 1))


@pytest.mark.parametrize("command", [("events",), ("events", "--follow")])
def test_a_server_that_never_was_there_is_not_waited_for(offline_cli: CommandLine, command: tuple[str, ...]) -> None:
    """A wrong address is told at once."""
    done = offline_cli(*command, "--server", "127.0.0.1:1")

    assert done.code == 3
    assert "no server answers at 127.0.0.1:1" in done.stderr
