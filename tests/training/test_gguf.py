"""GGUF files are read strictly and written whole."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import gguf as reference
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from transformers.modeling_gguf_pytorch_utils import LlamaTensorProcessor

from becas_ft.training import gguf
from becas_ft.training.errors import GgufError
from helpers.smollm2 import smollm2
from helpers.tiny_gguf import write_tiny_gguf

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def lora(layers: int = 2) -> dict[str, NDArray[np.float32]]:
    """Make random matrices under peft's names for the tiny llama."""
    draw = np.random.default_rng(0)
    shapes = {"q_proj": (64, 64), "k_proj": (32, 64), "v_proj": (32, 64), "o_proj": (64, 64)}
    return {
        f"model.layers.{layer}.self_attn.{name}.lora_{half}.default.weight": draw.standard_normal(
            (4, inputs) if half == "A" else (outputs, 4)
        ).astype(np.float32)
        for layer in range(layers)
        for name, (outputs, inputs) in shapes.items()
        for half in "AB"
    }


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("tiny") / "base.gguf")


@pytest.fixture(scope="module")
def adapter(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    header = gguf.read_header(tiny)
    path = tmp_path_factory.mktemp("adapter") / "adapter.gguf"
    gguf.write_adapter(path, gguf.lora_tensors(lora(), header), base=header, alpha=8.0, name="test")
    return path


def test_header_of_a_real_model_equals_the_reference_reader() -> None:
    """Names, shapes, places and sizes of SmolLM2's tensors are those that the gguf package reads."""
    path = smollm2()

    header = gguf.read_header(path)
    expected = reference.GGUFReader(path)
    assert {name: (list(info.shape), info.kind, info.offset, info.size) for name, info in header.tensors.items()} == {
        tensor.name: (tensor.shape.tolist(), int(tensor.tensor_type), tensor.data_offset, tensor.n_bytes)
        for tensor in expected.tensors
    }
    assert header.architecture == "llama"
    assert len(header.metadata["tokenizer.ggml.tokens"]) == header.number("vocab_size") == 49152


@settings(deadline=None)
@given(data=some.data())
def test_cut_files_are_refused(tiny: Path, tmp_path_factory: pytest.TempPathFactory, data: some.DataObject) -> None:
    """A GGUF file that ends anywhere before its end is refused: by its header, or by its last tensor."""
    whole = tiny.read_bytes()
    path = tmp_path_factory.getbasetemp() / "cut.gguf"
    path.write_bytes(whole[: data.draw(some.integers(0, len(whole) - 1))])

    with pytest.raises(GgufError):
        gguf.read_header(path)


@settings(deadline=None)
@given(data=some.data())
def test_damaged_headers_never_crash(
    adapter: Path, tmp_path_factory: pytest.TempPathFactory, data: some.DataObject
) -> None:
    """Flipped bytes are read as another file or refused; nothing else is raised, no memory is exhausted."""
    damaged = bytearray(adapter.read_bytes())
    for _ in range(data.draw(some.integers(1, 4))):
        damaged[data.draw(some.integers(0, 700))] = data.draw(some.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.gguf"
    path.write_bytes(damaged)

    with contextlib.suppress(GgufError):
        gguf.read_header(path)


def test_permutation_undoes_what_transformers_does_when_it_loads() -> None:
    """Reordering to llama.cpp's layout is the inverse of transformers' own reordering from it."""
    rows = np.arange(2 * 16 * 3, dtype=np.float32).reshape(32, 3)
    processor = LlamaTensorProcessor(config={})  # type: ignore[no-untyped-call]  # transformers

    assert not np.array_equal(gguf.permute(rows, 2), rows)
    np.testing.assert_array_equal(processor._reverse_permute_weights(gguf.permute(rows, 2), 2), rows)


def test_adapter_is_written_with_the_names_llama_cpp_reads(tiny: Path, adapter: Path) -> None:
    """Names, shapes and values as llama.cpp's convert_lora_to_gguf.py writes them; same input, same bytes."""
    reader = reference.GGUFReader(adapter)
    matrices = lora()
    again = adapter.with_name("again.gguf")
    header = gguf.read_header(tiny)
    gguf.write_adapter(again, gguf.lora_tensors(matrices, header), base=header, alpha=8.0, name="test")

    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    assert len(tensors) == 16
    np.testing.assert_array_equal(
        tensors["blk.1.attn_output.weight.lora_b"], matrices["model.layers.1.self_attn.o_proj.lora_B.default.weight"]
    )
    np.testing.assert_array_equal(
        tensors["blk.0.attn_q.weight.lora_a"], matrices["model.layers.0.self_attn.q_proj.lora_A.default.weight"]
    )
    fields = {key: reader.get_field(key) for key in ("general.type", "adapter.type", "adapter.lora.alpha")}
    assert [field.contents() for field in fields.values() if field] == ["adapter", "lora", 8.0]
    assert again.read_bytes() == adapter.read_bytes()


def test_adapter_of_another_base_is_refused(tiny: Path, adapter: Path, tmp_path: Path) -> None:
    """Architecture, names and shapes must be the base's; nothing that fails the check gets a name."""
    qwen = gguf.read_header(write_tiny_gguf(tmp_path / "qwen.gguf", "qwen3"))
    tiny_header = gguf.read_header(tiny)
    three_layers = gguf.lora_tensors(lora(3), tiny_header)

    with pytest.raises(GgufError, match="the adapter is for llama, the base is qwen3"):
        gguf.check_adapter(adapter, qwen)
    with pytest.raises(GgufError, match=r"the base has no tensor blk\.2"):
        gguf.write_adapter(tmp_path / "a.gguf", three_layers, base=tiny_header, alpha=8.0, name="test")
    with pytest.raises(GgufError, match="is no LoRA adapter"):
        gguf.check_adapter(tiny, tiny_header)
    assert [path.name for path in tmp_path.iterdir()] == ["qwen.gguf"]


def test_half_of_a_pair_is_refused(tiny: Path, tmp_path: Path) -> None:
    """An adapter without one of its two matrices of a layer is refused."""
    header = gguf.read_header(tiny)
    tensors = gguf.lora_tensors(lora(), header)
    del tensors["blk.0.attn_k.weight.lora_b"]

    with pytest.raises(GgufError, match=r"lacks one half of blk\.0\.attn_k"):
        gguf.write_adapter(tmp_path / "half.gguf", tensors, base=header, alpha=8.0, name="test")
