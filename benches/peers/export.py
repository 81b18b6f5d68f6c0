"""The peers of export: DuckDB and Polars, each writing rows that it holds in its own way as JSON lines.

`python -m peers.export duckdb|polars load ROWS STORE` makes STORE of JSON lines; `… write STORE OUT [WHERE]` writes all
of them, or those that a condition in SQL names, and prints the seconds that it took, opening included.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

_TEXTS = ["example_id", "category", "event_name", "label", "tier", "outcome", "split", "time", "user", "guild"]
_FLAGS = ["human_validated", "rag_enhanced", "corrected_twin"]
_METADATA = ", ".join([*(f'"{name}" VARCHAR' for name in _TEXTS), *(f'"{name}" BOOLEAN' for name in _FLAGS)])
#: Of a line, so that nothing is guessed and every text stays the text that it is.
COLUMNS = {
    "input": "VARCHAR",
    "output": "VARCHAR",
    "system": "VARCHAR",
    "metadata": f"STRUCT({_METADATA})",
    "quality": "DOUBLE",
}


def load_duckdb(rows: Path, store: Path) -> None:
    """A table with the columns of the lines, metadata as a struct."""
    import duckdb

    with duckdb.connect(str(store)) as connection:
        columns = ", ".join(f"{name}: '{kind}'" for name, kind in COLUMNS.items())
        read = f"read_json('{rows}', format='newline_delimited', columns={{{columns}}})"
        connection.execute(f"CREATE TABLE rows AS SELECT * FROM {read}")  # noqa: S608 - our own words


def write_duckdb(store: Path, out: Path, where: str) -> None:
    """COPY … TO."""
    import duckdb

    with duckdb.connect(str(store), read_only=True) as connection:
        condition = f"WHERE {where}" if where else ""
        connection.execute(f"COPY (SELECT * FROM rows {condition}) TO '{out}' (FORMAT json)")  # noqa: S608 - our own words


def load_polars(rows: Path, store: Path) -> None:
    """An Arrow file, which Polars maps without decoding."""
    import polars as pl

    pl.read_ndjson(rows, infer_schema_length=None).write_ipc(store)


def write_polars(store: Path, out: Path, where: str) -> None:
    """scan_ipc to sink_ndjson."""
    import polars as pl

    frame = pl.scan_ipc(store)
    (frame.filter(pl.sql_expr(where)) if where else frame).sink_ndjson(out)


def main() -> None:
    """Load or write."""
    peer, what, source, target, *rest = sys.argv[1:]
    if what == "load":
        {"duckdb": load_duckdb, "polars": load_polars}[peer](Path(source), Path(target))
        return
    write = {"duckdb": write_duckdb, "polars": write_polars}[peer]
    __import__(peer)
    began = time.perf_counter()
    write(Path(source), Path(target), rest[0] if rest else "")
    with Path(target).open("rb") as written:
        # As durable as what it is compared with.
        os.fsync(written.fileno())
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main()
