"""`becas-ft jobs`."""

from typing import Annotated

import typer

from becas_ft.cli.options import DEFAULT_SERVER, Json, Server


def jobs(
    category: Annotated[str, typer.Option(help="Only this category, such as scam_detection.")] = "",
    cancel: Annotated[str, typer.Option(metavar="JOB", help="End this job instead.")] = "",
    check: Annotated[bool, typer.Option("--check", help="Look at every category now, not within the hour.")] = False,
    server: Server = DEFAULT_SERVER,
    as_json: Json = False,
) -> None:
    """List training jobs and what each category lacks for the next one."""
    from becas.ft.v1 import example_pb2, training_pb2, training_service_pb2_grpc
    from becas_ft.cli.connection import CALL_SECONDS, connect
    from becas_ft.cli.job_view import print_jobs, print_pipeline
    from becas_ft.messages import enum_value, to_json

    with connect(server) as channel:
        stub = training_service_pb2_grpc.TrainingServiceStub(channel)
        if cancel:
            stub.CancelJob(training_pb2.CancelJobRequest(job_id=cancel), timeout=CALL_SECONDS)
        if check:
            stub.CheckPipeline(training_pb2.CheckPipelineRequest(), timeout=CALL_SECONDS)
        number = enum_value("--category", example_pb2.Category.DESCRIPTOR, category)
        found = stub.ListJobs(training_pb2.ListJobsRequest(category=number), timeout=CALL_SECONDS)
        pipeline = stub.GetPipelineStats(training_pb2.GetPipelineStatsRequest(), timeout=CALL_SECONDS)
    if as_json:
        typer.echo(to_json(found))
    else:
        print_jobs(found.jobs)
        print_pipeline([row for row in pipeline.categories if number in {0, row.category}])
