"""Opens the ledger and runs transactions on it: durable when they return, all or nothing."""

import errno
import os
import shutil
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import lmdb

from becas_ft.files import make_folder, sync_folder
from becas_ft.ledger.schema import META, SCHEMA_VERSION, TABLES, KeyT, MessageT, Table

Result = TypeVar("Result")

# Address space, not memory or disk: the file grows with what is written, so nobody ever has to wait for a resize.
_MAP_SIZE = 64 << 30
_MAXIMUM_DATABASES = 64
_DATA_FILE = "data.mdb"
# A disk with less than this is full: it could not take even a small commit.
_NEARLY_NOTHING = 64 << 10
_SCHEMA = b"schema"
_REWRITE_DUE = "rewrite_due"
_NUMBER_BYTES = 8
# Of LMDB as py-lmdb builds it.
_LONGEST_KEY = 511


class LedgerError(Exception):
    """The ledger is damaged, of another version, or another process's.

    Attributes:
        record: table and key of what is damaged; empty where it is no single record.
    """

    def __init__(self, message: str, record: str = "") -> None:
        super().__init__(message)
        self.record = record


class LedgerFullError(LedgerError):
    """No room for what was to be written: reading goes on, and so does writing once there is some."""


class LedgerDiskError(LedgerError):
    """The disk failed: the ledger takes no more writes until it is opened again."""


class ReadTransaction:
    """A consistent view of the ledger."""

    def __init__(self, transaction: lmdb.Transaction, databases: Mapping[str, lmdb._Database]) -> None:
        self._transaction = transaction
        self._databases = databases

    def get(self, table: Table[KeyT, MessageT], key: KeyT) -> MessageT | None:
        """The record of a key, or None."""
        encoded = table.encode_key(key)
        # Whatever a caller names: LMDB refuses to look for what cannot be there.
        if not 0 < len(encoded) <= _LONGEST_KEY:
            return None
        raw = self._transaction.get(encoded, db=self._databases[table.name])
        return None if raw is None else _decode(table, encoded, bytes(raw))

    def scan(
        self,
        table: Table[KeyT, MessageT],
        *,
        after: KeyT | None = None,
        prefix: str = "",
        reverse: bool = False,
    ) -> Iterator[tuple[KeyT, MessageT]]:
        """Records in the order of their keys: strictly after (or, reversed, before) a key, with a prefix."""
        start = prefix.encode()
        with self._transaction.cursor(db=self._databases[table.name]) as cursor:
            if reverse:
                found = _seek_before(cursor, None if after is None else table.encode_key(after), start)
            else:
                target = start if after is None else table.encode_key(after)
                found = cursor.set_range(target) if target else cursor.first()
                if found and after is not None and cursor.key() == target:
                    found = cursor.next()
            while found and bytes(cursor.key()).startswith(start):
                encoded = bytes(cursor.key())
                message = _decode(table, encoded, bytes(cursor.value()))
                yield table.decode_key(encoded), message
                found = cursor.prev() if reverse else cursor.next()

    def number(self, name: str) -> int:
        """A named number; 0 where it was never set."""
        key = b"number:" + name.encode()
        raw = self._transaction.get(key, db=self._databases[META])
        return 0 if raw is None else int.from_bytes(_unseal(META, key, bytes(raw)))

    def last(self, table: Table[KeyT, MessageT]) -> tuple[KeyT, MessageT] | None:
        """The record with the greatest key, or None."""
        return next(self.scan(table, reverse=True), None)

    def count(self, table: Table[KeyT, MessageT]) -> int:
        """How many records the table holds; the same cost at any size."""
        entries: int = self._transaction.stat(self._databases[table.name])["entries"]
        return entries

    def problems(self) -> list[str]:
        """Every record that is damaged, a line each; reads everything."""
        found = []
        for table in TABLES:
            with self._transaction.cursor(db=self._databases[table.name]) as cursor:
                for key, raw in cursor:
                    try:
                        _decode(table, bytes(key), bytes(raw))
                    except LedgerError as error:
                        found.append(str(error))
        with self._transaction.cursor(db=self._databases[META]) as cursor:
            for key, raw in cursor:
                try:
                    _unseal(META, bytes(key), bytes(raw))
                except LedgerError as error:
                    found.append(str(error))
        return found


class WriteTransaction(ReadTransaction):
    """A view that can change; one at a time."""

    def put(self, table: Table[KeyT, MessageT], key: KeyT, message: MessageT) -> None:
        """Stores a record in the place of any earlier one."""
        encoded = table.encode_key(key)
        value = _seal(encoded, message.SerializeToString(deterministic=True))
        self._transaction.put(encoded, value, db=self._databases[table.name])

    def delete(self, table: Table[KeyT, MessageT], key: KeyT) -> bool:
        """Removes a record; whether there was one."""
        return bool(self._transaction.delete(table.encode_key(key), db=self._databases[table.name]))

    def set_number(self, name: str, value: int) -> None:
        """Sets a named number: a cursor, a sequence."""
        key = b"number:" + name.encode()
        self._transaction.put(key, _seal(key, value.to_bytes(8)), db=self._databases[META])

    def owe_rewrite(self) -> None:
        """Marks that erased bytes lie on free pages: a `Ledger.compact` that a crash prevents is made up for."""
        self.set_number(_REWRITE_DUE, 1)

    def next_number(self, table: Table[int, MessageT]) -> int:
        """One more than the greatest key ever used; numbers of deleted records are not given again."""
        name = b"next:" + table.name.encode()
        meta = self._databases[META]
        raw = self._transaction.get(name, db=meta)
        last = self.last(table)
        number = max(1 if raw is None else int.from_bytes(_unseal(META, name, bytes(raw))), last[0] + 1 if last else 1)
        self._transaction.put(name, _seal(name, (number + 1).to_bytes(8)), db=meta)
        return number

    def check_version(self, version: int) -> None:
        """Marks a new ledger with the version; raises LedgerError where an old one has another."""
        meta = self._databases[META]
        raw = self._transaction.get(_SCHEMA, db=meta)
        if raw is None:
            self._transaction.put(_SCHEMA, _seal(_SCHEMA, version.to_bytes(8)), db=meta)
        elif (found := int.from_bytes(_version(bytes(raw)))) != version:
            raise LedgerError(
                f"the ledger has schema {found}, this program reads {version}: use the version that wrote it"
            )


class Ledger:
    """The open ledger; safe from any thread of one process.

    Arguments:
        path: the environment's folder, made where missing.
        map_size: bytes that it may grow to.

    Raises: LedgerError where the folder holds a newer schema.
    """

    def __init__(self, path: Path, *, map_size: int = _MAP_SIZE) -> None:
        make_folder(path, mode=0o700)
        self._path = path
        self._map_size = map_size
        self._process = os.getpid()
        self._failed = False
        # The environment is closed and opened again only while no transaction is open: those share, a rewrite excludes.
        self._gate = _Gate()
        self._open()
        self.write(_check_version)
        if self.read(_owes_rewrite):
            self.compact()

    def read(self, view: Callable[[ReadTransaction], Result]) -> Result:
        """Runs a function on a consistent view; it must not keep the transaction."""
        self._check_process()
        with self._gate.shared():
            return self._view(view)

    def read_at_once(self, view: Callable[[ReadTransaction], Result]) -> Result | None:
        """The same without waiting for anybody; None while the file is rewritten."""
        self._check_process()
        if not self._gate.enter():
            return None
        try:
            return self._view(view)
        finally:
            self._gate.leave()

    def write(self, change: Callable[[WriteTransaction], Result]) -> Result:
        """Runs a function whose changes are on disk, all of them, when this returns; none if it raises.

        Raises: LedgerFullError, LedgerDiskError; reading goes on.
        """
        self._check_process()
        if self._failed:
            raise LedgerDiskError("a write to the ledger failed: no more until it is opened again")
        try:
            with self._gate.shared(), self._environment.begin(write=True) as transaction:
                return change(WriteTransaction(transaction, self._databases))
        except lmdb.MapFullError as error:
            raise LedgerFullError("the ledger is full: erase old trials") from error
        except lmdb.Error as error:
            raise self._failure(error) from error

    def close(self) -> None:
        """Closes the environment; later calls fail."""
        with self._gate.exclusive():
            self._environment.close()

    def compact(self) -> None:
        """Rewrites the file, so that no free page keeps the bytes of deleted records.

        Raises: LedgerFullError, LedgerDiskError.
        """
        self._check_process()
        with self._gate.exclusive():
            try:
                compacted = self._fresh_folder()
                self._environment.copy(str(compacted), compact=True)
                self._environment.close()
                try:
                    self._put_in_place(compacted)
                finally:
                    self._open()
                shutil.rmtree(compacted)
            except (lmdb.Error, OSError) as error:
                raise self._failure(error) from error
        if self.read(_owes_rewrite):
            self.write(_rewritten)

    def copy_to(self, folder: Path) -> None:
        """Copies the ledger, as of one moment, into a new folder; readers and writers go on.

        Raises: LedgerFullError where the disk is full; LedgerError where the copy cannot be made otherwise.
        """
        self._check_process()
        folder.mkdir(mode=0o700)
        try:
            with self._gate.shared():
                self._environment.copy(str(folder), compact=True)
        except lmdb.Error as error:
            # Only the copy failed: what is written to the ledger itself is not in doubt.
            if _is_full(self._path):
                raise LedgerFullError("no space is left on the disk for a copy of the ledger: free some") from error
            raise LedgerError("the ledger cannot be copied: verify it") from error

    def _view(self, view: Callable[[ReadTransaction], Result]) -> Result:
        with self._environment.begin() as transaction:
            return view(ReadTransaction(transaction, self._databases))

    def _failure(self, error: lmdb.Error | OSError) -> LedgerError:
        full = isinstance(error, lmdb.DiskError) or (isinstance(error, OSError) and error.errno == errno.ENOSPC)
        # LMDB calls a write that a full disk cut short an I/O error.
        if full or _is_full(self._path):
            return LedgerFullError("no space is left on the disk for the ledger: free some")
        # After a failed sync the kernel may call lost pages clean: only a fresh look at the disk tells.
        self._failed = True
        return LedgerDiskError("the ledger cannot be written: the disk is failing")

    def _open(self) -> None:
        if not (self._path / _DATA_FILE).exists():
            # Made apart, so that a crash in the middle leaves no half a file.
            fresh = self._fresh_folder()
            self._open_at(fresh)[0].close()
            self._put_in_place(fresh)
            shutil.rmtree(fresh)
        self._environment, self._databases = self._open_at(self._path)

    def _open_at(self, path: Path) -> tuple[lmdb.Environment, dict[str, lmdb._Database]]:
        environment = lmdb.open(
            str(path), map_size=self._map_size, max_dbs=_MAXIMUM_DATABASES, max_readers=512, mode=0o600
        )
        names = [META, *(table.name for table in TABLES)]
        return environment, {name: environment.open_db(name.encode()) for name in names}

    def _fresh_folder(self) -> Path:
        fresh = self._path / "compacting"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        return fresh

    def _put_in_place(self, fresh: Path) -> None:
        """A data file takes the place of the one that counted; a power cut leaves one of them, whole."""
        # LMDB's copy is not synced.
        with (fresh / _DATA_FILE).open("rb") as file:
            os.fsync(file.fileno())
        (fresh / _DATA_FILE).replace(self._path / _DATA_FILE)
        try:
            sync_folder(self._path)
        except OSError:
            # A power cut may bring the old file back, without what is written to the new one.
            self._failed = True
            raise

    def _check_process(self) -> None:
        if self._process != os.getpid():
            raise LedgerError("a forked child cannot use its parent's ledger: start processes with spawn")


class _Gate:
    """Many shared holders, or one exclusive; a waiting exclusive holder goes first."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._shared = 0
        self._exclusive = False

    def enter(self) -> bool:
        """Shares it if that needs no waiting; whoever did must leave."""
        with self._condition:
            self._shared += not self._exclusive
            return not self._exclusive

    def leave(self) -> None:
        with self._condition:
            self._shared -= 1
            self._condition.notify_all()

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._condition:
            self._condition.wait_for(lambda: not self._exclusive)
            self._shared += 1
        try:
            yield
        finally:
            self.leave()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._condition:
            self._condition.wait_for(lambda: not self._exclusive)
            self._exclusive = True
            self._condition.wait_for(lambda: self._shared == 0)
        try:
            yield
        finally:
            with self._condition:
                self._exclusive = False
                self._condition.notify_all()


def _is_full(path: Path) -> bool:
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize < _NEARLY_NOTHING


def _decode(table: Table[KeyT, MessageT], key: bytes, raw: bytes) -> MessageT:
    return table.message.FromString(_unseal(table.name, key, raw))


def _seal(key: bytes, body: bytes) -> bytes:
    """The value with a checksum over it and its key, so that neither can change unseen."""
    return zlib.crc32(key + body).to_bytes(4) + body


def _unseal(table: str, key: bytes, raw: bytes) -> bytes:
    checksum, body = raw[:4], raw[4:]
    if zlib.crc32(key + body).to_bytes(4) != checksum:
        record = f"{table}: record {_shown(key)}"
        raise LedgerError(f"{record} is damaged: restore the ledger from a backup", record)
    return body


def _shown(key: bytes) -> str:
    """A key for people: numbers are eight bytes, and no text that is a key has so few."""
    return str(int.from_bytes(key)) if len(key) == _NUMBER_BYTES else key.decode(errors="backslashreplace")


def _version(raw: bytes) -> bytes:
    """The schema's number; that of the first schema has no checksum."""
    return raw if len(raw) == _NUMBER_BYTES else _unseal(META, _SCHEMA, raw)


def _seek_before(cursor: lmdb.Cursor, before: bytes | None, prefix: bytes) -> bool:
    # The first key past everything wanted; the one before it is where a reversed scan starts.
    end = before if before is not None else (prefix + b"\xff" if prefix else None)
    if end is not None and cursor.set_range(end):
        return bool(cursor.prev())
    return bool(cursor.last())


def _owes_rewrite(transaction: ReadTransaction) -> bool:
    return bool(transaction.number(_REWRITE_DUE))


def _rewritten(transaction: WriteTransaction) -> None:
    transaction.set_number(_REWRITE_DUE, 0)


def _check_version(transaction: WriteTransaction) -> None:
    transaction.check_version(SCHEMA_VERSION)
