"""A base's file as Ollama takes it for another one: so that two models on one base stay loaded side by side.

Ollama keeps its running models by the file of their weights. Two adapters on one base, or a base and an adapter on it,
would take turns: each question to one of them unloads the other, which costs seconds. The copy is the same GGUF with a
few zeros after its end, which are no part of any tensor.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

# The alignment of a GGUF's tensors, so that the file keeps to it.
_PADDING = bytes(32)
_CHUNK = 1 << 20


def digest(path: Path) -> str:
    """SHA-256 of the copy, in hexadecimal; reads the whole file.

    Raises:
        OSError: The file cannot be read.
    """
    found = hashlib.sha256()
    for chunk in _chunks(path):
        found.update(chunk)
    return found.hexdigest()


async def content(path: Path) -> AsyncIterator[bytes]:
    """The copy, piece by piece, for an upload: it never stands on the disk twice.

    Raises:
        OSError: The file cannot be read.
    """
    chunks = _chunks(path)
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        yield chunk


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
    yield _PADDING
