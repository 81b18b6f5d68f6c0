"""The files for Docker, Compose and systemd, checked by their own tools; no engine runs here."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

DEPLOY: Final = Path(__file__).resolve().parents[2] / "deploy"
DOCKERFILE: Final = DEPLOY / "Dockerfile"
COMPOSE: Final = DEPLOY / "compose.yaml"
UNIT: Final = DEPLOY / "becas-ft.service"
# systemd's own measure, 0 to 10: how much a service that is broken into can reach.
MOST_EXPOSED: Final = 20
UNPRIVILEGED: Final = "10001"


def tool(name: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """A command of the virtual environment."""
    command = [str(Path(sys.executable).with_name(name)), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return loaded


def test_dockerfile_is_clean() -> None:
    """Hadolint finds nothing."""
    done = tool("hadolint", DOCKERFILE)

    assert (done.returncode, done.stdout) == (0, "")


def test_image_runs_without_rights() -> None:
    """The last stage ends as a numbered user, with a health check, and starts the server on the volume."""
    last = DOCKERFILE.read_text(encoding="utf-8").rpartition("\nFROM ")[2]
    instructions = dict(re.findall(r"^(USER|VOLUME|ENTRYPOINT|CMD|HEALTHCHECK) (.+)$", last, re.MULTILINE))

    assert f"--uid {UNPRIVILEGED}" in last
    assert instructions["USER"] == f"{UNPRIVILEGED}:{UNPRIVILEGED}"
    assert last.index("USER ") > last.index("RUN pip install")
    assert instructions["VOLUME"] == "/data"
    assert json.loads(instructions["ENTRYPOINT"]) == ["becas-ft"]
    assert json.loads(instructions["CMD"])[:3] == ["serve", "--data-dir", "/data"]
    assert json.loads(instructions["HEALTHCHECK"].partition("CMD ")[2]) == ["becas-ft", "health"]


def test_compose_keeps_its_schema() -> None:
    """The file is one that Compose takes."""
    done = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)

    assert done.returncode == 0, done.stdout


def test_containers_are_confined() -> None:
    """No container gains rights; ours run as nobody on a file system that they cannot write to but for the volume."""
    services = compose()["services"]

    for service in services.values():
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert not service.get("privileged")
    for name in ("access", "becas-ft"):
        assert services[name]["read_only"]
        assert services[name]["user"].split(":")[0] == UNPRIVILEGED
        assert "data:/data" in services[name]["volumes"]


def test_models_lie_at_one_place() -> None:
    """The trainer finds the file that Ollama names."""
    services = compose()["services"]

    assert services["ollama"]["environment"]["OLLAMA_MODELS"] == "/models"
    assert "models:/models" in services["ollama"]["volumes"]
    assert "models:/models:ro" in services["becas-ft"]["volumes"]


def test_settings_exist() -> None:
    """Every setting that the files name is one of the configuration's."""
    from becas_ft.config import load

    names = re.findall(r"BECAS_FT_([A-Z]+)__([A-Z_]+)", COMPOSE.read_text(encoding="utf-8"))
    config = load(None, {})

    assert names
    for section, key in names:
        assert hasattr(getattr(config, section.lower()), key.lower())


def test_unit_is_sound(tmp_path: Path) -> None:
    """Systemd takes the unit without a warning, and finds little that a broken service could reach."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on PATH: only it can check the unit")
    # The program that the unit names is not installed here.
    unit = tmp_path / UNIT.name
    unit.write_text(
        re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    )

    verified = analyze("verify", "--man=no", unit)
    exposed = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", unit)

    assert (verified.returncode, verified.stderr) == (0, "")
    assert exposed.returncode == 0, exposed.stdout


def analyze(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = ["systemd-analyze", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
