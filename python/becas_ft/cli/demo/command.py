"""`becas-ft demo`."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from becas_ft.cli.options import Json


def demo(
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to keep what it makes; a new temporary folder otherwise.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the main job on real messages: from events to a promoted model, and back."""
    from rich.console import Console

    from becas_ft.cli.demo.messages import load
    from becas_ft.cli.demo.process import server
    from becas_ft.cli.demo.run import Demo, last_line

    console = Console(stderr=as_json, soft_wrap=True)
    where = folder or Path(tempfile.mkdtemp(prefix="becas-ft-demo-"))
    console.print("Real SMS messages, decided by a real classifier that never saw them, and a small real model.")
    console.print(f"Everything stays in {where}", highlight=False)
    traffic = load()
    settings = {
        # Every request meets both models, so that few of them suffice.
        "BECAS_FT_SHADOW__SAMPLE_RATE": "1.0",
        # The watch looks every other second, so that nobody waits for it here.
        "BECAS_FT_PROMOTION__WATCH_INTERVAL_SECONDS": "2",
    }
    with server(where, settings) as address:
        result = Demo(console, where, traffic, address).run()
    if as_json:
        typer.echo(last_line(result))
    else:
        console.print("\nDone: ready ► trained ► shadow-tested ► promoted ► regression ► rolled back.")
    if not (result["promoted"] and result["rolled_back"]):
        raise typer.Exit(1)
