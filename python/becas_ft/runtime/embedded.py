"""The runtime that needs no other service: llama.cpp in processes, one for production and one for candidates."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from becas_ft.files import sha256_of
from becas_ft.runtime.adapters import check_adapter
from becas_ft.runtime.errors import (
    GenerationTimeout,
    InvalidModel,
    ModelNotFound,
    PromptTooLong,
    RequestRefused,
    RuntimeUnavailable,
)
from becas_ft.runtime.gguf_header import GgufError, GgufHeader, read_header
from becas_ft.runtime.lane import Adapter, Lane, LaneSettings
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
from becas_ft.runtime.registry import ModelRegistry, StoredModel
from becas_ft.runtime.threads import cores, production_threads
from becas_ft.runtime.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedSettings:
    """How the embedded runtime runs.

    Attributes:
        models: Folder of the models made here.
        bases: GGUF files by the names of the base models.
        threads: Threads that compute, of each process; 0 lets candidates have every core that there is, and production
            all but one (see `threads`).
        parallel: Questions answered at a time, of each process.
        context: Tokens of prompt and answer together (num_ctx).
        most_adapters: Adapters a process keeps loaded.
    """

    models: Path
    bases: Mapping[str, Path]
    threads: int = 0
    parallel: int = 2
    context: int = 4096
    most_adapters: int = 16


@dataclass(frozen=True, slots=True)
class _Base:
    """A base model whose file was read."""

    path: Path
    digest: str
    header: GgufHeader


class EmbeddedRuntime:
    """Serves models with llama.cpp in processes of its own. Belongs to the event loop it is first used in."""

    def __init__(self, settings: EmbeddedSettings) -> None:
        self._settings = settings
        self._registry = ModelRegistry(settings.models)
        self._lanes: dict[tuple[Priority, str], Lane] = {}
        self._bases: dict[str, _Base] = {}
        self._changing = asyncio.Lock()
        self._production = Traffic(began=self._pause_candidates, ended=self._resume_candidates)

    async def generate(self, request: GenerateRequest) -> Generation:
        """See `Runtime.generate`. While production is asked, candidates stand still."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(request.timeout):
                stored, base = self._resolve(request.model)
                lane = self._lane(request.priority, base)
                with self._production.request() if request.priority is Priority.PRODUCTION else nullcontext():
                    said = await lane.ask(_adapter(stored), request.schema, _body(request, stored))
        except TimeoutError as error:
            raise GenerationTimeout(request.model, request.timeout) from error
        name = stored.name if stored else base
        generation = _generation(name, said, time.monotonic() - began)
        if request.schema is not None and generation.finish is Finish.STOP and not _is_json(generation.text):
            raise RequestRefused("llama.cpp cannot follow the output schema; correct the schema")
        return generation

    async def create(self, definition: ModelDefinition) -> None:
        """See `Runtime.create`."""
        if definition.template is not None:
            raise InvalidModel(definition.name, "the embedded runtime serves the base's own template; leave it out")
        if definition.name in self._settings.bases:
            raise InvalidModel(definition.name, "a base model has this name; choose another")
        name, base = await asyncio.to_thread(self._base_of, definition)
        if definition.adapter is not None:
            await asyncio.to_thread(
                check_adapter,
                definition.name,
                definition.adapter,
                architecture=base.header.architecture,
                base=base.header,
            )
        async with self._changing:
            await self._change(lambda: self._registry.add(definition, base=name, base_digest=base.digest))

    async def copy(self, source: str, alias: str) -> None:
        """See `Runtime.copy`.

        The alias moves once production has the model loaded: so it never points at one that does not load, and no
        question waits for it.
        """
        if alias in self._settings.bases:
            raise InvalidModel(alias, "a base model has this name, so it cannot be an alias")
        async with self._changing:
            stored, base = self._resolve(source)
            await self._lane(Priority.PRODUCTION, base).prepare(_adapter(stored))
            name = stored.name if stored else base
            await self._change(lambda: self._registry.point(alias, name))

    async def delete(self, name: str) -> None:
        """See `Runtime.delete`."""
        if name in self._settings.bases:
            raise InvalidModel(name, "it is a base model: take it out of the configuration instead")
        async with self._changing:
            stored = None if self._registry.target(name) != name else self._registry.get(name)
            await self._change(lambda: self._registry.remove(name))
        if stored and stored.adapter_digest:
            for lane in self._lanes.values():
                lane.forget(stored.adapter_digest)

    async def list(self) -> Sequence[ModelSummary]:
        """See `Runtime.list`."""
        return await asyncio.to_thread(self._list)

    async def show(self, name: str) -> ModelDetails:
        """See `Runtime.show`."""
        stored, base_name = self._resolve(name)
        base = await asyncio.to_thread(self._base, base_name)
        return ModelDetails(
            name=stored.name if stored else base_name,
            base_path=base.path,
            base_digest=base.digest,
            adapter_digest=stored.adapter_digest if stored else None,
            template=str(base.header.metadata.get("tokenizer.chat_template", "")),
            system=stored.system if stored else None,
            parameters=stored.parameters if stored else {},
            modelfile=stored.modelfile if stored else "",
            architecture=base.header.architecture,
        )

    async def health(self) -> Health:
        """See `Runtime.health`."""
        try:
            lane = self._lane(Priority.PRODUCTION, next(iter(self._settings.bases)))
            await lane.prepare(None)
        except RuntimeUnavailable as error:
            return Health(runtime="embedded", healthy=False, detail=str(error))
        return Health(runtime="embedded", healthy=True, version=lane.worker.version if lane.worker else "")

    async def close(self) -> None:
        """See `Runtime.close`."""
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))
        self._lanes.clear()

    @property
    def base_models(self) -> Sequence[str]:
        """Names of the base models, in the order of the settings."""
        return tuple(self._settings.bases)

    def worker_process_ids(self) -> dict[str, int]:
        """Processes of the workers that run, by priority: for metrics and for whoever wants to see them."""
        return {str(priority): lane.worker.process_id for (priority, _), lane in self._lanes.items() if lane.worker}

    def _resolve(self, name: str) -> tuple[StoredModel | None, str]:
        """The model a name stands for, None for a base model, and the name of its base."""
        target = self._registry.target(name)
        if target in self._settings.bases:
            return None, target
        stored = self._registry.get(target)
        return stored, stored.base

    def _pause_candidates(self) -> None:
        for lane in self._candidates():
            lane.pause()

    def _resume_candidates(self) -> None:
        for lane in self._candidates():
            lane.resume()

    def _candidates(self) -> Sequence[Lane]:
        return [lane for (priority, _), lane in self._lanes.items() if priority is Priority.CANDIDATE]

    def _lane(self, priority: Priority, base: str) -> Lane:
        if base not in self._settings.bases:
            raise RuntimeUnavailable(
                f"the base model {base} is not configured", remedy="add its GGUF file to the base models"
            )
        key = (priority, base)
        if key not in self._lanes:
            settings = self._settings
            self._lanes[key] = Lane(
                LaneSettings(
                    base=settings.bases[base],
                    threads=settings.threads or _threads(priority),
                    parallel=settings.parallel,
                    context=settings.context,
                    background=priority is Priority.CANDIDATE,
                    most_adapters=settings.most_adapters,
                )
            )
            if self._production.busy and priority is Priority.CANDIDATE:
                self._lanes[key].pause()
        return self._lanes[key]

    def _base(self, name: str) -> _Base:
        if name not in self._bases:
            if name not in self._settings.bases:
                raise ModelNotFound(name)
            path = self._settings.bases[name]
            try:
                self._bases[name] = _Base(path, sha256_of(path), read_header(path))
            except (OSError, GgufError) as error:
                raise RuntimeUnavailable(
                    f"the base model {name} cannot be read from {path}",
                    remedy="set a whole GGUF file as base model",
                ) from error
        return self._bases[name]

    def _base_of(self, definition: ModelDefinition) -> tuple[str, _Base]:
        for name, path in self._settings.bases.items():
            if definition.base == name or (isinstance(definition.base, Path) and definition.base == path):
                return name, self._base(name)
        raise ModelNotFound(str(definition.base))

    def _list(self) -> Sequence[ModelSummary]:
        summaries = {}
        for name in self._settings.bases:
            base = self._base(name)
            summaries[name] = ModelSummary(name=name, digest=base.digest, size=base.path.stat().st_size)
        for model in self._registry.models():
            summaries[model.name] = ModelSummary(name=model.name, digest=model.digest, size=model.size)
        for alias, target in self._registry.aliases().items():
            if (there := summaries.get(target)) is None:
                # It points at a base model that was taken out of the configuration.
                continue
            summaries[alias] = ModelSummary(name=alias, digest=there.digest, size=there.size, alias_of=target)
        return [summaries[name] for name in sorted(summaries)]

    async def _change(self, change: Callable[[], object]) -> None:
        try:
            await asyncio.to_thread(change)
        except OSError as error:
            raise RuntimeUnavailable(
                f"the folder of models cannot be written: {error.strerror}",
                remedy="free some space or make the folder writable",
            ) from error


def _threads(priority: Priority) -> int:
    return cores() if priority is Priority.CANDIDATE else production_threads()


def _adapter(stored: StoredModel | None) -> Adapter | None:
    if stored is None or stored.adapter is None or stored.adapter_digest is None:
        return None
    return Adapter(stored.name, stored.adapter_digest, stored.adapter)


def _is_json(text: str) -> bool:
    # llama.cpp drops a schema that it does not understand without a word.
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _body(request: GenerateRequest, stored: StoredModel | None) -> dict[str, Any]:
    system = request.system if request.system is not None else (stored.system if stored else None)
    parameters = dict(stored.parameters) if stored else {}
    body: dict[str, Any] = {
        "messages": [
            *([{"role": "system", "content": system}] if system is not None else []),
            {"role": "user", "content": request.prompt},
        ],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
        **{key: parameters[key] for key in ("top_p", "top_k", "min_p", "stop") if key in parameters},
    }
    if request.logprobs:
        body |= {"logprobs": True, "top_logprobs": 1}
    return body


def _generation(model: str, said: Mapping[str, Any], latency: float) -> Generation:
    if (answer := said.get("answer")) is None:
        raise RequestRefused(f"llama.cpp refused the request: {said['error']['type']}")
    if refused := answer.get("refused"):
        if refused["type"] == "exceed_context_size_error":
            raise PromptTooLong(refused["tokens"], refused["limit"])
        raise RequestRefused(f"llama.cpp refused the request: {refused['type']}")
    return Generation(
        model=model,
        text=answer["text"],
        tokens=tuple(Token(bytes(text), logprob) for text, logprob in answer["tokens"]),
        finish=Finish(answer.get("finish", Finish.STOP)),
        prompt_tokens=answer.get("prompt_tokens", 0),
        completion_tokens=answer.get("completion_tokens", 0),
        latency=latency,
    )
