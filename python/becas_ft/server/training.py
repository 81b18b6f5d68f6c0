"""TrainingService: jobs started, watched, cancelled; what every category has and lacks."""

from collections.abc import AsyncIterator
from typing import Any

import grpc

from becas.ft.v1 import model_pb2, training_pb2
from becas_ft.errors import InvalidArgumentError
from becas_ft.ledger.schema import AUDIT
from becas_ft.orchestrator.jobs import Jobs
from becas_ft.orchestrator.journal import STAGES
from becas_ft.orchestrator.states import Stage
from becas_ft.places import thin
from becas_ft.server import checks
from becas_ft.server.application import Application

Context = grpc.aio.ServicerContext[Any, Any]

_DEFAULT_PAGE = 50
_MOST_POINTS = 1_000


class TrainingService:
    """Each method checks, calls, and replies; errors are mapped outside."""

    def __init__(self, application: Application, jobs: Jobs) -> None:
        self._application = application
        self._jobs = jobs

    async def Train(self, request: training_pb2.TrainRequest, context: Context) -> training_pb2.Job:
        """Begin a job."""
        del context
        if request.max_examples < 0:
            raise InvalidArgumentError("max_examples", "is below 0: send 0 for no limit")
        if not 0 <= request.epochs <= 100:  # noqa: PLR2004 - more is a mistake
            raise InvalidArgumentError("epochs", "must be 0 (the recipe's) to 100")
        stored = training_pb2.TrainRequest()
        stored.CopyFrom(request)
        stored.request_id = checks.request_key(self._application.core, request.request_id)
        if request.base_model:
            checks.model_name("base_model", request.base_model)
        job = await self._jobs.start(stored)
        # The caller's own id is kept as a pseudonym only.
        job.request.request_id = request.request_id
        return job

    async def GetJob(self, request: training_pb2.GetJobRequest, context: Context) -> training_pb2.Job:
        """A job as it stands."""
        del context
        return await self._jobs.journal.get(request.job_id)

    async def ListJobs(self, request: training_pb2.ListJobsRequest, context: Context) -> training_pb2.ListJobsResponse:
        """A page of jobs, newest first."""
        del context
        size = checks.page_size(request.page_size, _DEFAULT_PAGE)
        core, arguments = self._application.core, f"ListJobs {request.category}"
        after = checks.place_of(core, arguments, request.page_token)
        jobs = await self._jobs.journal.all(request.category)
        start = _position([job.job_id for job in jobs], after)
        page = jobs[start : start + size]
        last = page[-1].job_id if start + size < len(jobs) else ""
        return training_pb2.ListJobsResponse(jobs=page, next_page_token=checks.next_page(core, arguments, last))

    async def WatchJob(
        self, request: training_pb2.WatchJobRequest, context: Context
    ) -> AsyncIterator[training_pb2.Job]:
        """The job at every change."""
        del context
        async for job in self._jobs.journal.watch(request.job_id):
            yield job
            if self._application.draining.is_set():
                return

    async def GetLossCurve(
        self, request: training_pb2.GetLossCurveRequest, context: Context
    ) -> training_pb2.GetLossCurveResponse:
        """What the trainer wrote down."""
        del context
        curve = await self._jobs.losses(request.job_id)
        points = [curve[place] for place in thin(len(curve), _MOST_POINTS)]
        return training_pb2.GetLossCurveResponse(
            points=[training_pb2.LossPoint(step=step, loss=loss) for step, loss in points]
        )

    async def CancelJob(self, request: training_pb2.CancelJobRequest, context: Context) -> training_pb2.Job:
        """End a job."""
        del context
        return await self._jobs.cancel(request.job_id)

    async def GetPipelineStats(
        self, request: training_pb2.GetPipelineStatsRequest, context: Context
    ) -> training_pb2.GetPipelineStatsResponse:
        """Where every category is."""
        del request, context
        jobs = await self._jobs.journal.all()
        newest = {int(job.category): job for job in reversed(jobs)}
        answer = training_pb2.GetPipelineStatsResponse(
            jobs=len(jobs), failed=sum(job.stage == training_pb2.STAGE_FAILED for job in jobs)
        )
        for number in sorted(self._jobs.categories):
            lacks = await self._jobs.lacks(number)
            view, due = await self._application.driver.plan(number)
            stage = Stage.READY_FOR_TRAINING if view.stage is Stage.COLLECTING and not lacks else view.stage
            job = newest.get(number)
            answer.categories.add(
                category=self._jobs.categories[number].number,
                stage=STAGES[stage],
                ready=not lacks,
                lacks=lacks,
                job_id=job.job_id if job else "",
                next=due.why,
                failed_attempts=view.failures,
            )
        entries: list[model_pb2.AuditEntry] = await self._application.read(
            self._application.ledger.read, lambda transaction: [entry for _, entry in transaction.scan(AUDIT)]
        )
        answer.promoted = sum(entry.action == "promote" for entry in entries)
        answer.rolled_back = sum(entry.action == "rollback" for entry in entries)
        return answer

    async def CheckPipeline(
        self, request: training_pb2.CheckPipelineRequest, context: Context
    ) -> training_pb2.CheckPipelineResponse:
        """Look now."""
        del request, context
        return training_pb2.CheckPipelineResponse(jobs=await self._application.driver.check())


def _position(ids: list[str], after: str) -> int:
    return ids.index(after) + 1 if after else 0
