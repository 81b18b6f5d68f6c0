"""What others made and the page brings along: as its registry gave it, with its licence."""

import hashlib
import re
from pathlib import Path

import becas_ft

VENDOR = Path(becas_ft.__file__).parent / "server" / "dashboard" / "static" / "vendor"


def test_vendored_files_are_those_of_their_packages() -> None:
    """Each file stands in the list with its digest, and each package with its licence."""
    text = (VENDOR / "README.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `([^`]+)` \|.*\| `([0-9a-f]{64})` \|$", text, re.MULTILINE))
    files = {str(path.relative_to(VENDOR)): path for path in VENDOR.rglob("*.*") if path.name != "README.md"}

    assert listed == {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    assert all((VENDOR / name.split("/")[0] / "LICENSE").exists() for name in files)
