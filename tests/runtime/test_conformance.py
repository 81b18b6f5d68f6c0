"""What every runtime promises, asked of both with a real model."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from becas_ft.runtime import (
    Finish,
    GenerateRequest,
    Generation,
    GenerationTimeout,
    InvalidModel,
    ModelDefinition,
    ModelNotFound,
    Priority,
    PromptTooLong,
    Runtime,
    read_answer,
)
from becas_ft.runtime.gguf_header import read_header
from becas_ft.shadow.question import bounded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCHEMA = {
    "type": "object",
    "properties": {
        "isScam": {"type": "boolean"},
        "scamType": {"enum": ["none", "phishing", "impersonation"]},
    },
    "required": ["isScam", "scamType"],
    "additionalProperties": False,
}
ASK = GenerateRequest(
    model="smollm2", system="You detect scams.", prompt="Claim your free gift", max_tokens=64, seed=7, timeout=120
)
FREE = replace(ASK, max_tokens=6)


@pytest_asyncio.fixture(loop_scope="session")
async def model(runtime: Runtime, adapters: list[Path], request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A model made of an adapter, gone after the test."""
    name = "becas-smollm2-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:8]
    await runtime.create(ModelDefinition(name=name, base="smollm2", adapter=adapters[0]))
    yield name
    await runtime.delete(name)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def cut(whole: Path, half: Path) -> Path:
    """The first half of a file."""
    content = whole.read_bytes()
    half.write_bytes(content[: len(content) // 2])
    return half


def fingerprint(generation: Generation) -> float:
    """The first token's log-probability tells the models of these tests apart."""
    return generation.tokens[0].logprob


async def test_schema_is_honoured(runtime: Runtime) -> None:
    """An answer has the schema's keys in their order and values of their kinds, from a model that never saw them."""
    generation = await runtime.generate(replace(ASK, schema=SCHEMA))
    answer = json.loads(generation.text)

    assert list(answer) == ["isScam", "scamType"]
    assert isinstance(answer["isScam"], bool)
    assert answer["scamType"] in {"none", "phishing", "impersonation"}
    assert generation.finish is Finish.STOP


async def test_texts_that_go_on_and_on_end(runtime: Runtime) -> None:
    """A model that repeats itself ends where the schema's texts and lists end: its answer parses."""
    endless = {
        "type": "object",
        "properties": {
            "isScam": {"type": "boolean"},
            "steps": {"type": "array", "items": {"type": "string", "minLength": 15}, "minItems": 2},
            "reasoning": {"type": "string", "minLength": 30},
        },
        "required": ["isScam", "steps", "reasoning"],
        "additionalProperties": False,
    }
    ask = replace(ASK, prompt="Say ha ha ha ha ha ha ha ha ha, and so on for ever.", max_tokens=256)
    generation = await runtime.generate(replace(ask, schema=bounded(endless, 40)))
    answer = json.loads(generation.text)

    assert generation.finish is Finish.STOP
    assert 30 <= len(answer["reasoning"]) <= 40
    assert len(answer["steps"]) == 2


async def test_tokens_spell_the_text(runtime: Runtime) -> None:
    """The tokens joined are the answer, each with the logarithm of a probability."""
    generation = await runtime.generate(FREE)

    assert b"".join(token.text for token in generation.tokens).decode() == generation.text
    assert all(token.logprob <= 0 and math.isfinite(token.logprob) for token in generation.tokens)
    assert len(generation.tokens) == 6


async def test_label_confidence_is_a_probability(runtime: Runtime) -> None:
    """The confidence of a label that the schema forces on an unwilling model lies strictly between 0 and 1."""
    answer = read_answer(await runtime.generate(replace(ASK, schema=SCHEMA)))

    assert answer.label_key == "isScam"
    assert answer.confidence is not None
    assert 0 < answer.confidence < 1


async def test_logprobs_can_be_left_out(runtime: Runtime) -> None:
    """Whoever needs no log-probabilities gets no tokens and the same text."""
    with_tokens = await runtime.generate(FREE)
    without = await runtime.generate(replace(FREE, logprobs=False))

    assert without.tokens == ()
    assert without.text == with_tokens.text


async def test_answers_repeat(runtime: Runtime) -> None:
    """The same question gets the same answer, whatever was asked between."""
    first = await runtime.generate(FREE)
    await runtime.generate(replace(FREE, prompt="Something else entirely"))
    again = await runtime.generate(FREE)

    assert again.text == first.text


async def test_length_is_told_from_the_end(runtime: Runtime) -> None:
    """An answer that was cut off says so."""
    generation = await runtime.generate(replace(ASK, max_tokens=3))

    assert generation.finish is Finish.LENGTH
    assert generation.completion_tokens == 3


async def test_concurrent_questions_are_not_mixed_up(runtime: Runtime) -> None:
    """Questions asked at once get the answers that each gets alone."""
    words = ["apple", "river", "seven", "green"]
    asks = [replace(FREE, system="Repeat the word.", prompt=word) for word in words]
    alone = [(await runtime.generate(ask)).tokens[0].text for ask in asks]
    together = await asyncio.gather(*(runtime.generate(ask) for ask in asks))

    assert [generation.tokens[0].text for generation in together] == alone
    assert len({fingerprint(generation) for generation in together}) == len(words)


async def test_candidates_are_answered(runtime: Runtime) -> None:
    """A question that nobody waits for gets the same answer as one somebody waits for."""
    production = await runtime.generate(FREE)
    candidate = await runtime.generate(replace(FREE, priority=Priority.CANDIDATE))

    assert candidate.text == production.text


async def test_adapter_changes_answers_and_base_stays(runtime: Runtime, model: str) -> None:
    """An adapter changes its own model's answers and nobody else's, in any order of questions."""
    base_before = await runtime.generate(FREE)
    adapted = await runtime.generate(replace(FREE, model=model))
    base_after = await runtime.generate(FREE)
    adapted_again = await runtime.generate(replace(FREE, model=model))

    assert abs(fingerprint(adapted) - fingerprint(base_before)) > 0.2
    assert fingerprint(base_after) == pytest.approx(fingerprint(base_before), abs=0.1)
    assert fingerprint(adapted_again) == pytest.approx(fingerprint(adapted), abs=0.1)


async def test_alias_moves_in_one_step(runtime: Runtime, adapters: list[Path]) -> None:
    """While an alias moves, every question is answered by the old or the new model; after it, by the new one."""
    for version, adapter in enumerate(adapters, 1):
        await runtime.create(ModelDefinition(name=f"alias-v{version}", base="smollm2", adapter=adapter))
    old, new = [fingerprint(await runtime.generate(replace(FREE, model=f"alias-v{version}"))) for version in (1, 2)]
    await runtime.copy("alias-v1", "alias")
    seen: list[float] = []
    asked = asyncio.Event()
    moved = asyncio.Event()

    async def keep_asking() -> None:
        while not moved.is_set():
            seen.append(fingerprint(await runtime.generate(replace(FREE, model="alias"))))
            if len(seen) >= 3:
                asked.set()

    askers = [asyncio.create_task(keep_asking()) for _ in range(3)]
    await asked.wait()
    await runtime.copy("alias-v2", "alias")
    after = [fingerprint(await runtime.generate(replace(FREE, model="alias"))) for _ in range(3)]
    moved.set()
    await asyncio.gather(*askers)
    for name in ("alias", "alias-v1", "alias-v2"):
        await runtime.delete(name)

    # A prompt computed together with others, or kept from before, rounds otherwise: by a few hundredths.
    assert abs(old - new) > 0.5
    assert after == pytest.approx([new] * 3, abs=0.1)
    assert all(min(abs(each - old), abs(each - new)) < 0.1 for each in seen)
    assert any(abs(each - old) < 0.1 for each in seen)


async def test_list_and_show_tell_what_is_served(
    runtime: Runtime, model: str, base: Path, adapters: list[Path]
) -> None:
    """A model is listed; it shows the digests of the files it is made of, and the base file itself for the trainer."""
    listed = {summary.name: summary for summary in await runtime.list()}
    shown = await runtime.show(model)

    assert {"smollm2", model} <= set(listed)
    assert listed["smollm2"].digest != listed[model].digest
    assert shown.base_digest == file_digest(base)
    assert shown.adapter_digest == file_digest(adapters[0])
    assert shown.base_path is not None
    assert read_header(shown.base_path) == read_header(base)
    assert shown.architecture == "llama"
    assert "<|im_start|>" in shown.template


async def test_system_and_parameters_are_kept(runtime: Runtime, adapters: list[Path]) -> None:
    """The system message and the parameters of a model come back as they were given."""
    definition = ModelDefinition(
        name="kept",
        base="smollm2",
        adapter=adapters[0],
        system="You detect scams.",
        parameters={"temperature": 0.3, "top_k": 40, "num_ctx": 4096},
    )
    await runtime.create(definition)
    shown = await runtime.show("kept")
    own = await runtime.generate(replace(FREE, model="kept", system=None))
    told = await runtime.generate(replace(FREE, model="kept", system="You detect scams."))
    await runtime.delete("kept")

    assert shown.system == "You detect scams."
    assert {"temperature": 0.3, "top_k": 40, "num_ctx": 4096}.items() <= dict(shown.parameters).items()
    assert own.text == told.text
    assert own.prompt_tokens == told.prompt_tokens


async def test_creating_again_does_nothing_and_another_is_refused(
    runtime: Runtime, model: str, adapters: list[Path]
) -> None:
    """A job that was interrupted may make its model again; another model never takes its name."""
    before = await runtime.show(model)
    await runtime.create(ModelDefinition(name=model, base="smollm2", adapter=adapters[0]))

    assert await runtime.show(model) == before
    with pytest.raises(InvalidModel, match="another model has this name"):
        await runtime.create(ModelDefinition(name=model, base="smollm2", adapter=adapters[1]))


async def test_half_written_adapter_makes_no_model(runtime: Runtime, adapters: list[Path], tmp_path: Path) -> None:
    """An adapter that is cut short is refused, and nothing of it is listed."""
    half = cut(adapters[0], tmp_path / "half.gguf")
    before = await runtime.list()

    with pytest.raises(InvalidModel, match="cut short"):
        await runtime.create(ModelDefinition(name="half", base="smollm2", adapter=half))
    assert await runtime.list() == before


async def test_base_is_no_adapter(runtime: Runtime, base: Path) -> None:
    """A whole model passed as an adapter is refused."""
    with pytest.raises(InvalidModel, match="not a GGUF LoRA adapter"):
        await runtime.create(ModelDefinition(name="wrong", base="smollm2", adapter=base))


@pytest.mark.parametrize(
    "call",
    [
        lambda runtime: runtime.generate(replace(ASK, model="nobody")),
        lambda runtime: runtime.show("nobody"),
        lambda runtime: runtime.delete("nobody"),
        lambda runtime: runtime.copy("nobody", "alias"),
        lambda runtime: runtime.create(ModelDefinition(name="orphan", base="nobody")),
    ],
    ids=["generate", "show", "delete", "copy", "create"],
)
async def test_unknown_model_is_named(runtime: Runtime, call: Callable[[Runtime], object]) -> None:
    """Every call that names a model which is not there says which."""
    with pytest.raises(ModelNotFound, match="nobody"):
        await call(runtime)  # type: ignore[misc] # a coroutine of any result


async def test_time_is_kept(runtime: Runtime) -> None:
    """A question whose time runs out fails then, and the next one is answered."""
    with pytest.raises(GenerationTimeout, match=r"0\.05 s"):
        await runtime.generate(replace(ASK, prompt="Tell a long story", max_tokens=400, timeout=0.05))

    assert (await runtime.generate(FREE)).completion_tokens == 6


async def test_too_long_a_prompt_is_refused(runtime: Runtime) -> None:
    """A prompt that does not fit is refused, never silently cut, and the error quotes none of it."""
    with pytest.raises(PromptTooLong) as caught:
        await runtime.generate(replace(FREE, prompt="avocado " * 2000))

    assert "avocado" not in str(caught.value)


async def test_health_tells_the_version(runtime: Runtime) -> None:
    """A runtime that serves is healthy and tells its engine's version."""
    health = await runtime.health()

    assert health.healthy
    assert any(character.isdigit() for character in health.version)


SHOTS = """Message: free nitro at evil.example
Answer: {"isScam":true,"scamType":"phishing"}
Message: see you at eight
Answer: {"isScam":false,"scamType":"none"}
Message: claim your prize now
Answer: {"isScam":true,"scamType":"phishing"}
Message: thanks, that helped
Answer: {"isScam":false,"scamType":"none"}
Message: """


@pytest.mark.parametrize("message", ["win a free gift card now", "good morning everyone", "claim your free skins here"])
async def test_both_runtimes_agree_on_confidence(embedded: Runtime, ollama: Runtime, message: str) -> None:
    """The same model, prompt and answer get nearly the same confidence from both.

    Their kernels round differently: a log-probability differs by up to a tenth. The examples lead the model to
    compact JSON in both, so that the label is asked after the very same tokens.
    """
    ask = replace(
        ASK,
        system="Answer each message with JSON.",
        prompt=f"{SHOTS}{message}\nAnswer:",
        schema=SCHEMA,
    )
    first, second = [await runtime.generate(ask) for runtime in (embedded, ollama)]
    answers = [read_answer(first), read_answer(second)]
    confidences = [answer.confidence or 0.0 for answer in answers]

    assert first.prompt_tokens == second.prompt_tokens
    assert first.text == second.text
    assert confidences[0] == pytest.approx(confidences[1], abs=0.06)
    assert min(confidences) > 0.5
