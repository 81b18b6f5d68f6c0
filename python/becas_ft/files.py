"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on a clean exit it is synced and renamed over `path`.

    On an error the temporary file is removed and `path` stays as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the content of `path` in one step, durably."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def is_free(path: Path) -> bool:
    """Whether a folder can take this name without taking anything away: nothing is there, or an empty folder."""
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


@contextlib.contextmanager
def making_folder(path: Path, mode: int = 0o755) -> Iterator[Path]:
    """Give a temporary folder beside `path`; on a clean exit it is synced and takes the name, with all that is in it.

    What went by the name before goes only then. On an error the temporary folder is removed.

    Arguments:
        path: the folder; parents that are missing are made.
        mode: of the folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.partial-", dir=path.parent))
    try:
        yield partial
        for folder, _, names in os.walk(partial):
            for name in names:
                with Path(folder, name).open("rb") as file:
                    os.fsync(file.fileno())
            sync_folder(Path(folder))
        partial.chmod(mode)
        _move(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    sync_folder(path.parent)


def _move(partial: Path, path: Path) -> None:
    if not path.exists():
        partial.rename(path)
        return
    former = Path(tempfile.mkdtemp(prefix=f".{path.name}.former-", dir=path.parent))
    try:
        path.rename(former / path.name)
        partial.rename(path)
    finally:
        shutil.rmtree(former, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` durable: it outlives a power cut only once the folder is on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path, mode: int = 0o777) -> None:
    """Make a folder and its missing parents; all of their names are on disk afterwards."""
    if not path.is_dir():
        make_folder(path.parent, mode)
        path.mkdir(exist_ok=True, mode=mode)
        sync_folder(path.parent)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, reading it piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
