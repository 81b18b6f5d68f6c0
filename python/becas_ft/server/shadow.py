"""ShadowService: production answers, their shadows, and what the evidence says."""

import math
from functools import partial
from typing import Final

from becas.ft.ledger.v1 import records_pb2
from becas.ft.v1 import model_pb2, shadow_pb2
from becas_ft.errors import FailedPreconditionError, InvalidArgumentError
from becas_ft.ledger import ReadTransaction, WriteTransaction
from becas_ft.ledger.schema import ANSWERED, REQUESTS
from becas_ft.rollout import registry
from becas_ft.server import checks, rollout
from becas_ft.server.application import Application
from becas_ft.server.service import Context
from becas_ft.shadow import clean, comparison, grade, judged, path, queue, report, report_page, stats, trials, truth
from becas_ft.shadow.tester import time_ms_of

_PAGE: Final = 50
_CASES: Final = 10_000
_SET_UP: Final = "set_up"
_PREFIXES: Final = (queue.PAIR_PREFIX, queue.CASE_PREFIX)


class ShadowService:
    """Each method checks, calls, and replies; errors are mapped outside."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._core = application.core
        self._ledger = application.ledger
        self._tester = application.tester
        self._figures = rollout.figures(application.config)

    async def SetUpShadowTest(
        self, request: shadow_pb2.SetUpShadowTestRequest, context: Context
    ) -> shadow_pb2.SetUpShadowTestResponse:
        """Fix what decides, and begin."""
        del context
        category = checks.category(request.category)
        base = await self._application.runtime.base_model(registry.category_name(category))
        plan = trials.Plan(
            category,
            base_model=checks.model_name("base_model", request.base_model) if request.base_model else "",
            candidate_model=checks.model_name("candidate_model", request.candidate_model),
            task_type=checks.free_text(self._core, "task_type", request.task_type),
            sample_rate=request.sample_rate
            if request.HasField("sample_rate")
            else self._application.config.shadow.sample_rate,
            alpha=self._alpha(request),
            horizon=request.horizon or self._application.config.shadow.horizon,
        )
        key = checks.request_key(self._core, request.request_id)
        trial = await self._application.write(
            self._ledger.write, partial(_set_up, plan=plan, base=base, key=key, figures=self._figures)
        )
        return shadow_pb2.SetUpShadowTestResponse(trial=trial)

    async def ShadowTest(
        self, request: shadow_pb2.ShadowTestRequest, context: Context
    ) -> shadow_pb2.ShadowTestResponse:
        """A's answer."""
        del context
        checks.category(request.category)
        _own_request_id(self._application, request.request_id)
        return await self._tester.answer(request)

    async def RecordTruth(
        self, request: shadow_pb2.RecordTruthRequest, context: Context
    ) -> shadow_pb2.RecordTruthResponse:
        """The right label of a request, by its id or by the id of its pair in the queue."""
        del context
        pseudonym = self._named(checks.required("request_id", request.request_id))
        stated = checks.free_text(self._core, "truth", checks.required("truth", request.truth))
        # The request may have been answered a moment ago, and be on its way to the disk.
        await self._tester.flush()

        def record(transaction: WriteTransaction) -> tuple[str, bool]:
            known = transaction.get(REQUESTS, pseudonym)
            if known is not None:
                self._check_truth(registry.category_name(known.category), stated)  # type: ignore[arg-type]  # stored as the enum's number
            return truth.record(transaction, pseudonym, stated)

        trial_id, replaced = await self._application.write(self._ledger.write, record)
        return shadow_pb2.RecordTruthResponse(trial_ids=[trial_id] if trial_id else [], replaced=replaced)

    async def RecordComparison(
        self, request: shadow_pb2.RecordComparisonRequest, context: Context
    ) -> shadow_pb2.RecordComparisonResponse:
        """A pair that a bot made."""
        del context
        _own_request_id(self._application, request.request_id)
        trial_id = checks.required("trial_id", request.trial_id)
        trial = await self._application.read(self._ledger.read, partial(trials.get, trial_id=trial_id))
        pair = self._pair(trial, request)
        if request.guild_id and not self._core.has_consent(request.guild_id):
            return shadow_pb2.RecordComparisonResponse()
        await self._tester.flush()
        pseudonym = self._core.pseudonym("event", request.request_id)
        duplicate = await self._application.write(
            self._ledger.write, partial(comparison.store, trial=trial, pseudonym=pseudonym, pair=pair)
        )
        return shadow_pb2.RecordComparisonResponse(duplicate=duplicate)

    async def ListDisagreements(
        self, request: shadow_pb2.ListDisagreementsRequest, context: Context
    ) -> shadow_pb2.ListDisagreementsResponse:
        """A page of what needs a person's label."""
        del context
        size = checks.page_size(request.page_size, _PAGE)
        arguments = f"ListDisagreements {request.trial_id}"
        after = queue.place_of(checks.place_of(self._core, arguments, request.page_token))
        cases = [] if request.trial_id else await self._application.read(self._core.labelling_queue, _CASES)
        await self._tester.flush()
        view = partial(queue.page, trial_id=request.trial_id, cases=cases, after=after, size=size)
        found, last = await self._application.read(self._ledger.read, view)
        token = checks.next_page(self._core, arguments, last)
        return shadow_pb2.ListDisagreementsResponse(disagreements=found, next_page_token=token)

    async def GetComparisonReport(
        self, request: shadow_pb2.GetComparisonReportRequest, context: Context
    ) -> shadow_pb2.GetComparisonReportResponse:
        """What the evidence says; as a page too where asked for."""
        del context
        record = await self._record(request.trial_id)
        policy = rollout.policy(self._application.config)
        found = await self._application.read(report.build, record, policy)
        html = await self._application.read(report_page.render, record, found) if request.html else ""
        return shadow_pb2.GetComparisonReportResponse(report=found, html=html)

    async def GetTrialPath(
        self, request: shadow_pb2.GetTrialPathRequest, context: Context
    ) -> shadow_pb2.GetTrialPathResponse:
        """How the evidence grew."""
        del context
        return await self._application.read(path.path, await self._record(request.trial_id))

    async def _record(self, trial_id: str) -> judged.Record:
        """A trial with all that is judged of it so far."""
        named = checks.required("trial_id", trial_id)
        await self._tester.flush()
        return await self._application.read(self._ledger.read, partial(judged.load, trial_id=named))

    async def GetShadowStats(
        self, request: shadow_pb2.GetShadowStatsRequest, context: Context
    ) -> shadow_pb2.GetShadowStatsResponse:
        """Totals over trials."""
        del request, context
        await self._tester.flush()
        return await self._application.read(self._ledger.read, stats.total)

    async def StopShadowTest(
        self, request: shadow_pb2.StopShadowTestRequest, context: Context
    ) -> shadow_pb2.StopShadowTestResponse:
        """End a trial; an ended one stays as it is."""
        del context
        trial_id = checks.required("trial_id", request.trial_id)
        reason = checks.free_text(self._core, "reason", request.reason) or "stopped by an operator"
        change = partial(trials.stop, trial_id=trial_id, reason=reason, figures=self._figures)
        return shadow_pb2.StopShadowTestResponse(trial=await self._application.write(self._ledger.write, change))

    def _alpha(self, request: shadow_pb2.SetUpShadowTestRequest) -> float:
        """The request's error level; what all versions of a category share out is not for one request to raise."""
        most = self._application.config.shadow.alpha
        if not request.HasField("alpha"):
            return most
        if not 0 < request.alpha <= most:
            raise InvalidArgumentError(
                "alpha", f"must be over 0 and at most shadow.alpha, which is {most:g}: send less, or leave it out"
            )
        return request.alpha

    def _named(self, request_id: str) -> str:
        """The pseudonym of the request that a request_id or a pair_id names."""
        if request_id.startswith(queue.PAIR_PREFIX):
            return request_id.removeprefix(queue.PAIR_PREFIX)
        if request_id.startswith(queue.CASE_PREFIX):
            raise FailedPreconditionError(
                "this case waits for a correction: publish an ai.correction with corrected_label for the original event"
            )
        return self._core.pseudonym("event", request_id)

    def _check_truth(self, category: str, stated: str) -> None:
        """A label that the category does not have would make both models wrong."""
        if not grade.is_label(category, stated):
            labels = ", ".join(grade.vocabulary(category))
            raise InvalidArgumentError("truth", f"must be a label of {category}: {labels}")

    def _pair(self, trial: shadow_pb2.Trial, request: shadow_pb2.RecordComparisonRequest) -> records_pb2.Pair:
        category = registry.category_name(trial.category)
        pair = records_pb2.Pair(
            a=self._answer(category, trial.base_model, "a", request),
            b=self._answer(category, trial.candidate_model, "b", request),
            user=self._core.pseudonym("user", request.user_id) if request.user_id else "",
            guild=self._core.pseudonym("guild", request.guild_id) if request.guild_id else "",
            time_ms=time_ms_of(request),
            quiet=True,
        )
        if request.HasField("truth"):
            pair.truth = checks.free_text(self._core, "truth", checks.required("truth", request.truth))
            self._check_truth(category, pair.truth)
        return pair

    def _answer(
        self, category: str, model: str, side: str, request: shadow_pb2.RecordComparisonRequest
    ) -> records_pb2.Answer:
        output: str = getattr(request, f"output_{side}")
        confidence: float = getattr(request, f"confidence_{side}")
        latency: float = getattr(request, f"latency_{side}")
        if len(output) > clean.MAXIMUM_OUTPUT:
            raise InvalidArgumentError(f"output_{side}", f"must have at most {clean.MAXIMUM_OUTPUT:,} characters")
        if not 0 <= confidence <= 1:
            raise InvalidArgumentError(f"confidence_{side}", "must be 0 to 1")
        if not (math.isfinite(latency) and latency >= 0):
            raise InvalidArgumentError(f"latency_{side}", "must be milliseconds, at least 0")
        return comparison.answer(category, model, clean.output(output, self._core.redact), confidence, latency)


def _own_request_id(application: Application, request_id: str) -> None:
    """Ids of the queue are no ids of requests: one must never name the other."""
    checks.required("request_id", request_id)
    if len(request_id.encode()) > application.config.limits.id_bytes:
        raise InvalidArgumentError("request_id", f"must have at most {application.config.limits.id_bytes} bytes")
    if request_id.startswith(_PREFIXES):
        raise InvalidArgumentError("request_id", f"must not begin with {' or '.join(_PREFIXES)}: choose another")


def _set_up(
    transaction: WriteTransaction, plan: trials.Plan, base: str, key: str, figures: trials.Figures
) -> shadow_pb2.Trial:
    if key and (answered := transaction.get(ANSWERED, f"{_SET_UP}:{key}")) is not None:
        return trials.get(transaction, answered.evidence)
    answers = _answering(transaction, plan) or base
    plan = trials.with_base(plan, plan.base_model or answers)
    for field, problem in plan.problems():
        raise InvalidArgumentError(field, problem)
    candidate = registry.get(transaction, plan.candidate_model)
    registry.get(transaction, plan.base_model)
    if candidate.category not in {0, plan.category}:
        raise InvalidArgumentError("candidate_model", "answers for another category: name one of this category")
    trial = trials.set_up(transaction, plan, figures)
    if key:
        transaction.put(ANSWERED, f"{_SET_UP}:{key}", model_pb2.AuditEntry(action=_SET_UP, evidence=trial.trial_id))
    return trial


def _answering(transaction: ReadTransaction, plan: trials.Plan) -> str:
    alias = registry.alias_of(transaction, plan.category)
    return alias.model if alias else ""
