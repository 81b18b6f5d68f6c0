"""The served GGUF as a torch model, dequantised, with or without LoRA layers."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any, Final

from becas_ft.training.errors import GgufError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from becas_ft.training.gguf import GgufHeader
    from becas_ft.training.recipe import Recipe

_ROPE_FACTORS: Final = "rope_freqs.weight"
_STATE_PREFIX: Final = "base_model.model."


def prepare_torch(threads: int) -> int:
    """Fix torch's threads and choose deterministic kernels; return the threads.

    Call it before any other use of torch in the process: thread pools and cuBLAS read their settings once.
    """
    count = threads or len(os.sched_getaffinity(0))
    # Without a fixed code path MKL may choose kernels by memory alignment, cuBLAS by free workspace.
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
    os.environ.setdefault("MKL_DYNAMIC", "FALSE")
    # On a machine that also serves, threads that spin while they wait take the time of those they wait for.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("KMP_BLOCKTIME", "0")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch

    torch.set_num_threads(count)
    torch.use_deterministic_algorithms(True)
    return count


def choose_device(precision: str) -> tuple[torch.device, torch.dtype]:
    """Return where and in which precision to compute."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if precision == "auto":
        return device, torch.bfloat16 if device.type == "cuda" else torch.float32
    return device, torch.bfloat16 if precision == "bfloat16" else torch.float32


def load_base(path: Path, header: GgufHeader, *, device: torch.device, dtype: torch.dtype) -> Any:  # noqa: ANN401
    """Load the GGUF as a frozen transformers model in evaluation mode.

    Raises:
        GgufError: transformers cannot read the architecture or a weight is missing.
    """
    import torch
    from gguf import GGUFReader, dequantize
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # transformers
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers
    options: dict[str, Any] = {}
    if isinstance(size := header.metadata.get(f"{header.architecture}.attention.key_length"), int):
        # transformers does not take the head size of every architecture from the file, and would assume its default.
        options["head_dim"] = size
    try:
        model = AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name, dtype=dtype, **options)
    except (ValueError, KeyError, NotImplementedError, RuntimeError) as error:
        if "memory" in str(error):
            raise
        raise GgufError(
            f"transformers cannot load this {header.architecture} model ({type(error).__name__}); use a base of "
            "the llama or qwen3 architecture",
        ) from error
    if _ROPE_FACTORS in header.tensors:
        # Llama 3 stretches its long wavelengths by factors that llama.cpp reads from the file, unlike transformers.
        tensor = next(t for t in GGUFReader(path).tensors if t.name == _ROPE_FACTORS)
        factors = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        model.model.rotary_emb.inv_freq /= factors
    frozen: Any = model.requires_grad_(requires_grad=False)
    return frozen.eval().to(device)


def add_lora(model: Any, recipe: Recipe, seed: int) -> Any:  # noqa: ANN401  (a transformers model in, peft's out)
    """Put LoRA layers, in float32, into the model; their start is drawn from the seed."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,  # type: ignore[arg-type]  # peft takes any number
        lora_dropout=recipe.dropout,
        target_modules=list(recipe.targets),
        bias="none",
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        # peft asks transformers by a name that is on its way out.
        warnings.simplefilter("ignore", FutureWarning)
        return get_peft_model(model, config)


def lora_parameters(model: Any) -> dict[str, torch.nn.Parameter]:  # noqa: ANN401  (peft's model)
    """Return the trained parameters by name, in a fixed order."""
    return {
        name.removeprefix(_STATE_PREFIX): parameter
        for name, parameter in sorted(model.named_parameters())
        if parameter.requires_grad
    }


def lora_state(model: Any) -> dict[str, NDArray[np.float32]]:  # noqa: ANN401  (peft's model)
    """Return the LoRA matrices as float32 arrays on the CPU."""
    return {name: parameter.detach().float().cpu().numpy() for name, parameter in lora_parameters(model).items()}


def set_lora_state(model: Any, state: Mapping[str, Any]) -> None:  # noqa: ANN401  (peft's model)
    """Overwrite the LoRA matrices.

    Raises:
        KeyError: the names are not those of the model.
    """
    import torch

    parameters = lora_parameters(model)
    if set(parameters) != set(state):
        raise KeyError("the LoRA matrices are not those of this model")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(torch.as_tensor(state[name]))
