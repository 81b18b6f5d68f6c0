"""A runtime whose models can be made to fail in every way: a real one cannot be told to at a given moment."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from becas_ft.runtime.errors import RuntimeUnavailable
from becas_ft.runtime.protocol import GenerateRequest, Generation, Token

Behaviour = Callable[[GenerateRequest], Awaitable[str]]


def says(*, is_scam: bool) -> Behaviour:
    """A model that gives one answer to everything."""

    async def behave(_: GenerateRequest) -> str:
        return json.dumps({"isScam": is_scam, "scamType": "prize", "reasoning": "a prize"}, separators=(",", ":"))

    return behave


async def garbage(_: GenerateRequest) -> str:
    """A model that answers no JSON."""
    return '{"isScam": perhaps'


async def fails(_: GenerateRequest) -> str:
    """A model whose process died."""
    raise RuntimeUnavailable("the model is gone", remedy="start it again")


async def crashes(_: GenerateRequest) -> str:
    """A runtime with a defect."""
    raise ZeroDivisionError


async def hangs(_: GenerateRequest) -> str:
    """A model that never answers."""
    await asyncio.Event().wait()
    raise AssertionError


async def is_slow(_: GenerateRequest) -> str:
    """A model that takes a tenth of a second."""
    await asyncio.sleep(0.1)
    return await says(is_scam=False)(_)


@dataclass
class FakeRuntime:
    """Answers as its models behave.

    Attributes:
        behaviours: by model.
        asked: how often each was asked.
        heard: every question.
    """

    behaviours: dict[str, Behaviour]
    asked: dict[str, int] = field(default_factory=dict)
    heard: list[GenerateRequest] = field(default_factory=list)

    async def generate(self, request: GenerateRequest) -> Generation:
        """See `Runtime.generate`."""
        self.asked[request.model] = self.asked.get(request.model, 0) + 1
        self.heard.append(request)
        text = await self.behaviours[request.model](request)
        return Generation(model=request.model, text=text, tokens=(Token(text.encode(), -0.1),), latency=0.05)
