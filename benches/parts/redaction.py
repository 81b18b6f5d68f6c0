"""Redaction: the messages of the events beside Presidio's pattern recognisers (e), and clean text on one thread."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import events
import processes
from measure import Figure

if TYPE_CHECKING:
    from bench import Bench

PROGRAM = "redact_texts"
PRESIDIO = "(e) Presidio"


def run(bench: Bench) -> list[Figure]:
    """In turns: ours and Presidio over the same messages, ours over those that hold nothing."""
    program = processes.cargo_example(PROGRAM)
    texts = [text for text in _messages() if text][: bench.size(30_000, 500)]
    ours, theirs = bench.folder / "texts.jsonl", bench.folder / "texts-few.jsonl"
    ours.write_text("".join(json.dumps(text) + "\n" for text in texts))
    # Presidio takes minutes for what the product does in a tenth of a second.
    few = texts[:: max(1, len(texts) // bench.size(1_500, 100))]
    theirs.write_text("".join(json.dumps(text) + "\n" for text in few))
    same = Figure("redaction of messages", "MB/s", [], {PRESIDIO: []})
    clean = Figure("redaction of text with nothing to redact", "MB/s", [])
    for _ in bench.turns("redaction"):
        said = json.loads(subprocess.check_output([program, ours], text=True))
        assert said["spans"] > len(texts) // 100, "hardly anything was found"
        same.product.append(said["all_mb_per_s"])
        clean.product.append(said["clean_mb_per_s"])
        command = [sys.executable, "-m", "peers.presidio", theirs]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=processes.environment())
        said = json.loads(done.stdout)
        assert said["spans"] > 0, "Presidio found nothing"
        same.peers[PRESIDIO].append(said["mb_per_s"])
    same.times(PRESIDIO, 50)
    same.note = f"one thread each; {len(texts):,} messages, of them {len(few):,} for Presidio"
    clean.at_least(150)
    return [same, clean]


def _messages() -> list[str]:
    from variation import message

    return [message(event) for event in events.originals()]
