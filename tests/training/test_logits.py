"""An adapter means the same in torch and in llama.cpp."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from becas_ft.training import base, gguf
from becas_ft.training.recipe import ATTENTION, FEED_FORWARD, Recipe
from becas_ft.training.tokens import Tokenizer
from helpers.llama_cpp import LlamaCpp
from helpers.smollm2 import smollm2
from helpers.tiny_gguf import write_tiny_gguf

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

TEXTS = (
    "<|im_start|>user\nMessage: the kayak is at the harbour",
    "There is a lantern, 42 steps from the bakery; is it yours?",
    '<|im_start|>assistant\n{"isScam":',
)
RECIPE = Recipe(rank=4, alpha=8.0, targets=ATTENTION + FEED_FORWARD)


def adapted(path: Path, scale: float) -> tuple[Any, gguf.GgufHeader]:
    """Load a GGUF with LoRA layers of random weights that change its answers a good deal."""
    header = gguf.read_header(path)
    base.prepare_torch(1)
    model = base.add_lora(base.load_base(path, header, device=torch.device("cpu"), dtype=torch.float32), RECIPE, 1)
    draw = np.random.default_rng(5)
    state = {
        name: (scale * draw.standard_normal(matrix.shape)).astype(np.float32) if "lora_B" in name else matrix
        for name, matrix in base.lora_state(model).items()
    }
    base.set_lora_state(model, state)
    return model.eval(), header


def torch_logprobs(model: Any, rows: Sequence[Sequence[int]]) -> NDArray[np.float64]:  # noqa: ANN401  (peft's model)
    """Return the log-probabilities of every token after each row."""
    with torch.no_grad():
        return np.stack(
            [model(input_ids=torch.tensor([row])).logits[0, -1].double().log_softmax(-1).numpy() for row in rows]
        )


def served_logprobs(
    path: Path, adapter: Path | None, rows: Sequence[Sequence[int]], vocabulary: int
) -> NDArray[np.float64]:
    with LlamaCpp(path, adapter) as engine:
        return np.stack([engine.logprobs(row, vocabulary) for row in rows])


def write(path: Path, model: Any, header: gguf.GgufHeader, *, permuted: bool = True) -> Path:  # noqa: ANN401  (peft's)
    tensors = gguf.lora_tensors(base.lora_state(model), header, permuted=permuted)
    gguf.write_adapter(path, tensors, base=header, alpha=RECIPE.alpha, name="test")
    return path


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("llama", {}),
        ("llama", {"rope_factors": (1.0, 1.0, 1.5, 3.0, 5.0, 8.0, 8.0, 8.0)}),
        ("qwen3", {"head_size": 32}),
    ],
    ids=["llama", "llama with stretched rotation", "qwen3 with large heads"],
)
def test_adapter_gives_the_same_logits_in_torch_and_llama_cpp(
    tmp_path: Path, architecture: str, options: dict[str, Any]
) -> None:
    """With unquantised weights, both engines agree on every token's log-probability, the adapter included.

    Both compute in float32, so that only the order of sums differs; the adapter itself moves log-probabilities by
    tens of times the tolerance.
    """
    path = write_tiny_gguf(tmp_path / "base.gguf", architecture, **options)
    model, header = adapted(path, 0.2)
    tokenizer = Tokenizer(header, path)
    rows = [tokenizer.ids(text) for text in TEXTS]
    vocabulary = len(header.metadata["tokenizer.ggml.tokens"])

    trained = torch_logprobs(model, rows)
    served = served_logprobs(path, write(tmp_path / "adapter.gguf", model, header), rows, vocabulary)
    bare = served_logprobs(path, None, rows, vocabulary)

    # ggml's exponential and its vectorised dot products are approximations good for three digits.
    np.testing.assert_allclose(served, trained, atol=0.02)
    assert np.abs(bare - trained).max() > 0.4


def test_unpermuted_adapter_gives_other_logits(tmp_path: Path) -> None:
    """The reordering of q and k is needed: without it the two engines part, so a gate can see it."""
    path = write_tiny_gguf(tmp_path / "base.gguf")
    model, header = adapted(path, 1.0)
    tokenizer = Tokenizer(header, path)
    rows = [tokenizer.ids(text) for text in TEXTS]
    vocabulary = len(header.metadata["tokenizer.ggml.tokens"])
    wrong = write(tmp_path / "wrong.gguf", model, header, permuted=False)

    trained = torch_logprobs(model, rows)
    served = served_logprobs(path, wrong, rows, vocabulary)

    assert np.abs(served - trained).max() > 0.2


def test_adapter_on_the_real_model_gives_the_same_logits(tmp_path: Path) -> None:
    """On SmolLM2 (Q4_1), both engines agree but for the noise of quantised arithmetic.

    llama.cpp rounds activations to 8 bits before it multiplies them with 4-bit weights, torch multiplies dequantised
    weights in float32. Over 30 layers that noise moves a log-probability by a few hundredths to tenths, with or
    without adapter; it must stay far below what the adapter does, and an unpermuted adapter must stand out from it.
    """
    path = smollm2()
    model, header = adapted(path, 0.1)
    tokenizer = Tokenizer(header, path)
    rows = [tokenizer.ids(text) for text in TEXTS]
    vocabulary = len(header.metadata["tokenizer.ggml.tokens"])

    trained = torch_logprobs(model, rows)
    served = served_logprobs(path, write(tmp_path / "right.gguf", model, header), rows, vocabulary)
    wrong = served_logprobs(path, write(tmp_path / "wrong.gguf", model, header, permuted=False), rows, vocabulary)
    bare = served_logprobs(path, None, rows, vocabulary)

    def apart(left: NDArray[np.float64]) -> float:
        return float(np.abs(left - trained).mean())

    assert apart(served) < 0.25
    assert apart(served) < apart(bare) / 4
    assert apart(served) < apart(wrong) / 2
