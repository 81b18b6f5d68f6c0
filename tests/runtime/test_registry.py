"""The folder of models: whole or not at all, whenever the process is killed and whatever the disk does."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from becas_ft.runtime import InvalidModel, ModelDefinition, ModelInUse, ModelNotFound
from becas_ft.runtime.registry import ModelRegistry, StoredModel


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """Some bytes; the registry does not look into them."""
    path = tmp_path / "adapter.gguf"
    path.write_bytes(os.urandom(100_000))
    return path


def add(registry: ModelRegistry, name: str, adapter: Path, system: str = "s") -> StoredModel:
    """Make a model."""
    definition = ModelDefinition(name=name, base="b", adapter=adapter, system=system, modelfile="FROM b\n")
    return registry.add(definition, base="b", base_digest="0" * 64)


def test_model_survives_a_restart(tmp_path: Path, adapter: Path) -> None:
    """What was added is read back the same by another process."""
    added = add(ModelRegistry(tmp_path / "models"), "m-v1", adapter)
    found = ModelRegistry(tmp_path / "models").get("m-v1")

    assert found == added
    assert found.adapter is not None
    assert found.adapter.read_bytes() == adapter.read_bytes()
    assert found.modelfile == "FROM b\n"


KILLED = """
import os, sys
from pathlib import Path
from becas_ft.runtime import ModelDefinition
from becas_ft.runtime.registry import ModelRegistry

calls = int(sys.argv[3])
real = os.fsync

def fsync(descriptor):
    global calls
    real(descriptor)
    calls -= 1
    if calls == 0:
        os.kill(os.getpid(), 9)

os.fsync = fsync
registry = ModelRegistry(Path(sys.argv[1]))
registry.add(ModelDefinition(name="m-v2", base="b", adapter=Path(sys.argv[2])), base="b", base_digest="0" * 64)
registry.point("alias", "m-v2")
"""


@pytest.mark.parametrize("calls", range(1, 8))
def test_killed_while_writing(tmp_path: Path, adapter: Path, calls: int) -> None:
    """Killed after any of its syncs, the registry lists whole models only, and the alias has the old or new target."""
    root = tmp_path / "models"
    registry = ModelRegistry(root)
    add(registry, "m-v1", adapter)
    registry.point("alias", "m-v1")
    done = subprocess.run([sys.executable, "-c", KILLED, root, adapter, str(calls)], check=False)
    after = ModelRegistry(root)
    names = [model.name for model in after.models()]

    # The adapter, Modelfile, model.json, their folder, the root; then the alias's file and the root.
    assert done.returncode == -9
    assert names == (["m-v1"] if calls <= 4 else ["m-v1", "m-v2"])
    assert after.target("alias") == ("m-v1" if calls <= 6 else "m-v2")
    assert all(model.adapter is not None and model.adapter.stat().st_size == 100_000 for model in after.models())
    assert not [place for place in root.iterdir() if place.name.startswith(".")]


def test_full_disk_leaves_nothing(tmp_path: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full in the middle of an adapter leaves no trace of the model."""
    registry = ModelRegistry(tmp_path / "models")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        add(registry, "m-v1", adapter)
    assert list((tmp_path / "models").iterdir()) == []


def test_alias_is_never_missing_while_it_moves(tmp_path: Path, adapter: Path) -> None:
    """A reader that looks all the time sees the old target or the new one, never none and never half a name."""
    registry = ModelRegistry(tmp_path / "models")
    names = ["m-v1", "a-model-with-a-longer-name-v2"]
    for name in names:
        add(registry, name, adapter)
    registry.point("alias", names[0])
    seen: set[str] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.add(registry.target("alias"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for turn in range(200):
        registry.point("alias", names[turn % 2])
    done.set()
    watcher.join()

    assert seen <= set(names)


def test_models_never_change(tmp_path: Path, adapter: Path) -> None:
    """The same model may be added again; another one under its name is refused and leaves the first as it was."""
    registry = ModelRegistry(tmp_path / "models")
    first = add(registry, "m-v1", adapter)

    assert add(registry, "m-v1", adapter) == first
    with pytest.raises(InvalidModel, match="another model has this name"):
        add(registry, "m-v1", adapter, system="other")
    assert registry.models() == [first]


def test_names_mean_one_thing(tmp_path: Path, adapter: Path) -> None:
    """A model's name cannot become an alias, nor an alias's a model."""
    registry = ModelRegistry(tmp_path / "models")
    add(registry, "m-v1", adapter)
    registry.point("alias", "m-v1")

    with pytest.raises(InvalidModel, match="a model has this name"):
        registry.point("m-v1", "m-v1")
    with pytest.raises(InvalidModel, match="an alias has this name"):
        add(registry, "alias", adapter)
    with pytest.raises(ModelInUse, match="alias"):
        registry.remove("m-v1")


@pytest.mark.parametrize("name", ["", ".", "..", "../out", "a/b", ".new-x", "a\0b", "a" * 129, "ü"])
def test_names_stay_inside_the_folder(tmp_path: Path, adapter: Path, name: str) -> None:
    """A name that could leave the folder or hide in it is refused, whatever is done with it."""
    registry = ModelRegistry(tmp_path / "models")

    with pytest.raises(InvalidModel):
        add(registry, name, adapter)
    with pytest.raises(InvalidModel):
        registry.point(name, "m")
    with pytest.raises(ModelNotFound):
        registry.get(name)
    with pytest.raises((InvalidModel, ModelNotFound)):
        registry.remove(name)
    assert [place.name for place in tmp_path.iterdir() if place.name not in {"models", "adapter.gguf"}] == []
