"""Builds a real Ollama from its Go module where there is none on PATH, and links it beside the command.

The binary lies in a cache outside the clone, by version and kind of processor, since it is compiled for the very
processor that compiles it. Running this again costs nothing.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = "0.17.4"
MODULE = f"github.com/ollama/ollama@v{VERSION}"
# Headers that the module leaves to its own build system: header → Debian package.
SYSTEM_HEADERS = {"nlohmann/json.hpp": "nlohmann-json3-dev", "stb/stb_image.h": "libstb-dev"}
# Not packaged by Debian; the header comes with the Python binding's source.
MINIAUDIO = "miniaudio==1.71"
TICK_SECONDS = 15
ROOT = Path(__file__).resolve().parent.parent


class CannotBuildError(Exception):
    """What is missing, and what to do about it."""


def main() -> int:
    """Give an Ollama, building it if need be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--link", type=Path, default=ROOT / ".venv" / "bin" / "ollama", help="where to link it")
    parser.add_argument("--force", action="store_true", help="build even if there is one on PATH")
    arguments = parser.parse_args()
    link: Path = arguments.link
    if not arguments.force and (found := on_path(link)):
        print(f"► Ollama is there: {found}")
        return 0
    try:
        binary = built()
    except CannotBuildError as error:
        print(f"✗ {error}", file=sys.stderr)
        return 1
    replace_link(link, binary)
    print(f"► Ollama {VERSION}: {link} → {binary}")
    return 0


def on_path(link: Path) -> Path | None:
    """An Ollama on PATH that is not the link made here."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        candidate = Path(folder) / "ollama"
        if candidate != link and os.access(candidate, os.X_OK) and candidate.resolve() != link.resolve():
            return candidate
    return None


def cache_folder() -> Path:
    """Where this version for this processor is kept."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "becas-ft" / f"ollama-v{VERSION}-{processor()}"


def processor() -> str:
    """Digest of what this processor can do, since code compiled for one may not run on another."""
    features = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        features += next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    else:
        features += platform.processor()
    return hashlib.sha256(features.encode()).hexdigest()[:12]


def built() -> Path:
    """The cached binary, built first where it is missing."""
    folder = cache_folder()
    binary = folder / "bin" / "ollama"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        # Two clones on one machine share the cache.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            build(folder, binary)
    return binary


def build(folder: Path, binary: Path) -> None:
    """Compile into a folder beside the place of the binary and rename: what is there is whole."""
    if shutil.which("go") is None:
        raise CannotBuildError("go is not on PATH; install Go 1.24 or newer, or Ollama itself, and try again")
    if shutil.which("cc") is None or shutil.which("c++") is None:
        raise CannotBuildError("a C and a C++ compiler are needed; install them and try again")
    includes = [miniaudio(folder / "include"), *system_headers(folder / "include")]
    tune = "-mcpu=native" if platform.machine() in {"aarch64", "arm64"} else "-march=native"
    # ggml's kernels for AMX are not in Ollama's Go packages, yet its code calls them where the compiler has AMX.
    without = "-U__AMX_INT8__"
    # Go's own build cache knows the words of the flags, not what `native` means on this machine.
    optimise = f"-O3 {tune} {without} -DBECAS_PROCESSOR={processor()}"
    with tempfile.TemporaryDirectory(dir=folder) as target:
        environment = {
            **os.environ,
            "GOBIN": target,
            "CGO_ENABLED": "1",
            "CGO_CPPFLAGS": " ".join(f"-I{include}" for include in includes),
            "CGO_CFLAGS": optimise,
            "CGO_CXXFLAGS": optimise,
        }
        flags = f"-s -w -X github.com/ollama/ollama/version.Version={VERSION}"
        run_with_clock(["go", "install", "-ldflags", flags, MODULE], environment, folder / "build.log")
        binary.parent.mkdir(exist_ok=True)
        (Path(target) / "ollama").rename(binary)


def run_with_clock(command: list[str], environment: dict[str, str], log: Path) -> None:
    """Run a long command, saying every few seconds that it goes on."""
    print(
        f"► Building Ollama {VERSION} (5 to 11 minutes on two cores; once per machine); details in {log}",
        flush=True,
    )
    began = time.monotonic()
    done = threading.Event()

    def tick() -> None:
        while not done.wait(TICK_SECONDS):
            minutes, seconds = divmod(int(time.monotonic() - began), 60)
            print(f"  … {minutes}:{seconds:02d}", flush=True)

    clock = threading.Thread(target=tick, daemon=True)
    clock.start()
    try:
        with log.open("wb") as output:
            code = subprocess.run(command, env=environment, stdout=output, stderr=output, check=False).returncode
    finally:
        done.set()
        clock.join()
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise CannotBuildError(f"the build failed; the end of {log}:\n{tail}")


def miniaudio(folder: Path) -> Path:
    """The folder to include from that holds miniaudio/miniaudio.h."""
    header = folder / "miniaudio" / "miniaudio.h"
    if not header.exists():
        with tempfile.TemporaryDirectory() as download:
            command = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
            ]
            command += ["--no-binary", "miniaudio", "--dest", download, MINIAUDIO]
            if subprocess.run(command, check=False).returncode != 0:
                raise CannotBuildError(
                    f"the source of {MINIAUDIO} could not be fetched; is the package index reachable?"
                )
            archive = next(Path(download).glob("miniaudio-*.tar.gz"))
            with tarfile.open(archive) as source:
                name = next(name for name in source.getnames() if name.endswith("miniaudio/miniaudio.h"))
                content = source.extractfile(name)
                if content is None:
                    raise CannotBuildError(f"{archive.name} holds no miniaudio.h")
                header.parent.mkdir(parents=True, exist_ok=True)
                header.write_bytes(content.read())
    return folder


def system_headers(folder: Path) -> Iterator[Path]:
    """The folders to include from that hold the system's headers, installing what is missing."""
    if missing := sorted(package for header, package in SYSTEM_HEADERS.items() if find_header(header, folder) is None):
        install(missing, folder)
    for header, package in SYSTEM_HEADERS.items():
        found = find_header(header, folder)
        if found is None:
            raise CannotBuildError(f"the header {header} is missing; install the package {package} and try again")
        # The module includes stb_image.h by its bare name.
        yield (found / header).parent if header.startswith("stb/") else found


def find_header(header: str, folder: Path) -> Path | None:
    """The folder that holds a header."""
    places = [folder / "usr" / "include", Path("/usr/include"), Path("/usr/local/include")]
    return next((place for place in places if (place / header).exists()), None)


def install(packages: list[str], folder: Path) -> None:
    """Install Debian packages as root; else unpack them into the cache, which needs no rights."""
    hint = f"install these packages and try again: {' '.join(packages)}"
    if shutil.which("apt-get") is None:
        raise CannotBuildError(f"headers are missing; {hint}")
    print(f"► Headers: {' '.join(packages)}", flush=True)
    if os.geteuid() == 0:
        command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
        if run_quietly(command):
            return
        if not (run_quietly(["apt-get", "update", "--quiet"]) and run_quietly(command)):
            raise CannotBuildError(f"apt-get could not install headers; {hint}")
        return
    with tempfile.TemporaryDirectory() as download:
        if not run_quietly(["apt-get", "download", "--quiet", *packages], Path(download)):
            raise CannotBuildError(f"headers are missing; as root, {hint}")
        folder.mkdir(parents=True, exist_ok=True)
        for package in Path(download).glob("*.deb"):
            subprocess.run(["dpkg", "-x", str(package), str(folder)], check=True)


def run_quietly(command: list[str], folder: Path | None = None) -> bool:
    """Whether a command succeeds."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, check=False)
    return done.returncode == 0


def replace_link(link: Path, target: Path) -> None:
    """Point the link at the target in one step."""
    link.parent.mkdir(parents=True, exist_ok=True)
    fresh = link.with_name(f".{link.name}-{os.getpid()}")
    fresh.symlink_to(target)
    fresh.replace(link)


if __name__ == "__main__":
    sys.exit(main())
