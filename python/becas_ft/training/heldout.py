"""Labels of held-out inputs by a model in torch, decoded only until the label is decided."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING, Any, Final

from becas_ft.training.forward import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from becas_ft.training.chat import ChatTemplate
    from becas_ft.training.rows import Row
    from becas_ft.training.tokens import Tokenizer

_MOST_ROWS: Final = 16
_MOST_TOKENS: Final = 4096
_MOST_LABEL_TOKENS: Final = 64
# What is longer fits no served model either (num_ctx), and attention over it would take memory without bound.
_LONGEST_PROMPT: Final = 4096


@dataclasses.dataclass(frozen=True, slots=True)
class Prediction:
    """A model's label for one input.

    Attributes:
        label: a JSON value; None where the answer has none.
        confidence: probability of the label, 0 to 1: among the allowed labels for a closed set, of the label's own
            tokens for an open one.
    """

    label: Any
    confidence: float


@dataclasses.dataclass(frozen=True, slots=True)
class Accuracy:
    """How many held-out labels were right.

    Attributes:
        right: equal to the row's label.
        rows: rows in all.
        invalid: answers without a label; they are wrong.
    """

    right: int
    rows: int
    invalid: int

    @property
    def share(self) -> float:
        """Share of right labels, 0 to 1; 0 for no row."""
        return self.right / self.rows if self.rows else 0.0


def accuracy(rows: Sequence[Row], labels: Sequence[Any]) -> Accuracy:
    """Grade labels (None for an answer without one) against the rows', type and value.

    Raises:
        ValueError: the lists differ in length.
    """
    pairs = list(zip(rows, labels, strict=True))
    return Accuracy(
        right=sum(type(row.label) is type(label) and row.label == label for row, label in pairs),
        rows=len(pairs),
        invalid=sum(label is None for _, label in pairs),
    )


def closed_labels(rows: Iterable[Row]) -> list[Any]:
    """Return the different labels of rows in a fixed order: that of their JSON text."""
    by_text = {json.dumps(row.label, sort_keys=True): row.label for row in rows}
    return [by_text[text] for text in sorted(by_text)]


def choose_shots(rows: Sequence[Row], per_label: int = 2) -> list[tuple[str, str]]:
    """Choose examples for a few-shot prompt: the same number for every label, labels taking turns.

    The shortest inputs serve, since the prompt of a small model is better short; ties go to the example id.
    """
    ranked: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (len(row.input) + len(row.output), row.example_id)):
        ranked.setdefault(json.dumps(row.label, sort_keys=True), []).append(row)
    return [
        (ranked[label][turn].input, ranked[label][turn].output)
        for turn in range(per_label)
        for label in sorted(ranked)
        if turn < len(ranked[label])
    ]


def predict(
    causal: Any,  # noqa: ANN401  (a transformers causal language model)
    rows: Sequence[Row],
    *,
    template: ChatTemplate,
    tokenizer: Tokenizer,
    label_key: str,
    labels: Sequence[Any] = (),
    shots: Sequence[tuple[str, str]] = (),
    only_key: bool = False,
    report: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[Prediction]:
    """Label inputs as the served model would at temperature 0 under the output schema; results in the rows' order.

    The answer is forced to begin with the label's key. With a closed set of labels each next token is the likeliest
    among those that still lead to a label, and decoding stops as soon as one label is left. An input that is too
    long to be served has no label.

    Args:
        causal: the model, with or without adapter, in evaluation mode.
        rows: held-out rows.
        template: the served model's.
        tokenizer: the served model's.
        label_key: the first key of an answer.
        labels: the allowed labels; empty for an open set.
        shots: earlier turns of a few-shot prompt.
        only_key: whether the answer holds nothing but the label.
        report: called with the number of rows done and in all.
    """
    decide = _Closed(tokenizer, label_key, labels, "}" if only_key else ',"') if labels else _Open(tokenizer, label_key)
    prompts = [[*tokenizer.ids(template.prompt(row.system, row.input, shots)), *decide.forced] for row in rows]
    fitting = [row for row, prompt in enumerate(prompts) if len(prompt) <= _LONGEST_PROMPT]
    predictions = dict.fromkeys(set(range(len(rows))) - set(fitting), Prediction(None, 0.0))
    for batch in _batches([len(prompts[row]) for row in fitting]):
        chosen = [fitting[place] for place in batch]
        found = _decode(causal, [prompts[row] for row in chosen], decide)
        predictions.update(zip(chosen, found, strict=True))
        report(len(predictions), len(rows))
    return [predictions[row] for row in range(len(rows))]


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Put inputs of similar length together, so that little is padded."""
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: (lengths[row], row)):
        if not batches or len(batches[-1]) == _MOST_ROWS or lengths[row] * (len(batches[-1]) + 1) > _MOST_TOKENS:
            batches.append([])
        batches[-1].append(row)
    return batches


class _Closed:
    """A closed set of labels as token paths behind a common beginning."""

    def __init__(self, tokenizer: Tokenizer, label_key: str, labels: Sequence[Any], behind: str) -> None:
        texts = [f"{{{json.dumps(label_key)}:{_compact(label)}{behind}" for label in labels]
        paths = [tokenizer.ids(text) for text in texts]
        shared = _shared(paths)
        self.forced = paths[0][:shared] if len(paths) > 1 else paths[0][:-1]
        self.paths = [tuple(path[len(self.forced) :]) for path in paths]
        self.labels = list(labels)

    def allowed(self, taken: tuple[int, ...]) -> list[int]:
        """Return the token ids that lead on to a label."""
        depth = len(taken)
        return sorted({path[depth] for path in self.paths if path[:depth] == taken and len(path) > depth})

    def settled(self, taken: tuple[int, ...]) -> tuple[bool, Any]:
        """Return whether one label is left, and it."""
        left = [label for path, label in zip(self.paths, self.labels, strict=True) if path[: len(taken)] == taken]
        return (True, left[0]) if len(left) == 1 else (False, None)


class _Open:
    """Any JSON value behind the label's key, decoded until it is complete."""

    def __init__(self, tokenizer: Tokenizer, label_key: str) -> None:
        self._tokenizer = tokenizer
        self._key = f"{{{json.dumps(label_key)}:"
        # Where the key's last token would merge with the value's quote, the model writes that token itself.
        quoted, plain = tokenizer.ids(self._key + '"'), tokenizer.ids(self._key)
        self.forced = plain[: _shared([quoted, plain])]

    def allowed(self, _taken: tuple[int, ...]) -> list[int]:
        """Return nothing: every token is allowed."""
        return []

    def settled(self, taken: tuple[int, ...]) -> tuple[bool, Any]:
        """Return whether the value is complete or can no longer be one, and the value."""
        text = self._tokenizer.text([*self.forced, *taken])
        if not text.startswith(self._key):
            return (not self._key.startswith(text), None)
        value = text[len(self._key) :]
        try:
            label, end = json.JSONDecoder().raw_decode(value.lstrip())
        except ValueError:
            return len(taken) >= _MOST_LABEL_TOKENS, None
        # A number may go on; anything else is complete when it parses.
        return (True, label) if end < len(value.lstrip()) or isinstance(label, str | bool | list) else (False, None)


def _compact(value: Any) -> str:  # noqa: ANN401  (a JSON value)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _shared(paths: Sequence[Sequence[int]]) -> int:
    shortest = min(map(len, paths))
    return next((at for at in range(shortest) if len({path[at] for path in paths}) > 1), shortest)


def _decode(causal: Any, prompts: Sequence[Sequence[int]], decide: _Closed | _Open) -> list[Prediction]:  # noqa: ANN401
    """Decode one batch greedily until every row is settled."""
    import torch

    with torch.inference_mode():
        done = run(causal, prompts, keep_cache=True)
        rows = len(prompts)
        device = done.hidden.device
        last = torch.tensor([length - 1 for length in done.lengths], device=device)
        hidden = done.hidden[torch.arange(rows, device=device), last]
        mask, cache = done.mask, done.cache
        positions = [len(prompt) for prompt in prompts]
        taken: list[tuple[int, ...]] = [()] * rows
        logs = [0.0] * rows
        settled = [decide.settled(()) for _ in range(rows)]
        while not all(complete for complete, _ in settled):
            scores = causal.lm_head(hidden).float()
            chosen = []
            for row in range(rows):
                token, log = (0, 0.0) if settled[row][0] else _best(scores[row], decide.allowed(taken[row]))
                chosen.append(token)
                if not settled[row][0]:
                    taken[row] = (*taken[row], token)
                    logs[row] += log
                    settled[row] = decide.settled(taken[row])
            if all(complete for complete, _ in settled):
                break
            mask = torch.cat([mask, mask.new_ones((rows, 1))], dim=1)
            hidden = causal.model(
                input_ids=torch.tensor(chosen, device=device).unsqueeze(1),
                attention_mask=mask,
                position_ids=torch.tensor(positions, device=device).unsqueeze(1),
                past_key_values=cache,
                use_cache=True,
            ).last_hidden_state[:, -1]
            positions = [position + 1 for position in positions]
    return [
        Prediction(label, math.exp(log) if label is not None else 0.0)
        for (_, label), log in zip(settled, logs, strict=True)
    ]


def _best(scores: Any, allowed: list[int]) -> tuple[int, float]:  # noqa: ANN401  (torch.Tensor)
    """Return the likeliest allowed token (any, if none is listed) and its log-probability among the allowed."""
    if not allowed:
        token = int(scores.argmax())
        return token, float(scores.log_softmax(-1)[token])
    among = scores[allowed].log_softmax(-1)
    best = int(among.argmax())
    return allowed[best], float(among[best])
