"""Reads lines of JSON, each a folder and what it must hold; writes a line of problems for each.

A process of its own: what a bad image does to LMDB, a crash included, must not end the test.
"""

import json
import sys
from pathlib import Path

from helpers import kept


def main() -> None:
    """Until the end of standard input."""
    for line in sys.stdin:
        asked = json.loads(line)
        sent, acknowledged, erased = (
            [kept.Batch(*batch) for batch in asked[name]] for name in ("sent", "acknowledged", "erased")
        )
        try:
            found = kept.problems(Path(asked["folder"]), sent, set(acknowledged), erased)
        except Exception as error:  # noqa: BLE001 - an image that cannot be opened is an answer
            found = [f"{type(error).__name__}: {error}"]
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
