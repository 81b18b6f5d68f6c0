"""Generate the code of the Go and TypeScript clients from proto/, by the plugins that each package pins.

`gen_clients.py [go] [typescript]`; both where none is named. Neither is committed: `make clients` runs this, and the
packages ship what it makes. Python's is made with the server's, by gen_protos.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from google.rpc import error_details_pb2
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
CLIENTS = ROOT / "clients"
GO = CLIENTS / "go"
TYPESCRIPT = CLIENTS / "typescript"
SERVICE_CONFIG = ROOT / "python" / "becas_ft" / "service_config.json"
GO_MODULE = "becas.example/ft"
GO_PACKAGE = "becasv1"
# RetryInfo travels in these.
DETAILS = ("google/rpc/status.proto", "google/rpc/error_details.proto")
TYPESCRIPT_OPTIONS = (
    *("outputServices=grpc-js", "esModuleInterop=true", "importSuffix=.js", "stringEnums=true", "env=node"),
    *("outputJsonMethods=false", "exportCommonSymbols=false", "useExactTypes=false"),
)


def public() -> list[str]:
    """The files of the contract, as protoc names them."""
    return sorted(str(path.relative_to(PROTO)) for path in (PROTO / "becas/ft/v1").glob("*.proto"))


def go() -> int:
    """becasv1 and the service config; the plugins are tools of the module, by its go.sum."""
    with tempfile.TemporaryDirectory() as plugins:
        subprocess.run(["go", "install", "tool"], cwd=GO, env={**os.environ, "GOBIN": plugins}, check=True)
        options = [f"M{name}={GO_MODULE}/{GO_PACKAGE}" for name in public()]
        shutil.rmtree(GO / GO_PACKAGE, ignore_errors=True)
        failed = run(
            *(f"--plugin=protoc-gen-{kind}={plugins}/protoc-gen-{kind}" for kind in ("go", "go-grpc")),
            *(f"--{kind}_out={GO}" for kind in ("go", "go-grpc")),
            *(f"--{kind}_opt={option}" for kind in ("go", "go-grpc") for option in (f"module={GO_MODULE}", *options)),
            *public(),
        )
    shutil.copyfile(SERVICE_CONFIG, GO / SERVICE_CONFIG.name)
    return failed


def typescript() -> int:
    """src/generated, src/v1.ts and the service config; `npm ci` comes first."""
    generated = TYPESCRIPT / "src" / "generated"
    shutil.rmtree(generated, ignore_errors=True)
    generated.mkdir()
    failed = run(
        f"--plugin=protoc-gen-ts_proto={TYPESCRIPT / 'node_modules' / '.bin' / 'protoc-gen-ts_proto'}",
        f"--ts_proto_out={generated}",
        f"--ts_proto_opt={','.join(TYPESCRIPT_OPTIONS)}",
        *public(),
        *DETAILS,
    )
    exports = [f"export * from './generated/{name.removesuffix('.proto')}.js';\n" for name in public()]
    (TYPESCRIPT / "src" / "v1.ts").write_text("// Generated from proto/; do not edit.\n" + "".join(exports))
    shutil.copyfile(SERVICE_CONFIG, TYPESCRIPT / SERVICE_CONFIG.name)
    return failed


def run(*arguments: str) -> int:
    """Run protoc; 0 on success."""
    # google.rpc ships its protos beside its messages.
    common = Path(error_details_pb2.__file__).parent.parent.parent
    failed: int = protoc.main(
        ["protoc", f"-I{PROTO}", f"-I{files('grpc_tools') / '_proto'}", f"-I{common}", *arguments]
    )
    return failed


def main() -> int:
    """Generate what was asked for; 0 on success."""
    makers = {"go": go, "typescript": typescript}
    return max(makers[name]() for name in sys.argv[1:] or makers)


if __name__ == "__main__":
    sys.exit(main())
