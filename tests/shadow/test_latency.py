"""B beside A on real models of both runtimes: A's median and 95th percentile stay what they are without a test."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest

from becas.ft.v1 import shadow_pb2
from becas_ft.runtime import ModelDefinition, Runtime
from becas_ft.runtime.embedded import EmbeddedRuntime, EmbeddedSettings
from becas_ft.runtime.ollama import OllamaRuntime, OllamaSettings
from becas_ft.shadow import judged, trials
from helpers.bench import FIGURES, A, B, Bench, OpenBench
from helpers.served import SCAM
from helpers.smollm2 import smollm2

BLOCK = 10
BLOCKS = 6
MEAN_GAP_SECONDS = 0.3
MOST_RISE = 1.10
WORDS = ("free", "prize", "claim", "now", "call", "urgent", "winner", "account", "bank", "meet", "lunch", "game")


class _Ollama(Protocol):
    host: str

    def stop(self) -> None: ...


def _none() -> _Ollama:
    raise AssertionError("the embedded runtime needs no server")


@asynccontextmanager
async def opened(kind: str, start: Callable[[], _Ollama], adapter: Path, folder: Path) -> AsyncIterator[Runtime]:
    """A runtime with the base, and a candidate that is another model."""
    found: Runtime
    if kind == "embedded":
        found = EmbeddedRuntime(EmbeddedSettings(models=folder, bases={A: smollm2()}))
    else:
        server = await asyncio.to_thread(start)
        found = OllamaRuntime(OllamaSettings(host=server.host))
        await found.create(ModelDefinition(name=A, base=smollm2()))
    await found.create(ModelDefinition(name=B, base=A, adapter=adapter, beside=A))
    yield found
    await found.close()
    if kind == "ollama":
        server.stop()


async def block(parts: Bench, first: int, name: str) -> list[float]:
    """Seconds that A took for the requests of a block, which come at random."""
    chance, seconds = random.Random(first), []
    for number in range(first, first + BLOCK):
        await asyncio.sleep(chance.expovariate(1 / MEAN_GAP_SECONDS))
        text = " ".join(chance.choices(WORDS, k=30))
        began = time.perf_counter()
        await parts.tester.answer(
            shadow_pb2.ShadowTestRequest(category=SCAM, input=text, request_id=f"{name}-{number}", user_id=str(number))
        )
        seconds.append(time.perf_counter() - began)
    return seconds


@pytest.mark.long  # minutes of two models at work, and a machine that does nothing else
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["embedded", "ollama"])
async def test_b_does_not_slow_a_down(
    *,
    bench: OpenBench,
    kind: str,
    adapters: list[Path],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With every request sampled and a real B running, A's p50 and p95 rise by no more than 10 %.

    Blocks with and without a test take turns in one run, over the same texts that come after the same pauses, so that
    whatever else the machine does meets both alike.
    """
    start: Callable[[], _Ollama] = request.getfixturevalue("start_ollama") if kind == "ollama" else _none
    alone, beside, pairs = [], [], 0
    async with (
        opened(kind, start, adapters[0], tmp_path / "models") as runtime,
        bench(runtime=runtime, production_timeout=240.0, max_tokens=24, candidate_waiting=10_000) as parts,
    ):
        # Both models are loaded before the first measurement.
        trial = parts.set_up()
        await block(parts, 10**6, "warm")
        await parts.tester.settle()
        parts.ledger.write(partial(trials.stop, trial_id=trial.trial_id, reason="warm", figures=FIGURES))
        for turn in range(BLOCKS):
            alone += await block(parts, turn * BLOCK, f"alone-{turn}")
            trial = parts.set_up()
            beside += await block(parts, turn * BLOCK, f"beside-{turn}")
            # B ends before the next block without a test.
            await parts.tester.settle()
            pairs += len(parts.ledger.read(partial(judged.load, trial_id=trial.trial_id)).rows)
            parts.ledger.write(partial(trials.stop, trial_id=trial.trial_id, reason="next", figures=FIGURES))

    rises = {share: float(np.quantile(beside, share) / np.quantile(alone, share)) for share in (0.5, 0.95)}
    with capsys.disabled():
        for share, rise in rises.items():
            before, after = np.quantile(alone, share), np.quantile(beside, share)
            figures = f"{before * 1000:.0f} ms alone, {after * 1000:.0f} ms beside B ({rise:.3f})"
            print(f"\n{kind}: A's p{share * 100:.0f} {figures}")  # noqa: T201 - the measurement is what it is for
    assert pairs == BLOCK * BLOCKS
    assert max(rises.values()) <= MOST_RISE
