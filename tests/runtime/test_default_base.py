"""The packaged base model, written again in float32."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import gguf
import numpy as np
import pytest

from becas_ft.runtime.default_base import default_base, packaged
from becas_ft.runtime.errors import RuntimeUnavailable
from helpers.smollm2 import smollm2

if TYPE_CHECKING:
    from pathlib import Path


def test_weights_are_those_of_the_package() -> None:
    theirs = gguf.GGUFReader(packaged()).tensors
    ours = {tensor.name: tensor for tensor in gguf.GGUFReader(smollm2()).tensors}

    assert len(ours) == len(theirs)
    for tensor in theirs:
        assert ours[tensor.name].tensor_type == gguf.GGMLQuantizationType.F32
        np.testing.assert_array_equal(
            ours[tensor.name].data, gguf.dequantize(tensor.data, tensor.tensor_type), err_msg=tensor.name
        )


def test_everything_else_is_as_in_the_package() -> None:
    # Its alignment and counts belong to the file, and its kind of numbers is what changes.
    theirs, ours = (
        {
            field.name: field.contents()
            for field in gguf.GGUFReader(path).fields.values()
            if not field.name.startswith("GGUF.") and field.name != "general.file_type"
        }
        for path in (packaged(), smollm2())
    )

    assert ours == theirs


def test_it_is_made_once(tmp_path: Path) -> None:
    (tmp_path / smollm2().name).write_bytes(b"there")

    assert default_base(tmp_path).read_bytes() == b"there"


def test_nothing_half_written_takes_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gguf.GGUFWriter, "write_tensors_to_file", full)

    with pytest.raises(RuntimeUnavailable, match="No space left on device"):
        default_base(tmp_path / "bases")
    assert list((tmp_path / "bases").iterdir()) == []


def test_without_the_reader_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)

    with pytest.raises(RuntimeUnavailable, match=r"gguf.*pip install 'becas-ft\[demo\]'"):
        default_base(tmp_path)
