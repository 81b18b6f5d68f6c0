"""The sources of the Go modules are in the form that gofmt gives; vet and `tsc --strict` are steps of each build."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from helpers.programs import ROOT

GO_MODULES: Final = (ROOT / "clients" / "go", ROOT / "examples" / "go")


@pytest.mark.parametrize("module", GO_MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_go_is_formatted(module: Path) -> None:
    """Gofmt has nothing to change."""
    if shutil.which("gofmt") is None:
        pytest.skip("gofmt is not on PATH")
    done = subprocess.run(["gofmt", "-l", "."], cwd=module, capture_output=True, text=True, check=True)

    assert done.stdout == ""


def test_typescript_is_strict() -> None:
    """The build of the TypeScript client is a strict one."""
    options = json.loads((ROOT / "clients" / "typescript" / "tsconfig.json").read_text(encoding="utf-8"))

    assert options["compilerOptions"]["strict"] is True
