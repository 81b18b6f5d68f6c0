"""Model names: `becas-{base}-{category}-v{n}` for versions, `becas-{category}` for aliases."""

import re
from dataclasses import dataclass

_VERSION = re.compile(r"becas-(?P<base>[a-z0-9]+)-(?P<category>[a-z_]+)-v(?P<version>[1-9][0-9]*)")


@dataclass(frozen=True)
class ModelName:
    """A version's name in parts.

    Arguments:
        base: `qwen`, `llama`, `general`'s family, or `smollm2`: lower-case letters and digits.
        category: `scam_detection`.
        version: from 1.
    """

    base: str
    category: str
    version: int

    def __str__(self) -> str:
        return f"becas-{self.base}-{self.category}-v{self.version}"


def parse(name: str) -> ModelName:
    """The parts of a version's name.

    Raises: ValueError where it is none.
    """
    match = _VERSION.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is not of the form becas-BASE-CATEGORY-vN")
    return ModelName(match["base"], match["category"], int(match["version"]))


def alias(category: str) -> str:
    """What production calls."""
    return f"becas-{category}"


def family(base_model: str) -> str:
    """The `{base}` of a runtime's model name: `qwen3:1.7b` → `qwen`, `llama3.2:3b` → `llama`."""
    stem = re.split(r"[:/]", base_model.lower().rsplit("/", 1)[-1])[0]
    for known in ("qwen", "llama", "smollm2", "gemma"):
        if stem.startswith(known):
            return known
    return re.sub(r"[^a-z0-9]", "", stem) or "base"
