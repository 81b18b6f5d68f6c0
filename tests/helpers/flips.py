"""Reads damaged copies of a store, each in a process of its own, since a bad page may end the process that reads it.

It runs as a program that forks for each copy, and opens nothing itself.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_SECONDS: Final = 60
_NUMBER: Final = re.compile(r'"example_id":"[a-z_]+-[0-9]+"')


@dataclass(frozen=True)
class Reading:
    """What became of one flipped bit.

    Attributes:
        bit: its number in the file.
        content: what was read, as far as it came: texts by their digests.
        ended: why reading ended early: an error in words, or `signal N`; empty where it did not.
        problems: what a verification found, or how that ended.
    """

    bit: int
    content: list[str]
    ended: str
    problems: list[str]


def read_flipped(kind: str, data: Path, key: Path, folder: Path, bits: list[int]) -> list[Reading]:
    """Flips one bit after another in a copy of a data file, and reads the copy.

    Arguments:
        kind: `examples` or `ledger`.
        data: the data file that is copied.
        key: the key file.
        folder: for the copies.
        bits: numbers of bits.
    """
    plan = {"data": str(data), "key": str(key), "folder": str(folder), "bits": bits}
    done = subprocess.run(
        [sys.executable, __file__, kind], input=json.dumps(plan), stdout=subprocess.PIPE, text=True, check=True
    )
    return [Reading(**json.loads(line)) for line in done.stdout.splitlines()]


def places(data: Path, count: int, seed: int) -> list[int]:
    """Bits of the file, at random; the two meta pages, which LMDB keeps twice, are hit as often as any others."""
    return sorted(random.Random(seed).sample(range(data.stat().st_size * 8), count))


def _main(kind: str) -> None:
    from becas_ft import soundness  # noqa: F401 - before the first fork, and without opening anything

    plan = json.load(sys.stdin)
    data = Path(plan["data"]).read_bytes()
    for number, bit in enumerate(plan["bits"]):
        directory = Path(plan["folder"]) / str(number)
        (directory / kind).mkdir(parents=True)
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        (directory / kind / "data.mdb").write_bytes(flipped)
        read = _in_a_child(_READ[kind], directory, plan["key"])
        verified = _in_a_child(_VERIFY[kind], directory, plan["key"])
        found = verified.get("problems", []) + ([verified["ended"]] if verified["ended"] else [])
        line = {"bit": bit, "content": read.get("content", []), "ended": read["ended"], "problems": found}
        sys.stdout.write(json.dumps(line) + "\n")
        for file in sorted(directory.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        directory.rmdir()


def _in_a_child(work: Callable[[Path, str], Iterator[dict[str, Any]]], directory: Path, key: str) -> dict[str, Any]:
    """What the work yields last; how it ended under `ended`."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(_SECONDS)
        with os.fdopen(writable, "w") as out:
            try:
                for found in work(directory, key):
                    out.write(json.dumps(found) + "\n")
                    out.flush()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is no silence
                out.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\n")
                out.flush()
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as answers:
        lines = [json.loads(line) for line in answers if line.endswith("\n")]
    _, status = os.waitpid(child, 0)
    said: dict[str, Any] = {}
    for line in lines:
        said |= line
    ended = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else said.pop("error", "")
    return said | {"ended": ended}


def _read_examples(directory: Path, key: str) -> Iterator[dict[str, Any]]:
    from becas.ft.v1 import dataset_pb2
    from becas_ft._core import Core

    core = Core(str(directory), "{}", key)
    data = b""
    request = dataset_pb2.ExportRequest(balance=False, include_superseded=True)
    try:
        for piece in core.export(request.SerializeToString()):
            data += dataset_pb2.ExportResponse.FromString(piece).data
    finally:
        # An example's number is its key, which no checksum covers: verify sees one that stands in a wrong place.
        yield {"content": _NUMBER.sub('"example_id":""', data.decode()).splitlines()}
    core.close()


def _verify_examples(directory: Path, key: str) -> Iterator[dict[str, Any]]:
    from becas_ft import soundness

    yield soundness._examples(directory, key, repair=False)


def _read_ledger(directory: Path, key: str) -> Iterator[dict[str, Any]]:
    from becas_ft.ledger import Ledger, ReadTransaction
    from becas_ft.ledger.schema import TABLES

    del key
    content: list[str] = []

    def everything(transaction: ReadTransaction) -> None:
        for table in TABLES:
            content.extend(f"{table.name} {key} {message}" for key, message in transaction.scan(table))
        content.append(f"outbox {transaction.number('outbox')}")

    try:
        Ledger(directory / "ledger").read(everything)
    finally:
        yield {"content": content}


def _verify_ledger(directory: Path, key: str) -> Iterator[dict[str, Any]]:
    from becas_ft import soundness

    yield soundness._ledger(directory, key, repair=False)


_READ: Final = {"examples": _read_examples, "ledger": _read_ledger}
_VERIFY: Final = {"examples": _verify_examples, "ledger": _verify_ledger}

if __name__ == "__main__":
    _main(sys.argv[1])
