"""Generate the Python messages, stubs and service bases from proto/.

Those of the server go into python/becas, those of the Python client into its package `becas_ft_client.v1`, so that
both can be installed side by side. They are not committed: `make setup` runs this, and the wheels ship what it makes.
"""

import os
import re
import shutil
import sys
import sysconfig
import tempfile
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
OUT = ROOT / "python"
CLIENTS = ROOT / "clients"
CLIENT = CLIENTS / "python" / "src" / "becas_ft_client"
PUBLIC = "becas/ft/v1"
HEADER = '"""Generated from proto/; do not edit."""\n'

# Import statements only: the wire names of messages and services stay.
_IMPORT = re.compile(r"^(from|import) becas\.ft\.v1\b", re.MULTILINE)


def main() -> int:
    """Replace what was generated before; 0 on success."""
    # protoc looks its plugins up on PATH, where the virtual environment need not be.
    os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    return server() or client()


def server() -> int:
    """python/becas."""
    shutil.rmtree(OUT / "becas", ignore_errors=True)
    if failed := generate(OUT, sorted(PROTO.rglob("*.proto"))):
        return failed
    for package in ("becas", "becas/ft", "becas/ft/v1", "becas/ft/ledger", "becas/ft/ledger/v1"):
        (OUT / package / "__init__.py").write_text(HEADER)
    return 0


def client() -> int:
    """becas_ft_client.v1, with every name of the contract in one place, and the service config beside it."""
    package = CLIENT / "v1"
    shutil.rmtree(package, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        described = Path(folder) / "descriptors"
        sources = sorted((PROTO / PUBLIC).glob("*.proto"))
        if failed := generate(Path(folder), sources, f"--descriptor_set_out={described}"):
            return failed
        names = FileDescriptorSet.FromString(described.read_bytes())
        package.mkdir(parents=True)
        for made in (Path(folder) / PUBLIC).iterdir():
            text = _IMPORT.sub(r"\1 becas_ft_client.v1", made.read_text(encoding="utf-8"))
            (package / made.name).write_text(text, encoding="utf-8")
    lines = [line for file in names.file for line in exports(file)]
    (package / "__init__.py").write_text(HEADER + "\n" + "".join(sorted(lines)), encoding="utf-8")
    shutil.copyfile(ROOT / "python" / "becas_ft" / "service_config.json", CLIENT / "service_config.json")
    return 0


def exports(file: FileDescriptorProto) -> list[str]:
    """The imports that lift a file's messages, enums and stubs into the package; `as` says that it is on purpose."""
    module = Path(file.name).stem
    kinds = [message.name for message in file.message_type] + [enum.name for enum in file.enum_type]
    lines = [f"from becas_ft_client.v1.{module}_pb2 import {name} as {name}\n" for name in kinds]
    return lines + [
        f"from becas_ft_client.v1.{module}_pb2_grpc import {service.name}Stub as {service.name}Stub\n"
        for service in file.service
    ]


def generate(out: Path, sources: list[Path], *more: str) -> int:
    """Messages, their types, stubs and theirs; 0 on success."""
    includes = [f"-I{PROTO}", f"-I{files('grpc_tools') / '_proto'}"]
    outputs = [f"--{kind}_out={out}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    failed: int = protoc.main(["protoc", *includes, *outputs, *more, *map(str, sources)])
    return failed


if __name__ == "__main__":
    sys.exit(main())
