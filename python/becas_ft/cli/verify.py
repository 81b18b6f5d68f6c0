"""`becas-ft verify`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from becas_ft.cli.options import Json


def verify(
    data_dir: Annotated[Path, typer.Option(help="A data directory that no server has open.")],
    key_path: Annotated[str, typer.Option(help="The key file; DATA_DIR/becas.key where empty.")] = "",
    as_json: Json = False,
) -> None:
    """Read every record of a store that no server has open; exit code 1 if anything is wrong."""
    from becas_ft._core import Core
    from becas_ft.errors import UsageError

    if not (data_dir / "examples").is_dir():
        raise UsageError(f"{data_dir} holds no store: name the directory that `becas-ft serve --data-dir` was given")
    core = Core(str(data_dir), "{}", key_path)
    try:
        problems = core.verify()
    finally:
        core.close()
    if as_json:
        typer.echo(json.dumps({"problems": problems}))
    else:
        for problem in problems:
            typer.echo(problem)
        typer.echo("sound" if not problems else f"{len(problems)} problems")
    if problems:
        raise typer.Exit(1)
