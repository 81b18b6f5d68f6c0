"""Small invented datasets in the format of an export."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

SYSTEM: Final = "Decide whether the message is a scam. Answer with JSON."
_THINGS: Final = ("bicycle", "teapot", "violin", "ladder", "lantern", "kayak", "sofa", "tent")
_PLACES: Final = ("library", "harbour", "market", "garden", "station", "bakery")


def scam_rows(count: int, *, split: str = "train", seed: int = 0) -> list[dict[str, object]]:
    """Make balanced rows of invented messages; every row has a user of its own."""
    draw = random.Random(seed)
    rows: list[dict[str, object]] = []
    for number in range(count):
        thing, place, amount = draw.choice(_THINGS), draw.choice(_PLACES), draw.randrange(100, 999)
        scam = number % 2 == 0
        text = (
            f"You won a {thing}! Pay {amount} to claim it at the {place} today"
            if scam
            else f"I left the {thing} at the {place}, can you fetch it around {amount % 12 + 1}?"
        )
        output = {"isScam": scam, "reasoning": f"It {'asks for money' if scam else 'is a plain request'}."}
        rows.append(
            {
                "input": f"Message: {text}",
                "output": json.dumps(output, separators=(",", ":")),
                "system": SYSTEM,
                "metadata": {
                    "label": json.dumps(scam),
                    "split": split,
                    "example_id": f"{split}-{number}",
                    "user": f"{split}-user-{number}",
                },
                "quality": 0.95,
            },
        )
    return rows


def write_rows(path: Path, rows: list[dict[str, object]]) -> Path:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
