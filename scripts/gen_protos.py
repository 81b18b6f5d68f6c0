"""Generate the Python messages, stubs and service bases from proto/ into python/becas.

They are not committed: `make setup` runs this, and the wheel ships what it makes.
"""

import os
import shutil
import sys
import sysconfig
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
OUT = ROOT / "python"


def main() -> int:
    """Replace python/becas by freshly generated code; 0 on success."""
    shutil.rmtree(OUT / "becas", ignore_errors=True)
    # protoc looks its plugins up on PATH, where the virtual environment need not be.
    os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    sources = sorted(str(path) for path in PROTO.rglob("*.proto"))
    includes = [f"-I{PROTO}", f"-I{files('grpc_tools') / '_proto'}"]
    outputs = [f"--{kind}_out={OUT}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    failed: int = protoc.main(["protoc", *includes, *outputs, *sources])
    if failed:
        return failed
    for package in ("becas", "becas/ft", "becas/ft/v1", "becas/ft/ledger", "becas/ft/ledger/v1"):
        (OUT / package / "__init__.py").write_text('"""Generated from proto/; do not edit."""\n')
    return 0


if __name__ == "__main__":
    sys.exit(main())
