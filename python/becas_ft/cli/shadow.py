"""`becas-ft shadow …`."""

from typing import Annotated

import typer

from becas_ft.cli.options import DEFAULT_SERVER, Json, Server

shadow = typer.Typer(help="Shadow tests: a candidate beside the model that answers.", no_args_is_help=True)


@shadow.command("set-up")
def set_up(  # noqa: PLR0917 - a command has the options that it has
    category: Annotated[str, typer.Argument(help="What is decided, such as scam_detection.")],
    candidate: Annotated[str, typer.Argument(help="The candidate's name; see `becas-ft models`.")],
    base: Annotated[str, typer.Option(help="The incumbent; the model that answers where empty.")] = "",
    task_type: Annotated[str, typer.Option(help="Free words that group trials.")] = "",
    sample_rate: Annotated[float | None, typer.Option(help="Share of requests that the candidate sees.")] = None,
    server: Server = DEFAULT_SERVER,
    as_json: Json = False,
) -> None:
    """Begin a trial; what decides it is fixed now."""
    from becas.ft.v1 import example_pb2, shadow_pb2, shadow_service_pb2_grpc
    from becas_ft.cli.connection import CALL_SECONDS, connect
    from becas_ft.messages import enum_value, to_json

    request = shadow_pb2.SetUpShadowTestRequest(
        category=enum_value("category", example_pb2.Category.DESCRIPTOR, category),
        base_model=base,
        candidate_model=candidate,
        task_type=task_type,
        sample_rate=sample_rate,
    )
    with connect(server) as channel:
        stub = shadow_service_pb2_grpc.ShadowServiceStub(channel)
        trial = stub.SetUpShadowTest(request, timeout=CALL_SECONDS).trial
    typer.echo(to_json(trial) if as_json else f"{trial.trial_id}: promotes from an e-value of {trial.e_threshold:.4g}")


@shadow.command()
def stop(
    trial: Annotated[str, typer.Argument(help="The trial's id.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the trial.")] = "",
    server: Server = DEFAULT_SERVER,
    as_json: Json = False,
) -> None:
    """End a trial."""
    from becas.ft.v1 import shadow_pb2, shadow_service_pb2_grpc
    from becas_ft.cli.connection import CALL_SECONDS, connect
    from becas_ft.messages import to_json

    with connect(server) as channel:
        stub = shadow_service_pb2_grpc.ShadowServiceStub(channel)
        request = shadow_pb2.StopShadowTestRequest(trial_id=trial, reason=reason)
        ended = stub.StopShadowTest(request, timeout=CALL_SECONDS).trial
    typer.echo(to_json(ended) if as_json else f"{ended.trial_id} ended: {ended.ended_reason}")


@shadow.command()
def stats(server: Server = DEFAULT_SERVER, as_json: Json = False) -> None:
    """Show trials, and pairs by task type and by candidate."""
    from becas.ft.v1 import shadow_pb2, shadow_service_pb2_grpc
    from becas_ft.cli.connection import CALL_SECONDS, connect
    from becas_ft.cli.rollout_view import print_trials
    from becas_ft.messages import to_json

    with connect(server) as channel:
        stub = shadow_service_pb2_grpc.ShadowServiceStub(channel)
        found = stub.GetShadowStats(shadow_pb2.GetShadowStatsRequest(), timeout=CALL_SECONDS)
    if as_json:
        typer.echo(to_json(found))
    else:
        print_trials(found)


@shadow.command()
def disagreements(
    trial: Annotated[str, typer.Argument(help="The trial's id; all running ones where left out.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most entries.")] = 50,
    server: Server = DEFAULT_SERVER,
    as_json: Json = False,
) -> None:
    """List what needs a person's label; give it with `becas-ft shadow truth`."""
    from becas.ft.v1 import shadow_pb2, shadow_service_pb2_grpc
    from becas_ft.cli.connection import CALL_SECONDS, connect
    from becas_ft.cli.rollout_view import print_disagreements
    from becas_ft.messages import to_json

    with connect(server) as channel:
        stub = shadow_service_pb2_grpc.ShadowServiceStub(channel)
        request = shadow_pb2.ListDisagreementsRequest(trial_id=trial, page_size=limit)
        found = stub.ListDisagreements(request, timeout=CALL_SECONDS)
    if as_json:
        typer.echo(to_json(found))
    else:
        print_disagreements(found)


@shadow.command()
def truth(
    request: Annotated[str, typer.Argument(help="The request's id, or a pair's from `disagreements`.")],
    label: Annotated[str, typer.Argument(help="The right label, in the category's own words.")],
    server: Server = DEFAULT_SERVER,
    as_json: Json = False,
) -> None:
    """State the right label of a request."""
    from becas.ft.v1 import shadow_pb2, shadow_service_pb2_grpc
    from becas_ft.cli.connection import CALL_SECONDS, connect
    from becas_ft.messages import to_json

    with connect(server) as channel:
        stub = shadow_service_pb2_grpc.ShadowServiceStub(channel)
        found = stub.RecordTruth(shadow_pb2.RecordTruthRequest(request_id=request, truth=label), timeout=CALL_SECONDS)
    if as_json:
        typer.echo(to_json(found))
    elif found.trial_ids:
        typer.echo(f"{'corrected' if found.replaced else 'recorded'} in {', '.join(found.trial_ids)}")
    else:
        typer.echo("recorded; the request was not sampled, so that it judges no pair")
