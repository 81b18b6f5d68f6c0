"""`becas-ft serve`."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from becas_ft.cli.options import Json


def serve(
    *,
    data_dir: Annotated[Path | None, typer.Option(help="Where examples and the key are kept.")] = None,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where to listen; port 0 takes a free one.")
    ] = None,
    dashboard: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where to serve the dashboard, and /metrics.")
    ] = None,
    access_dir: Annotated[
        Path | None, typer.Option(help="What `becas-ft access` made, where not DATA_DIR/access.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(envvar="BECAS_FT_CONFIG", help="A TOML file with what differs from the defaults."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the server until SIGTERM; prints one line when it answers.

    SIGTERM or Ctrl-C finish what is in flight and close the store; a second one does not wait.
    """
    # The C core writes lines of its own to standard error, with addresses of peers in them.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")

    import uvloop

    from becas_ft.config import load
    from becas_ft.observability import configure_logging
    from becas_ft.server.app import serve as run

    folder = None if access_dir is None else str(access_dir)
    server: dict[str, Any] = {"listen": listen, "dashboard": dashboard, "access_dir": folder}
    overrides = {
        "server": {key: value for key, value in server.items() if value is not None},
        "store": {} if data_dir is None else {"data_dir": data_dir},
    }
    loaded = load(config, overrides)
    configure_logging(loaded.log.level, loaded.log.format)

    def ready(address: str, dashboard: str) -> None:
        where = {"address": address, "data_dir": str(loaded.store.data_dir), "dashboard": dashboard}
        words = f"becas-ft is ready: listening on {address}, data in {loaded.store.data_dir}"
        words += f", dashboard at {dashboard}" if dashboard else ""
        typer.echo(json.dumps(where) if as_json else words)

    uvloop.run(run(loaded, ready))
