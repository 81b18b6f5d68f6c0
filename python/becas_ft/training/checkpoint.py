"""The state of a run between two steps, in one file that is replaced whole."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, Final

from becas_ft.files import replacing

if TYPE_CHECKING:
    from pathlib import Path

    import torch

_PARAMETER: Final = "parameter/"
_MOMENT: Final = "moment/"


@dataclasses.dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that a run needs to go on as if it had never stopped.

    Attributes:
        fingerprint: of the job; another job's checkpoint is ignored.
        step: optimizer steps done.
        tokens: tokens trained.
        seconds: time spent training.
        losses: loss of every step done.
        parameters: LoRA matrices by name.
        moments: AdamW's state, by `name/kind`.
    """

    fingerprint: str
    step: int
    tokens: int
    seconds: float
    losses: tuple[float, ...]
    parameters: dict[str, torch.Tensor]
    moments: dict[str, torch.Tensor]


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write the checkpoint durably; the earlier one stays until the new one is complete."""
    from safetensors.torch import save_file

    tensors = {
        **{_PARAMETER + name: tensor for name, tensor in checkpoint.parameters.items()},
        **{_MOMENT + name: tensor for name, tensor in checkpoint.moments.items()},
    }
    numbers = {
        "fingerprint": checkpoint.fingerprint,
        "step": checkpoint.step,
        "tokens": checkpoint.tokens,
        "seconds": checkpoint.seconds,
        "losses": checkpoint.losses,
    }
    with replacing(path) as temporary:
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()},
            temporary,
            {"run": json.dumps(numbers)},
        )


def load(path: Path, fingerprint: str) -> Checkpoint | None:
    """Read the checkpoint of this job, or return None where there is none that can be resumed."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            numbers: dict[str, Any] = json.loads(file.metadata()["run"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
    if numbers["fingerprint"] != fingerprint:
        return None
    return Checkpoint(
        **{**numbers, "losses": tuple(numbers["losses"])},
        parameters={name.removeprefix(_PARAMETER): tensors[name] for name in tensors if name.startswith(_PARAMETER)},
        moments={name.removeprefix(_MOMENT): tensors[name] for name in tensors if name.startswith(_MOMENT)},
    )
