"""One line of work on one base model: keeps a worker running with the adapters in use, and restarts it when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from becas_ft.runtime.errors import InvalidModel, RuntimeUnavailable
from becas_ft.runtime.process import LoadFault, Question, WorkerProcess
from becas_ft.runtime.worker import Setup

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence
    from pathlib import Path

FIRST_BACK_OFF_SECONDS = 0.2
LONGEST_BACK_OFF_SECONDS = 30.0
# How long an adapter that did not load is refused without starting a process to try again.
REFUSAL_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter that a worker can load.

    Attributes:
        model: The model it belongs to, for messages.
        digest: Its content's; what a worker has loaded is told by it.
        path: Where it lies.
    """

    model: str
    digest: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSettings:
    """How a lane's workers run.

    Attributes:
        base: Path of the base GGUF.
        threads: Threads that compute.
        parallel: Questions answered at a time.
        context: Tokens of prompt and answer together.
        background: Run only when the processor has nothing else to do.
        most_adapters: Adapters loaded at a time; the one unused longest goes first.
    """

    base: Path
    threads: int
    parallel: int
    context: int
    background: bool
    most_adapters: int


class Lane:
    """Workers of one priority on one base.

    llama.cpp loads adapters only at its start, so a new adapter means a new worker: the old one goes on answering
    until the new one is ready, then finishes what it has.
    """

    def __init__(self, settings: LaneSettings) -> None:
        self._settings = settings
        self._worker: WorkerProcess | None = None
        self._places: dict[str, int] = {}
        self._recent: OrderedDict[str, Adapter] = OrderedDict()
        self._starting = asyncio.Lock()
        self._refused: dict[str, float] = {}
        self._deaths = 0
        self._not_before = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._retiring: set[WorkerProcess] = set()
        self._paused = False
        self._closed = False

    @property
    def worker(self) -> WorkerProcess | None:
        """The worker that answers now."""
        return self._worker if self._worker is not None and self._worker.alive else None

    async def ask(
        self, adapter: Adapter | None, schema: Mapping[str, Any] | None, body: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Ask the base or an adapter on it.

        Raises:
            InvalidModel: llama.cpp cannot load the adapter.
            RuntimeUnavailable: No worker can be started, or it died on the way.
        """
        worker, place = await self._ready(adapter)
        answer = await worker.ask(Question(place, schema, body))
        self._deaths = 0
        return answer

    async def prepare(self, adapter: Adapter | None) -> None:
        """Have a worker ready for an adapter, so that the first question does not wait.

        Raises:
            InvalidModel: llama.cpp cannot load the adapter.
            RuntimeUnavailable: No worker can be started.
        """
        await self._ready(adapter)

    def pause(self) -> None:
        """Stop all work until `resume`; what was begun goes on then.

        The scheduler's classes alone do not do it: threads that share a core, or wait for one another in turns, are
        slowed down by an idle class's too.
        """
        self._paused = True
        for worker in self._workers():
            worker.pause()

    def resume(self) -> None:
        """Go on after `pause`."""
        self._paused = False
        for worker in self._workers():
            worker.resume()

    def forget(self, digest: str) -> None:
        """Load an adapter no more."""
        self._recent.pop(digest, None)

    async def close(self) -> None:
        """End the workers; questions in flight fail."""
        self._closed = True
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._worker is not None:
            await self._worker.end()

    async def _ready(self, adapter: Adapter | None) -> tuple[WorkerProcess, int | None]:
        while not (found := self._find(adapter)):
            if (
                adapter is not None
                and time.monotonic() < self._refused.get(adapter.digest, -math.inf) + REFUSAL_SECONDS
            ):
                raise _refusal(adapter)
            # Shielded: a caller whose time runs out must not undo a start that the next one needs.
            await asyncio.shield(self._background(self._ensure(adapter)))
        return found

    async def _ensure(self, adapter: Adapter | None) -> None:
        async with self._starting:
            if self._find(adapter) is None:
                await self._replace(adapter)

    def _find(self, adapter: Adapter | None) -> tuple[WorkerProcess, int | None] | None:
        worker = self.worker
        if worker is None:
            return None
        if adapter is None:
            return worker, None
        place = self._places.get(adapter.digest)
        if place is None:
            return None
        # The model it was loaded for may be gone while another one has the same content at another path.
        self._recent[adapter.digest] = adapter
        self._recent.move_to_end(adapter.digest)
        return worker, place

    async def _replace(self, adapter: Adapter | None) -> None:
        await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))
        if self._closed:
            raise RuntimeUnavailable("the runtime was closed", remedy="open it again")
        asked = {} if adapter is None else {adapter.digest: adapter}
        known = {digest: each for digest, each in self._recent.items() if each.path.is_file()}
        wanted = dict(list({**known, **asked}.items())[-self._settings.most_adapters :])
        loaded, worker = await self._start_most([wanted, asked, {}])
        if adapter is not None and adapter.digest not in loaded:
            self._refused[adapter.digest] = time.monotonic()
            await worker.end()
            raise _refusal(adapter)
        old, self._worker = self._worker, worker
        self._places = {digest: place for place, digest in enumerate(loaded)}
        self._recent = OrderedDict(loaded)
        if self._paused:
            worker.pause()
        if old is not None:
            self._background(self._retire(old))

    async def _retire(self, worker: WorkerProcess) -> None:
        self._retiring.add(worker)
        try:
            await worker.retire()
        finally:
            self._retiring.discard(worker)

    def _workers(self) -> Sequence[WorkerProcess]:
        return (*self._retiring, *((self._worker,) if self._worker is not None else ()))

    async def _start_most(
        self, choices: Sequence[Mapping[str, Adapter]]
    ) -> tuple[Mapping[str, Adapter], WorkerProcess]:
        """Start with the first set of adapters that loads: one that was damaged must not take the others with it."""
        for place, adapters in enumerate(choices):
            if adapters in choices[:place]:
                continue
            try:
                return adapters, await self._start(adapters)
            except LoadFault:
                continue
        raise RuntimeUnavailable(
            f"llama.cpp cannot load the base model {self._settings.base}",
            remedy="check that the file is a whole GGUF model and that memory is free",
        )

    async def _start(self, adapters: Mapping[str, Adapter]) -> WorkerProcess:
        setup = Setup(
            base=str(self._settings.base),
            adapters=[str(each.path) for each in adapters.values()],
            threads=self._settings.threads,
            parallel=self._settings.parallel,
            context=self._settings.context,
            background=self._settings.background,
        )
        try:
            return await WorkerProcess.start(setup, self._died)
        except RuntimeUnavailable:
            self._back_off()
            raise

    def _died(self) -> None:
        self._back_off()
        if not self._closed:
            self._background(self._revive())

    def _back_off(self) -> None:
        self._deaths += 1
        # Bounded before it is a power: a machine may lack what it takes for days.
        wait = min(FIRST_BACK_OFF_SECONDS * 2 ** min(self._deaths - 1, 10), LONGEST_BACK_OFF_SECONDS)
        self._not_before = time.monotonic() + wait

    async def _revive(self) -> None:
        # The next question tries again and tells its caller what is wrong.
        with contextlib.suppress(Exception):
            await self._ready(None)

    def _background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._settled)
        return task

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Fetched, so that a failure whose caller has gone is not reported as forgotten.
            task.exception()


def _refusal(adapter: Adapter) -> InvalidModel:
    return InvalidModel(adapter.model, "llama.cpp cannot load its adapter on this base; train it again")
