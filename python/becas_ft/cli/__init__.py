"""The `becas-ft` command: one file a command, and `main`."""

from becas_ft.cli.app import main

__all__ = ["main"]
