"""`becas-ft demo`."""

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from becas_ft.cli.options import CA, TOKEN, TOKEN_FILE, Json


def demo(
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to keep what it makes; a new temporary folder otherwise.")
    ] = None,
    with_ollama: Annotated[
        bool, typer.Option("--ollama", help="Serve with the `ollama` on PATH, models of the demo's own, not embedded.")
    ] = False,
    write: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Only write what it plays: events.jsonl.gz to import, live.jsonl to ask."),
    ] = None,
    dashboard: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Leave ten labels, the promotion and the rollback to you, there."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the main job on real messages: from events to a promoted model, and back."""
    from rich.console import Console

    from becas_ft.cli.demo.messages import load
    from becas_ft.cli.demo.process import ollama, server
    from becas_ft.cli.demo.run import Demo, last_line
    from becas_ft.runtime.threads import cores

    if write is not None:
        load().write(write)
        return
    for name in (CA, TOKEN, TOKEN_FILE):
        # They are for your server; the demo's is its own, on loopback.
        os.environ.pop(name, None)
    console = Console(stderr=as_json, soft_wrap=True)
    where = folder or Path(tempfile.mkdtemp(prefix="becas-ft-demo-"))
    console.print("Real SMS messages, decided by a real classifier that never saw them, and a small real model.")
    console.print(f"Everything stays in {where}", highlight=False)
    traffic = load()
    settings = {
        # What two cores learn in some five minutes.
        "BECAS_FT_TRAINING__MAX_EXAMPLES": "200",
        "BECAS_FT_TRAINING__SEED": "1",
        # Every request meets both models, so that few of them suffice.
        "BECAS_FT_SHADOW__SAMPLE_RATE": "1.0",
        # The watch looks every other second, so that nobody waits for it here.
        "BECAS_FT_PROMOTION__WATCH_INTERVAL_SECONDS": "2",
        # Nothing else works beside it, and nobody waits for what is open at its end.
        "BECAS_FT_RUNTIME__THREADS": str(cores()),
        "BECAS_FT_SERVER__DRAIN_SECONDS": "1",
    }
    with ExitStack() as parts:
        # Your own Ollama's aliases are production's: the demo never moves them.
        runtime = parts.enter_context(ollama(where)) if with_ollama else {"BECAS_FT_RUNTIME__KIND": "embedded"}
        serving = parts.enter_context(server(where, settings | runtime, dashboard))
        result = Demo(console, where, traffic, serving).run()
    if as_json:
        typer.echo(last_line(result))
    if dashboard:
        return
    missed = [step for step in ("promoted", "rolled_back") if not result[step]]
    if missed:
        console.print(f"\nNot {' and not '.join(missed).replace('_', ' ')}: {where / 'server.log'} tells why.")
        raise typer.Exit(1)
    console.print("\nDone: ready ► trained ► shadow-tested ► promoted ► regression ► rolled back.")
