"""The parity gate on real models: it passes the adapter that was trained, and stops every way to serve another one."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from becas_ft._core import output_schema, system
from becas_ft.orchestrator import checks
from becas_ft.runtime.embedded import EmbeddedRuntime, EmbeddedSettings
from becas_ft.runtime.ollama import OllamaRuntime, OllamaSettings
from becas_ft.runtime.protocol import GenerateRequest, Generation, ModelDefinition, Priority, Runtime
from becas_ft.training import ProcessTrainer, TrainingJob, checkpoint, gguf
from becas_ft.training.evaluate import heldout_rows, read_judged
from becas_ft.training.job import CHECKPOINT, HELDOUT
from becas_ft.training.parity import Parity, compare
from becas_ft.training.recipe import recipe_for
from becas_ft.training.rows import read_rows
from helpers.datasets import write_rows
from helpers.training import BASE, WORDS, write_task_base

if TYPE_CHECKING:
    from collections.abc import Callable

    from helpers.ollama_server import OllamaServer

HELD_OUT = 300
# In the words of another family of models, of which old templates know one turn only. One that loses nothing but the
# marks of the turns may leave every label as it is; then the gate, which compares labels, rightly lets it pass.
OTHER_TEMPLATE = "[INST] {{ messages[0]['content'] }} [/INST] "
OTHER_TEMPLATE_OF_OLLAMA = "[INST] {{ .System }} [/INST] "

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Hurried:
    """A runtime whose every question is a production one: on a busy machine a candidate's may wait for minutes."""

    runtime: Runtime

    async def generate(self, request: GenerateRequest) -> Generation:
        """Ask."""
        return await self.runtime.generate(dataclasses.replace(request, priority=Priority.PRODUCTION))


@dataclass(frozen=True)
class Adapters:
    """One training, and what can be made of it.

    Attributes:
        rows: the trainer's rows.
        folder: the job's.
        right: the adapter.
        unpermuted: the same weights in the order of transformers, which llama.cpp does not share.
    """

    rows: Path
    folder: Path
    right: Path
    unpermuted: Path

    async def gate(self, runtime: Runtime, model: str) -> Parity:
        """Ask a served model what the trainer's adapter was asked."""
        rows = heldout_rows(read_rows(self.rows, "isScam"), "test", HELD_OUT)
        served = await checks._ask(
            Hurried(runtime),  # type: ignore[arg-type]  # it is asked for answers only
            model,
            rows,
            checks.question_of("isScam", json.loads(output_schema("scam_detection")), self.rows),
            addition="",
            report=lambda _: None,
            patience=0.0,
        )
        return compare([one.candidate for one in read_judged(self.folder / HELDOUT)], served)


@pytest.fixture(scope="session")
def adapters(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Adapters:
    """A training of some seconds, after which both labels are given about equally often."""
    folder = tmp_path_factory.mktemp("trained")
    rows = [_row(number, "train") for number in range(100)] + [_row(number, "test") for number in range(HELD_OUT)]
    job = TrainingJob(
        dataset=write_rows(folder / "rows.jsonl", rows),
        base=tiny_base,
        label_key="isScam",
        recipe=recipe_for(BASE).but({"epochs": 20}),
        seed=1,
        threads=2,
        heldout_rows=HELD_OUT,
        controls=False,
    )
    adapter = asyncio.run(ProcessTrainer(niceness=0).train(job, folder / "job", lambda _event: None))
    saved = checkpoint.load(folder / "job" / CHECKPOINT, job.fingerprint())
    assert saved is not None
    base = gguf.read_header(tiny_base)
    state = {name: matrix.numpy() for name, matrix in saved.parameters.items()}
    unpermuted = folder / "unpermuted.gguf"
    gguf.write_adapter(
        unpermuted, gguf.lora_tensors(state, base, permuted=False), base=base, alpha=job.recipe.alpha, name="wrong"
    )
    labels = [one.candidate for one in read_judged(folder / "job" / HELDOUT)]
    assert 100 < labels.count(True) < 200
    return Adapters(folder / "rows.jsonl", folder / "job", adapter.path, unpermuted)


def _row(number: int, split: str) -> dict[str, object]:
    scam = number % 2 == 0
    half = len(WORDS) // 2
    words = sorted(WORDS)[:half] if scam else sorted(WORDS)[half:]
    output = {"isScam": scam, "scamType": "prize", "severity": "high", "reasoning": "It asks for money."}
    return {
        "system": system("scam_detection"),
        "input": "Message: " + " ".join(random.Random(f"{split}-{number}").choices(words, k=40)),
        "output": json.dumps(output, separators=(",", ":")),
        "metadata": {"split": split, "user": f"{split}-{number}", "example_id": f"{split}-{number}"},
    }


async def in_embedded(folder: Path, base: Path, adapter: Path, adapters: Adapters) -> Parity:
    """The gate on a model of the embedded runtime."""
    runtime = EmbeddedRuntime(EmbeddedSettings(models=folder, bases={BASE: base}, threads=1, context=1024))
    await runtime.create(ModelDefinition(name="candidate", base=BASE, adapter=adapter))
    try:
        return await adapters.gate(runtime, "candidate")
    finally:
        await runtime.close()


async def in_ollama(host: str, adapter: Path, adapters: Adapters, template: str | None = None) -> Parity:
    """The gate on a model of a real Ollama."""
    runtime = OllamaRuntime(OllamaSettings(host=host, context=1024))
    await runtime.create(ModelDefinition(name="candidate", base=BASE, adapter=adapter, template=template))
    try:
        return await adapters.gate(runtime, "candidate")
    finally:
        await runtime.delete("candidate")
        await runtime.close()


@pytest.fixture(scope="module")
def shared_ollama(start_ollama: Callable[[], OllamaServer]) -> OllamaServer:
    """One Ollama for the gates."""
    return start_ollama()


def check_passed(parity: Parity) -> None:
    """At least 98 % of at least 300."""
    assert parity.passed, parity.reasoning
    assert parity.inputs == HELD_OUT


def check_stopped(parity: Parity) -> None:
    """The gate says no, and not by a hair."""
    assert not parity.passed
    assert parity.agreement < 0.9, parity.reasoning


def test_embedded_runtime_serves_what_was_trained(adapters: Adapters, tiny_base: Path, tmp_path: Path) -> None:
    """On 300 held-out messages the served labels are those of the trainer in 98 % or more."""
    check_passed(asyncio.run(in_embedded(tmp_path, tiny_base, adapters.right, adapters)))


def test_unpermuted_adapter_fails_the_gate_in_the_embedded_runtime(
    adapters: Adapters, tiny_base: Path, tmp_path: Path
) -> None:
    """The same weights in the wrong order load without a complaint, and the gate stops them."""
    check_stopped(asyncio.run(in_embedded(tmp_path, tiny_base, adapters.unpermuted, adapters)))


def test_another_template_fails_the_gate_in_the_embedded_runtime(adapters: Adapters, tmp_path: Path) -> None:
    """The right adapter on the same base under another chat template is stopped."""
    other = write_task_base(tmp_path / "other.gguf", OTHER_TEMPLATE)

    check_stopped(asyncio.run(in_embedded(tmp_path / "models", other, adapters.right, adapters)))


def test_ollama_serves_what_was_trained(adapters: Adapters, shared_ollama: OllamaServer) -> None:
    """On 300 held-out messages the labels of a real Ollama are those of the trainer in 98 % or more."""
    check_passed(asyncio.run(in_ollama(shared_ollama.host, adapters.right, adapters)))


def test_unpermuted_adapter_fails_the_gate_on_ollama(adapters: Adapters, shared_ollama: OllamaServer) -> None:
    """The same weights in the wrong order load without a complaint, and the gate stops them."""
    check_stopped(asyncio.run(in_ollama(shared_ollama.host, adapters.unpermuted, adapters)))


def test_another_template_fails_the_gate_on_ollama(adapters: Adapters, shared_ollama: OllamaServer) -> None:
    """The right adapter on the same base under another chat template is stopped."""
    check_stopped(asyncio.run(in_ollama(shared_ollama.host, adapters.right, adapters, OTHER_TEMPLATE_OF_OLLAMA)))
