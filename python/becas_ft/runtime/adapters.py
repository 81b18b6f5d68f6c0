"""Whether a LoRA adapter fits a base, told from their headers before anything is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from becas_ft.runtime.errors import InvalidModel
from becas_ft.runtime.gguf_header import GgufError, read_header

if TYPE_CHECKING:
    from pathlib import Path

    from becas_ft.runtime.gguf_header import GgufHeader


def check_adapter(name: str, path: Path, *, architecture: str, base: GgufHeader | None) -> None:
    """Refuse what the engine would only refuse when the model is first asked.

    Args:
        name: The model it is for.
        path: The adapter.
        architecture: The base's.
        base: The base's header; None where its file is out of reach.

    Raises:
        InvalidModel: It is cut short, is no LoRA adapter, or belongs to another base.
    """
    try:
        header = read_header(path)
    except GgufError as error:
        raise InvalidModel(name, f"the adapter cannot be used: {error}") from error
    except OSError as error:
        raise InvalidModel(name, f"the adapter {path} cannot be read: {error.strerror}") from error
    if (header.metadata.get("general.type"), header.metadata.get("adapter.type")) != ("adapter", "lora"):
        raise InvalidModel(name, "the adapter is not a GGUF LoRA adapter")
    if header.architecture != architecture:
        raise InvalidModel(name, f"the adapter is for {header.architecture}, the base is {architecture}")
    if not header.tensors:
        raise InvalidModel(name, "the adapter holds no tensors")
    if base is not None:
        _check_tensors(name, header, base)


def _check_tensors(name: str, adapter: GgufHeader, base: GgufHeader) -> None:
    for tensor, shape in adapter.tensors.items():
        weight, _, part = tensor.rpartition(".lora_")
        if weight not in base.tensors:
            raise InvalidModel(name, f"the base has no tensor {weight or tensor}")
        inputs, outputs = base.tensors[weight][:2]
        # A has the weight's inputs by the rank, B the rank by its outputs; embeddings have both the other way about.
        fits = shape[0] == inputs if part == "a" else shape[1] == outputs
        if not fits and "embd" not in weight:
            raise InvalidModel(name, f"the tensor {tensor} has another shape than the base's")
