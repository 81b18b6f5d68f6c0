"""Every command of `becas-ft` with its options, as Typer documents them."""

import subprocess
import sys

_TYPER = ("typer", "becas_ft.cli.app", "utils", "docs", "--name", "becas-ft", "--title", "Commands")


def page() -> str:
    """The page in Markdown."""
    done = subprocess.run([sys.executable, "-m", *_TYPER], capture_output=True, text=True, check=True)
    return done.stdout
