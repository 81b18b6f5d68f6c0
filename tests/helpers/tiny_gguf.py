"""Tiny random models of real architectures, written with `gguf`, that transformers and llama.cpp both load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import gguf
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LAYERS: Final = 2
WIDTH: Final = 64
HEADS: Final = 4
KEY_VALUE_HEADS: Final = 2
HIDDEN: Final = 96
CONTEXT: Final = 512
SPECIAL: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
# Digits, white space and signs merge too, so that it shows where a text is cut before merging.
MERGES: Final = (
    *(("1", "2"), ("3", "4"), ("12", "34"), ("1234", "5"), ("2", "0"), ("20", "2"), ("Ġ", "1"), ("0", "0")),
    *(("t", "h"), ("h", "e"), ("Ġ", "t"), ("Ġt", "he"), ("e", "r"), ("i", "s"), ("'", "s"), ("'", "t")),
    *(("Ċ", "Ċ"), ("Ġ", "Ġ"), ("ĠĠ", "ĠĠ"), ("!", "!"), ("+", "+"), ("'", "R"), ("'R", "e"), (",", "Ġ"), ("Ġ", "Ċ")),
)
CHAT_TEMPLATE: Final = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def _byte_alphabet() -> list[str]:
    """Return GPT-2's printable stand-ins of the 256 bytes, in the order of the bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


def _merges_of(words: Iterable[str]) -> list[tuple[str, str]]:
    """Return merges that make a token of each word, beginning at its first letter; after all others, in order."""
    pairs: dict[tuple[str, str], None] = {}
    for word in words:
        spelled = word.replace(" ", "\u0120")
        pairs |= {(spelled[:end], spelled[end]): None for end in range(1, len(spelled))}
    return [pair for pair in pairs if pair not in MERGES]


def write_tiny_gguf(  # noqa: PLR0915  (a list of what stands in the file)
    path: Path,
    architecture: str = "llama",
    *,
    head_size: int = 16,
    seed: int = 0,
    rope_factors: tuple[float, ...] | None = None,
    chat_template: str = CHAT_TEMPLATE,
    cuts: str = "smollm",
    words: Iterable[str] = (),
) -> Path:
    """Write a random float32 model of 2 layers with a byte-level vocabulary and a ChatML template.

    Each of `words` (letters, with the space before it) is a token too, so that what holds them is short.
    """
    random = np.random.default_rng(seed)
    merges = [*MERGES, *_merges_of(words)]
    tokens = [*SPECIAL, *_byte_alphabet(), *dict.fromkeys("".join(pair) for pair in merges)]
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_VALUE_HEADS)
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(head_size)
    writer.add_vocab_size(len(tokens))
    if architecture == "gemma3":
        writer.add_sliding_window(CONTEXT)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(cuts)
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL)))
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(chat_template)

    def add(name: str, *shape: int, scale: float = 0.08, center: float = 0.0) -> None:
        writer.add_tensor(name, (center + scale * random.standard_normal(shape)).astype(np.float32))

    norm = {"scale": 0.05, "center": 1.0}
    add("token_embd.weight", len(tokens), WIDTH, scale=0.3)
    add("output_norm.weight", WIDTH, **norm)
    if rope_factors is not None:
        writer.add_tensor("rope_freqs.weight", np.array(rope_factors, dtype=np.float32))
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        add(f"{block}.attn_norm.weight", WIDTH, **norm)
        add(f"{block}.attn_q.weight", HEADS * head_size, WIDTH)
        add(f"{block}.attn_k.weight", KEY_VALUE_HEADS * head_size, WIDTH)
        add(f"{block}.attn_v.weight", KEY_VALUE_HEADS * head_size, WIDTH)
        add(f"{block}.attn_output.weight", WIDTH, HEADS * head_size)
        add(f"{block}.ffn_norm.weight", WIDTH, **norm)
        add(f"{block}.ffn_gate.weight", HIDDEN, WIDTH)
        add(f"{block}.ffn_up.weight", HIDDEN, WIDTH)
        add(f"{block}.ffn_down.weight", WIDTH, HIDDEN)
        if architecture in {"qwen3", "gemma3"}:
            add(f"{block}.attn_q_norm.weight", head_size, **norm)
            add(f"{block}.attn_k_norm.weight", head_size, **norm)
        if architecture == "gemma3":
            add(f"{block}.post_attention_norm.weight", WIDTH, **norm)
            add(f"{block}.post_ffw_norm.weight", WIDTH, **norm)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_tiny_adapter(path: Path, *, seed: int = 2, rank: int = 4, scale: float = 2.0) -> Path:
    """Write a random LoRA adapter of a tiny llama, strong enough that it answers otherwise."""
    shapes = {"attn_q": (WIDTH, HEADS * 16), "ffn_down": (HIDDEN, WIDTH)}
    return write_random_adapter(path, LAYERS, shapes, seed=seed, rank=rank, scale=scale)


def write_random_adapter(
    path: Path, layers: int, shapes: dict[str, tuple[int, int]], *, seed: int, rank: int, scale: float
) -> Path:
    """Write a LoRA adapter for a llama; shapes are (inputs, outputs) of each adapted matrix of a layer."""
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    for layer in range(layers):
        for name, (inputs, outputs) in shapes.items():
            for part, shape in (("a", (rank, inputs)), ("b", (outputs, rank))):
                values = (scale * random.standard_normal(shape)).astype(np.float32)
                writer.add_tensor(f"blk.{layer}.{name}.weight.lora_{part}", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
