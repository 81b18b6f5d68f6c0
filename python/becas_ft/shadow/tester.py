"""The path of a request: A answers at once; for sampled requests B runs beside it and can harm nothing.

In a canary it is the other way round: B answers, A runs beside it, and answers at once where B fails.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from becas.ft.ledger.v1 import records_pb2
from becas.ft.v1 import shadow_pb2
from becas_ft.errors import InvalidArgumentError
from becas_ft.ledger import Ledger, ReadTransaction, WriteTransaction
from becas_ft.ledger.schema import REQUESTS
from becas_ft.rollout import canary_record, registry
from becas_ft.runtime.errors import GenerationTimeout
from becas_ft.runtime.protocol import Generation, Priority, Runtime
from becas_ft.runtime.traffic import Traffic
from becas_ft.shadow import grade, routing, sampling, stored
from becas_ft.shadow.erase import erase
from becas_ft.shadow.question import Asked, Questions
from becas_ft.shadow.recorder import Recorder
from becas_ft.shadow.routing import Given, Route, Standing

_SHORTEST_WAIT = 0.05
# So many times its own time limit B may take where production is busy.
_PATIENCE = 10.0
# Of the time for an answer, the candidate of a canary has so much; the rest is the incumbent's, where the first fails.
_CANARYS_PART = 0.5
# Bytes of a request that are redacted in a fraction of what another thread costs.
_SHORT = 16 << 10
_REMEMBERED = 50_000
"""Requests kept in memory, so that a quick repetition is recognised before it is on disk."""


class Prompter(Protocol):
    """What is needed of the core."""

    def prompt(self, request: bytes) -> tuple[str, str]:
        """ShadowTestRequest in; (system, redacted input) out."""

    def pseudonym(self, kind: str, raw: str) -> str:
        """A keyed pseudonym, 32 hexadecimal digits."""

    def redact(self, text: str) -> str:
        """Text without personal data."""

    def has_consent(self, guild_id: str) -> bool:
        """Whether the guild's events may be used."""

    def has_consent_at_once(self, guild_id: str) -> bool | None:
        """The same without waiting for anybody; None while the store grows or is rewritten."""


class RequestConflictError(Exception):
    """The request_id was used for another input."""


@dataclass(frozen=True)
class Limits:
    """What a request may cost.

    Arguments:
        production_timeout: seconds for A.
        candidate_timeout: seconds for B, without the time in which production was busy.
        candidate_concurrency: B's requests that run at once.
        candidate_waiting: B's requests that run or wait; more are dropped and counted.
        max_tokens: longest answer.
        max_text: longest text in an answer, in characters: small models repeat themselves, and must still end.
        close_timeout: seconds that B's answers may still take when the server stops.
    """

    production_timeout: float = 30.0
    candidate_timeout: float = 60.0
    candidate_concurrency: int = 1
    candidate_waiting: int = 256
    max_tokens: int = 256
    max_text: int = 200
    close_timeout: float = 20.0

    @property
    def candidate_patience(self) -> float:
        """Seconds that B may take with the time in which production was busy, and wait for a moment to begin."""
        return _PATIENCE * self.candidate_timeout


def time_ms_of(request: shadow_pb2.ShadowTestRequest | shadow_pb2.RecordComparisonRequest) -> int:
    """When a message was written, milliseconds since the epoch; now where that is not stated.

    Raises: InvalidArgumentError.
    """
    if not request.HasField("time"):
        return int(time.time() * 1000)
    try:
        return request.time.ToMilliseconds()
    except ValueError as error:
        raise InvalidArgumentError("time", "must be a timestamp between the years 1 and 9999") from error


class ShadowTester:
    """Answers production requests and makes pairs of the sampled ones.

    Arguments:
        core: prompts, pseudonyms, consent.
        runtime: where the models are.
        ledger: where trials and pairs are.
        schemas: JSON schema of each category's output by name.
        base_model: the base model of a category by name, for categories where nothing was promoted.
        limits: what a request may cost.
    """

    def __init__(
        self,
        core: Prompter,
        runtime: Runtime,
        ledger: Ledger,
        *,
        schemas: dict[str, dict[str, Any]],
        base_model: Callable[[str], Awaitable[str]],
        limits: Limits | None = None,
    ) -> None:
        self._core = core
        self._runtime = runtime
        self._ledger = ledger
        self._base_model = base_model
        self._limits = limits or Limits()
        self._questions = Questions(
            schemas, max_tokens=self._limits.max_tokens, max_text=self._limits.max_text, redact=core.redact
        )
        self._recorder = Recorder(ledger)
        self._traffic = Traffic()
        self._slots = asyncio.Semaphore(self._limits.candidate_concurrency)
        self._beside: dict[asyncio.Task[None], tuple[Asked, str]] = {}
        self._answering: dict[str, Asked] = {}
        self._erased: set[str] = set()
        self._erasures = 0
        self._recent: OrderedDict[str, asyncio.Future[records_pb2.ShadowRequest | None]] = OrderedDict()

    def start(self) -> None:
        """Begins to record; call from the loop that will use it."""
        self._recorder.start()

    async def close(self) -> None:
        """Waits for B's answers for as long as they may take, then writes what waits."""
        if self._beside:
            await asyncio.wait(set(self._beside), timeout=self._limits.close_timeout)
        for task, (_, trial_id) in self._beside.items():
            task.cancel()
            self._recorder.record(partial(stored.drop, trial_id=trial_id))
        await self._recorder.close()

    async def flush(self) -> None:
        """Returns once every request answered so far is on disk: a truth may follow it at once."""
        await self._recorder.flush()

    async def erase(self, *, user: str = "", guild: str = "") -> int:
        """Erases requests and pairs of a member or a guild, by pseudonym, on disk and in memory; how many requests."""

        def is_theirs(one: Asked | records_pb2.ShadowRequest) -> bool:
            return bool((user and one.user == user) or (guild and one.guild == guild))

        self._erasures += 1
        # What is still asked, or on its way to the disk, would come after the erasure.
        self._erased |= {pseudonym for pseudonym, asked in self._answering.items() if is_theirs(asked)}
        for task, (asked, _) in list(self._beside.items()):
            if is_theirs(asked):
                task.cancel()
        await self.flush()
        erased = await asyncio.to_thread(self._ledger.write, partial(erase, user=user, guild=guild))
        for pseudonym, remembered in list(self._recent.items()):
            record = remembered.result() if remembered.done() else None
            if record is not None and is_theirs(record):
                del self._recent[pseudonym]
        # Also where nothing was found: what was replaced before still lies on free pages.
        await asyncio.to_thread(self._ledger.compact)
        return len(erased)

    async def settle(self) -> None:
        """Returns once every pair asked for so far is on disk."""
        while self._beside:
            await asyncio.wait(set(self._beside))
        await self._recorder.flush()

    async def answer(self, request: shadow_pb2.ShadowTestRequest) -> shadow_pb2.ShadowTestResponse:
        """Production's answer: A's, or in a canary B's.

        Raises: RequestConflictError; ModelRuntimeError where production cannot answer; InvalidArgumentError.
        """
        asked, kept, found = await self._looked_up(request)
        while (remembered := self._recent.get(asked.pseudonym)) is not None:
            if (record := await asyncio.shield(remembered)) is not None:
                return _repeat(asked, record)
            # It took its time to fail: what stood in the ledger may stand there no longer.
            asked, kept, found = await self._looked_up(request)
        mine: asyncio.Future[records_pb2.ShadowRequest | None] = asyncio.get_running_loop().create_future()
        self._remember(asked.pseudonym, mine)
        self._answering[asked.pseudonym] = asked
        record = None
        try:
            record = kept or await self._serve(asked, found)
        finally:
            if record is None or asked.pseudonym in self._erased:
                # Nobody may wait for an answer that will not come: the next one asks afresh.
                self._recent.pop(asked.pseudonym, None)
            del self._answering[asked.pseudonym]
            self._erased.discard(asked.pseudonym)
            mine.set_result(record)
        return _repeat(asked, record)

    async def _looked_up(
        self, request: shadow_pb2.ShadowTestRequest
    ) -> tuple[Asked, records_pb2.ShadowRequest | None, Standing]:
        """What is asked, what was answered to it before, and what its category's requests meet now."""
        if (at_once := self._look_up_at_once(request)) is not None:
            return at_once
        while True:
            erasures = self._erasures
            looked_up = await asyncio.to_thread(self._look_up, request)
            if erasures == self._erasures:
                return looked_up
            # A guild may have withdrawn its consent in between.

    def _look_up_at_once(
        self, request: shadow_pb2.ShadowTestRequest
    ) -> tuple[Asked, records_pb2.ShadowRequest | None, Standing] | None:
        """On the event loop, since a thread takes half a millisecond; None where that could hold up other calls."""
        if request.ByteSize() > _SHORT:
            return None
        guild = _guild(request)
        consented = self._core.has_consent_at_once(guild) if guild else True
        if consented is None:
            return None
        return self._ledger.read_at_once(partial(_view, asked=self._ask(request, stored=consented)))

    def _look_up(
        self, request: shadow_pb2.ShadowTestRequest
    ) -> tuple[Asked, records_pb2.ShadowRequest | None, Standing]:
        guild = _guild(request)
        asked = self._ask(request, stored=not guild or self._core.has_consent(guild))
        return self._ledger.read(partial(_view, asked=asked))

    def _ask(self, request: shadow_pb2.ShadowTestRequest, *, stored: bool) -> Asked:
        system, prompt = self._core.prompt(request.SerializeToString())
        user, guild = _user(request), _guild(request)
        return Asked(
            category=request.category,
            pseudonym=self._core.pseudonym("event", request.request_id),
            digest=hashlib.sha256(f"{request.category}\0{system}\0{prompt}".encode()).hexdigest(),
            system=system,
            prompt=prompt,
            user=self._core.pseudonym("user", user) if user else "",
            guild=self._core.pseudonym("guild", guild) if guild else "",
            time_ms=time_ms_of(request),
            stored=stored,
        )

    def _remember(self, pseudonym: str, future: "asyncio.Future[records_pb2.ShadowRequest | None]") -> None:
        self._recent[pseudonym] = future
        while len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)

    async def _serve(self, asked: Asked, found: Standing) -> records_pb2.ShadowRequest:
        route = await self._route(asked, found)
        trial, beside = route.trial, None
        answered: asyncio.Future[Given] = asyncio.get_running_loop().create_future()
        if trial is not None and route.sampled:
            beside = self._start_beside(route, trial, asked, answered)
        before, alone = self._traffic.requests, not self._traffic.busy
        try:
            given = await (self._canary(asked, route, trial) if trial and route.canary else self._given(asked, route))
        except BaseException:
            if beside is not None:
                beside.cancel()
            raise
        quiet = alone and self._traffic.requests == before + 1
        erased = asked.pseudonym in self._erased
        answered.set_result(replace(given, quiet=quiet))
        record = records_pb2.ShadowRequest(
            category=asked.category,
            input_digest=asked.digest,
            answer=given.answer,
            trial_id=trial.trial_id if trial and beside else "",
            running_trial_id=trial.trial_id if trial else "",
            time_ms=asked.time_ms,
            user=asked.user,
            guild=asked.guild,
        )
        if asked.stored and not erased:
            dropped = route.sampled and beside is None
            self._recorder.record(
                partial(
                    stored.request,
                    pseudonym=asked.pseudonym,
                    record=record,
                    sampled=route.sampled,
                    dropped=dropped,
                )
            )
        return record

    async def _route(self, asked: Asked, found: Standing) -> Route:
        incumbent = found.promoted or await self._base_model(registry.category_name(asked.category))
        who = asked.guild or asked.user or asked.pseudonym
        route = routing.route(found, incumbent, self._core.pseudonym, request=asked.pseudonym, who=who)
        # What may not be kept is no evidence: the incumbent answers it, alone.
        return route if asked.stored else replace(route, sampled=False, canary=False)

    async def _given(self, asked: Asked, route: Route) -> Given:
        return Given(await self._production(asked, route.incumbent, self._limits.production_timeout))

    async def _canary(self, asked: Asked, route: Route, trial: shadow_pb2.Trial) -> Given:
        """The candidate's answer; where that is of no use, the incumbent's: a canary costs nobody an answer."""
        started = time.monotonic()
        candidate = await self._first(asked, trial.candidate_model)
        given = Given(candidate)
        if candidate.failure:
            left = self._limits.production_timeout - (time.monotonic() - started)
            given = Given(await self._production(asked, route.incumbent, left), failed=candidate)
        # Only now: where the incumbent fails too, it is not the candidate that is to blame.
        self._recorder.record(
            partial(canary_record.note, category=asked.category, trial_id=trial.trial_id, failure=candidate.failure)
        )
        return given

    async def _first(self, asked: Asked, model: str) -> records_pb2.Answer:
        """The candidate's answer in production, or its failure, within its part of the caller's time."""
        started, seconds = time.monotonic(), self._limits.production_timeout * _CANARYS_PART
        try:
            async with asyncio.timeout(seconds):
                return await self._production(asked, model, seconds)
        except (GenerationTimeout, TimeoutError):
            failure = "timeout"
        except Exception:  # noqa: BLE001 - whatever it does, the incumbent can answer
            failure = "unavailable"
        return records_pb2.Answer(model=model, latency_ms=(time.monotonic() - started) * 1000, failure=failure)

    async def _production(self, asked: Asked, model: str, seconds: float) -> records_pb2.Answer:
        with self._traffic.request():
            generation = await self._runtime.generate(self._questions.ask(asked, model, seconds, Priority.PRODUCTION))
        return self._questions.read(asked, model, generation)

    def _start_beside(
        self, route: Route, trial: shadow_pb2.Trial, asked: Asked, answered: "asyncio.Future[Given]"
    ) -> asyncio.Task[None] | None:
        if len(self._beside) >= self._limits.candidate_waiting:
            return None
        task = asyncio.create_task(self._pair(route, trial, asked, answered), name="shadow answer")
        self._beside[task] = asked, trial.trial_id
        task.add_done_callback(self._beside.pop)
        return task

    async def _pair(
        self, route: Route, trial: shadow_pb2.Trial, asked: Asked, answered: "asyncio.Future[Given]"
    ) -> None:
        # Shielded: whatever ends this task, production's answer is not its to cancel.
        given = await asyncio.shield(answered)
        if given.failed is not None:
            self._record_pair(trial, asked, given.answer, given.failed)
            return
        async with self._slots:
            if not await self._turn():
                self._recorder.record(partial(stored.drop, trial_id=trial.trial_id))
                return
            before = self._traffic.requests
            second = await self._candidate(asked, route.beside(trial))
            if second is None or (route.canary and second.failure in canary_record.NO_ANSWER):
                # Without A's answer there is nothing to compare, as where A answers first.
                self._recorder.record(partial(stored.drop, trial_id=trial.trial_id))
                return
            quiet = given.quiet and self._traffic.requests == before
        if route.canary:
            self._record_pair(trial, asked, second, given.answer)
        else:
            self._record_pair(trial, asked, given.answer, second, quiet=quiet)

    def _record_pair(
        self,
        trial: shadow_pb2.Trial,
        asked: Asked,
        incumbent: records_pb2.Answer,
        candidate: records_pb2.Answer,
        *,
        # In a canary the two have changed places, and the one beside is the slower for it: no comparison of latencies.
        quiet: bool = False,
    ) -> None:
        row = records_pb2.Pair(
            input=asked.prompt,
            a=incumbent,
            b=candidate,
            user=asked.user,
            guild=asked.guild,
            time_ms=asked.time_ms,
            quiet=quiet,
        )
        agreed = grade.agree(registry.category_name(asked.category), incumbent.output, candidate.output)
        row.audit = agreed and sampling.is_audited(self._core.pseudonym, trial.trial_id, asked.pseudonym)
        change: Callable[[WriteTransaction], None] = partial(
            stored.pair, key=f"{trial.trial_id}/{asked.pseudonym}", row=row, agreed=agreed
        )
        self._recorder.record(change)

    async def _candidate(self, asked: Asked, model: str) -> records_pb2.Answer | None:
        """The answer beside production's, or its failure; None where production left it no time: that says nothing."""
        started, end = time.monotonic(), self._traffic.clock() + self._limits.candidate_timeout
        question = self._questions.ask(asked, model, self._limits.candidate_patience, Priority.CANDIDATE)
        work = asyncio.create_task(self._runtime.generate(question))
        try:
            if await self._finished(work, end):
                return self._questions.read(asked, model, work.result())
            failure = "timeout"
        except GenerationTimeout:
            failure = "timeout"
        except Exception:  # noqa: BLE001 - whatever B does, it is B's answer that is missing
            failure = "unavailable"
        finally:
            work.cancel()
        if failure == "timeout" and self._traffic.clock() < end:
            return None
        latency = (time.monotonic() - started) * 1000
        return records_pb2.Answer(model=model, latency_ms=latency, failure=failure)

    async def _turn(self) -> bool:
        """Whether production left a moment for B to begin."""
        try:
            async with asyncio.timeout(self._limits.candidate_patience):
                await self._traffic.quiet()
        except TimeoutError:
            return False
        return True

    async def _finished(self, work: "asyncio.Task[Generation]", end: float) -> bool:
        """Whether B answered before its end, by the clock that stops while production is busy."""
        latest = time.monotonic() + self._limits.candidate_patience
        while not work.done():
            left = min(end - self._traffic.clock(), latest - time.monotonic())
            if left <= 0:
                return False
            await asyncio.wait({work}, timeout=max(left, _SHORTEST_WAIT))
        return True


def _view(transaction: ReadTransaction, asked: Asked) -> tuple[Asked, records_pb2.ShadowRequest | None, Standing]:
    return asked, transaction.get(REQUESTS, asked.pseudonym), routing.standing(transaction, asked.category)


def _user(request: shadow_pb2.ShadowTestRequest) -> str:
    return request.user_id or request.payload.user_id


def _guild(request: shadow_pb2.ShadowTestRequest) -> str:
    return request.guild_id or request.payload.guild_id


def _repeat(asked: Asked, record: records_pb2.ShadowRequest) -> shadow_pb2.ShadowTestResponse:
    if record.input_digest != asked.digest:
        raise RequestConflictError("request_id was used for another input: choose a new one for each request")
    return shadow_pb2.ShadowTestResponse(
        output=record.answer.output,
        model=record.answer.model,
        confidence=record.answer.confidence,
        latency=record.answer.latency_ms,
        sampled=bool(record.trial_id),
        label=record.answer.label,
    )
