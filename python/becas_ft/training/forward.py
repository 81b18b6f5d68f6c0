"""One pass of a micro-batch through the model; the tokens that all its rows begin with are computed once."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from becas_ft.training.batches import common_prefix

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

_PADDING = 0


@dataclasses.dataclass(slots=True)
class Pass:
    """What a pass leaves.

    Attributes:
        hidden: final hidden states of each row's own tokens, shape (rows, longest, width); right-padded.
        lengths: own tokens of each row.
        prefix: tokens that were computed once for all rows.
        cache: keys and values, of all rows; None where none was asked for.
        mask: which cached positions are tokens, shape (rows, prefix + longest).
    """

    hidden: torch.Tensor
    lengths: list[int]
    prefix: int
    cache: Any
    mask: torch.Tensor


def run(
    causal: Any,  # noqa: ANN401  (a transformers causal language model)
    rows: Sequence[Sequence[int]],
    *,
    sharing: Sequence[Sequence[int]] | None = None,
    keep_cache: bool = False,
) -> Pass:
    """Compute the hidden states of rows of token ids.

    With gradients on, they flow through the shared prefix as well: the result is that of the plain computation.

    Args:
        causal: a transformers causal language model.
        rows: token ids.
        sharing: the beginnings of the rows within which they may share, all but the last token; the rows where None.
        keep_cache: whether the keys and values are needed afterwards.
    """
    import torch
    from transformers import DynamicCache

    device = next(causal.parameters()).device
    prefix = common_prefix(sharing or rows) if len(rows) > 1 else 0
    cache = DynamicCache(config=causal.config) if prefix or keep_cache else None
    if prefix and cache is not None:
        causal.model(input_ids=torch.tensor([rows[0][:prefix]], device=device), past_key_values=cache, use_cache=True)
        cache.batch_repeat_interleave(len(rows))
    own = [list(row[prefix:]) for row in rows]
    longest = max(map(len, own))
    ids = torch.tensor([row + [_PADDING] * (longest - len(row)) for row in own], device=device)
    mask = torch.tensor([[1] * (prefix + len(row)) + [0] * (longest - len(row)) for row in own], device=device)
    hidden = causal.model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=torch.arange(prefix, prefix + longest, device=device).expand(len(rows), -1),
        past_key_values=cache,
        use_cache=cache is not None,
    ).last_hidden_state
    return Pass(hidden, [len(row) for row in own], prefix, cache, mask)


def answer_loss(
    causal: Any,  # noqa: ANN401  (a transformers causal language model)
    prompts: Sequence[Sequence[int]],
    answers: Sequence[Sequence[int]],
    weights: Sequence[Sequence[float]],
) -> torch.Tensor:
    """Return the weighted sum of the answers' negative log-likelihoods, in nats.

    Only answer positions go through the output matrix, which is a fifth of a small model's work.
    """
    import torch

    # The last answer token predicts nothing that counts, so it is not an input.
    inputs = [[*prompt, *answer[:-1]] for prompt, answer in zip(prompts, answers, strict=True)]
    # What predicts the first token of an answer is wanted of every row: prompts that are alike must not share it.
    done = run(causal, inputs, sharing=prompts)
    longest = done.hidden.shape[1]
    positions = [
        row * longest + len(prompt) - 1 + offset - done.prefix
        for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True))
        for offset in range(len(answer))
    ]
    device = done.hidden.device
    chosen = done.hidden.flatten(0, 1).index_select(0, torch.tensor(positions, device=device))
    logits = causal.lm_head(chosen).float()
    targets = torch.tensor([token for answer in answers for token in answer], device=device)
    weighed = torch.tensor([weight for row in weights for weight in row], device=device)
    losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    return (losses * weighed).sum()
