"""What every model runtime offers: answers with log-probabilities, and models that come and go by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Priority(StrEnum):
    """Who waits for the answer."""

    PRODUCTION = "production"
    """A bot waits: nothing may slow this down."""
    CANDIDATE = "candidate"
    """Nobody waits: shadow answers, parity and accuracy checks run in what time is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateRequest:
    """One question to one model.

    Attributes:
        model: Name of a model, an alias or a base model.
        prompt: The user message.
        system: The system message; None takes the model's own.
        schema: JSON schema the answer must follow; None lets the model write freely.
        max_tokens: Most tokens the answer may have.
        temperature: 0 always takes the likeliest token.
        seed: Seed of sampling, so that an answer can be repeated.
        timeout: Seconds until the answer is given up, waiting in line included.
        logprobs: Whether the tokens are wanted with their log-probabilities.
        priority: Who waits for the answer.
    """

    model: str
    prompt: str = field(repr=False)
    system: str | None = field(default=None, repr=False)
    schema: Mapping[str, Any] | None = field(default=None, repr=False)
    max_tokens: int = 256
    temperature: float = 0.0
    seed: int = 0
    timeout: float = 60.0
    logprobs: bool = True
    priority: Priority = Priority.PRODUCTION


@dataclass(frozen=True, slots=True)
class Token:
    """One token of an answer.

    Attributes:
        text: Its bytes; a token may end inside a character.
        logprob: Natural logarithm of its probability among all tokens, before the schema and the temperature.
    """

    text: bytes
    logprob: float


class Finish(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    """The model ended it."""
    LENGTH = "length"
    """It reached `max_tokens`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """The answer to one question.

    Attributes:
        model: The model that answered: an alias is resolved where the runtime can tell.
        text: The answer.
        tokens: Its tokens in order, empty unless asked for.
        finish: Why it ended.
        prompt_tokens: Length of the prompt.
        completion_tokens: Length of the answer.
        latency: Seconds from the call to the answer, waiting in line included.
    """

    model: str
    text: str = field(repr=False)
    tokens: tuple[Token, ...] = field(default=(), repr=False)
    finish: Finish = Finish.STOP
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDefinition:
    """What a new model is made of.

    Attributes:
        name: Its name.
        base: Name of a model that the runtime has, or path of a GGUF file.
        adapter: Path of a GGUF LoRA adapter; None serves the base as it is.
        system: The system message used where a request has none.
        template: Chat template in the runtime's language; None keeps the base's own.
        parameters: Sampling defaults by their Modelfile names; a request's own values win.
        modelfile: Text of the Modelfile, kept beside the model where the runtime does not make its own.
        beside: A model that is asked at the same times as this one: the runtime sees that both stay loaded.
    """

    name: str
    base: str | Path
    adapter: Path | None = None
    system: str | None = None
    template: str | None = None
    parameters: Mapping[str, float | int | str | Sequence[str]] = field(default_factory=dict)
    modelfile: str | None = None
    beside: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """One line of the list of models.

    Attributes:
        name: Model, alias or base model.
        digest: Changes when what the name serves changes; two names of one model share it.
        size: Bytes on disk.
        alias_of: The model an alias points at, None for a model and where the runtime cannot tell.
    """

    name: str
    digest: str
    size: int
    alias_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDetails:
    """What is known of one model.

    Attributes:
        name: The model, aliases resolved where the runtime can tell.
        base_path: The GGUF file that is served below the adapter; None where it lies on another machine.
        base_digest: SHA-256 of that file, in hexadecimal.
        adapter_digest: SHA-256 of the adapter, in hexadecimal; None without one.
        template: Chat template in the runtime's language (Ollama: Go; embedded: Jinja).
        system: The system message used where a request has none.
        parameters: Sampling defaults by their Modelfile names.
        modelfile: Text of the Modelfile.
        architecture: The base's GGUF architecture: llama, qwen3, gemma3.
    """

    name: str
    base_path: Path | None
    base_digest: str
    adapter_digest: str | None
    template: str
    system: str | None
    parameters: Mapping[str, Any]
    modelfile: str
    architecture: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether a runtime answers.

    Attributes:
        runtime: `ollama` or `embedded`.
        healthy: Whether a request can be expected to be answered now.
        version: Version of the engine, empty when it does not answer.
        detail: What is wrong and the remedy, empty when nothing is.
    """

    runtime: str
    healthy: bool
    version: str = ""
    detail: str = ""


@runtime_checkable
class Runtime(Protocol):
    """Serves models. Every method may be called concurrently and raises only `ModelRuntimeError`."""

    async def generate(self, request: GenerateRequest) -> Generation:
        """Answer one question.

        Raises:
            ModelNotFound: No model has that name.
            PromptTooLong: The prompt does not fit.
            GenerationTimeout: The time ran out; the work on the answer is stopped.
            RuntimeUnavailable: The runtime does not answer.
        """

    async def create(self, definition: ModelDefinition) -> None:
        """Make a model whole or not at all; a name that exists is replaced in one step.

        Raises:
            ModelNotFound: No base model has that name.
            InvalidModel: Name, base or adapter cannot be served.
        """

    async def copy(self, source: str, alias: str) -> None:
        """Point an alias at a model in one step: each request is answered by the old or by the new one.

        Raises:
            ModelNotFound: No model is called `source`.
            InvalidModel: `alias` is no good name, or is the name of a model.
        """

    async def delete(self, name: str) -> None:
        """Remove a model or an alias.

        Raises:
            ModelNotFound: No model has that name.
            ModelInUse: An alias would be left pointing at nothing.
        """

    async def list(self) -> Sequence[ModelSummary]:
        """All models, aliases and base models by name; nothing half-made is ever among them."""

    async def show(self, name: str) -> ModelDetails:
        """What is known of one model.

        Raises:
            ModelNotFound: No model has that name.
        """

    async def health(self) -> Health:
        """Whether the runtime answers; never raises."""

    async def close(self) -> None:
        """Stop what the runtime started; calls in flight fail with `RuntimeUnavailable`."""
