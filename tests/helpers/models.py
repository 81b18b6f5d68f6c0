"""Models of the embedded runtime, made before a server takes over their folder."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
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
    definitions = [ModelDefinition(name=name, base=BASE, system=f"You are {name}.") for name in names]
    _create(EmbeddedSettings(models=data_dir / "models", bases={BASE: smollm2()}), definitions)


def make_adapted(data_dir: Path, name: str, base: Path, adapter: Path) -> None:
    """A model of a base of the test's own, which goes by its file's name, with an adapter."""
    settings = EmbeddedSettings(models=data_dir / "models", bases={base.stem: base})
    _create(settings, [ModelDefinition(name=name, base=base.stem, adapter=adapter)])


def _create(settings: EmbeddedSettings, definitions: list[ModelDefinition]) -> None:
    async def create() -> None:
        runtime = EmbeddedRuntime(settings)
        for definition in definitions:
            await runtime.create(definition)
        await runtime.close()

    # In a thread of its own: a browser's loop may run in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, create()).result()
