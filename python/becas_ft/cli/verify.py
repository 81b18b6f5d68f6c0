"""`becas-ft verify`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from becas_ft.cli.options import Json


def verify(
    data_dir: Annotated[Path, typer.Option(help="A data directory that no server has open.")],
    key_path: Annotated[str, typer.Option(help="The key file; DATA_DIR/becas.key where empty.")] = "",
    repair: Annotated[
        bool, typer.Option("--repair", help="Drop damaged records of the examples' store, and count again.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read everything in a data directory that no server has open; exit code 1 if anything is wrong.

    Every record of both stores by its checksum, counters against records, the audit log's chain, the two stores against
    each other, the key, and the digests of the models. A file that is too damaged to be read is named too.
    """
    from becas_ft.errors import UsageError
    from becas_ft.soundness import problems

    if not (data_dir / "examples").is_dir():
        raise UsageError(f"{data_dir} holds no store: name the directory that `becas-ft serve --data-dir` was given")
    found = problems(data_dir, key_path, repair=repair)
    if as_json:
        typer.echo(json.dumps({"problems": found}))
    else:
        tell(found)
        if repair and found:
            typer.echo("damaged examples and corrections are dropped now: verify again")
    if found:
        raise typer.Exit(1)


def tell(problems: list[str]) -> None:
    """A line each, and a last one that says how many."""
    for problem in problems:
        typer.echo(problem)
    typer.echo("sound" if not problems else f"problems: {len(problems)}")
