"""`becas-ft stats`."""

from typing import TYPE_CHECKING

import typer

from becas_ft.cli.options import DEFAULT_SERVER, Json, Server

if TYPE_CHECKING:
    from becas.ft.v1 import dataset_pb2


def stats(server: Server = DEFAULT_SERVER, as_json: Json = False) -> None:
    """Show what is stored: examples by category and tier, mean quality, what was rejected and why."""
    from becas.ft.v1 import dataset_pb2, dataset_service_pb2_grpc
    from becas_ft.cli.connection import CALL_SECONDS, connect
    from becas_ft.messages import to_json

    with connect(server) as channel:
        stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        answer = stub.GetTrainingStats(dataset_pb2.GetTrainingStatsRequest(), timeout=CALL_SECONDS)
    if as_json:
        typer.echo(to_json(answer))
    else:
        _print(answer)


def _print(answer: "dataset_pb2.GetTrainingStatsResponse") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from becas.ft.v1 import example_pb2
    from becas_ft.cli.options import wide_console
    from becas_ft.messages import enum_name

    categories = example_pb2.Category.DESCRIPTOR
    table = Table(title="Examples", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("category", no_wrap=True)
    for heading in ("total", "gold", "silver", "bronze", "quality", "superseded", "rejected"):
        table.add_column(heading, justify="right")
    for row in answer.categories:
        table.add_row(
            enum_name(categories, row.category),
            *(f"{count:,}" for count in (row.total, row.tiers.gold, row.tiers.silver, row.tiers.bronze)),
            f"{row.mean_quality:.4f}" if row.total else "",
            f"{row.superseded:,}",
            f"{row.rejected:,}",
        )
    table.add_section()
    tiers = answer.tiers
    table.add_row(
        "all",
        *(f"{count:,}" for count in (answer.total_examples, tiers.gold, tiers.silver, tiers.bronze)),
        "",
        f"{answer.superseded:,}",
        f"{sum(row.rejected for row in answer.categories):,}",
    )
    console = wide_console()
    console.print(table)
    console.print(f"human corrections: {answer.human_corrections:,}")
    console.print(f"RAG-enhanced: {answer.rag_enhanced:,}")
    for reason, count in sorted(answer.rejected_by_reason.items()):
        console.print(f"rejected, {reason}: {count:,}")
