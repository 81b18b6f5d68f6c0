"""Writes an export to a folder that is there whole or not at all."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from becas.ft.v1 import dataset_pb2
from becas_ft.errors import CommandError, RemoteError
from becas_ft.files import sync_folder
from becas_ft.messages import to_object

IDS_FILE = "example_ids.txt"
MANIFEST_FILE = "manifest.json"


def write_dataset(
    out: Path, pieces: Iterable[dataset_pb2.ExportResponse], suffix: str, *, force: bool
) -> dataset_pb2.Manifest:
    """Write `data.{suffix}`, `example_ids.txt` and `manifest.json`.

    Arguments:
        out: the folder; made here, moved into place once everything is on disk.
        pieces: an export's answer.
        suffix: of the data file.
        force: replace what is there.

    Raises:
        CommandError: the folder holds something, and `force` was not given.
        RemoteError: the answer ended without a manifest, or with less data than it names.
    """
    if not force and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CommandError(f"{out} is not empty: choose another folder, or replace it with --force")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.partial-", dir=out.parent))
    try:
        manifest = _write(partial, pieces, suffix)
        partial.chmod(0o755)
        _move(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    sync_folder(out.parent)
    return manifest


def _write(folder: Path, pieces: Iterable[dataset_pb2.ExportResponse], suffix: str) -> dataset_pb2.Manifest:
    manifest = None
    written = 0
    with (
        (folder / f"data.{suffix}").open("wb") as data,
        (folder / IDS_FILE).open("w", encoding="utf-8") as ids,
    ):
        for piece in pieces:
            part = piece.WhichOneof("part")
            if part == "data":
                written += data.write(piece.data)
            elif part == "example_ids":
                ids.writelines(f"{example_id}\n" for example_id in piece.example_ids.example_ids)
            elif part == "manifest":
                manifest = piece.manifest
        if manifest is None or manifest.data_bytes != written:
            raise RemoteError("the export was cut off: ask again")
        with (folder / MANIFEST_FILE).open("w", encoding="utf-8") as file:
            json.dump(to_object(manifest), file, ensure_ascii=False, indent=2)
            file.write("\n")
            for open_file in (data, ids, file):
                open_file.flush()
                os.fsync(open_file.fileno())
    sync_folder(folder)
    return manifest


def _move(partial: Path, out: Path) -> None:
    """Put the folder in place; what was there goes only once the new one can take its name."""
    if not out.exists():
        partial.rename(out)
        return
    former = Path(tempfile.mkdtemp(prefix=f".{out.name}.former-", dir=out.parent))
    try:
        out.rename(former / out.name)
        partial.rename(out)
    finally:
        shutil.rmtree(former, ignore_errors=True)
