"""What production saw of a model: every request counts, those that failed included."""

import asyncio
from contextlib import suppress
from typing import Any, cast

import pytest

from becas_ft.rollout.production import Observed, Production
from becas_ft.runtime.errors import GenerationTimeout, InvalidModel, ModelRuntimeError, PromptTooLong, WorkerCrashed
from becas_ft.runtime.protocol import GenerateRequest, Priority, Runtime
from helpers import fake_runtime


async def times_out(request: GenerateRequest) -> str:
    raise GenerationTimeout(request.model, 30)


async def breaks(request: GenerateRequest) -> str:
    raise InvalidModel(request.model, "its adapter cannot be loaded")


async def crashes(_: GenerateRequest) -> str:
    raise WorkerCrashed("died")


async def is_asked_too_much(_: GenerateRequest) -> str:
    raise PromptTooLong(9_000, 4_096)


def observed(behaviour: fake_runtime.Behaviour, production: Production, patience_ms: float = 10_000) -> Observed:
    return Observed(cast("Runtime", fake_runtime.FakeRuntime({"m": behaviour})), production, patience_ms)


@pytest.mark.parametrize(
    ("behaviour", "failures"),
    [
        (fake_runtime.says(is_scam=True), [""]),
        (fake_runtime.garbage, ["unparsable"]),
        (fake_runtime.fails, ["down"]),
        (fake_runtime.crashes, ["unavailable"]),
        (times_out, ["timeout"]),
        (breaks, ["unavailable"]),
        (crashes, ["unavailable"]),
        (is_asked_too_much, []),
    ],
)
async def test_every_end_of_a_request_is_noted(behaviour: fake_runtime.Behaviour, failures: list[str]) -> None:
    """Also those that no pair tells of; a prompt that is too long is not the model's fault."""
    production = Production()
    runtime = observed(behaviour, production)

    for priority in (Priority.PRODUCTION, Priority.CANDIDATE):
        with suppress(ModelRuntimeError, ZeroDivisionError):
            await runtime.generate(GenerateRequest(model="m", prompt="p", priority=priority))

    assert [answer.failure for answer in production.window("m", since=0)] == failures


@pytest.mark.parametrize(("patience_ms", "failures"), [(1, ["timeout"]), (60_000, [])])
async def test_a_caller_that_leaves_late_had_a_late_answer(patience_ms: float, failures: list[str]) -> None:
    """One that leaves early says nothing of the model."""
    production = Production()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await observed(fake_runtime.hangs, production, patience_ms).generate(GenerateRequest(model="m", prompt="p"))

    assert [answer.failure for answer in production.window("m", since=0)] == failures


def test_the_past_is_forgotten() -> None:
    """The last 200 answers, and none from before a promotion."""
    clock: Any = iter(range(1_000))
    production = Production(now=lambda: float(next(clock)))
    for number in range(300):
        production.note("m", float(number))

    assert [answer.latency_ms for answer in production.window("m", since=0)] == [*range(100, 300)]
    assert len(production.window("m", since=290)) == 10


async def test_everything_else_is_the_runtimes_own() -> None:
    """Only answers are noted."""

    class Whole(fake_runtime.FakeRuntime):
        async def show(self, name: str) -> str:
            return f"shown {name}"

    runtime: Any = Observed(cast("Runtime", Whole({})), Production(), 1)

    assert await runtime.show("m") == "shown m"
