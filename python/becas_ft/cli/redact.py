"""`becas-ft redact`."""

import json
import sys
from typing import Annotated

import typer


def redact(
    as_json: Annotated[
        bool,
        typer.Option("--json", help="An object a line: the text, and spans in code points of the input."),
    ] = False,
) -> None:
    """Filter standard input line by line: personal data become typed placeholders such as [EMAIL]."""
    from becas_ft._core import redact_line

    for raw in sys.stdin.buffer:
        line = raw.decode("utf-8", errors="replace")
        body = line.rstrip("\r\n")
        text, spans = redact_line(body)
        if as_json:
            found = [{"start": start, "end": end, "type": kind} for start, end, kind in spans]
            output = json.dumps({"text": text, "spans": found}, ensure_ascii=False) + "\n"
        else:
            output = text + line[len(body) :]
        sys.stdout.buffer.write(output.encode())
        # A filter in a pipe answers line by line.
        sys.stdout.buffer.flush()
