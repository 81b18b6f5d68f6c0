"""`becas-ft --version`."""

from typing import Annotated

import typer


def _print_version(wanted: bool) -> None:
    if wanted:
        from becas_ft._core import __version__

        typer.echo(f"becas-ft {__version__}")
        raise typer.Exit


def show_version(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Turns the daily decisions of moderation bots into better local models."""
    del version
