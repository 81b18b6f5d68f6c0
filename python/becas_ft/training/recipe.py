"""Hyper-parameters per base model, as data."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from becas_ft.training.errors import JobError

if TYPE_CHECKING:
    from collections.abc import Mapping

ATTENTION: Final = ("q_proj", "k_proj", "v_proj", "o_proj")
FEED_FORWARD: Final = ("gate_proj", "up_proj", "down_proj")
PRECISIONS: Final = ("auto", "float32", "bfloat16")


@dataclasses.dataclass(frozen=True, slots=True)
class Recipe:
    """How one base model is trained.

    Attributes:
        rank: rank of the LoRA matrices.
        alpha: LoRA scale; a delta counts alpha / rank times.
        dropout: share of LoRA inputs dropped while training, 0 to below 1.
        targets: linear layers that get an adapter, by their transformers names.
        learning_rate: peak of AdamW's learning rate.
        warmup: share of the steps over which the rate rises from 0; after it a cosine falls to 0.
        weight_decay: AdamW's decoupled decay.
        clip: largest norm of a step's gradient.
        epochs: passes over the dataset.
        batch_rows: rows per optimizer step, reached by gradient accumulation.
        micro_rows: most rows computed at once.
        micro_tokens: most padded tokens computed at once; bounds the activations' memory.
        max_tokens: longest prompt and answer together; a longer message is cut, never the answer.
        max_answer_tokens: answer tokens that are learnt; the label comes first, so a cut costs only reasoning.
        label_weight: weight of a label token in the loss; every other answer token counts 1.
        precision: auto, float32 or bfloat16; auto is bfloat16 on a GPU and float32 on a CPU.
        checkpoint_steps: optimizer steps between two checkpoints.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: tuple[str, ...] = ATTENTION
    learning_rate: float = 2e-4
    warmup: float = 0.06
    weight_decay: float = 0.0
    clip: float = 1.0
    epochs: int = 2
    batch_rows: int = 16
    micro_rows: int = 8
    micro_tokens: int = 2048
    max_tokens: int = 1024
    max_answer_tokens: int = 96
    label_weight: float = 4.0
    precision: str = "auto"
    checkpoint_steps: int = 10

    def __post_init__(self) -> None:
        problems = [
            text
            for broken, text in (
                (self.rank < 1, "rank must be at least 1"),
                (self.alpha <= 0, "alpha must be above 0"),
                (not 0 <= self.dropout < 1, "dropout must be in [0, 1)"),
                (
                    not self.targets or not set(self.targets) <= set(ATTENTION + FEED_FORWARD),
                    f"targets must be some of {', '.join(ATTENTION + FEED_FORWARD)}",
                ),
                (not 0 < self.learning_rate < 1, "learning_rate must be in (0, 1)"),
                (not 0 <= self.warmup < 1, "warmup must be in [0, 1)"),
                (self.weight_decay < 0, "weight_decay must be at least 0"),
                (self.clip <= 0, "clip must be above 0"),
                (self.epochs < 1, "epochs must be at least 1"),
                (self.micro_rows < 1, "micro_rows must be at least 1"),
                (self.batch_rows < self.micro_rows, "batch_rows must be at least micro_rows"),
                (self.max_answer_tokens < 1, "max_answer_tokens must be at least 1"),
                (self.max_tokens <= self.max_answer_tokens, "max_tokens must be above max_answer_tokens"),
                (self.micro_tokens < self.max_tokens, "micro_tokens must be at least max_tokens"),
                (self.label_weight <= 0, "label_weight must be above 0"),
                (self.precision not in PRECISIONS, f"precision must be one of {', '.join(PRECISIONS)}"),
                (self.checkpoint_steps < 1, "checkpoint_steps must be at least 1"),
            )
            if broken
        ]
        if problems:
            raise JobError(f"the recipe is wrong: {'; '.join(problems)}")

    def but(self, overrides: Mapping[str, Any]) -> Recipe:
        """Return this recipe with some fields replaced.

        Raises:
            JobError: a field is unknown, of the wrong type or out of range.
        """
        known = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if unknown := sorted(set(overrides) - set(known)):
            raise JobError(f"unknown recipe fields: {', '.join(unknown)}; known are {', '.join(known)}")
        return Recipe(**{**known, **{name: _typed(name, value, known[name]) for name, value in overrides.items()}})

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as JSON values; `Recipe().but(...)` reads them back."""
        return {**dataclasses.asdict(self), "targets": list(self.targets)}


def _typed(name: str, value: object, like: object) -> object:
    """Accept `value` where it has the type of `like`: an int serves as a float, a list as a tuple of text."""
    match like, value:
        case tuple(), list() | tuple() if all(isinstance(item, str) for item in value):
            return tuple(value)
        case float(), float() | int() if not isinstance(value, bool):
            return float(value)
        case int(), int() if not isinstance(value, bool):
            return value
        case str(), str():
            return value
    raise JobError(f"recipe field {name} must be of type {type(like).__name__}")


RECIPES: Final[Mapping[str, Recipe]] = {
    # 135 M parameters learn a task only at a high rate, and its label only where it outweighs the reasoning after it:
    # else served labels sit so near to even that rounding flips them. Measured in benches/train_smollm2.py.
    "smollm2": Recipe(
        learning_rate=1e-3,
        batch_rows=8,
        micro_rows=4,
        micro_tokens=1024,
        max_tokens=512,
        max_answer_tokens=48,
        label_weight=24.0,
    ),
    "qwen": Recipe(rank=16, alpha=32.0, targets=ATTENTION + FEED_FORWARD),
    "llama": Recipe(rank=16, alpha=32.0, targets=ATTENTION + FEED_FORWARD, micro_rows=4),
}

# Most private memory of a trainer on a CPU, by base: half as much again as the largest run that was measured
# (benches/README.md). A base that is not listed has no limit.
MEMORY_LIMITS: Final[Mapping[str, int]] = {"smollm2": 4 << 30}


def memory_limit_for(base: str) -> int:
    """Return the memory limit of the base's trainer, in bytes; 0 where none is known."""
    named = [name for name in MEMORY_LIMITS if base.lower().startswith(name)]
    return MEMORY_LIMITS[max(named, key=len)] if named else 0


def recipe_for(base: str) -> Recipe:
    """Return the recipe of the longest known name that `base` starts with, else the general one."""
    named = [name for name in RECIPES if base.lower().startswith(name)]
    return RECIPES[max(named, key=len)] if named else Recipe()
