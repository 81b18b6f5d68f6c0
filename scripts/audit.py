"""What is locked, checked: licences, bans, sources, and known vulnerabilities where their databases can be had.

Exit status 1 for a finding. A database that is out of reach is no finding: it is named, and what it would have told
is not known. `--offline` checks what needs neither a database nor cargo-deny: licences, bans and sources of the crates.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from license_expression import LicenseExpression, get_spdx_licensing

ROOT: Final = Path(__file__).resolve().parent.parent
REGISTRY: Final = "registry+"
# How cargo-deny and pip-audit say that they had nobody to ask.
OUT_OF_REACH: Final = ("failed to fetch", "ConnectionError", "timed out", "resolve host", "could not be audited")
_LICENSING: Final = get_spdx_licensing()


def offline(rules: dict[str, Any]) -> Iterator[str]:
    """What the crates' own metadata breaks of the rules in deny.toml."""
    allowed = {_key(name) for name in rules["licenses"]["allow"]}
    banned = {ban["crate"] for ban in rules["bans"]["deny"]}
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    for package in metadata["packages"]:
        name = f"{package['name']} {package['version']}"
        source, licence = package["source"], package["license"]
        if package["name"] in banned:
            yield f"{name} is banned"
        if source is not None and not source.startswith(REGISTRY):
            yield f"{name} comes from {source}"
        if not licence:
            yield f"{name} names no licence"
        elif not _allows(_LICENSING.parse(licence.replace("/", " OR ")), allowed):
            yield f"{name} has the licence {licence}"


def _key(name: str) -> str:
    return str(_LICENSING.parse(name))


def _allows(expression: LicenseExpression, allowed: set[str]) -> bool:
    parts = [_allows(part, allowed) for part in expression.args if str(expression) not in allowed]
    operator = getattr(expression, "operator", "").strip()
    return str(expression) in allowed or (operator == "OR" and any(parts)) or (operator == "AND" and all(parts))


def run(what: str, command: list[str], *, needs: str) -> bool:
    """Run a check; whether it found nothing.

    Arguments:
        what: is checked.
        command: to run.
        needs: the database that it asks; a failure to reach it is told and no finding.
    """
    print(f"► {what}", flush=True)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    if any(words in said for words in OUT_OF_REACH):
        print(f"NOT CHECKED, or in part: {needs} cannot be reached from here; run this where it can")
    if done.returncode == 0 or (not done.stdout.strip() and any(words in said for words in OUT_OF_REACH)):
        return True
    print(said)
    return False


def main() -> None:
    """Run every check, and fail if one found something."""
    print("► crates: licences, bans, sources", flush=True)
    findings = list(offline(tomllib.loads((ROOT / "deny.toml").read_text(encoding="utf-8"))))
    print("\n".join(findings) or "nothing found")
    found = bool(findings)
    if "--offline" not in sys.argv:
        deny = shutil.which("cargo-deny")
        if deny is None:
            sys.exit("cargo-deny is needed: make audit installs it")
        found |= not run("crates: all of deny.toml", [deny, "check", "licenses", "bans", "sources"], needs="nothing")
        found |= not run(
            "crates: known vulnerabilities", [deny, "check", "advisories"], needs="the RustSec advisory database"
        )
        with tempfile.TemporaryDirectory() as cache:
            command = [sys.executable, "-m", "pip_audit", "--requirement", "requirements.lock", "--require-hashes"]
            command += ["--disable-pip", "--cache-dir", cache, "--progress-spinner", "off"]
            found |= not run("packages: known vulnerabilities", command, needs="the package index's own database")
    sys.exit(found)


if __name__ == "__main__":
    main()
