"""A server of the demo's own, in a folder of its own, stopped at the end."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from becas_ft.errors import CommandError

_STOP_SECONDS = 60.0


@contextmanager
def server(data_dir: Path, settings: dict[str, str]) -> Iterator[str]:
    """Run `becas-ft serve` on a free loopback port; its address.

    Arguments:
        data_dir: where it keeps everything.
        settings: environment variables on top of ours.

    Raises: CommandError where it does not start; the log says why.
    """
    log_path = data_dir / "server.log"
    data_dir.mkdir(parents=True, exist_ok=True)
    where = ("--data-dir", str(data_dir / "data"), "--listen", "127.0.0.1:0")
    command = [sys.executable, "-m", "becas_ft", "serve", *where]
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **settings}
        )
        try:
            line = process.stdout.readline() if process.stdout else ""
            if "listening on " not in line:
                raise CommandError(f"the demo's server did not start: see {log_path}")
            yield line.split("listening on ")[1].split(",")[0]
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()
