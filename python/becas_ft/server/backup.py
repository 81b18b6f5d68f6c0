"""Backups: a copy of what the server keeps, of one moment, taken while it works and streamed afterwards.

The two stores belong together where none of what changes both of them, one after the other, is half done: erasures, and
corrections that become truths. Those wait until both copies are made. All else touches one store only. The ledger is
copied first, so that whatever it refers to (datasets, examples) is in the later copy of the examples; that may hold
corrections which the ledger has not seen, and these are consumed after a restore as ever.
"""

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncGenerator, Coroutine
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

import structlog

from becas.ft.v1 import backup_pb2
from becas_ft._core import __version__
from becas_ft.backup_folder import FORMAT
from becas_ft.errors import ConflictError
from becas_ft.server.application import Application

_FOLDER: Final = ".backup"
_LEDGER: Final = "ledger"
_MODELS: Final = "models"
_PIECE: Final = 256 << 10
_ATTEMPTS: Final = 3

Result = TypeVar("Result")

_log = structlog.get_logger("becas_ft.server")


async def take(application: Application) -> AsyncGenerator[backup_pb2.BackupResponse, None]:
    """The files of a backup one after another, then the manifest.

    Raises: ConflictError while another one is taken.
    """
    if application.backing_up.locked():
        raise ConflictError("another backup is being taken: ask again when it has ended")
    async with application.backing_up:
        began = datetime.now(UTC)
        with ExitStack() as opened:
            files = await _to_its_end(_copy(application, opened))
            manifest = backup_pb2.BackupManifest(
                format=FORMAT, version=__version__, key_path=str(_key_path(application).absolute())
            )
            manifest.began.FromDatetime(began)
            for path, file in files:
                yield backup_pb2.BackupResponse(path=path)
                digest = hashlib.sha256()
                size = 0
                while data := await application.read(file.read, _PIECE):
                    digest.update(data)
                    size += len(data)
                    yield backup_pb2.BackupResponse(data=data)
                manifest.files.add(path=path, bytes=size, sha256=digest.hexdigest())
        _log.info("backed_up", files=len(manifest.files), bytes=sum(file.bytes for file in manifest.files))
        yield backup_pb2.BackupResponse(manifest=manifest)


def sweep(data_dir: Path) -> None:
    """Remove what a crash left of a backup; call before the stores are opened."""
    shutil.rmtree(data_dir / _FOLDER, ignore_errors=True)


async def _to_its_end(copying: Coroutine[Any, Any, Result]) -> Result:
    """A caller that goes away does not leave a thread at work in a folder that is removed meanwhile."""
    task = asyncio.create_task(copying)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


async def _copy(application: Application, opened: ExitStack) -> list[tuple[str, BinaryIO]]:
    """The copied files by their paths, open and without a name any more: they go with whoever reads them."""
    data_dir = application.config.store.data_dir
    folder = data_dir / _FOLDER
    sweep(data_dir)
    try:
        folder.mkdir(mode=0o700)
        async with application.both_stores:
            await application.tester.flush()
            await application.read(application.ledger.copy_to, folder / _LEDGER)
            await application.read(application.core.copy_to, str(folder))
            await application.read(_copy_models, data_dir / _MODELS, folder / _MODELS)
            paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
            files: list[tuple[str, BinaryIO]] = [
                (path.relative_to(folder).as_posix(), opened.enter_context(path.open("rb"))) for path in paths
            ]
            # While nothing can be erased: after an erasure no file that has a name may hold what was erased.
            sweep(data_dir)
    finally:
        sweep(data_dir)
    return files


def _copy_models(models: Path, folder: Path) -> None:
    """Models never change once they are made, and aliases are replaced whole: a second name is a copy."""
    hidden = shutil.ignore_patterns(".*")
    for attempt in range(_ATTEMPTS):
        try:
            if models.is_dir():
                shutil.copytree(models, folder, copy_function=os.link, ignore=hidden)
        except (shutil.Error, FileNotFoundError):
            # A model was deleted meanwhile.
            shutil.rmtree(folder, ignore_errors=True)
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            return


def _key_path(application: Application) -> Path:
    store = application.config.store
    return Path(store.key_path) if store.key_path else store.data_dir / "becas.key"
