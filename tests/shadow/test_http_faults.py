"""A real Ollama behind a proxy that spoils B's answers on the wire: A's are the bytes that they are without a test."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio

from becas.ft.v1 import shadow_pb2
from becas_ft.runtime import ModelDefinition
from becas_ft.runtime.ollama import OllamaRuntime, OllamaSettings
from becas_ft.shadow import judged
from helpers import http_faults
from helpers.bench import A, B, OpenBench
from helpers.http_faults import Fault
from helpers.served import SCAM
from helpers.smollm2 import smollm2

REQUESTS = 2
# A busy machine is slow, not broken.
LIMITS = {"production_timeout": 240.0, "max_tokens": 12}


class _Ollama(Protocol):
    host: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port(start_ollama: Callable[[], _Ollama]) -> AsyncIterator[int]:
    """Where a real Ollama listens that has both models."""
    server = start_ollama()
    runtime = OllamaRuntime(OllamaSettings(host=server.host))
    await runtime.create(ModelDefinition(name=A, base=smollm2()))
    await runtime.create(ModelDefinition(name=B, base=A, system="You are B."))
    await runtime.close()
    yield int(server.host.rpartition(":")[2])


@pytest.fixture(scope="module")
def alone() -> list[bytes]:
    """A's answers without a test: filled once, by the first test."""
    return []


def question(number: int) -> shadow_pb2.ShadowTestRequest:
    return shadow_pb2.ShadowTestRequest(
        category=SCAM, input=f"claim prize number {number} now", request_id=f"request-{number}", user_id=str(number)
    )


def told(answer: shadow_pb2.ShadowTestResponse) -> bytes:
    """The answer's bytes, but for how long it took and whether B was asked."""
    kept = shadow_pb2.ShadowTestResponse()
    kept.CopyFrom(answer)
    kept.sampled, kept.latency = False, 0.0
    return kept.SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    ("fault", "failure", "seconds"),
    [
        # So few tokens are no whole answer.
        (http_faults.slow, "unparsable", 120.0),
        (http_faults.fails, "unavailable", 60.0),
        (http_faults.hangs, "timeout", 1.0),
        (http_faults.hangs_half_way, "timeout", 1.0),
        (http_faults.cuts, "unavailable", 60.0),
        (http_faults.no_http, "unavailable", 60.0),
        (http_faults.garbage, "unparsable", 60.0),
        (http_faults.other_json, "", 60.0),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_whatever_b_does_on_the_wire_a_is_told_the_same(
    *, bench: OpenBench, port: int, alone: list[bytes], fault: Fault, failure: str, seconds: float, tmp_path: Path
) -> None:
    """The same bytes as without a test, and B's every failure is a wrong answer of B, kept as what it was."""
    if not alone:
        runtime = OllamaRuntime(OllamaSettings(host=f"http://127.0.0.1:{port}"))
        async with bench(runtime=runtime, folder=tmp_path / "alone", **LIMITS) as parts:
            alone += [told(await parts.tester.answer(question(number))) for number in range(REQUESTS)]
        await runtime.close()
    async with http_faults.proxy(port, B, fault) as proxy:
        runtime = OllamaRuntime(OllamaSettings(host=f"http://127.0.0.1:{proxy.port}"))
        async with bench(runtime=runtime, candidate_timeout=seconds, **LIMITS) as parts:
            trial = parts.set_up()
            answers = [await parts.tester.answer(question(number)) for number in range(REQUESTS)]
            await parts.tester.settle()
            rows = parts.ledger.read(partial(judged.load, trial_id=trial.trial_id)).rows
        await runtime.close()

    assert [told(answer) for answer in answers] == alone
    assert all(answer.sampled for answer in answers)
    # A question to B that production interrupted is asked again.
    assert proxy.met >= REQUESTS
    assert [row.b.failure for row in rows] == [failure] * REQUESTS
