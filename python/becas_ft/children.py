"""Child processes of an event loop, in which nothing of this process runs before their program does.

The loops' own `create_subprocess_exec` cannot be used: uvloop forks, and runs in the child what libraries registered
for forks. gRPC starts threads there, which now and then kill the child before its program has begun.
`subprocess.Popen` starts a program by vfork, and runs no such handler.
"""

import asyncio
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO


class Child:
    """A process that was started. Belongs to the running event loop; a thread of its own waits for its end.

    Arguments:
        command: the program, found by the PATH, and its arguments.
        stdin: the descriptor that it reads; by default nothing.
        output: where its standard output goes; by default nowhere.
        errors: where its standard error goes; by default nowhere.
        environment: its variables.
        own_session: keep it out of what a terminal sends to this process's group.

    Raises: OSError where the system can start no process.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        stdin: int = subprocess.DEVNULL,
        output: IO[bytes] | int = subprocess.DEVNULL,
        errors: IO[bytes] | int = subprocess.DEVNULL,
        environment: Mapping[str, str],
        own_session: bool = False,
    ) -> None:
        self._ended = asyncio.get_running_loop().create_future()
        self._process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=output,
            stderr=errors,
            env=environment,
            start_new_session=own_session,
        )
        threading.Thread(target=self._watch, args=(self._ended.get_loop(),), name="child", daemon=True).start()

    @property
    def pid(self) -> int:
        """The operating system's number of the process."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, or less the signal that ended it; None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        code: int = await asyncio.shield(self._ended)
        return code

    def send_signal(self, signal: int) -> None:
        """Sends a signal; nothing where it has ended."""
        self._process.send_signal(signal)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        code = self._process.wait()
        # A loop that is closed has nobody who waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._ended.set_result, code)
