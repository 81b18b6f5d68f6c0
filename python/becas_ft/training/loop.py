"""The training loop: AdamW over planned steps, resumable at every checkpoint with the same result."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import TYPE_CHECKING, Any

from becas_ft.training import base, checkpoint
from becas_ft.training.batches import learning_rate, plan, smaller
from becas_ft.training.errors import CancelledError, DivergedError
from becas_ft.training.forward import answer_loss

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import torch

    from becas_ft.training.batches import Step
    from becas_ft.training.recipe import Recipe
    from becas_ft.training.tokens import Encoded


@dataclasses.dataclass(slots=True)
class Run:
    """A run in progress: the counters that go into checkpoints and the result."""

    fingerprint: str
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    losses: tuple[float, ...] = ()


def train(
    model: Any,  # noqa: ANN401  (peft's model)
    rows: Sequence[Encoded],
    *,
    recipe: Recipe,
    micro_tokens: int,
    seed: int,
    fingerprint: str,
    checkpoint_path: Path,
    report: Callable[[Run, int], None],
    stop: Callable[[], None],
) -> Run:
    """Train the LoRA layers of the model, from the last checkpoint of this job where there is one.

    Args:
        model: the base with LoRA layers.
        rows: encoded training rows.
        recipe: hyper-parameters.
        micro_tokens: most padded tokens computed at once.
        seed: decides order and dropout.
        fingerprint: of the job.
        checkpoint_path: where checkpoints live.
        report: called after each step with the run and the number of steps in all.
        stop: called between micro-batches; it raises to end the run, which leaves a checkpoint of whole steps.

    Raises:
        DivergedError: a loss is not finite.
    """
    import torch

    parameters = base.lora_parameters(model)
    optimizer = torch.optim.AdamW(
        parameters.values(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, foreach=False
    )
    run = Run(fingerprint)
    if (saved := checkpoint.load(checkpoint_path, fingerprint)) is not None:
        base.set_lora_state(model, saved.parameters)
        _restore(optimizer, parameters, saved.moments)
        run = Run(fingerprint, saved.step, saved.tokens, saved.seconds, saved.losses)
    lengths = [len(row) for row in rows]
    # Planned by the recipe whatever memory there is, so that a checkpoint means the same rows.
    steps = smaller(plan(lengths, recipe, seed), lengths, micro_tokens)
    model.train()
    saved_step = run.step
    try:
        while run.step < len(steps):
            started = time.monotonic()
            # Dropout draws from the step's own seed: a resumed run sees the same numbers.
            torch.manual_seed((seed * 1_000_003 + run.step) % 2**63)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(run.step, len(steps), recipe)
            loss = _step(model, steps[run.step], rows, optimizer, recipe.clip, stop)
            run.step += 1
            run.losses = (*run.losses, loss)
            run.tokens += sum(len(rows[row]) for micro in steps[run.step - 1].micro_batches for row in micro)
            run.seconds += time.monotonic() - started
            if run.step % recipe.checkpoint_steps == 0 or run.step == len(steps):
                _save(checkpoint_path, run, parameters, optimizer)
                saved_step = run.step
            report(run, len(steps))
    except CancelledError:
        # A stop raises between micro-batches, before the optimizer moves: the parameters are those of whole steps.
        if run.step > saved_step:
            _save(checkpoint_path, run, parameters, optimizer)
        raise
    model.eval()
    return run


def _step(  # noqa: PLR0917  (called once, beside its definition)
    model: Any,  # noqa: ANN401  (peft's model)
    step: Step,
    rows: Sequence[Encoded],
    optimizer: torch.optim.Optimizer,
    clip: float,
    stop: Callable[[], None],
) -> float:
    """Do one optimizer step and return its mean weighted loss a token."""
    import torch

    # The whole step's weight divides every part, so that the gradient does not depend on how it was cut.
    weight = sum(sum(rows[row].weights) for micro in step.micro_batches for row in micro)
    total = 0.0
    optimizer.zero_grad(set_to_none=True)
    for micro in step.micro_batches:
        stop()
        chosen = [rows[row] for row in micro]
        loss = answer_loss(
            model.base_model.model,
            [row.prompt for row in chosen],
            [row.answer for row in chosen],
            [row.weights for row in chosen],
        )
        (loss / weight).backward()  # type: ignore[no-untyped-call]  # torch
        total += loss.item() / weight
    if not math.isfinite(total):
        raise DivergedError("the loss is no longer a number; lower the recipe's learning_rate")
    torch.nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], clip, foreach=False)
    optimizer.step()
    return total


def _save(path: Path, run: Run, parameters: dict[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
    moments = {
        f"{name}/{kind}": value
        for name, parameter in parameters.items()
        for kind, value in optimizer.state[parameter].items()
    }
    checkpoint.save(
        path,
        checkpoint.Checkpoint(
            run.fingerprint,
            run.step,
            run.tokens,
            run.seconds,
            run.losses,
            {name: parameter.detach() for name, parameter in parameters.items()},
            moments,
        ),
    )


def _restore(
    optimizer: torch.optim.Optimizer,
    parameters: dict[str, torch.nn.Parameter],
    moments: dict[str, torch.Tensor],
) -> None:
    for key, value in moments.items():
        name, kind = key.rsplit("/", 1)
        parameter = parameters[name]
        # AdamW keeps its step counter on the CPU.
        optimizer.state[parameter][kind] = value if kind == "step" else value.to(parameter.device)
