"""What stands before the command: `becas-ft --version`, and how to call a server beyond this machine."""

import os
from pathlib import Path
from typing import Annotated

import typer

from becas_ft.cli.options import CA, CLIENT_CERT, CLIENT_KEY, TOKEN, TOKEN_FILE

_File = Path | None


def _print_version(wanted: bool) -> None:
    if wanted:
        from becas_ft._core import __version__

        typer.echo(f"becas-ft {__version__}")
        raise typer.Exit


def top(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
    token_file: Annotated[
        _File, typer.Option(help=f"Holds the token to call with. {TOKEN_FILE}; or the token itself in {TOKEN}.")
    ] = None,
    ca: Annotated[_File, typer.Option(help=f"The authority to trust, PEM; makes calls speak TLS. {CA}.")] = None,
    client_cert: Annotated[_File, typer.Option(help=f"Where the server asks for one, PEM. {CLIENT_CERT}.")] = None,
    client_key: Annotated[_File, typer.Option(help=f"Of the client certificate, PEM. {CLIENT_KEY}.")] = None,
) -> None:
    """Turns the daily decisions of moderation bots into better local models."""
    del version
    # An option for the token itself would show it to everyone on the machine.
    for name, path in ((TOKEN_FILE, token_file), (CA, ca), (CLIENT_CERT, client_cert), (CLIENT_KEY, client_key)):
        if path is not None:
            os.environ[name] = str(path)
