"""What a disk may hold after a power cut: all that was synced, and any part of what was not; and who opens it."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Final, cast

from helpers.faults import Entry

SECTOR: Final = 512


@dataclass
class _File:
    """Content that is on the disk, and writes that may be."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes]] = field(default_factory=list)

    def sync(self) -> None:
        """All of it is there."""
        for offset, data in self.pending:
            _put(self.durable, offset, data)
        self.pending.clear()

    def write_through(self, offset: int, data: bytes) -> None:
        """This write is there; those before it need not be, and where they are must not undo it."""
        self.pending = [
            part for earlier in self.pending for part in _without(*earlier, gap=offset, gap_end=offset + len(data))
        ]
        _put(self.durable, offset, data)

    def after_cut(self, chance: random.Random, torn: Sequence[tuple[int, bytes]] = ()) -> bytearray:
        """The content with some sectors of the writes that were not synced."""
        content = bytearray(self.durable)
        # Sometimes all of them, sometimes none: caches write back in bursts.
        share = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        for offset, data in (*self.pending, *torn):
            if chance.random() < 0.5:
                # As a whole or not at all.
                if chance.random() < share:
                    _put(content, offset, data)
                continue
            start = 0
            while start < len(data):
                end = min(len(data), start + SECTOR - (offset + start) % SECTOR)
                if chance.random() < share:
                    _put(content, offset + start, data[start:end])
                start = end
        return content


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


@dataclass(frozen=True)
class _Change:
    """A change of names: after it `path` is this file, or nothing; None in the place of a file: a folder."""

    folders: frozenset[str]
    paths: tuple[tuple[str, "_File | _Folder | None"], ...]


class _Folder:
    """A folder."""


class Disk:
    """Follows a log, and tells what may be left at any place of it.

    Writes are durable once their file is synced or where they were made through a descriptor opened with O_DSYNC, names
    once their folder is synced; names that are not may be there up to any change, in the order of the changes, as
    journals of filesystems keep it.

    Arguments:
        root: the folder that was watched; it exists, and is empty, when the log begins.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root.resolve())
        self._names: dict[str, _File | _Folder] = {self._root: _Folder()}
        self._durable_names = dict(self._names)
        self._changes: list[_Change] = []
        self._opened: dict[tuple[int, int], tuple[str, _File | _Folder, bool]] = {}

    def apply(self, entry: Entry) -> None:
        """Do what the process did."""
        match entry.kind:
            case "O":
                self._open(entry)
            case "W":
                file, dsync = self._file(entry)
                if dsync:
                    file.write_through(entry.offset, entry.data)
                else:
                    file.pending.append((entry.offset, entry.data))
            case "S":
                path, opened, _ = self._opened[entry.process, entry.fd]
                if isinstance(opened, _File):
                    opened.sync()
                else:
                    self._sync_names(path)
            case "T":
                file, _ = self._file(entry)
                if entry.offset == 0:
                    file.sync()
                    file.durable.clear()
            case "R" | "L" | "U" | "M":
                self._change(entry)
            case "Y":
                raise AssertionError("a map was synced: WRITEMAP is never to be set")
            case _:
                pass

    def after_cut(self, chance: random.Random, under_way: Entry | None = None) -> dict[str, bytes]:
        """Files by their path below the root, where power is cut while `under_way` is being done."""
        names = dict(self._durable_names)
        for change in self._changes[: chance.randint(0, len(self._changes))]:
            _rename(names, change)
        torn: dict[int, list[tuple[int, bytes]]] = {}
        if under_way and under_way.kind == "W":
            file, _ = self._file(under_way)
            torn[id(file)] = [(under_way.offset, under_way.data)]
        return {
            str(PurePosixPath(path).relative_to(self._root)): bytes(file.after_cut(chance, torn.get(id(file), ())))
            for path, file in names.items()
            if isinstance(file, _File) and self._has_folders(names, path)
        }

    def _has_folders(self, names: dict[str, "_File | _Folder"], path: str) -> bool:
        return all(
            str(folder) in names for folder in PurePosixPath(path).parents if len(str(folder)) >= len(self._root)
        )

    def _open(self, entry: Entry) -> None:
        path = entry.data.decode()
        found = self._names.get(path)
        if found is None:
            # A folder is made by mkdir, so that this is a new file.
            found = _File()
            self._add(_Change(_folders(path), ((path, found),)))
        self._opened[entry.process, entry.fd] = (path, found, entry.dsync)

    def _file(self, entry: Entry) -> tuple[_File, bool]:
        _, opened, dsync = self._opened[entry.process, entry.fd]
        assert isinstance(opened, _File)
        return opened, dsync

    def _change(self, entry: Entry) -> None:
        one, _, two = entry.data.decode().partition("\0")
        if entry.kind == "M":
            change = _Change(_folders(one), ((one, _Folder()),))
        elif entry.kind == "U":
            change = _Change(_folders(one), ((one, None),))
        else:
            gone = ((one, None),) if entry.kind == "R" else ()
            change = _Change(_folders(one, two), (*gone, (two, self._names.get(one))))
        self._add(change)

    def _add(self, change: _Change) -> None:
        _rename(self._names, change)
        self._changes.append(change)

    def _sync_names(self, folder: str) -> None:
        left = []
        for change in self._changes:
            if folder in change.folders:
                _rename(self._durable_names, change)
            else:
                left.append(change)
        self._changes = left


def _without(start: int, data: bytes, *, gap: int, gap_end: int) -> Iterator[tuple[int, bytes]]:
    if start + len(data) <= gap or gap_end <= start:
        yield start, data
        return
    if start < gap:
        yield start, data[: gap - start]
    if gap_end < start + len(data):
        yield gap_end, data[gap_end - start :]


def _rename(names: dict[str, _File | _Folder], change: _Change) -> None:
    for path, what in change.paths:
        if what is None:
            names.pop(path, None)
        else:
            names[path] = what


def _folders(*paths: str) -> frozenset[str]:
    return frozenset(str(PurePosixPath(path).parent) for path in paths)


def cuts(entries: Sequence[Entry], count: int, chance: random.Random) -> list[int]:
    """Places for power cuts, in order: half of them anywhere, half around syncs and changes of names."""
    asked = [place for place, entry in enumerate(entries) if entry.kind in "WSOTRLUM"]
    near = [place for place in asked if entries[place].kind in "SRLU"]
    near += [place + 1 for place in near if place + 1 < len(entries)]
    return sorted(chance.choice(near if number % 2 else asked) for number in range(count))


def images(
    root: Path, entries: Sequence[Entry], count: int, chance: random.Random
) -> Iterator[tuple[int, dict[str, bytes]]]:
    """Cuts the power so many times; the place in the log, and what is left on the disk."""
    disk, done = Disk(root), 0
    for cut in cuts(entries, count, chance):
        for entry in entries[done:cut]:
            disk.apply(entry)
        done = cut
        yield cut, disk.after_cut(chance, entries[cut])


class Checker:
    """Opens images in a process of its own, and another where one dies of them.

    Arguments:
        kind: what they are of: `examples` or `ledger`.
        folder: where they lie while they are looked at.
    """

    def __init__(self, kind: str, folder: Path) -> None:
        self._kind = kind
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None

    def problems(self, files: dict[str, bytes], asked: Mapping[str, object]) -> list[str]:
        """What the image does not keep."""
        shutil.rmtree(self._folder, ignore_errors=True)
        for name, content in files.items():
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o600)
        self._folder.mkdir(exist_ok=True)
        process = self._running()
        to, answers = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)
        to.write(json.dumps({**asked, "folder": str(self._folder)}) + "\n")
        to.flush()
        answer = answers.readline()
        if answer:
            return list(json.loads(answer))
        self.close()
        return [f"the process that opened it ended with {process.returncode}"]

    def close(self) -> None:
        """End the process."""
        if self._process:
            self._process.communicate()
            self._process = None

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "helpers.check_images", self._kind],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])},
            )
        return self._process
