"""Writes an export to a folder that is there whole or not at all."""

import json
from collections.abc import Iterable
from pathlib import Path

from becas.ft.v1 import dataset_pb2
from becas_ft.errors import CommandError, RemoteError
from becas_ft.files import is_free, making_folder
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
    if not force and not is_free(out):
        raise CommandError(f"{out} is not empty: choose another folder, or replace it with --force")
    with making_folder(out) as partial:
        return _write(partial, pieces, suffix)


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
    return manifest
