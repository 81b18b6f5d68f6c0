"""Reads the header of a GGUF file: its metadata, and whether all of its tensors are there.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING = 8
_ARRAY = 9
_VERSIONS = (2, 3)
# Bytes of one element; quantised types are judged by where their tensors begin only.
_ELEMENT_BYTES = {0: 4, 1: 2, 30: 2}
_MOST_ENTRIES = 1 << 20
_MOST_BYTES = 1 << 26


class GgufError(ValueError):
    """The file is no whole GGUF file."""


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What stands in front of the weights.

    Attributes:
        metadata: Scalars and strings by key; arrays are left out.
        tensors: Names of the tensors with their shapes, fastest dimension first.
    """

    metadata: Mapping[str, Any]
    tensors: Mapping[str, tuple[int, ...]]

    @property
    def architecture(self) -> str:
        """The model's architecture, such as `llama` or `qwen3`."""
        return str(self.metadata.get("general.architecture", ""))


def read_header(path: Path) -> GgufHeader:
    """Read the header and check that the file is long enough for every tensor it lists.

    Raises:
        GgufError: The file is no GGUF file, or is cut short.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        try:
            return _read(file, path.stat().st_size)
        except (struct.error, UnicodeDecodeError) as error:
            raise GgufError("the GGUF header is cut short or damaged") from error


def _read(file: BinaryIO, size: int) -> GgufHeader:
    if file.read(4) != b"GGUF":
        raise GgufError("not a GGUF file")
    version, tensor_count, entry_count = _unpack(file, "IQQ")
    if version not in _VERSIONS:
        raise GgufError(f"GGUF version {version} is not known")
    if max(tensor_count, entry_count) > _MOST_ENTRIES:
        raise GgufError("the GGUF header is damaged")
    metadata: dict[str, Any] = {}
    for _ in range(entry_count):
        key = _string(file)
        (kind,) = _unpack(file, "I")
        value = _value(file, kind)
        if kind != _ARRAY:
            metadata[key] = value
    tensors: dict[str, tuple[int, ...]] = {}
    needed = 0
    for _ in range(tensor_count):
        name = _string(file)
        (dimensions,) = _unpack(file, "I")
        shape = _unpack(file, f"{dimensions}Q")
        kind, offset = _unpack(file, "IQ")
        tensors[name] = shape
        needed = max(needed, offset + _ELEMENT_BYTES.get(kind, 0) * math.prod(shape))
    alignment = int(metadata.get("general.alignment", 32))
    start = -(-file.tell() // alignment) * alignment
    if size < start + needed:
        raise GgufError(f"the GGUF file is cut short: {size} of at least {start + needed} bytes")
    return GgufHeader(metadata, tensors)


def _unpack(file: BinaryIO, layout: str) -> tuple[Any, ...]:
    return struct.unpack("<" + layout, file.read(struct.calcsize("<" + layout)))


def _string(file: BinaryIO) -> str:
    (length,) = _unpack(file, "Q")
    if length > _MOST_BYTES:
        raise GgufError("the GGUF header is damaged")
    return file.read(length).decode()


def _value(file: BinaryIO, kind: int) -> Any:  # noqa: ANN401 - any scalar
    if kind == _STRING:
        return _string(file)
    if kind != _ARRAY:
        if kind not in _SCALARS:
            raise GgufError("the GGUF header is damaged")
        return _unpack(file, _SCALARS[kind])[0]
    element, count = _unpack(file, "IQ")
    if element in _SCALARS:
        file.seek(struct.calcsize("<" + _SCALARS[element]) * count, 1)
    elif count > _MOST_BYTES:
        raise GgufError("the GGUF header is damaged")
    else:
        for _ in range(count):
            _value(file, element)
    return None
