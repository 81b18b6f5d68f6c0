"""Texts to token ids, as llama.cpp makes them, with a weight for every answer token."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, Final

from becas_ft.training.errors import GgufError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from becas_ft.training.chat import ChatTemplate
    from becas_ft.training.gguf import GgufHeader
    from becas_ft.training.recipe import Recipe
    from becas_ft.training.rows import Row

# `tokenizer.ggml.pre` → the expressions that cut a text before merging (llama-vocab.cpp of llama.cpp).
_GPT2: Final = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_WORDS: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CUTS: Final[Mapping[str, tuple[str, ...]]] = {
    "gpt-2": (_GPT2,),
    "smollm": (r"\p{N}", _GPT2),
    "llama-bpe": (_WORDS % "{1,3}",),
    "qwen2": (_WORDS % "",),
}
_CONTROL: Final = 3
_USER_DEFINED: Final = 4


class Tokenizer:
    """A GGUF model's own tokenizer; special tokens in the text count as such, no token is added."""

    def __init__(self, header: GgufHeader, path: Path) -> None:
        self._backend = _byte_pairs(header) or _converted(path)

    def ids(self, text: str) -> list[int]:
        """Return the token ids of a text."""
        return list(self._backend.encode(text, add_special_tokens=False).ids)

    def spans(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Return the token ids of a text and the code points [start, end) that each one stands for."""
        encoding = self._backend.encode(text, add_special_tokens=False)
        return list(encoding.ids), list(encoding.offsets)

    def text(self, ids: list[int]) -> str:
        """Return the text of token ids, special tokens included."""
        return str(self._backend.decode(ids, skip_special_tokens=False))


def _byte_pairs(header: GgufHeader) -> Any | None:  # noqa: ANN401  (tokenizers.Tokenizer)
    """Build a byte-level BPE tokenizer from the metadata, or return None where its cuts are unknown."""
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers

    metadata = header.metadata
    cuts = _CUTS.get(metadata.get("tokenizer.ggml.pre", ""))
    if metadata.get("tokenizer.ggml.model") != "gpt2" or cuts is None:
        return None
    texts = metadata["tokenizer.ggml.tokens"]
    kinds = metadata["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ", 1)) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = tokenizers.Tokenizer(
        models.BPE({text: index for index, text in enumerate(texts)}, merges, ignore_merges=cuts[0].startswith("(?i")),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            *(pre_tokenizers.Split(tokenizers.Regex(cut), "isolated") for cut in cuts),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ],
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [
            tokenizers.AddedToken(text, special=True, normalized=False)
            for text, kind in zip(texts, kinds, strict=True)
            if kind in {_CONTROL, _USER_DEFINED}
        ],
    )
    return tokenizer


def _converted(path: Path) -> Any:  # noqa: ANN401  (tokenizers.Tokenizer)
    """Let transformers convert the tokenizer."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    except (ValueError, KeyError, NotImplementedError, OSError) as error:
        raise GgufError(f"the model's tokenizer cannot be read: {type(error).__name__}") from error
    return tokenizer.backend_tokenizer


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Encoded:
    """A row as numbers: prompt ids, answer ids, and a weight for each answer id."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    weights: tuple[float, ...]
    truncated: bool

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


def encode(row: Row, *, template: ChatTemplate, tokenizer: Tokenizer, recipe: Recipe, label_key: str) -> Encoded:
    """Turn a row into numbers: the label's tokens weigh more, a message that is too long loses its end."""
    answer, spans = tokenizer.spans(row.output + template.ending)
    start, end = label_span(row, label_key)
    weights = [recipe.label_weight if left < end and right > start else 1.0 for left, right in spans]
    answer, weights = answer[: recipe.max_answer_tokens], weights[: recipe.max_answer_tokens]
    room = recipe.max_tokens - len(answer)
    kept, prompt = _fit(row, room, template, tokenizer)
    return Encoded(tuple(prompt[-room:]), tuple(answer), tuple(weights), kept < len(row.input))


def _fit(row: Row, room: int, template: ChatTemplate, tokenizer: Tokenizer) -> tuple[int, list[int]]:
    """Return how many code points of the message fit into `room` tokens, and the prompt with them."""

    def prompt(kept: int) -> list[int]:
        return tokenizer.ids(template.prompt(row.system, row.input[:kept]))

    if len(whole := prompt(len(row.input))) <= room:
        return len(row.input), whole
    fits, too_long = 0, len(row.input)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        fits, too_long = (middle, too_long) if len(prompt(middle)) <= room else (fits, middle)
    return fits, prompt(fits)


def label_span(row: Row, label_key: str) -> tuple[int, int]:
    """Return the code points [start, end) of the label's value in the row's output."""
    start = row.output.index(":", row.output.index(json.dumps(label_key)) + len(json.dumps(label_key))) + 1
    while row.output[start].isspace():
        start += 1
    _, end = json.JSONDecoder().raw_decode(row.output, start)
    return start, end
