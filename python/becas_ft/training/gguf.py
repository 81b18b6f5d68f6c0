"""GGUF files: a strict reader of their headers, and the writer of LoRA adapters.

Layout of the format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (version 3, little-endian).
The reader needs nothing but the standard library, so that a half-written file is refused before any engine sees it.
"""

from __future__ import annotations

import dataclasses
import math
import mmap
import re
import struct
from typing import TYPE_CHECKING, Any, Final, Protocol

from becas_ft.files import replacing
from becas_ft.training.errors import GgufError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_SCALARS: Final = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING: Final = 8
_ARRAY: Final = 9
_DEFAULT_ALIGNMENT: Final = 32
_MOST_ITEMS: Final = 1 << 24
_MOST_DIMENSIONS: Final = 4

# ggml type → (values in a block, bytes of a block); ggml.h and ggml-common.h of llama.cpp.
_BLOCKS: Final[Mapping[int, tuple[int, int]]] = {
    0: (1, 4),
    1: (1, 2),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    9: (32, 36),
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
    15: (256, 292),
    16: (256, 66),
    17: (256, 74),
    18: (256, 98),
    19: (256, 50),
    20: (32, 18),
    21: (256, 110),
    22: (256, 82),
    23: (256, 136),
    24: (1, 1),
    25: (1, 2),
    26: (1, 4),
    27: (1, 8),
    28: (1, 8),
    29: (256, 56),
    30: (1, 2),
    34: (256, 54),
    35: (256, 66),
}

# transformers' name of a linear layer → GGUF's.
_LAYERS: Final[Mapping[str, str]] = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_LORA_NAME: Final = re.compile(r"layers\.(\d+)\.(self_attn|mlp)\.(\w+)\.lora_([AB])(?:\.\w+)?\.weight$")
# llama.cpp rotates neighbouring pairs of the llama architecture, transformers halves: its converter permutes q and k.
_PERMUTED: Final = frozenset({"llama"})
# Those for which a test shows that torch and llama.cpp agree; for gemma3 they do not.
ARCHITECTURES: Final = frozenset({"llama", "qwen3"})


@dataclasses.dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where a tensor lies: its shape in GGUF order (fastest first), ggml type, offset and size in bytes."""

    shape: tuple[int, ...]
    kind: int
    offset: int
    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class GgufHeader:
    """All of a GGUF file but the weights.

    Attributes:
        metadata: values by key; arrays are lists.
        tensors: by name.
    """

    metadata: Mapping[str, Any]
    tensors: Mapping[str, TensorInfo]

    @property
    def architecture(self) -> str:
        """The `general.architecture`; empty where the file names none."""
        return str(self.metadata.get("general.architecture", ""))

    def number(self, key: str) -> int:
        """Return `{architecture}.{key}` as a whole number.

        Raises:
            GgufError: it is missing.
        """
        value = self.metadata.get(f"{self.architecture}.{key}")
        if not isinstance(value, int):
            raise GgufError(f"the GGUF file lacks {self.architecture}.{key}; take a complete model file")
        return value


class _Buffer(Protocol):
    def __getitem__(self, key: slice, /) -> bytes: ...
    def __len__(self) -> int: ...


class _Cursor:
    """Reads numbers and strings from a buffer, refusing to read past its end."""

    def __init__(self, buffer: _Buffer) -> None:
        self._buffer = buffer
        self.position = 0

    def take(self, count: int) -> bytes:
        if self.position + count > len(self._buffer):
            raise GgufError("the GGUF file ends inside its header; it is half-written: write or fetch it again")
        start = self.position
        self.position += count
        return self._buffer[start : self.position]

    def scalar(self, form: str) -> Any:  # noqa: ANN401  (a GGUF scalar is a number or a truth value)
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def string(self) -> str:
        return self.take(self.scalar("<Q")).decode(errors="replace")

    def value(self, kind: int, *, depth: int = 0) -> Any:  # noqa: ANN401  (any GGUF value)
        if kind in _SCALARS:
            return self.scalar(_SCALARS[kind])
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY or depth > 1:
            raise GgufError(f"the GGUF file has a metadata value of unknown type {kind}")
        item, count = self.scalar("<I"), self.scalar("<Q")
        if count > _MOST_ITEMS:
            raise GgufError("the GGUF file has an array of impossible length; it is damaged")
        if item in _SCALARS:
            form = f"<{count}{_SCALARS[item][1:]}"
            return list(struct.unpack(form, self.take(struct.calcsize(form))))
        return [self.value(item, depth=depth + 1) for _ in range(count)]


def read_header(path: Path) -> GgufHeader:
    """Read the header and prove that every tensor lies inside the file.

    Raises:
        GgufError: the file is no GGUF, damaged or incomplete.
        OSError: the file cannot be opened.
    """
    with path.open("rb") as file:
        try:
            buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:
            raise GgufError("the GGUF file is empty; write or fetch it again") from error
        with buffer:
            return _parse(buffer)


def _parse(buffer: _Buffer) -> GgufHeader:
    cursor = _Cursor(buffer)
    if cursor.take(4) != _MAGIC:
        raise GgufError("not a GGUF file: it does not begin with the letters GGUF")
    if (version := cursor.scalar("<I")) not in _VERSIONS:
        raise GgufError(f"the GGUF file is of version {version}; versions 2 and 3 are read")
    tensor_count, value_count = cursor.scalar("<Q"), cursor.scalar("<Q")
    if max(tensor_count, value_count) > _MOST_ITEMS:
        raise GgufError("the GGUF file has an impossible number of entries; it is damaged")
    metadata: dict[str, Any] = {}
    for _ in range(value_count):
        key = cursor.string()
        metadata[key] = cursor.value(cursor.scalar("<I"))
    entries = [_tensor_entry(cursor) for _ in range(tensor_count)]
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        raise GgufError("the GGUF file has an impossible alignment; it is damaged")
    start = math.ceil(cursor.position / alignment) * alignment
    tensors = {}
    for name, shape, kind, offset in entries:
        if kind not in _BLOCKS:
            raise GgufError(f"the GGUF file has a tensor of unknown type {kind}")
        values, size = _BLOCKS[kind]
        length = math.prod(shape) // values * size
        if start + offset + length > len(buffer):
            raise GgufError(f"the GGUF file ends inside tensor {name}; it is half-written: write or fetch it again")
        tensors[name] = TensorInfo(shape, kind, start + offset, length)
    if len(tensors) != tensor_count:
        raise GgufError("the GGUF file names a tensor twice; it is damaged")
    return GgufHeader(metadata, tensors)


def _tensor_entry(cursor: _Cursor) -> tuple[str, tuple[int, ...], int, int]:
    name, dimensions = cursor.string(), cursor.scalar("<I")
    if dimensions > _MOST_DIMENSIONS:
        raise GgufError("the GGUF file has a tensor of too many dimensions; it is damaged")
    shape = tuple(cursor.scalar("<Q") for _ in range(dimensions))
    return name, shape, cursor.scalar("<I"), cursor.scalar("<Q")


def check_adapter(path: Path, base: GgufHeader) -> GgufHeader:
    """Prove that `path` is a complete LoRA adapter for `base`.

    Raises:
        GgufError: it is no adapter, half of a pair is missing, or a shape does not fit the base.
    """
    header = read_header(path)
    if header.metadata.get("general.type") != "adapter" or header.metadata.get("adapter.type") != "lora":
        raise GgufError("the GGUF file is no LoRA adapter")
    if header.architecture != base.architecture:
        raise GgufError(
            f"the adapter is for {header.architecture}, the base is {base.architecture}; train on this base"
        )
    alpha = header.metadata.get("adapter.lora.alpha")
    if not isinstance(alpha, float) or not math.isfinite(alpha) or alpha <= 0:
        raise GgufError("the adapter lacks adapter.lora.alpha")
    targets = {name.removesuffix(".lora_a").removesuffix(".lora_b") for name in header.tensors}
    if not targets:
        raise GgufError("the adapter holds no tensor")
    for target in sorted(targets):
        first, second = header.tensors.get(f"{target}.lora_a"), header.tensors.get(f"{target}.lora_b")
        whole = base.tensors.get(target)
        if first is None or second is None:
            raise GgufError(f"the adapter lacks one half of {target}")
        if whole is None:
            raise GgufError(f"the base has no tensor {target}; train on this base")
        if (first.shape[0], second.shape[1]) != whole.shape or first.shape[1] != second.shape[0]:
            raise GgufError(f"the adapter's shapes of {target} do not fit the base; train on this base")
    return header


def permute(rows: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Reorder the output rows of a q or k matrix from transformers' rotary layout to llama.cpp's.

    Within each head the two halves are interleaved (`LlamaModel.permute` of llama.cpp's convert_hf_to_gguf.py).

    Args:
        rows: shape (heads x head size, any).
        heads: number of heads of the matrix, those of k being `head_count_kv`.
    """
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def check_architecture(base: GgufHeader) -> None:
    """Prove, before hours of training, that an adapter can be written for a base.

    Raises:
        GgufError: the architecture is unknown.
    """
    if base.architecture not in ARCHITECTURES:
        raise GgufError(
            f"no adapter can be written for architecture {base.architecture!r}; use one of "
            + ", ".join(sorted(ARCHITECTURES))
        )


def lora_tensors(
    state: Mapping[str, NDArray[np.float32]], base: GgufHeader, *, permuted: bool = True
) -> dict[str, NDArray[np.float32]]:
    """Rename and reorder the LoRA matrices of a peft model to those of GGUF.

    Args:
        state: peft's names (`…layers.N.self_attn.q_proj.lora_A.weight`) to matrices.
        base: header of the model they belong to.
        permuted: whether to reorder as the architecture needs; False makes a wrong adapter, for proving gates.

    Returns:
        `blk.N.attn_q.weight.lora_a` and so on, in a fixed order.

    Raises:
        GgufError: the architecture or a name is unknown.
    """
    check_architecture(base)
    heads = base.number("attention.head_count")
    key_value_heads = base.metadata.get(f"{base.architecture}.attention.head_count_kv", heads)
    tensors = {}
    for name, matrix in state.items():
        match = _LORA_NAME.search(name)
        if match is None or (layer := _LAYERS.get(f"{match[2]}.{match[3]}")) is None:
            raise GgufError(f"no GGUF name is known for the layer {name}")
        reordered = matrix
        if permuted and base.architecture in _PERMUTED and match[4] == "B" and layer in {"attn_q", "attn_k"}:
            reordered = permute(matrix, heads if layer == "attn_q" else key_value_heads)
        tensors[f"blk.{match[1]}.{layer}.weight.lora_{match[4].lower()}"] = reordered
    return dict(sorted(tensors.items(), key=lambda item: (int(item[0].split(".")[1]), item[0])))


def write_adapter(
    path: Path, tensors: Mapping[str, NDArray[np.float32]], *, base: GgufHeader, alpha: float, name: str
) -> None:
    """Write a GGUF LoRA file, checked against its base before it gets its name; the same input gives the same bytes.

    Raises:
        GgufError: what was written does not fit the base.
        OSError: the disk is full; nothing is left under `path`.
    """
    import gguf

    with replacing(path) as temporary:
        writer = gguf.GGUFWriter(str(temporary), base.architecture)
        try:
            writer.add_type("adapter")
            writer.add_string("adapter.type", "lora")
            writer.add_float32("adapter.lora.alpha", alpha)
            writer.add_name(name)
            for key, matrix in tensors.items():
                writer.add_tensor(key, matrix)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        finally:
            writer.close()
        check_adapter(temporary, base)
