"""Builds a pinned grpcurl from its Go module into a cache outside the clone, and links it beside the command.

Running this again costs nothing. Where Go is missing it says so and ends well: only the tests of the documented
commands need grpcurl.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VERSION = "1.9.3"
MODULE = f"github.com/fullstorydev/grpcurl/cmd/grpcurl@v{VERSION}"
LINK = Path(__file__).resolve().parent.parent / ".venv" / "bin" / "grpcurl"


def main() -> int:
    """Give a grpcurl, building it if need be."""
    binary = cache_folder() / f"grpcurl-{VERSION}"
    if not binary.exists() and shutil.which("go") is None:
        print("► grpcurl is left out: go is not on PATH", file=sys.stderr)
        return 0
    if not build(binary):
        return 1
    replace_link(LINK, binary)
    print(f"► grpcurl {VERSION}: {LINK} → {binary}")
    return 0


def cache_folder() -> Path:
    """Where it is kept for every clone on this machine."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "becas-ft" / "tools"


def build(binary: Path) -> bool:
    """Compile into a folder beside the place of the binary and rename: what is there is whole."""
    binary.parent.mkdir(parents=True, exist_ok=True)
    with (binary.parent / "grpcurl.lock").open("w") as lock:
        # Two clones on one machine share the cache.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if binary.exists():
            return True
        print(f"► Building grpcurl {VERSION} (a minute or two; once per machine)", flush=True)
        with tempfile.TemporaryDirectory(dir=binary.parent) as target:
            environment = {**os.environ, "GOBIN": target}
            if subprocess.run(["go", "install", MODULE], env=environment, check=False).returncode != 0:
                print("✗ grpcurl could not be built; is the Go module proxy reachable?", file=sys.stderr)
                return False
            (Path(target) / "grpcurl").rename(binary)
    return True


def replace_link(link: Path, target: Path) -> None:
    """Point the link at the target in one step."""
    link.parent.mkdir(parents=True, exist_ok=True)
    fresh = link.with_name(f".{link.name}-{os.getpid()}")
    fresh.symlink_to(target)
    fresh.replace(link)


if __name__ == "__main__":
    sys.exit(main())
