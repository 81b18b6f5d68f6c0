"""docs/reliability.md names the tests that are there: a line whose test went away promises nothing."""

import re
from pathlib import Path

import without_protection

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`([^`]+)`")


def test_every_test_that_is_named_is_there() -> None:
    """Each file is in the tests, each function in one of them or in the core; every line of the hardening has one."""
    files = list((ROOT / "tests").rglob("test_*.py"))
    python = "".join(path.read_text(encoding="utf-8") for path in files)
    rust = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "rust").rglob("*.rs"))
    names = NAMED.findall(PAGE)
    missing = [name for name in names if name.startswith("tests/") and not (ROOT / name).exists()]
    missing += [
        name for name in names if re.fullmatch(r"test_\w+\.py", name) and name not in {file.name for file in files}
    ]
    missing += [name for name in names if re.fullmatch(r"test_\w+", name) and f"def {name}(" not in python]
    in_rust = [name for name in names if re.fullmatch(r"[a-z]+(_[a-z]+){2,}", name) and not name.startswith("test_")]
    missing += [name for name in in_rust if f"fn {name}(" not in rust]

    assert missing == []
    assert in_rust


def test_every_protection_is_taken_away_once() -> None:
    """Each line of the hardening, of poisoning and of redaction has its part in scripts/protections.toml."""
    tables = PAGE.partition("## Hardening of gRPC")[2].splitlines()
    lines = [line[2:].partition(" | ")[0] for line in tables if line.startswith("| ")]
    described = [line for line in lines if line not in {"protection", "---"}]

    assert described == list(dict.fromkeys(protection.line for protection in without_protection.listed()))
