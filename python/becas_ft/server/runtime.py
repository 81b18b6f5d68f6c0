"""The server's runtime: opened when it is first needed, so that everything else is served without it."""

import asyncio
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from becas.ft.v1 import model_pb2
from becas_ft._core import categories
from becas_ft.config import Config
from becas_ft.errors import InvalidArgumentError
from becas_ft.ledger import Ledger, ReadTransaction, WriteTransaction
from becas_ft.rollout import registry
from becas_ft.runtime.default_base import DEFAULT_BASE, default_base
from becas_ft.runtime.embedded import EmbeddedRuntime, EmbeddedSettings
from becas_ft.runtime.errors import ModelRuntimeError, RuntimeUnavailable
from becas_ft.runtime.ollama import OllamaSettings
from becas_ft.runtime.protocol import (
    GenerateRequest,
    Generation,
    Health,
    ModelDefinition,
    ModelDetails,
    ModelSummary,
    Runtime,
)
from becas_ft.runtime.select import RuntimeKind, RuntimeSettings, open_runtime

_NOT_IN_A_NAME: Final = re.compile(r"[^a-z0-9._-]")
# The target of categories that an export of every target takes along.
_ALL: Final = "all"
# The ledger's number of the runtime that was opened last, as a place in this list.
_RUNTIME: Final = "runtime"
_KINDS: Final = (None, RuntimeKind.OLLAMA, RuntimeKind.EMBEDDED)


class ServerRuntime:
    """A `Runtime` that opens at the first call, and tries again at the next one where that failed.

    Arguments:
        config: which runtime, and which base models.
        ledger: where the base models are registered.
    """

    def __init__(self, config: Config, ledger: Ledger) -> None:
        self._config = config
        self._ledger = ledger
        self._opening = asyncio.Lock()
        self._runtime: Runtime | None = None
        self._bases: dict[str, str] = {}
        self._targets = {name: "general" if target == _ALL else target for name, _, target in categories()}

    async def opened(self) -> Runtime:
        """The runtime behind it.

        Raises:
            RuntimeUnavailable: it cannot be opened; the message carries the remedy.
        """
        async with self._opening:
            if self._runtime is None:
                runtime = await open_runtime(await asyncio.to_thread(self._settings))
                self._bases = self._base_models(runtime)
                await asyncio.to_thread(self._ledger.write, partial(self._remember, runtime=runtime))
                self._runtime = runtime
            return self._runtime

    async def base_model(self, category: str) -> str:
        """The base model of a category, by its name.

        Raises:
            RuntimeUnavailable: which one it is depends on the runtime, and that cannot be opened.
        """
        await self.opened()
        return self.base_of(category)

    def base_of(self, category: str, name: str = "") -> str:
        """The runtime's name of a base model; call `opened` first.

        Arguments:
            category: whose base model is meant where the name is empty.
            name: `qwen`, `llama` or `general`, or the runtime's own name of a base.

        Raises:
            InvalidArgumentError: the runtime has no such base.
            RuntimeUnavailable: the runtime is not open.
        """
        if self._runtime is None:
            raise RuntimeUnavailable("the model runtime is not open", remedy="ask again in a moment")
        target = name or self._targets[category]
        if target in self._bases:
            return self._bases[target]
        if isinstance(self._runtime, EmbeddedRuntime) and name not in self._bases.values():
            known = ", ".join(sorted({*self._bases, *self._bases.values()}))
            raise InvalidArgumentError("base_model", f"no such base model is configured; one of: {known}")
        return name

    async def generate(self, request: GenerateRequest) -> Generation:
        """See `Runtime.generate`."""
        return await (await self.opened()).generate(request)

    async def create(self, definition: ModelDefinition) -> None:
        """See `Runtime.create`."""
        await (await self.opened()).create(definition)

    async def copy(self, source: str, alias: str) -> None:
        """See `Runtime.copy`."""
        await (await self.opened()).copy(source, alias)

    async def delete(self, name: str) -> None:
        """See `Runtime.delete`."""
        await (await self.opened()).delete(name)

    async def list(self) -> Sequence[ModelSummary]:
        """See `Runtime.list`."""
        return await (await self.opened()).list()

    async def show(self, name: str) -> ModelDetails:
        """See `Runtime.show`."""
        return await (await self.opened()).show(name)

    async def health(self) -> Health:
        """See `Runtime.health`."""
        try:
            runtime = await self.opened()
        except ModelRuntimeError as error:
            return Health(runtime=self._config.runtime.kind, healthy=False, detail=str(error))
        return await runtime.health()

    async def close(self) -> None:
        """See `Runtime.close`."""
        if self._runtime is not None:
            await self._runtime.close()

    def _settings(self) -> RuntimeSettings:
        runtime = self._config.runtime
        kind = RuntimeKind(runtime.kind)
        if kind is RuntimeKind.AUTO:
            kind = self._ledger.read(_where_models_are) or kind
        if runtime.embedded_base:
            path = Path(runtime.embedded_base)
            bases = {_NOT_IN_A_NAME.sub("", path.stem.lower()) or DEFAULT_BASE: path}
        elif kind is RuntimeKind.OLLAMA:
            bases = {}
        else:
            bases = self._default_bases(required=kind is RuntimeKind.EMBEDDED)
        return RuntimeSettings(
            kind=kind,
            embedded=EmbeddedSettings(models=self._models(), bases=bases, threads=runtime.threads),
            ollama=OllamaSettings(host=runtime.ollama_host or None, threads=runtime.threads),
        )

    def _default_bases(self, *, required: bool) -> dict[str, Path]:
        """The packaged base; none where it cannot be had, as Ollama may answer instead.

        Raises:
            RuntimeUnavailable: it is required.
        """
        try:
            folder = self._config.runtime.default_base_folder
            return {DEFAULT_BASE: default_base(Path(folder) if folder else self._config.store.data_dir / "bases")}
        except RuntimeUnavailable:
            if required:
                raise
            return {}

    def _models(self) -> Path:
        folder = self._config.store.data_dir / "models"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise RuntimeUnavailable(
                f"the folder of models cannot be made: {error.strerror}", remedy="make the data folder writable"
            ) from error
        return folder

    def _base_models(self, runtime: Runtime) -> dict[str, str]:
        """By model target."""
        configured = self._config.runtime.base_models
        if not isinstance(runtime, EmbeddedRuntime):
            return {"qwen": configured.qwen, "llama": configured.llama, "general": configured.general}
        return dict.fromkeys(("qwen", "llama", "general"), next(iter(runtime.base_models)))

    def _remember(self, transaction: WriteTransaction, runtime: Runtime) -> None:
        """The base models, and which runtime has them."""
        kind = RuntimeKind.EMBEDDED if isinstance(runtime, EmbeddedRuntime) else RuntimeKind.OLLAMA
        transaction.set_number(_RUNTIME, _KINDS.index(kind))
        for name in sorted(set(self._bases.values())):
            registry.register(
                transaction, model_pb2.Model(name=name, base_model=name, state=model_pb2.MODEL_STATE_BASE)
            )


def _where_models_are(transaction: ReadTransaction) -> RuntimeKind | None:
    """The runtime that made the models there are: one that is down for a while is waited for, not replaced."""
    made = any(model.state != model_pb2.MODEL_STATE_BASE for model in registry.models(transaction))
    return _KINDS[transaction.number(_RUNTIME)] if made else None
