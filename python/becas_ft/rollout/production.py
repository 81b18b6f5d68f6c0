"""What production sees of its models: the last answers of each, those that never came included.

Pairs tell of sampled requests that both models answered; a model that fails has none. This is in memory: after a
restart it fills again with the next requests.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from becas.ft.ledger.v1 import records_pb2
from becas_ft.runtime.confidence import read_answer
from becas_ft.runtime.errors import (
    GenerationTimeout,
    InvalidOutput,
    PromptTooLong,
    RuntimeUnavailable,
    WorkerCrashed,
)
from becas_ft.runtime.protocol import GenerateRequest, Generation, Priority, Runtime

WINDOW = 200
"""Answers of a model that are kept."""

_P95 = 0.95

DOWN = "down"
"""The failure of a request that no runtime took: it says nothing of the model, unless the base answers."""


@dataclass(frozen=True)
class Seen:
    """An answer of production, and when it was over (seconds since the epoch)."""

    answer: records_pb2.Answer
    time: float


class Production:
    """The last answers of every model that was asked.

    Arguments:
        now: seconds since the epoch.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._seen: dict[str, deque[Seen]] = {}

    def note(self, model: str, latency_ms: float, failure: str = "") -> None:
        """One request of production is over."""
        answer = records_pb2.Answer(model=model, latency_ms=latency_ms, failure=failure)
        self._seen.setdefault(model, deque(maxlen=WINDOW)).append(Seen(answer, self._now()))

    def window(self, model: str, since: float) -> list[records_pb2.Answer]:
        """The model's last answers since a time, oldest first."""
        return [seen.answer for seen in self._seen.get(model, ()) if seen.time >= since]


def p95(latencies: Iterable[float]) -> float:
    """The 95th percentile, in the latencies' unit; 0 where there is none."""
    ordered = sorted(latencies)
    return ordered[min(len(ordered) - 1, int(_P95 * len(ordered)))] if ordered else 0.0


class Observed:
    """A runtime whose production requests are noted; everything else is its own.

    Arguments:
        runtime: answers.
        production: takes the notes.
        patience_ms: a caller that leaves earlier than this says nothing of the model; later, the answer was late.
    """

    def __init__(self, runtime: Runtime, production: Production, patience_ms: float) -> None:
        self._runtime = runtime
        self._production = production
        self._patience_ms = patience_ms

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the runtime's own
        """What is not observed."""
        return getattr(self._runtime, name)

    async def generate(self, request: GenerateRequest) -> Generation:
        """See `Runtime.generate`."""
        started = time.monotonic()
        try:
            generation = await self._runtime.generate(request)
        except BaseException as error:
            latency_ms = (time.monotonic() - started) * 1000
            failure = _failure(error, late=latency_ms > self._patience_ms)
            if failure and request.priority is Priority.PRODUCTION:
                self._production.note(request.model, latency_ms, failure)
            raise
        if request.priority is Priority.PRODUCTION:
            self._production.note(request.model, generation.latency * 1000, _unreadable(generation))
        return generation


def _failure(error: BaseException, *, late: bool) -> str:
    """How a request failed, as far as that is the model's doing; else empty."""
    if isinstance(error, PromptTooLong):
        return ""
    if isinstance(error, RuntimeUnavailable) and not isinstance(error, WorkerCrashed):
        return DOWN
    if isinstance(error, GenerationTimeout):
        return "timeout"
    if not isinstance(error, Exception):
        return "timeout" if late else ""
    return "unavailable"


def _unreadable(generation: Generation) -> str:
    try:
        read_answer(generation)
    except InvalidOutput:
        return "unparsable"
    return ""
