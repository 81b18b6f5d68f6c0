"""Options that several commands have."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

DEFAULT_SERVER = "127.0.0.1:50051"

Server = Annotated[
    str,
    typer.Option("--server", envvar="BECAS_FT_SERVER", metavar="HOST:PORT", help="Where the server listens."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def wide_console(*, stderr: bool = False) -> "Console":
    """The terminal's width; enough for a table where the output goes to a file or a pipe."""
    from rich.console import Console

    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=140)
