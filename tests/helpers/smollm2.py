"""The small real model, as the product serves it."""

from __future__ import annotations

import os
from pathlib import Path

from becas_ft.runtime.default_base import default_base

# Outside the clone, so that it is made once; its name and the package's decide what it is.
FOLDER = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "becas-ft" / "bases"


def smollm2() -> Path:
    """Return the GGUF file of SmolLM2-135M-Instruct (float32)."""
    return default_base(FOLDER)
