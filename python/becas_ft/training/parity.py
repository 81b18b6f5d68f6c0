"""The parity gate: the adapter in the trainer and the served model must give the same labels."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_INPUTS: Final = 300
LEAST_AGREEMENT: Final = 0.98


@dataclasses.dataclass(frozen=True, slots=True)
class Parity:
    """How often two runs over the same inputs gave the same label.

    Attributes:
        agreed: inputs with equal labels.
        inputs: inputs in all.
        disagreements: positions, in the fixed order, where they differ.
        passed: whether there are enough inputs and enough agreement.
        reasoning: the verdict in words.
    """

    agreed: int
    inputs: int
    disagreements: tuple[int, ...]
    passed: bool
    reasoning: str

    @property
    def agreement(self) -> float:
        """The share of equal labels, 0 to 1; 0 for no input."""
        return self.agreed / self.inputs if self.inputs else 0.0


def compare(
    trained: Sequence[Any],
    served: Sequence[Any],
    *,
    least_inputs: int = LEAST_INPUTS,
    least_agreement: float = LEAST_AGREEMENT,
) -> Parity:
    """Compare labels of the same inputs in the same order.

    A label is a JSON value; None stands for an answer without one, and equals nothing: broken answers prove nothing.
    Values of different types are never equal, so that true is not 1.

    Args:
        trained: labels by the adapter in the trainer.
        served: labels by the served model.
        least_inputs: fewer inputs fail the gate.
        least_agreement: a smaller share of equal labels fails the gate.

    Raises:
        ValueError: the lists differ in length.
    """
    differing = tuple(
        position
        for position, (left, right) in enumerate(zip(trained, served, strict=True))
        if left is None or right is None or type(left) is not type(right) or left != right
    )
    inputs, agreed = len(trained), len(trained) - len(differing)
    if inputs < least_inputs:
        passed, reasoning = (
            False,
            f"only {inputs} held-out inputs, {least_inputs} are needed; export more examples",
        )
    elif agreed < least_agreement * inputs:
        passed = False
        reasoning = (
            f"trainer and served model agree on {agreed} of {inputs} labels, below {least_agreement:.0%}; "
            "check that the served base, chat template and adapter are those of the job"
        )
    else:
        passed, reasoning = True, f"trainer and served model agree on {agreed} of {inputs} labels"
    return Parity(agreed, inputs, differing, passed, reasoning)
