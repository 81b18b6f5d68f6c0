"""The real events, where they are, and a server that took them all."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.server import CommandLine, ServerProcess

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("BECAS_SHARED", ROOT.parent / "shared"))
EVENTS = SHARED / "data" / "events.jsonl.gz"


@dataclass(frozen=True)
class Imported:
    """A server that took all real events.

    Arguments:
        server: running.
        cli: speaks to it.
        folder: everything that it wrote, logs included.
        events: as they were published, in order.
        receipts: in the same order.
    """

    server: ServerProcess
    cli: CommandLine
    folder: Path
    events: list[dict[str, Any]]
    receipts: list[dict[str, Any]]
