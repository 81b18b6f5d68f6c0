"""The notebook reads what real servers export and report; BECAS_WRITE_NOTEBOOK=1 keeps what it shows."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from helpers import models
from helpers.served import Served, serving
from helpers.server import COMMAND, environment

NOTEBOOK: Final = Path(__file__).resolve().parents[2] / "examples" / "notebook" / "dataset.ipynb"
JUPYTER: Final = Path(sys.executable).with_name("jupyter-execute")
SECONDS: Final = 240
LARGEST_BYTES: Final = 200_000
PAIRS: Final = 30
# Every fifth disagreement is lost.
WINS: Final = 24


def run(*command: str | Path, **variables: str) -> str:
    done = subprocess.run(
        command, env=environment(**variables), capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


def make_inputs(served: Served, folder: Path) -> None:
    """A dataset of the demo's messages, and a report of an invented comparison."""
    server = {"BECAS_FT_SERVER": served.process.address}
    run(COMMAND, "demo", "--write", folder / "sample")
    run(COMMAND, "import", folder / "sample" / "events.jsonl.gz", **server)
    run(COMMAND, "export", "--category", "scam_detection", "--out", folder / "dataset", **server)
    trial = served.set_up(models.candidate(1)).trial_id
    for number in range(PAIRS):
        served.compare(trial, number, b_right=number % 5 != 0)
    (folder / "report.json").write_text(run(COMMAND, "report", trial, "--json", **server), encoding="utf-8")


def cells(notebook: Path) -> list[dict[str, Any]]:
    """The cells that hold code."""
    found = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == "code"]


def shown(notebook: Path) -> str:
    """The texts that its cells show; an AssertionError where one failed."""
    outputs = [output for cell in cells(notebook) for output in cell["outputs"]]
    assert [output for output in outputs if output["output_type"] == "error"] == []
    return "\n".join("".join(output.get("text") or output["data"].get("text/plain", "")) for output in outputs)


def test_notebook_runs(tmp_path: Path, inputs: Path) -> None:
    """Every cell runs on a dataset and a comparison of a real server, and shows their figures."""
    with serving(tmp_path, models.candidate(1)) as served:
        make_inputs(served, inputs)
    executed = inputs / NOTEBOOK.name
    shutil.copyfile(NOTEBOOK, executed)
    run(JUPYTER, "--inplace", f"--timeout={SECONDS}", executed)

    said = shown(executed)
    assert models.candidate(1) in said
    assert "gold" in said
    assert f"the candidate alone was right in {WINS}" in said
    if os.environ.get("BECAS_WRITE_NOTEBOOK"):
        keep(executed)


def keep(executed: Path) -> None:
    """Write it without the times at which its cells ran."""
    notebook = json.loads(executed.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["metadata"].pop("execution", None)
    NOTEBOOK.write_text(f"{json.dumps(notebook, indent=1, ensure_ascii=False)}\n", encoding="utf-8")


def test_notebook_is_kept_executed_and_small() -> None:
    """Who reads it in the repository sees its tables and drawings."""
    code = cells(NOTEBOOK)
    drawings = [output for cell in code for output in cell["outputs"] if "image/png" in output.get("data", {})]

    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert len(drawings) == 2
    assert NOTEBOOK.stat().st_size < LARGEST_BYTES
