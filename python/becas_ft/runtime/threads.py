"""How many threads answer: every core but one for production.

llama.cpp's threads wait for each other many times a token, so that on every core a single busy neighbour slows all of
them down several times (benches/README.md); with a core to spare it does not.
"""

import os


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def production_threads() -> int:
    """Threads that answer production, at least one."""
    return max(1, cores() - 1)
