"""`becas-ft backup`."""

from pathlib import Path
from typing import Annotated

import typer

from becas_ft.cli.options import DEFAULT_SERVER, Json, Server


def backup(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that the backup makes.")],
    with_key: Annotated[
        bool, typer.Option("--with-key", help="Put the key of the pseudonyms in too; read from this machine's disk.")
    ] = False,
    key_path: Annotated[
        Path | None, typer.Option(help="The key file, where it is not where the server says; with --with-key.")
    ] = None,
    server: Server = DEFAULT_SERVER,
    as_json: Json = False,
) -> None:
    """Copy everything that a running server keeps, as of one moment; it goes on working.

    Without the key, unless --with-key is given: keep that apart, nothing can be restored without it.
    """
    from becas.ft.v1 import backup_pb2, dataset_service_pb2_grpc
    from becas_ft.backup_folder import KEY_FILE, write_backup
    from becas_ft.cli.connection import LONG_CALL_SECONDS, connect
    from becas_ft.errors import UsageError
    from becas_ft.messages import to_json

    if key_path is not None and not with_key:
        raise UsageError("--key-path names the key that --with-key puts in: give both, or neither")
    with connect(server) as channel:
        stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        pieces = stub.Backup(backup_pb2.BackupRequest(), timeout=LONG_CALL_SECONDS)
        manifest = write_backup(out, pieces, with_key=with_key, key_path=key_path)
    if as_json:
        typer.echo(to_json(manifest))
        return
    size = sum(file.bytes for file in manifest.files)
    typer.echo(f"backed up: {len(manifest.files):,} files, {size:,} bytes, in {out}")
    if with_key:
        typer.echo(f"with the key ({KEY_FILE}): whoever has this folder can tell whose pseudonym is whose")
    else:
        typer.echo(f"without the key: keep {manifest.key_path} apart, nothing can be restored without it")
