"""A backup as a folder: written whole or not at all, checked by its digests, put back.

```
DIR/examples/data.mdb    the examples
DIR/ledger/data.mdb      jobs, models, trials, the audit log
DIR/models/              what the embedded runtime keeps of each model
DIR/becas.key            only where it was asked for
DIR/manifest.json        every file with its size and SHA-256
```
"""

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from google.protobuf import json_format

from becas.ft.v1 import backup_pb2
from becas_ft.errors import CommandError, RemoteError
from becas_ft.files import is_free, making_folder, sha256_of
from becas_ft.messages import to_object

FORMAT = 1
KEY_FILE = "becas.key"
MANIFEST_FILE = "manifest.json"


def write_backup(
    out: Path, pieces: Iterable[backup_pb2.BackupResponse], *, with_key: bool, key_path: Path | None = None
) -> backup_pb2.BackupManifest:
    """Write what a server streams; the folder is its owner's alone.

    Arguments:
        out: the folder; made here, moved into place once everything is on disk.
        pieces: a backup's answer.
        with_key: put the key in too, with mode 600, from this machine's disk: it is never sent.
        key_path: where it lies, if not where the server says.

    Raises:
        CommandError: the folder holds something; the key cannot be read.
        RemoteError: the answer ended early, or is not what its digests say.
    """
    if not is_free(out):
        raise CommandError(f"{out} is not empty: choose another folder")
    with making_folder(out, 0o700) as partial:
        manifest = _receive(partial, pieces)
        problems = _differences(partial, manifest)
        if problems:
            raise RemoteError(f"the backup did not arrive as it was sent, ask again: {'; '.join(problems)}")
        if with_key:
            _add_key(partial, key_path or Path(manifest.key_path))
            manifest.files.append(_described(partial, KEY_FILE))
        text = json.dumps(to_object(manifest), indent=2) + "\n"
        (partial / MANIFEST_FILE).write_text(text, encoding="utf-8")
        return manifest


def restore(backup: Path, data_dir: Path, key: Path | None) -> backup_pb2.BackupManifest:
    """Put a backup back as a data directory, once every digest was found right.

    Arguments:
        backup: a folder that `write_backup` made.
        data_dir: made here, whole or not at all.
        key: the key file, where the backup has none; it becomes the data directory's.

    Raises:
        CommandError: something is in the way, damaged or missing; nothing was restored.
    """
    if not is_free(data_dir):
        raise CommandError(f"{data_dir} is not empty: restore into a folder that is new, and move it where it shall be")
    manifest = read_manifest(backup)
    problems = _differences(backup, manifest)
    if problems:
        raise CommandError(
            "\n".join([f"{backup} is damaged, nothing was restored:", *(f"  {one}" for one in problems)])
        )
    has_key = any(file.path == KEY_FILE for file in manifest.files)
    if not has_key and key is None:
        raise CommandError(f"{backup} was made without the key: name its file with --key")
    with making_folder(data_dir, 0o700) as partial:
        for file in manifest.files:
            target = partial / file.path
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.copyfile(backup / file.path, target)
            target.chmod(0o600)
        if key is not None:
            (partial / KEY_FILE).unlink(missing_ok=True)
            _add_key(partial, key)
    return manifest


def read_manifest(backup: Path) -> backup_pb2.BackupManifest:
    """The manifest of a backup.

    Raises: CommandError where there is none, or one that cannot be used.
    """
    path = backup / MANIFEST_FILE
    manifest = backup_pb2.BackupManifest()
    try:
        json_format.Parse(path.read_text(encoding="utf-8"), manifest)
    except FileNotFoundError as error:
        raise CommandError(f"{backup} is no backup: it has no {MANIFEST_FILE}") from error
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} is damaged: it cannot be read") from error
    if manifest.format != FORMAT:
        raise CommandError(
            f"{path} has format {manifest.format}, this program reads {FORMAT}: use the one that wrote it"
        )
    for file in manifest.files:
        if not _is_inside(file.path):
            raise CommandError(f"{path} is damaged: it names a file outside the backup")
    return manifest


def _receive(folder: Path, pieces: Iterable[backup_pb2.BackupResponse]) -> backup_pb2.BackupManifest:
    file = None
    try:
        for piece in pieces:
            part = piece.WhichOneof("part")
            if part == "path":
                if not _is_inside(piece.path):
                    raise RemoteError("the server names a file outside the backup")
                if file is not None:
                    file.close()
                target = folder / piece.path
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                file = target.open("xb")
            elif part == "data" and file is not None:
                file.write(piece.data)
            elif part == "manifest":
                return piece.manifest
    finally:
        if file is not None:
            file.close()
    raise RemoteError("the backup was cut off: ask again")


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and path != MANIFEST_FILE


def _differences(folder: Path, manifest: backup_pb2.BackupManifest) -> list[str]:
    """What is not as the manifest says, a line each."""
    found = []
    for file in manifest.files:
        path = folder / file.path
        if not path.is_file():
            found.append(f"{file.path}: missing")
        elif path.stat().st_size != file.bytes:
            found.append(f"{file.path}: {path.stat().st_size} bytes, not {file.bytes}")
        elif sha256_of(path) != file.sha256:
            found.append(f"{file.path}: its digest is another")
    return found


def _described(folder: Path, name: str) -> backup_pb2.BackupFile:
    path = folder / name
    return backup_pb2.BackupFile(path=name, bytes=path.stat().st_size, sha256=sha256_of(path))


def _add_key(folder: Path, key: Path) -> None:
    try:
        content = key.read_bytes()
    except OSError as error:
        raise CommandError(
            f"the key file {key} cannot be read here ({error.strerror}): name it, or run this on its machine"
        ) from error
    with os.fdopen(os.open(folder / KEY_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
