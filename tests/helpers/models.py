"""Models of the embedded runtime, made before a server takes over their folder."""

import asyncio
from pathlib import Path

from becas_ft.runtime.embedded import EmbeddedRuntime, EmbeddedSettings
from becas_ft.runtime.protocol import ModelDefinition
from helpers.smollm2 import smollm2

BASE = "smollm2"


def candidate(version: int, category: str = "scam_detection") -> str:
    """A version's name."""
    return f"becas-{BASE}-{category}-v{version}"


def make(data_dir: Path, *names: str) -> None:
    """Models that answer as the base does, with system messages of their own."""

    async def create() -> None:
        runtime = EmbeddedRuntime(EmbeddedSettings(models=data_dir / "models", bases={BASE: smollm2()}))
        for name in names:
            await runtime.create(ModelDefinition(name=name, base=BASE, system=f"You are {name}."))
        await runtime.close()

    asyncio.run(create())
