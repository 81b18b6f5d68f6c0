"""Write a bill of materials (CycloneDX 1.6, JSON) of the Rust crates and one of the Python packages that are locked.

Usage: sbom.py DIR
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parent.parent


def rust() -> Bom:
    """Every crate of the workspace's lock, with its digest, licence and what it depends on."""
    metadata = _metadata()
    digests = _digests((ROOT / "Cargo.lock").read_text(encoding="utf-8"))
    licences = LicenseFactory()
    bom, components = Bom(), {}
    for package in metadata["packages"]:
        name, version = package["name"], package["version"]
        component = Component(
            type=ComponentType.LIBRARY,
            name=name,
            version=version,
            bom_ref=f"{name}@{version}",
            purl=PackageURL("cargo", name=name, version=version),
            licenses=[licences.make_from_string(package["license"])] if package["license"] else [],
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)]
            if (digest := digests.get((name, version)))
            else [],
        )
        components[package["id"]] = component
        bom.components.add(component)
    for node in metadata["resolve"]["nodes"]:
        bom.register_dependency(components[node["id"]], [components[other] for other in node["dependencies"]])
    return bom


def _metadata() -> dict[str, Any]:
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    metadata: dict[str, Any] = json.loads(done.stdout)
    return metadata


def _digests(lock: str) -> dict[tuple[str, str], str]:
    import tomllib

    packages = tomllib.loads(lock)["package"]
    return {(one["name"], one["version"]): one["checksum"] for one in packages if "checksum" in one}


def main() -> None:
    """Write both files."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rust.cdx.json").write_text(JsonV1Dot6(rust()).output_as_string(indent=2) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", "--pyproject", str(ROOT / "pyproject.toml")]
    command += ["--output-reproducible", "--spec-version", "1.6", "--output-file", str(folder / "python.cdx.json")]
    subprocess.run([*command, str(ROOT / "requirements.lock")], check=True)
    for name in ("rust.cdx.json", "python.cdx.json"):
        components = json.loads((folder / name).read_bytes())["components"]
        print(f"{folder / name}: {len(components)} components")


if __name__ == "__main__":
    main()
