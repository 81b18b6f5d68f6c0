"""What a model runtime can fail with, factored out to avoid import loops.

```
ModelRuntimeError
├── RuntimeUnavailable      nobody answers; the message carries the remedy
│   └── WorkerCrashed       the process that was answering died; asking again is safe
├── ModelNotFound           no model has that name
├── ModelInUse              an alias still points at the model
├── InvalidModel            the name, the base or the adapter cannot be served
├── PromptTooLong           the prompt does not fit the context
├── GenerationTimeout       no answer within the request's time
├── InvalidOutput           the answer is not an object of the category's schema
└── RequestRefused          the runtime refused for another reason
```

No message quotes a prompt or an answer.
"""
# ruff: noqa: N818 - each name says what went wrong; only the base class needs the suffix

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class ModelRuntimeError(Exception):
    """Base of everything a runtime raises."""


class RuntimeUnavailable(ModelRuntimeError):
    """The runtime does not answer.

    Attributes:
        remedy: What the operator can do about it.
    """

    def __init__(self, reason: str, *, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.remedy = remedy


class WorkerCrashed(RuntimeUnavailable):
    """The process that was answering died; it is being restarted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, remedy="it is being restarted: ask again")


class ModelNotFound(ModelRuntimeError):
    """No model or alias has that name.

    Attributes:
        name: The name that was asked for.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"model not found: {name}")
        self.name = name


class ModelInUse(ModelRuntimeError):
    """The model cannot go while aliases point at it.

    Attributes:
        name: The model.
        aliases: The aliases to move first.
    """

    def __init__(self, name: str, aliases: Sequence[str]) -> None:
        super().__init__(f"model {name} is in use; first move or delete the alias: {', '.join(aliases)}")
        self.name = name
        self.aliases = tuple(aliases)


class InvalidModel(ModelRuntimeError):
    """The definition of a model cannot be served.

    Attributes:
        name: The model.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"model {name}: {reason}")
        self.name = name


class PromptTooLong(ModelRuntimeError):
    """The prompt does not fit the context.

    Attributes:
        tokens: Length of the prompt, None where the runtime does not tell.
        limit: Tokens that fit, None where the runtime does not tell.
    """

    def __init__(self, tokens: int | None, limit: int | None) -> None:
        known = f" of {tokens} tokens" if tokens is not None else ""
        room = f" of {limit} tokens" if limit is not None else ""
        super().__init__(f"the prompt{known} does not fit the context{room}; shorten it or raise the context size")
        self.tokens = tokens
        self.limit = limit


class GenerationTimeout(ModelRuntimeError):
    """No answer came within the request's time.

    Attributes:
        model: The model that was asked.
        seconds: The time it had.
    """

    def __init__(self, model: str, seconds: float) -> None:
        super().__init__(f"model {model} gave no answer within {seconds:g} s")
        self.model = model
        self.seconds = seconds


class InvalidOutput(ModelRuntimeError):
    """The answer cannot be read as an object with a label."""


class RequestRefused(ModelRuntimeError):
    """The runtime refused a request for a reason without a class of its own."""
