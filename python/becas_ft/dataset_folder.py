"""Writes an export to a folder that is there whole or not at all."""

import json
from collections.abc import Iterable
from pathlib import Path

from becas.ft.v1 import dataset_pb2
from becas_ft.errors import CommandError, RemoteError
from becas_ft.files import is_free, making_folder
from becas_ft.messages import to_object
from becas_ft.person_names import PersonNames

IDS_FILE = "example_ids.txt"
MANIFEST_FILE = "manifest.json"


def write_dataset(
    out: Path,
    pieces: Iterable[dataset_pb2.ExportResponse],
    suffix: str,
    *,
    force: bool,
    names: PersonNames | None = None,
) -> dataset_pb2.Manifest:
    """Write `data.{suffix}`, `example_ids.txt` and `manifest.json`.

    Arguments:
        out: the folder; made here, moved into place once everything is on disk.
        pieces: an export's answer.
        suffix: of the data file.
        force: replace what is there.
        names: masked in each line before it is written. The manifest tells of the data as the server sent it, and its
            `person_names` of what was masked then.

    Raises:
        CommandError: the folder holds something, and `force` was not given.
        RemoteError: the answer ended without a manifest, or with less data than it names.
    """
    if not force and not is_free(out):
        raise CommandError(f"{out} is not empty: choose another folder, or replace it with --force")
    with making_folder(out) as partial:
        return _write(partial, pieces, suffix, names)


def _write(
    folder: Path,
    pieces: Iterable[dataset_pb2.ExportResponse],
    suffix: str,
    names: PersonNames | None,
) -> dataset_pb2.Manifest:
    manifest = None
    received = 0
    begun = b""
    with (
        (folder / f"data.{suffix}").open("wb") as data,
        (folder / IDS_FILE).open("w", encoding="utf-8") as ids,
    ):
        for piece in pieces:
            part = piece.WhichOneof("part")
            if part == "data":
                received += len(piece.data)
                if names is None:
                    data.write(piece.data)
                else:
                    *lines, begun = (begun + piece.data).split(b"\n")
                    data.writelines(names.mask_line(line + b"\n") for line in lines)
            elif part == "example_ids":
                ids.writelines(f"{example_id}\n" for example_id in piece.example_ids.example_ids)
            elif part == "manifest":
                manifest = piece.manifest
    if manifest is None or manifest.data_bytes != received or begun:
        raise RemoteError("the export was cut off: ask again")
    with (folder / MANIFEST_FILE).open("w", encoding="utf-8") as file:
        said = to_object(manifest) | ({"person_names": names.summary()} if names else {})
        json.dump(said, file, ensure_ascii=False, indent=2)
        file.write("\n")
    return manifest
