"""The embedded runtime's models: a folder each, made whole or not at all, and aliases that move in one step.

```
ROOT/{name}/adapter.gguf    the LoRA adapter; missing where the model is the base as it is
ROOT/{name}/Modelfile       text of the Modelfile
ROOT/{name}/model.json      the rest: base, system message, parameters, digests
ROOT/{alias}                a file: the name of the model it points at
ROOT/.new-*                 half-made, never listed, removed at the next start
```

A folder is written beside its place, synced and renamed; so whatever has a name is whole. A model never changes:
making the same one again does nothing, making another one under its name is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from becas_ft.files import sync_folder
from becas_ft.runtime.errors import InvalidModel, ModelInUse, ModelNotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from becas_ft.runtime.protocol import ModelDefinition

SCHEMA_VERSION = 1
ADAPTER_FILE = "adapter.gguf"
MODELFILE = "Modelfile"
MODEL_FILE = "model.json"
_HALF_MADE = ".new-"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """One model of the registry.

    Attributes:
        name: Its name.
        base: Name of its base model.
        base_digest: SHA-256 of the base GGUF, in hexadecimal.
        adapter: Path of its adapter; None where it is the base as it is.
        adapter_digest: SHA-256 of the adapter, in hexadecimal.
        system: The system message used where a request has none.
        parameters: Sampling defaults by their Modelfile names.
        modelfile: Text of its Modelfile.
        size: Bytes of its files.
    """

    name: str
    base: str
    base_digest: str
    adapter: Path | None
    adapter_digest: str | None
    system: str | None
    parameters: Mapping[str, Any]
    modelfile: str
    size: int

    @property
    def digest(self) -> str:
        """SHA-256 over all that decides the model's answers, in hexadecimal."""
        parts = [self.base_digest, self.adapter_digest, self.system, dict(self.parameters)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """`model.json`."""

    base: str
    base_digest: str
    adapter_digest: str | None
    system: str | None
    parameters: dict[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION


class ModelRegistry:
    """Models and aliases under one folder; safe for one process at a time."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)
        for left_over in root.glob(_HALF_MADE + "*"):
            if left_over.is_dir():
                shutil.rmtree(left_over, ignore_errors=True)
            else:
                left_over.unlink(missing_ok=True)

    def add(self, definition: ModelDefinition, *, base: str, base_digest: str) -> StoredModel:
        """Make a model whole or not at all.

        Raises:
            InvalidModel: The name is no good, or another model or an alias has it.
        """
        place = self._place(definition.name)
        half_made = Path(tempfile.mkdtemp(prefix=_HALF_MADE, dir=self._root))
        try:
            digest = None
            if definition.adapter is not None:
                digest = _copy(definition.adapter, half_made / ADAPTER_FILE)
            record = _Record(
                base=base,
                base_digest=base_digest,
                adapter_digest=digest,
                system=definition.system,
                parameters=dict(definition.parameters),
            )
            _write(half_made / MODELFILE, (definition.modelfile or "").encode())
            _write(half_made / MODEL_FILE, json.dumps(asdict(record), indent=1).encode())
            sync_folder(half_made)
            made = _load(definition.name, half_made)
            if place.is_file():
                raise InvalidModel(definition.name, "an alias has this name; choose another")
            if place.is_dir():
                return self._same(made)
            # The folder of a model is never empty: a rename onto one that came meanwhile fails.
            half_made.rename(place)
            sync_folder(self._root)
        finally:
            shutil.rmtree(half_made, ignore_errors=True)
        return self.get(definition.name)

    def _same(self, made: StoredModel) -> StoredModel:
        there = self.get(made.name)
        if there.digest != made.digest:
            raise InvalidModel(made.name, "another model has this name, and models never change; choose another")
        return there

    def point(self, alias: str, name: str) -> None:
        """Point an alias at a model in one step.

        Raises:
            InvalidModel: The alias is no good name, or a model has it.
        """
        place = self._place(alias)
        if place.is_dir():
            raise InvalidModel(alias, "a model has this name, so it cannot be an alias")
        descriptor, half_made = tempfile.mkstemp(prefix=_HALF_MADE, dir=self._root)
        os.close(descriptor)
        _write(Path(half_made), name.encode())
        Path(half_made).rename(place)
        sync_folder(self._root)

    def target(self, name: str) -> str:
        """The name an alias points at; any other name is its own."""
        try:
            return self._place(name).read_text()
        except (FileNotFoundError, IsADirectoryError, InvalidModel):
            return name

    def get(self, name: str) -> StoredModel:
        """The model of that name; aliases are not followed.

        Raises:
            ModelNotFound: No model has that name.
        """
        try:
            return _load(name, self._place(name))
        except (FileNotFoundError, NotADirectoryError, InvalidModel) as error:
            raise ModelNotFound(name) from error

    def remove(self, name: str) -> None:
        """Remove a model or an alias.

        Raises:
            ModelNotFound: Nothing has that name.
            ModelInUse: An alias points at the model.
        """
        place = self._place(name)
        if place.is_file():
            place.unlink()
        elif place.is_dir():
            if aliases := sorted(alias for alias, target in self.aliases().items() if target == name):
                raise ModelInUse(name, aliases)
            doomed = Path(tempfile.mkdtemp(prefix=_HALF_MADE, dir=self._root))
            place.rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)
        else:
            raise ModelNotFound(name)
        sync_folder(self._root)

    def models(self) -> list[StoredModel]:
        """All models by name."""
        return [_load(place.name, place) for place in self._places() if place.is_dir()]

    def aliases(self) -> dict[str, str]:
        """The model each alias points at."""
        return {place.name: place.read_text() for place in self._places() if place.is_file()}

    def _places(self) -> list[Path]:
        return sorted(place for place in self._root.iterdir() if _NAME.fullmatch(place.name))

    def _place(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise InvalidModel(name, "a name has 1 to 128 letters, digits, dots, dashes and underscores")
        return self._root / name


def _load(name: str, place: Path) -> StoredModel:
    record = _Record(**json.loads((place / MODEL_FILE).read_bytes()))
    adapter = place / ADAPTER_FILE
    return StoredModel(
        name=name,
        base=record.base,
        base_digest=record.base_digest,
        adapter=adapter if record.adapter_digest else None,
        adapter_digest=record.adapter_digest,
        system=record.system,
        parameters=record.parameters,
        modelfile=(place / MODELFILE).read_text(),
        size=sum(file.stat().st_size for file in place.iterdir()),
    )


def _copy(source: Path, destination: Path) -> str:
    digest = hashlib.sha256()
    with source.open("rb") as reader, destination.open("wb") as writer:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return digest.hexdigest()


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
