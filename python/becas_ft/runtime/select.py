"""Chooses the runtime: Ollama where it answers, else the embedded one, or what the operator says."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from becas_ft.runtime.embedded import EmbeddedRuntime
from becas_ft.runtime.ollama import OllamaRuntime, OllamaSettings

if TYPE_CHECKING:
    from becas_ft.runtime.embedded import EmbeddedSettings
    from becas_ft.runtime.protocol import Runtime


class RuntimeKind(StrEnum):
    """Which runtime serves the models."""

    AUTO = "auto"
    """Ollama when it answers at the start, else the embedded one."""
    OLLAMA = "ollama"
    """Ollama, whether or not it answers now: what needs it says so until it does."""
    EMBEDDED = "embedded"
    """llama.cpp in processes of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSettings:
    """Which runtime, and how each would run.

    Attributes:
        kind: Which one.
        embedded: How the embedded runtime runs.
        ollama: How Ollama is spoken to.
    """

    kind: RuntimeKind = RuntimeKind.AUTO
    embedded: EmbeddedSettings
    ollama: OllamaSettings = field(default_factory=OllamaSettings)


async def open_runtime(settings: RuntimeSettings) -> Runtime:
    """Open the runtime that the settings choose.

    The choice is made once: models live in the runtime that made them, so a server does not change over by itself.
    """
    if settings.kind is RuntimeKind.EMBEDDED:
        return EmbeddedRuntime(settings.embedded)
    served = OllamaRuntime(settings.ollama)
    if settings.kind is RuntimeKind.OLLAMA or (await served.health()).healthy:
        return served
    await served.close()
    return EmbeddedRuntime(settings.embedded)
