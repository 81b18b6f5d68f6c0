"""Reads lines of JSON, each a folder and what it must hold; writes a line of problems for each.

A process of its own: what a bad image does to LMDB, a crash included, must not end the test.
"""

import json
import sys
from pathlib import Path
from typing import Any

from helpers import kept, ledger_writes


def examples(folder: Path, asked: dict[str, Any]) -> list[str]:
    """Of a data directory with its examples."""
    sent, acknowledged, erased = (
        [kept.Batch(*batch) for batch in asked[name]] for name in ("sent", "acknowledged", "erased")
    )
    return kept.problems(folder, sent, set(acknowledged), erased)


def ledger(folder: Path, asked: dict[str, Any]) -> list[str]:
    """Of a ledger."""
    return ledger_writes.problems(folder, asked["acknowledged"], erasing=asked["erasing"], erased=asked["erased"])


def main() -> None:
    """Until the end of standard input."""
    check = {"examples": examples, "ledger": ledger}[sys.argv[1]]
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            found = check(Path(asked["folder"]), asked)
        except Exception as error:  # noqa: BLE001 - an image that cannot be opened is an answer
            found = [f"{type(error).__name__}: {error}"]
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
