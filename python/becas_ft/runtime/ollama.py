"""The runtime that an Ollama server offers, through its API."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import ollama

from becas_ft.runtime import second_copy
from becas_ft.runtime.adapters import check_adapter
from becas_ft.runtime.errors import (
    GenerationTimeout,
    InvalidModel,
    ModelNotFound,
    ModelRuntimeError,
    PromptTooLong,
    RequestRefused,
    RuntimeUnavailable,
)
from becas_ft.runtime.gguf_header import GgufError, read_header
from becas_ft.runtime.protocol import (
    Finish,
    GenerateRequest,
    Generation,
    Health,
    ModelDefinition,
    ModelDetails,
    ModelSummary,
    Priority,
    Token,
)
from becas_ft.runtime.threads import production_threads
from becas_ft.runtime.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

REMEDY = "start it with `ollama serve`, or set OLLAMA_HOST or the runtime's host to where it listens"
HEALTH_SECONDS = 2.0
# A server that takes a request and says nothing must not stop whoever asks for good.
_CALL_SECONDS = 60.0
_CREATE_SECONDS = 1800.0
_BLOB = re.compile(r"sha256[-:]([0-9a-f]{64})")
_INSTRUCTION = re.compile(r"^(FROM|ADAPTER)\s+(\S.*?)\s*$", re.MULTILINE)
_LATEST = ":latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaSettings:
    """How Ollama is spoken to.

    Attributes:
        host: Address of the server; None takes OLLAMA_HOST, else 127.0.0.1:11434.
        keep_alive: How long a model stays loaded after an answer.
        context: Tokens of prompt and answer together (num_ctx); one value for all, since another one reloads a model.
        threads: Threads that compute; 0 takes every core but one (see `threads`) where Ollama runs on this machine, and
            leaves it to Ollama elsewhere.
        candidates: Candidates' questions asked at a time: Ollama knows no priorities, so the rest waits here, and all
            wait while production is asked.
    """

    host: str | None = None
    keep_alive: str = "30m"
    context: int = 4096
    threads: int = 0
    candidates: int = 1


class OllamaRuntime:
    """Serves models with a running Ollama. Belongs to the event loop it is first used in."""

    def __init__(self, settings: OllamaSettings) -> None:
        self._settings = settings
        self._client = _Client(host=settings.host)
        self._candidates = asyncio.Semaphore(settings.candidates)
        self._creating = asyncio.Lock()
        self._threads = settings.threads or _threads(self.host)
        self._production = Traffic(began=self._stop_candidates)
        self._beside: set[asyncio.Task[Mapping[str, Any]]] = set()

    @property
    def host(self) -> str:
        """Address of the server."""
        return self._client.address

    async def generate(self, request: GenerateRequest) -> Generation:
        """See `Runtime.generate`."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(request.timeout):
                if request.priority is Priority.CANDIDATE:
                    async with self._candidates:
                        said = await self._chat_beside(request)
                else:
                    said = await self._chat_first(request)
        except TimeoutError as error:
            raise GenerationTimeout(request.model, request.timeout) from error
        return _generation(request, said, time.monotonic() - began)

    async def create(self, definition: ModelDefinition) -> None:
        """See `Runtime.create`."""
        async with self._creating:
            with _translated(definition.name):
                async with asyncio.timeout(_CREATE_SECONDS):
                    await self._create(definition)

    async def copy(self, source: str, alias: str) -> None:
        """See `Runtime.copy`."""
        with _translated(source):
            async with asyncio.timeout(_CALL_SECONDS):
                await self._client.copy(source, alias)

    async def delete(self, name: str) -> None:
        """See `Runtime.delete`. Ollama's copies stand on their own, so no alias is ever left pointing at nothing."""
        with _translated(name):
            async with asyncio.timeout(_CALL_SECONDS):
                await self._client.delete(name)

    async def list(self) -> Sequence[ModelSummary]:
        """See `Runtime.list`."""
        with _translated(""):
            async with asyncio.timeout(_CALL_SECONDS):
                listed = await self._client.list()
        summaries = [
            ModelSummary(name=_short(each.model or ""), digest=each.digest or "", size=int(each.size or 0))
            for each in listed.models
        ]
        return sorted(summaries, key=lambda summary: summary.name)

    async def show(self, name: str) -> ModelDetails:
        """See `Runtime.show`."""
        with _translated(name):
            async with asyncio.timeout(_CALL_SECONDS):
                shown = await self._client.show_whole(name)
        modelfile = str(shown.get("modelfile", ""))
        files = {keyword: Path(value) for keyword, value in _INSTRUCTION.findall(modelfile)}
        base = files.get("FROM")
        return ModelDetails(
            name=name,
            base_path=base if base is not None and base.is_file() else None,
            base_digest=_digest(base),
            adapter_digest=_digest(files.get("ADAPTER")) or None,
            template=str(shown.get("template", "")),
            system=shown.get("system") or None,
            parameters=_parameters(str(shown.get("parameters", ""))),
            modelfile=modelfile,
            architecture=str(shown.get("model_info", {}).get("general.architecture", "")),
        )

    async def health(self) -> Health:
        """See `Runtime.health`."""
        try:
            with _translated(""):
                version = await asyncio.wait_for(self._client.version(), HEALTH_SECONDS)
        except TimeoutError:
            detail = f"Ollama does not answer within {HEALTH_SECONDS:g} s; {REMEDY}"
            return Health(runtime="ollama", healthy=False, detail=detail)
        except ModelRuntimeError as error:
            return Health(runtime="ollama", healthy=False, detail=str(error))
        return Health(runtime="ollama", healthy=True, version=version)

    async def close(self) -> None:
        """See `Runtime.close`."""
        await self._client.close()

    async def _chat_first(self, request: GenerateRequest) -> Mapping[str, Any]:
        """Ask for production: whatever candidates are asked stops at once."""
        with self._production.request():
            return await self._chat(request)

    def _stop_candidates(self) -> None:
        for work in self._beside:
            work.cancel()

    async def _chat_beside(self, request: GenerateRequest) -> Mapping[str, Any]:
        """Ask for a candidate, again where production came in between: Ollama cannot pause a question."""
        while True:
            await self._production.quiet()
            work = asyncio.create_task(self._chat(request))
            self._beside.add(work)
            try:
                # Waited for, not awaited: its cancellation by production is not ours.
                await asyncio.wait({work})
                if not work.cancelled():
                    return work.result()
            finally:
                self._beside.discard(work)
                work.cancel()

    async def _chat(self, request: GenerateRequest) -> Mapping[str, Any]:
        body: dict[str, Any] = {
            "model": request.model,
            "messages": [
                *([{"role": "system", "content": request.system}] if request.system is not None else []),
                {"role": "user", "content": request.prompt},
            ],
            "stream": False,
            "think": False,
            # Ollama would cut a long prompt silently: the model would be asked something else than it was trained on.
            "truncate": False,
            "shift": False,
            "logprobs": request.logprobs,
            "keep_alive": self._settings.keep_alive,
            "options": {
                "temperature": request.temperature,
                "seed": request.seed,
                "num_predict": request.max_tokens,
                "num_ctx": self._settings.context,
                # Ollama's default punishes repeating words of the prompt: then the likeliest token is not taken.
                "repeat_penalty": 1.0,
                **({"num_thread": self._threads} if self._threads else {}),
            },
        }
        if request.schema is not None:
            body["format"] = request.schema
        with _translated(request.model):
            return await self._client.chat_strictly(body)

    async def _create(self, definition: ModelDefinition) -> None:
        name, adapter_digest = definition.name, None
        adapters: dict[str, Any] = {}
        choices = await self._bases(definition)
        if definition.adapter is not None:
            architecture = choices[0].architecture
            await asyncio.to_thread(check_adapter, name, definition.adapter, architecture=architecture, base=None)
            blob = await self._client.create_blob(definition.adapter)
            adapter_digest = _digest(Path(blob))
            adapters = {"adapters": {"adapter.gguf": blob}}
        if await self._is_there(definition, {base.digest for base in choices}, adapter_digest):
            return
        for base in choices:
            parts = {**base.parts, **adapters}
            try:
                await self._client.create(
                    name,
                    template=definition.template or base.template,
                    system=definition.system or base.system,
                    parameters={**base.parameters, **definition.parameters} or None,
                    stream=False,
                    **parts,
                )
            except ollama.ResponseError as error:
                if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise
                if base is choices[-1]:
                    raise InvalidModel(name, error.error) from error
            else:
                return

    async def _is_there(self, definition: ModelDefinition, bases: set[str], adapter: str | None) -> bool:
        """Whether the model was made before, from the same parts."""
        try:
            there = await self.show(definition.name)
        except ModelNotFound:
            return False
        same = (there.adapter_digest, there.system) == (adapter, definition.system or there.system)
        if not same or there.base_digest not in bases:
            raise InvalidModel(definition.name, "another model has this name, and models never change; choose another")
        return True

    async def _bases(self, definition: ModelDefinition) -> Sequence[_Base]:
        """What the model may stand on, the best first."""
        if isinstance(definition.base, Path):
            try:
                header = await asyncio.to_thread(read_header, definition.base)
            except (OSError, GgufError) as error:
                raise InvalidModel(definition.name, f"the base {definition.base} cannot be read: {error}") from error
            blob = await self._client.create_blob(definition.base)
            return [_Base({"files": {"base.gguf": blob}}, _digest(Path(blob)), header.architecture)]
        # Ollama would go and fetch a model it does not have.
        shown = await self.show(definition.base)
        own = _Base({"from_": definition.base}, shown.base_digest, shown.architecture)
        if definition.beside is None or shown.base_path is None or shown.base_digest != await self._below(definition):
            return [own]
        return [await self._second_copy(shown, shown.base_path), own]

    async def _below(self, definition: ModelDefinition) -> str:
        """Digest of the file below the model that this one is asked beside; empty where there is none."""
        try:
            return (await self.show(definition.beside)).base_digest if definition.beside else ""
        except ModelNotFound:
            return ""

    async def _second_copy(self, shown: ModelDetails, path: Path) -> _Base:
        digest = await asyncio.to_thread(second_copy.digest, path)
        await self._client.give_blob(digest, second_copy.content(path))
        return _Base(
            {"files": {"base.gguf": f"sha256:{digest}"}},
            digest,
            shown.architecture,
            # A file alone brings none of what the model around it has.
            template=shown.template,
            system=shown.system,
            parameters=shown.parameters,
        )


@dataclass(frozen=True, slots=True)
class _Base:
    """What a model stands on: its part of a request to create one, and what is known of it."""

    parts: Mapping[str, Any]
    digest: str
    architecture: str
    template: str | None = None
    system: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


class _Client(ollama.AsyncClient):
    """Ollama's client, with what its methods leave out of the API."""

    @property
    def address(self) -> str:
        """Where it sends its requests."""
        return str(self._client.base_url).rstrip("/")

    async def _raw(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        ask = partial(self._request_raw, method, path, json=body)
        try:
            response: httpx.Response = await ask()
        except (httpx.ReadError, httpx.RemoteProtocolError):
            # A server may close what it kept open while the next request is under way; none of these changes anything.
            response = await ask()
        said: Any = response.json()
        if not isinstance(said, dict):
            raise ValueError("the answer is not an object")  # noqa: TRY004 - a foreign answer, not a wrong argument
        return said

    async def chat_strictly(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask with fields that `chat` does not know (truncate, shift) and take those it drops (a token's bytes)."""
        said = await self._raw("POST", "/api/chat", body)
        if not isinstance(said.get("message"), dict):
            raise ValueError("no message in the answer")  # noqa: TRY004 - a foreign answer, not a wrong argument
        return said

    async def give_blob(self, digest: str, content: AsyncIterator[bytes]) -> None:
        """Upload a file that Ollama lacks, by its SHA-256."""
        path = f"/api/blobs/sha256:{digest}"
        try:
            await self._request_raw("HEAD", path)  # type: ignore[no-untyped-call] # it ships without types
        except ollama.ResponseError as error:
            if error.status_code != HTTPStatus.NOT_FOUND:
                raise
            await self._request_raw("POST", path, content=content)  # type: ignore[no-untyped-call] # likewise

    async def show_whole(self, name: str) -> Mapping[str, Any]:
        """All that is known of a model; `show` drops its system message."""
        return await self._raw("POST", "/api/show", {"model": name})

    async def version(self) -> str:
        """Version of the server."""
        said = await self._raw("GET", "/api/version")
        return str(said.get("version", ""))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """The one place where errors of Ollama and of the connection become ours."""
    try:
        yield
    except ollama.ResponseError as error:
        raise _refusal(name, error) from error
    except (httpx.TransportError, ConnectionError, TimeoutError) as error:
        raise RuntimeUnavailable("Ollama does not answer", remedy=REMEDY) from error
    except (ValueError, TypeError) as error:
        # The client makes objects of whatever JSON came.
        raise RuntimeUnavailable("what answers is not Ollama", remedy=REMEDY) from error


def _refusal(name: str, error: ollama.ResponseError) -> ModelRuntimeError:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return ModelNotFound(name)
    # Ollama gives no code for it; the sentence is its own, without a word of the prompt.
    if error.status_code == HTTPStatus.BAD_REQUEST and "exceeds the context length" in error.error:
        return PromptTooLong(None, None)
    if error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return RequestRefused(f"Ollama refused the request with status {error.status_code}: model {name}")
    return RuntimeUnavailable(
        f"Ollama failed with status {error.status_code} on model {name}",
        remedy="look into its log; it may lack memory or disk space",
    )


def _generation(request: GenerateRequest, said: Mapping[str, Any], latency: float) -> Generation:
    text = str(said["message"]["content"])
    return Generation(
        model=request.model,
        # Its grammar lets white space follow the object.
        text=text if request.schema is None else text.strip(),
        tokens=tuple(Token(_token_bytes(each), each["logprob"]) for each in said.get("logprobs") or ()),
        finish=Finish.LENGTH if said.get("done_reason") == "length" else Finish.STOP,
        prompt_tokens=said.get("prompt_eval_count", 0),
        completion_tokens=said.get("eval_count", 0),
        latency=latency,
    )


def _token_bytes(token: Mapping[str, Any]) -> bytes:
    spelled = token.get("bytes")
    return bytes(spelled) if spelled is not None else str(token["token"]).encode()


def _threads(host: str) -> int:
    """Every core but one where Ollama runs on this machine; 0 where nobody here knows its cores."""
    name = (urlsplit(host).hostname or "").strip("[]")
    try:
        local = name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        local = False
    return production_threads() if local else 0


def _short(name: str) -> str:
    return name.removesuffix(_LATEST)


def _digest(path: Path | None) -> str:
    found = _BLOB.search(path.name) if path is not None else None
    return found.group(1) if found else ""


def _parameters(text: str) -> dict[str, Any]:
    """Ollama lists a parameter a line, and one that has several values on several lines."""
    parameters: dict[str, Any] = {}
    for line in text.splitlines():
        key, _, value = line.strip().partition(" ")
        value = value.strip().strip('"')
        if key == "stop":
            parameters.setdefault(key, []).append(value)
        elif key:
            parameters[key] = _number(value)
    return parameters


def _number(text: str) -> float | int | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
