"""`becas-ft export`."""

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from becas_ft.cli.options import DEFAULT_SERVER, Json, Server
from becas_ft.errors import UsageError

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp


def export(  # noqa: PLR0917 - Typer calls it by keyword
    out: Annotated[Path, typer.Option(metavar="DIR", help="A folder for data, ids and manifest; made by the export.")],
    category: Annotated[str, typer.Option(help="Only this category, such as scam_detection.")] = "",
    model_target: Annotated[str, typer.Option(help="Only what this model learns from: qwen, llama, general.")] = "",
    name: Annotated[str, typer.Option(help="Names the dataset; the category's name where empty.")] = "",
    min_tier: Annotated[str, typer.Option(help="gold, silver or bronze.")] = "",
    min_quality: Annotated[float, typer.Option(min=0, max=1, help="The lowest score taken.")] = 0,
    max_examples: Annotated[int, typer.Option(min=0, help="At most so many; 0: no limit.")] = 0,
    balance: Annotated[bool, typer.Option(help="Take equally from each group.")] = True,
    balance_by: Annotated[str, typer.Option(help="label or outcome.")] = "label",
    min_group: Annotated[int | None, typer.Option(min=0, help="Smaller groups are left out.  [default: 20]")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**64 - 1, help="Breaks ties.")] = 0,
    guild_id: Annotated[str, typer.Option(help="Only this guild; kept as a pseudonym only.")] = "",
    since: Annotated[datetime | None, typer.Option(help="Only events from this time on (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option(help="Only events before this time (UTC).")] = None,
    data_format: Annotated[str, typer.Option("--format", help="jsonl or parquet.")] = "jsonl",
    include_superseded: Annotated[bool, typer.Option(help="Also examples that a correction replaced.")] = False,
    outcome: Annotated[
        list[str] | None,
        typer.Option(help="Only this outcome: success, failure, corrected, uncertain; repeatable."),
    ] = None,
    max_user_share: Annotated[float, typer.Option(min=0, max=1, help="From one user at most; 0: no limit.")] = 0,
    max_guild_share: Annotated[float, typer.Option(min=0, max=1, help="From one guild at most; 0: no limit.")] = 0,
    quarantine_from: Annotated[
        int,
        typer.Option(min=0, help="Once labellers confirmed so many users, only confirmed sources; 0: all."),
    ] = 0,
    mask_names: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            help="Also mask people's names as this spaCy model finds them (becas-ft[pii]); JSONL only.",
        ),
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace DIR if it is there.")] = False,
    server: Server = DEFAULT_SERVER,
    as_json: Json = False,
) -> None:
    """Write a balanced dataset with its manifest to a folder, all or nothing."""
    from becas.ft.v1 import dataset_pb2, dataset_service_pb2_grpc, example_pb2
    from becas_ft.cli.connection import LONG_CALL_SECONDS, connect
    from becas_ft.dataset_folder import write_dataset
    from becas_ft.messages import enum_value, to_object
    from becas_ft.person_names import PersonNames

    if mask_names and data_format != "jsonl":
        raise UsageError("--mask-names reads lines of JSON: use --format jsonl")
    names = PersonNames(mask_names) if mask_names else None
    request = dataset_pb2.ExportRequest(
        name=name,
        category=enum_value("--category", example_pb2.Category.DESCRIPTOR, category),
        model_target=enum_value("--model-target", example_pb2.ModelTarget.DESCRIPTOR, model_target),
        min_tier=enum_value("--min-tier", example_pb2.Tier.DESCRIPTOR, min_tier),
        min_quality=min_quality,
        max_examples=max_examples,
        balance=balance,
        balance_by=enum_value("--balance-by", dataset_pb2.BalanceBy.DESCRIPTOR, balance_by),
        min_group=min_group,
        seed=seed,
        guild_id=guild_id,
        since=_timestamp(since),
        until=_timestamp(until),
        format=enum_value("--format", dataset_pb2.Format.DESCRIPTOR, data_format),
        include_superseded=include_superseded,
        outcomes=[enum_value("--outcome", example_pb2.Outcome.DESCRIPTOR, one) for one in outcome or ()],
        max_user_share=max_user_share,
        max_guild_share=max_guild_share,
        quarantine_from=quarantine_from,
    )
    with connect(server) as channel:
        stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        pieces = stub.Export(request, timeout=LONG_CALL_SECONDS)
        manifest = to_object(write_dataset(out, pieces, data_format, force=force, names=names))
    if names is not None:
        manifest["person_names"] = names.summary()
    if as_json:
        typer.echo(json.dumps(manifest, ensure_ascii=False))
    else:
        _print(out, manifest)


def _timestamp(time: datetime | None) -> "Timestamp | None":
    """A time without a zone is UTC."""
    from google.protobuf.timestamp_pb2 import Timestamp

    if time is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


def _print(out: Path, manifest: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "", title=f"Dataset {manifest['dataset_id'][:16]}", title_justify="left", show_header=False)
    table.add_row("folder", str(out))
    table.add_row("examples", f"{manifest['examples']:,} of {manifest['matched']:,} that matched")
    table.add_row("mean quality", f"{manifest['mean_quality']:.4f}")
    for title, key in (
        ("tiers", "by_tier"),
        ("labels", "by_label"),
        ("outcomes", "by_outcome"),
        ("splits", "by_split"),
    ):
        table.add_row(title, ", ".join(f"{group} {count:,}" for group, count in manifest[key].items()))
    if manifest["omitted_groups"]:
        omitted = (f"{group['group']} {group['examples']:,}" for group in manifest["omitted_groups"])
        table.add_row("too small, left out", ", ".join(omitted))
    table.add_row("near-copies left out", f"{manifest['near_duplicates_dropped']:,}")
    if manifest["confirmed_users"]:
        table.add_row("in quarantine", f"{manifest['quarantined']:,}")
    if "person_names" in manifest:
        table.add_row("people's names masked", f"{manifest['person_names']['masked']:,}")
    Console().print(table)
