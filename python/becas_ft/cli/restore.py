"""`becas-ft restore`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from becas_ft.cli.options import Json


def restore(
    backup: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `becas-ft backup` made.")],
    data_dir: Annotated[Path, typer.Option(help="Where the data shall be; must not hold anything.")],
    key: Annotated[
        Path | None, typer.Option(help="The key file, where the backup was made without; copied into DATA_DIR.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Put a backup back, once all its digests are right, and verify it; exit code 1 if anything is wrong.

    Whoever was erased since the backup was made is in it: erase them again before the server takes calls.
    """
    from becas_ft import backup_folder
    from becas_ft.cli.verify import tell
    from becas_ft.soundness import problems

    manifest = backup_folder.restore(backup, data_dir, key)
    found = problems(data_dir)
    if as_json:
        typer.echo(json.dumps({"began": manifest.began.ToJsonString(), "problems": found}))
    else:
        typer.echo(f"restored to {data_dir}: what was acknowledged before {manifest.began.ToJsonString()}")
        tell(found)
        typer.echo("erase again whom you erased since then: the audit log of the server that was lost says how many")
    if found:
        raise typer.Exit(1)
