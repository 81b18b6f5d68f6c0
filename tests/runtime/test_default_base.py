"""The packaged base model, written again as Q8_0."""

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

# ggml-common.h: a block of Q8_0 is a scale, the greatest magnitude / 127 as float16, and 32 whole numbers.
BLOCK, STEPS, HALF_PRECISION = 32, 127, 2.0**-11


def test_weights_are_those_of_the_package_to_half_a_step() -> None:
    theirs = gguf.GGUFReader(packaged()).tensors
    ours = {tensor.name: tensor for tensor in gguf.GGUFReader(smollm2()).tensors}

    assert len(ours) == len(theirs)
    for tensor in theirs:
        exact = gguf.dequantize(tensor.data, tensor.tensor_type)
        made = gguf.dequantize(ours[tensor.name].data, ours[tensor.name].tensor_type)
        assert made.shape == exact.shape
        if exact.ndim == 1:
            np.testing.assert_array_equal(made, exact)
            continue
        greatest = np.abs(exact.reshape(-1, BLOCK)).max(axis=1, keepdims=True)
        off = np.abs((made - exact).reshape(-1, BLOCK))
        assert (off <= greatest * (0.5 / STEPS + HALF_PRECISION) + 1e-9).all(), tensor.name


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
