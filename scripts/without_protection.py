"""Take each protection away by itself, and say whether its test fails then: `make without-protection`.

The protections stand in protections.toml, under the lines of docs/reliability.md: what to replace in which file, and
the test that must fail. A test is named as pytest names it; one in Rust is `lib` or `it` (the target of becas-core)
and its name. All of it happens in a copy of the working tree. It takes hours; words narrow it down:

    scripts/without_protection.py metadata test_tls.py
"""

import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
LIST = Path(__file__).with_name("protections.toml")
COPY = ROOT / "build" / "without-protection"
BUILT = ("python/becas_ft/_core.abi3.so", "python/becas")
SECONDS = 1200
PYTEST_FAILED = 1


@dataclass(frozen=True)
class Protection:
    """One thing to take away.

    Attributes:
        line: the line of docs/reliability.md.
        away: what the server is without, in words.
        file: where it stands, from the root of the repository.
        old: the text to replace, which stands there once; empty: a new file, in a folder of its own.
        new: what comes in its place.
        test: the test that must fail.
    """

    line: str
    away: str
    file: str
    old: str
    new: str
    test: str


def listed() -> list[Protection]:
    """All protections, in the order of the list."""
    lines = tomllib.loads(LIST.read_text(encoding="utf-8"))["line"]
    return [Protection(line=line["line"], **away) for line in lines for away in line["without"]]


def copy_tree() -> None:
    """The working tree as it is, and what was built into it; a copy from before is brought up to date."""
    found = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    names = {name for name in found.stdout.decode().split("\0") if name and (ROOT / name).is_file()}
    for name in BUILT:
        path = ROOT / name
        names |= {str(file.relative_to(ROOT)) for file in path.rglob("*.py*")} if path.is_dir() else {name}
    for name in names:
        source, target = ROOT / name, COPY / name
        if not target.exists() or source.read_bytes() != target.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def verdict(protection: Protection) -> tuple[str, str]:
    """(`failed`, as it must be, or what happened instead; the reason's first line) of the test without a protection."""
    path = COPY / protection.file
    if not protection.old:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    text = path.read_text(encoding="utf-8")
    if (count := text.count(protection.old) if protection.old else 1) != 1:
        return "not found", f"the text to replace stands {count} times in {protection.file}: renew it in {LIST.name}"
    path.write_text(
        text.replace(protection.old, protection.new) if protection.old else protection.new, encoding="utf-8"
    )
    try:
        return in_rust(protection.test) if protection.test.startswith(("lib ", "it ")) else in_python(protection)
    except subprocess.TimeoutExpired:
        return "hung", f"no end within {SECONDS} s"
    finally:
        if text:
            path.write_text(text, encoding="utf-8")
        else:
            shutil.rmtree(path.parent)


def in_rust(test: str) -> tuple[str, str]:
    """The verdict of a test of becas-core."""
    target, _, name = test.partition(" ")
    which = ["--lib"] if target == "lib" else ["--test", target]
    status, printed = run(["cargo", "test", "--quiet", "--locked", "--package", "becas-core", *which, "--", name])
    lines = printed.splitlines()
    if "error: could not compile" in printed:
        return "does not compile", next((line for line in lines if line.startswith("error")), "")
    if status == 0:
        return ("passed" if " 0 passed" not in printed else "no such test"), ""
    at = next((at for at, line in enumerate(lines) if "panicked at" in line), len(lines) - 2)
    return "failed", lines[at + 1]


def in_python(protection: Protection) -> tuple[str, str]:
    """The verdict of a test that pytest runs; with a protection of the core away, on an extension built without it."""
    extension = COPY / BUILT[0]
    if protection.file.endswith(".rs"):
        status, printed = run(["cargo", "build", "--quiet", "--locked", "--package", "becas-py"])
        if status:
            return "does not compile", next((line for line in printed.splitlines() if line.startswith("error")), "")
        shutil.copy(COPY / "target" / "debug" / "lib_core.so", extension)
    try:
        status, printed = run([sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", protection.test])
    finally:
        if protection.file.endswith(".rs"):
            shutil.copy(ROOT / BUILT[0], extension)
    reason = next((line[1:].strip() for line in printed.splitlines() if line.startswith("E  ")), printed[-200:])
    if "Timeout (>" in printed:
        return "timed out", reason
    return {0: "passed", PYTEST_FAILED: "failed"}.get(status, "error"), reason


def run(command: list[str]) -> tuple[int, str]:
    """(exit status, what was printed) of a command in the copy, with the copy's packages and build folder."""
    changed = {"PYTHONPATH": str(COPY / "python"), "CARGO_TARGET_DIR": str(COPY / "target"), "COLUMNS": "200"}
    done = subprocess.run(
        command,
        cwd=COPY,
        env=os.environ | changed,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done.returncode, done.stdout


def main() -> int:
    """0 when every test failed without its protection."""
    words = sys.argv[1:]
    chosen = [
        one for one in listed() if not words or any(word in f"{one.line} {one.away} {one.test}" for word in words)
    ]
    copy_tree()
    table = Table("protection", "without", "test", "the test", "because", show_lines=True)
    bad = 0
    console = Console()
    for number, one in enumerate(chosen, 1):
        said, reason = verdict(one)
        bad += said != "failed"
        line = f"{number}/{len(chosen)} {said}: {one.away} ({one.test}) {reason}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
        table.add_row(one.line, one.away, one.test, said, reason)
    console.print(table)
    console.print(f"{len(chosen) - bad} of {len(chosen)} tests failed without their protection")
    return 1 if bad or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
