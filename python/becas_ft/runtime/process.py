"""One llama.cpp child process seen from its parent: started, asked, drained, ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from becas_ft.children import Child
from becas_ft.runtime.errors import RuntimeUnavailable, WorkerCrashed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from becas_ft.runtime.worker import Setup

# A line holds a whole answer with its tokens.
_LONGEST_LINE = 1 << 26
_END_SECONDS = 5.0
# Threads that wait for one another spin so long before they sleep: by default for milliseconds, which on a busy machine
# are taken from the very thread that is waited for.
_SPINS = {"GOMP_SPINCOUNT": "1000"}


class LoadFault(Exception):  # noqa: N818 - never leaves this package
    """The engine cannot load the base or one of the adapters; it does not tell which."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a worker is asked.

    Attributes:
        adapter: Place of the adapter in the worker's set-up; None asks the base.
        schema: JSON schema of the answer; None leaves it free.
        body: An OpenAI chat completion request.
    """

    adapter: int | None
    schema: Mapping[str, Any] | None
    body: Mapping[str, Any]


class WorkerProcess:
    """A running worker. `start` makes one."""

    def __init__(self, link: _Link, version: str, on_death: Callable[[], None]) -> None:
        self.version = version
        self._link = link
        self._on_death = on_death
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0
        self._ending = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, setup: Setup, on_death: Callable[[], None]) -> WorkerProcess:
        """Start a worker and wait until it can answer.

        Args:
            setup: What it serves.
            on_death: Called once if it dies without having been ended.

        Raises:
            LoadFault: The base or one of the adapters does not load, or the process died over it.
            RuntimeUnavailable: The system can start no process, or killed it.
        """
        link = await _Link.start()
        try:
            link.to.write(setup.encode())
            first = await link.read()
            said = json.loads(first) if first.endswith(b"\n") else {"event": "died"}
            if said["event"] == "ready":
                return cls(link, said["version"], on_death)
        except BaseException:
            await link.end()
            raise
        await link.end()
        if not first and link.process.returncode == -signal.SIGKILL:
            # By the kernel for want of memory, or by a person: that says nothing of what it was to load.
            raise RuntimeUnavailable(
                "the model's process was killed as it started", remedy="see that memory is free, and ask again"
            )
        raise LoadFault

    @property
    def process_id(self) -> int:
        """The operating system's number of the process."""
        return self._link.process.pid

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return not self._ending and not self._reader.done()

    async def ask(self, question: Question) -> dict[str, Any]:
        """Ask one question; cancelling the call stops the work on it.

        Raises:
            WorkerCrashed: The worker died before it answered.
        """
        self._number += 1
        number = self._number
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self._idle.clear()
        asked = {"adapter": question.adapter, "schema": question.schema, "body": question.body}
        try:
            await self._send({"id": number, "question": asked})
            return await answer
        except asyncio.CancelledError:
            # uvloop refuses to write where the process has just ended.
            with contextlib.suppress(RuntimeError):
                self._link.to.write(json.dumps({"id": number, "cancel": True}).encode() + b"\n")
            raise
        finally:
            self._waiting.pop(number, None)
            if not self._waiting:
                self._idle.set()

    def pause(self) -> None:
        """Take the processor from it until `resume`; it keeps what it has and goes on with it."""
        if self.alive:
            self._link.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Give it the processor again; nothing where it was not paused."""
        if self.alive:
            self._link.process.send_signal(signal.SIGCONT)

    async def retire(self) -> None:
        """End it after what it is answering."""
        await self._idle.wait()
        await self.end()

    async def end(self) -> None:
        """End it now; questions in flight fail."""
        self._ending = True
        await self._link.end()
        await self._reader

    async def _send(self, message: Mapping[str, Any]) -> None:
        if not self.alive:
            raise WorkerCrashed("the model's process died")
        try:
            self._link.to.write(json.dumps(message).encode() + b"\n")
            await self._link.to.drain()
        except (ConnectionError, RuntimeError) as error:
            raise WorkerCrashed("the model's process died") from error

    async def _read(self) -> None:
        try:
            while line := await self._link.read():
                message = json.loads(line)
                waiting = self._waiting.get(message["id"])
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
        except ValueError:
            # Half a line, as a killed process leaves it.
            pass
        finally:
            self._fail_waiting()
            if not self._ending:
                self._on_death()

    def _fail_waiting(self) -> None:
        reason = "the model's process was stopped" if self._ending else "the model's process died"
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(WorkerCrashed(reason))


@dataclass(frozen=True, slots=True)
class _Link:
    """A worker's process, and the socket on which its parent speaks with it."""

    process: Child
    answers: asyncio.StreamReader
    to: asyncio.StreamWriter

    @classmethod
    async def start(cls) -> _Link:
        try:
            here, there = socket.socketpair()
            with there:
                process = Child(
                    (sys.executable, "-m", "becas_ft.runtime.worker"),
                    stdin=there.fileno(),
                    # Its standard error goes nowhere: llama.cpp may print parts of prompts there.
                    output=there.fileno(),
                    # Ctrl-C in a terminal goes to the whole group; the server stops its workers itself, last.
                    own_session=True,
                    environment=_SPINS | os.environ,
                )
            return cls(process, *await asyncio.open_unix_connection(sock=here, limit=_LONGEST_LINE))
        except OSError as error:
            raise RuntimeUnavailable(
                f"a model's process cannot be started: {error.strerror}", remedy="free memory, or allow more processes"
            ) from error

    async def read(self) -> bytes:
        """The next line; without its end, or empty, where the process ended."""
        try:
            return await self.answers.readline()
        except ConnectionError:
            return b""

    async def end(self) -> None:
        # The end of its input ends it, also where it was paused; killing is for one that hangs.
        self.to.close()
        self.process.send_signal(signal.SIGCONT)
        try:
            await asyncio.wait_for(self.process.wait(), _END_SECONDS)
        except TimeoutError:
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()
