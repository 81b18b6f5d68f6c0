"""Options that several commands have."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

DEFAULT_SERVER = "127.0.0.1:50051"

# How to call a server beyond this machine; `becas-ft` has options of the same meaning.
TOKEN = "BECAS_FT_TOKEN"  # noqa: S105 - the name of a variable
TOKEN_FILE = "BECAS_FT_TOKEN_FILE"  # noqa: S105 - likewise
CA = "BECAS_FT_CA"
CLIENT_CERT = "BECAS_FT_CLIENT_CERT"
CLIENT_KEY = "BECAS_FT_CLIENT_KEY"

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
