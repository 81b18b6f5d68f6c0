"""What the system says of a running process."""

import os
import re
from pathlib import Path


def anonymous_kb(pid: int) -> int:
    """Its anonymous memory: neither files nor LMDB's map; in kB."""
    found = re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


def descriptors(pid: int) -> int:
    """How many files and sockets it has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - names alone, of entries that go meanwhile
