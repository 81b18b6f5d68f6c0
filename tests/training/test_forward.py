"""Computing a shared beginning once, batching and stopping early change nothing but the time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch

from becas_ft.training import base
from becas_ft.training.chat import ChatTemplate
from becas_ft.training.forward import answer_loss
from becas_ft.training.gguf import GgufHeader, read_header
from becas_ft.training.heldout import predict
from becas_ft.training.recipe import Recipe
from becas_ft.training.rows import Row, read_rows
from becas_ft.training.tokens import Tokenizer
from helpers.datasets import scam_rows, write_rows
from helpers.tiny_gguf import write_tiny_gguf

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PROMPTS = [[9, 8, 7, 6, 5], [9, 8, 7, 4, 3, 2, 11, 12], [9, 8, 7, 20]]
ANSWERS = [[30, 31, 2], [32, 33, 34, 35, 2], [36, 2]]
WEIGHTS = [[4.0, 1.0, 1.0], [1.0] * 5, [2.0, 1.0]]


@pytest.fixture(scope="module", params=["llama", "qwen3"])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, GgufHeader, Path]:
    path = write_tiny_gguf(tmp_path_factory.mktemp("tiny") / "base.gguf", request.param)
    header = read_header(path)
    base.prepare_torch(1)
    return base.load_base(path, header, device=torch.device("cpu"), dtype=torch.float32), header, path


@pytest.mark.parametrize("prompts", [PROMPTS, [PROMPTS[1]] * 3, [PROMPTS[0][:3], PROMPTS[0], PROMPTS[0]]])
def test_loss_and_gradients_are_those_of_the_plain_computation(
    tiny: tuple[Any, GgufHeader, Path], prompts: list[list[int]]
) -> None:
    """Loss on answers only, and its gradient through the beginning that the rows share, as row by row."""
    model = base.add_lora(tiny[0], Recipe(rank=2, alpha=4.0), 1)
    parameters = base.lora_parameters(model)
    draw = torch.Generator().manual_seed(2)
    base.set_lora_state(model, {n: 0.1 * torch.randn(p.shape, generator=draw) for n, p in parameters.items()})
    causal = model.base_model.model

    loss = answer_loss(causal, prompts, ANSWERS, WEIGHTS)
    gradients = torch.autograd.grad(loss, list(parameters.values()))

    plain = torch.zeros(())
    for prompt, answer, weights in zip(prompts, ANSWERS, WEIGHTS, strict=True):
        logits = causal(input_ids=torch.tensor([[*prompt, *answer]])).logits[0]
        for offset, (token, weight) in enumerate(zip(answer, weights, strict=True)):
            plain = plain - weight * logits[len(prompt) - 1 + offset].log_softmax(-1)[token]
    expected = torch.autograd.grad(plain, list(parameters.values()))

    torch.testing.assert_close(loss, plain, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(gradients, expected, rtol=1e-3, atol=1e-4)
    model.unload()


def best_label(
    causal: Any,  # noqa: ANN401  (a transformers model)
    tokenizer: Tokenizer,
    prompt: str,
    labels: Sequence[Any],
) -> Any:  # noqa: ANN401  (a JSON value)
    """Follow the likeliest allowed token, one row, no cache, no shortcut."""
    paths = {json.dumps(label): tokenizer.ids(f'{{"isScam":{json.dumps(label)},"') for label in labels}
    taken: list[int] = []
    while len(paths) > 1:
        allowed = sorted({path[len(taken)] for path in paths.values()})
        with torch.no_grad():
            logits = causal(input_ids=torch.tensor([[*tokenizer.ids(prompt), *taken]])).logits[0, -1]
        token = max(allowed, key=lambda token: float(logits[token]))
        paths = {text: path for text, path in paths.items() if path[len(taken)] == token}
        taken.append(token)
    return json.loads(next(iter(paths)))


@pytest.mark.parametrize("labels", [[False, True], ["none", "note", "notes", "spam"]], ids=["yes or no", "words"])
def test_labels_are_those_of_plain_constrained_decoding(
    tiny: tuple[Any, GgufHeader, Path], tmp_path: Path, labels: list[Any]
) -> None:
    """Batches, padding and caches give each row the label that it has when decoded alone, in the rows' order."""
    causal, header, path = tiny
    template, tokenizer = ChatTemplate.of(header), Tokenizer(header, path)
    rows = read_rows(write_rows(tmp_path / "rows.jsonl", scam_rows(21)), "isScam")
    seen: list[tuple[int, int]] = []

    found = predict(
        causal,
        rows,
        template=template,
        tokenizer=tokenizer,
        label_key="isScam",
        labels=labels,
        report=lambda done, total: seen.append((done, total)),
    )

    expected = [best_label(causal, tokenizer, template.prompt(row.system, row.input), labels) for row in rows]
    assert [prediction.label for prediction in found] == expected
    assert all(1 / len(labels) ** 3 < prediction.confidence <= 1 for prediction in found)
    assert seen[-1] == (21, 21)


def test_open_labels_end_with_their_value(tiny: tuple[Any, GgufHeader, Path], tmp_path: Path) -> None:
    """With an open set a random model writes no JSON value: each row ends, without a label and without confidence."""
    causal, header, path = tiny
    rows: list[Row] = read_rows(write_rows(tmp_path / "rows.jsonl", scam_rows(3)), "isScam")

    found = predict(
        causal, rows, template=ChatTemplate.of(header), tokenizer=Tokenizer(header, path), label_key="isScam"
    )

    assert [(prediction.label, prediction.confidence) for prediction in found] == [(None, 0.0)] * 3
