"""The header of a GGUF file is read as the gguf package reads it, and a file that is cut anywhere is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf import GGUFReader

from becas_ft.runtime.gguf_header import GgufError, read_header


def test_reads_what_the_reference_reads(base: Path, adapters: list[Path]) -> None:
    """Tensors, shapes and strings agree with the reference implementation, for a base and an adapter."""
    for path in (base, adapters[0]):
        reference = GGUFReader(path)
        header = read_header(path)
        expected = {tensor.name: tuple(int(each) for each in tensor.shape) for tensor in reference.tensors}

        assert dict(header.tensors) == expected
        for key, value in header.metadata.items():
            assert reference.fields[key].contents() == value
        assert header.architecture == "llama"


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.5, 0.99, 0.999999])
def test_cut_files_are_told(adapters: list[Path], tmp_path: Path, share: float) -> None:
    """A file cut in the header or in the weights is no GGUF file."""
    whole = adapters[0].read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole[: int(len(whole) * share)])

    with pytest.raises(GgufError):
        read_header(cut)


@pytest.mark.parametrize(
    "content",
    [
        b"GGUF" + b"\xff" * 60,
        b"GGUF\x03\0\0\0" + b"\0" * 8 + b"\x01" + b"\0" * 7 + b"\xff" * 8,
        b"GGUF\x03\0\0\0" + b"\0" * 8 + b"\x01" + b"\0" * 7 + b"\x01" + b"\0" * 7 + b"k\x63\0\0\0",
        b"not a model",
    ],
    ids=["all ones", "endless string", "unknown kind", "text"],
)
def test_hostile_files_are_told(tmp_path: Path, content: bytes) -> None:
    """A damaged header is an error at once, never a huge allocation or a crash."""
    path = tmp_path / "hostile.gguf"
    path.write_bytes(content)

    with pytest.raises(GgufError):
        read_header(path)
