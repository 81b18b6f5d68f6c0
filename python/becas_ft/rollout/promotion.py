"""Promotion and rollback: moves a category's alias in one step, and survives a crash between runtime and ledger.

A switch is written as an intent before the runtime is asked, and settled (alias, states, audit, event) in one
transaction afterwards. Whatever a crash leaves between the two is finished by `recover`: asking the runtime again
for the same alias changes nothing. Once begun, a switch goes to its end whether or not its caller still waits. One that
fails is given up: its intent turns into the order to set the runtime's alias back, and stays until that is done.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import structlog

from becas.ft.v1 import example_pb2, model_pb2, published_event_pb2
from becas_ft.errors import AlreadyExistsError
from becas_ft.ledger import Ledger, ReadTransaction, WriteTransaction
from becas_ft.ledger.schema import ALIASES, ANSWERED, CANARIES, MODELS, SWITCHES
from becas_ft.rollout import audit, names, published, registry
from becas_ft.rollout.gate import Decision, Verdict
from becas_ft.runtime.errors import InvalidModel, ModelNotFound

Result = TypeVar("Result")

PROMOTE = "promote"
ROLL_BACK = "rollback"
_MOVES = frozenset({PROMOTE, ROLL_BACK})
"""Actions of the audit log that moved an alias; a canary moves none."""
_UNDO = "undo"
"""The action of an intent that was given up: the runtime's alias goes back to what answered before."""

_log = structlog.get_logger("becas_ft.rollout")


class RefusedError(Exception):
    """The evidence or the model's state does not allow the switch; `reasons` say why."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class Aliases(Protocol):
    """What is needed of a runtime."""

    async def copy(self, source: str, alias: str) -> None:
        """Points an alias at a model, in one step."""

    async def base_model(self, category: str) -> str:
        """What answers for a category, by its name, before anything is promoted."""


@dataclass(frozen=True)
class Judgement:
    """What the trials say of a model.

    Arguments:
        verdict: the gate's.
        evidence: the figures behind it, as JSON.
        trial_id: where they are from.
        incumbent: what it was tested against; empty where that is not known.
    """

    verdict: Verdict
    evidence: str
    trial_id: str
    incumbent: str = ""


@dataclass(frozen=True)
class Switch:
    """A settled switch: what the alias is now, and the entry that was written."""

    alias: model_pb2.Alias
    entry: model_pb2.AuditEntry


class Promoter:
    """Moves aliases; one switch at a time.

    Arguments:
        ledger: where intents, aliases and the audit log are.
        runtime: where the aliases are.
        judge: the newest trial's judgement of a model since it was last rolled back; None where there is none.
    """

    def __init__(self, ledger: Ledger, runtime: Aliases, judge: Callable[[str], Judgement | None]) -> None:
        self._ledger = ledger
        self._runtime = runtime
        self._judge = judge
        self._lock = asyncio.Lock()
        self._under_way: asyncio.Task[Any] | None = None
        # Until the first recovery, and after a failure, runtime and ledger may disagree.
        self._agreed = False

    async def promote(
        self, model: str, *, actor: str, reason: str, force: bool = False, request_id: str = ""
    ) -> Switch:
        """Points the model's category at it.

        Raises: UnknownModelError; AlreadyExistsError where the request_id was used for another model; RefusedError
            where the gate does not pass and `force` is not set.
        """

        async def work() -> Switch:
            await self._agree()
            if answered := await self._read(partial(_answered, action=PROMOTE, request_id=request_id)):
                if answered.entry.to_model != model:
                    raise _taken()
                return answered
            if standing := await self._read(partial(_standing, model=model)):
                return standing
            candidate = await self._read(partial(registry.get, name=model))
            if candidate.state == model_pb2.MODEL_STATE_BASE:
                raise RefusedError(("a base model is not promoted: `becas-ft rollback --to-version 0` returns to it",))
            base = await self.base_of(candidate.category)
            judgement = await asyncio.to_thread(self._judge, model)
            entry = await self._read(
                partial(_promotion, candidate=candidate, base=base, judgement=judgement, force=force)
            )
            # A forced promotion says so first, in the log that is kept.
            entry.actor, entry.request_id = actor, request_id
            entry.reason = ": ".join(filter(None, (entry.reason, reason)))
            return await self._switch(entry)

        return await self._alone(work)

    async def rollback(
        self,
        category: int,
        *,
        actor: str,
        reason: str,
        to_version: int | None = None,
        expected: str = "",
        evidence: str = "",
        request_id: str = "",
    ) -> Switch:
        """Points the category at the version before, a version that answered before, or (0) the base.

        Arguments:
            category: its number.
            actor: who asks.
            reason: why.
            to_version: the target; the version before where None.
            expected: the model that must answer now, so that no other one is taken out; empty for any.
            evidence: as JSON.
            request_id: of the caller; a repetition is answered as the first was.

        Raises: UnknownModelError; AlreadyExistsError where the request_id was used for another rollback; RefusedError
            where nothing was promoted, the target answers already or never answered, or another model than expected
            answers.
        """

        async def work() -> Switch:
            await self._agree()
            if answered := await self._read(partial(_answered, action=ROLL_BACK, request_id=request_id)):
                if not await self._read(partial(_is_same, entry=answered.entry, category=category, version=to_version)):
                    raise _taken()
                return answered
            current = await self._read(partial(_current, category=category, expected=expected))
            base = await self.base_of(current.category)
            entry = await self._read(partial(_rollback, current=current, base=base, to_version=to_version))
            entry.actor, entry.reason, entry.evidence, entry.request_id = actor, reason, evidence, request_id
            return await self._switch(entry)

        return await self._alone(work)

    async def recover(self) -> list[Switch]:
        """Finishes what a crash left between runtime and ledger, and sets every alias again; call at start."""

        async def work() -> list[Switch]:
            self._agreed = False
            return await self._agree()

        return await self._alone(work)

    async def agree(self) -> list[Switch]:
        """As `recover` where a failure left the two apart; else nothing."""
        return await self._alone(self._agree)

    async def confirm(self, category: int, model: str) -> None:
        """Sets the category's alias again where it is at the model: a runtime that cannot serve it says so.

        Raises: ModelRuntimeError.
        """

        async def work() -> None:
            alias = await self._read(partial(registry.alias_of, category=category))
            if alias is not None and alias.model == model:
                await self._runtime.copy(model, alias.name)

        await self._alone(work)

    async def close(self) -> None:
        """Waits for the switch that is under way."""
        if self._under_way is not None:
            await asyncio.wait({self._under_way})

    async def _alone(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        await self._lock.acquire()
        # From here it goes to its end, and the lock with it: a caller that is cancelled or out of time only stops
        # waiting, as nobody could say afterwards whether the runtime had moved.
        task = asyncio.create_task(work(), name="switch")
        self._under_way = task
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._under_way = None
        self._lock.release()
        if not task.cancelled():
            # Seen, even where its caller has gone.
            task.exception()

    async def base_of(self, category: "example_pb2.Category.ValueType") -> str:
        """What answers for a category before anything is promoted.

        Raises: RuntimeUnavailable.
        """
        return await self._runtime.base_model(registry.category_name(category))

    async def _agree(self) -> list[Switch]:
        if self._agreed:
            return []
        intents = await self._read(lambda transaction: [found for _, found in transaction.scan(SWITCHES)])
        settled = [switch for intent in intents if (switch := await self._close(intent))]
        aliases = await self._read(lambda transaction: [alias for _, alias in transaction.scan(ALIASES)])
        for alias in aliases:
            await self._point(alias.model, alias.name)
        self._agreed = True
        return settled

    async def _close(self, intent: model_pb2.AuditEntry) -> Switch | None:
        """Finishes an intent that was left open, or gives it up where its model is gone."""
        if intent.action != _UNDO:
            with suppress(ModelNotFound, InvalidModel):
                return await self._finish(intent)
        await self._point(intent.from_model, names.alias(registry.category_name(intent.category)))
        await asyncio.to_thread(
            self._ledger.write, lambda transaction: transaction.delete(SWITCHES, int(intent.category))
        )
        return None

    async def _point(self, model: str, alias: str) -> None:
        """Sets an alias; a model that is gone must not keep others from being switched, nor itself from going."""
        try:
            await self._runtime.copy(model, alias)
        except (ModelNotFound, InvalidModel) as error:
            _log.error("alias_without_model", alias=alias, error=type(error).__name__)

    async def _switch(self, intent: model_pb2.AuditEntry) -> Switch:
        def plan(transaction: WriteTransaction) -> None:
            transaction.put(SWITCHES, int(intent.category), intent)

        # Whatever ends it before its end is mended by the next `_agree`.
        self._agreed = False
        await asyncio.to_thread(self._ledger.write, plan)
        try:
            switch = await self._finish(intent)
        except Exception:
            await self._give_up(intent)
            raise
        self._agreed = True
        return switch

    async def _give_up(self, intent: model_pb2.AuditEntry) -> None:
        """Nothing was promised: the runtime's alias, which may have moved, goes back; at once where that can be."""
        undo = model_pb2.AuditEntry()
        undo.CopyFrom(intent)
        undo.action = _UNDO
        await asyncio.to_thread(
            self._ledger.write, lambda transaction: transaction.put(SWITCHES, int(intent.category), undo)
        )
        with suppress(Exception):
            await self._agree()

    async def _finish(self, intent: model_pb2.AuditEntry) -> Switch:
        alias = names.alias(registry.category_name(intent.category))
        await self._runtime.copy(intent.to_model, alias)
        return await asyncio.to_thread(self._ledger.write, lambda transaction: _settle(transaction, intent))

    async def _read(self, view: Callable[[ReadTransaction], Result]) -> Result:
        return await asyncio.to_thread(self._ledger.read, view)


def _promotion(
    transaction: ReadTransaction, candidate: model_pb2.Model, base: str, judgement: Judgement | None, *, force: bool
) -> model_pb2.AuditEntry:
    before = registry.alias_of(transaction, candidate.category)
    answers = before.model if before else base
    against = _against(candidate.name, answers, judgement)
    if against and not force:
        raise RefusedError(against)
    entry = model_pb2.AuditEntry(
        action=PROMOTE,
        category=candidate.category,
        from_model=answers,
        to_model=candidate.name,
        evidence=judgement.evidence if judgement else "",
    )
    if force:
        figures = json.loads(entry.evidence or "{}")
        entry.evidence = json.dumps(figures | {"forced": True, "against": list(against)})
        entry.reason = f"forced although {'; '.join(against)}" if against else "forced"
    return entry


def _against(model: str, answers: str, judgement: Judgement | None) -> tuple[str, ...]:
    """What stands against a promotion, in words."""
    if judgement is None:
        return (f"model {model} has no shadow test since it was made or rolled back",)
    if judgement.verdict.decision is not Decision.PROMOTE:
        return judgement.verdict.reasons
    if judgement.incumbent not in {"", answers, model}:
        return (f"it was tested against {judgement.incumbent}, but {answers} answers: set up a new shadow test",)
    return ()


def _standing(transaction: ReadTransaction, model: str) -> Switch | None:
    """The switch that made the model answer, where it answers already: promoting it again changes nothing."""
    alias = registry.alias_of(transaction, registry.get(transaction, model).category)
    if alias is None or alias.model != model:
        return None
    made = [entry for entry in audit.entries(transaction) if entry.action in _MOVES and entry.to_model == model]
    return Switch(alias, made[-1]) if made else None


def _answered(transaction: ReadTransaction, action: str, request_id: str) -> Switch | None:
    entry = transaction.get(ANSWERED, f"{action}:{request_id}") if request_id else None
    if entry is None:
        return None
    alias = registry.alias_of(transaction, entry.category)
    return Switch(alias, entry) if alias else None


def _before(transaction: ReadTransaction, category: int, base: str) -> str:
    """The version that answered before the present one took over; the base where there was none.

    Rolling back twice goes back twice: what was rolled back is not what came before.
    """
    line = [base]
    for entry in audit.entries(transaction):
        if entry.category != category:
            continue
        if entry.action == PROMOTE:
            line.append(entry.to_model)
        elif entry.action == ROLL_BACK:
            while len(line) > 1 and line[-1] != entry.to_model:
                line.pop()
            if line[-1] != entry.to_model:
                line.append(entry.to_model)
    return line[-2] if len(line) > 1 else base


def _current(transaction: ReadTransaction, category: int, expected: str) -> model_pb2.Alias:
    alias = registry.alias_of(transaction, category)
    if alias is None:
        raise RefusedError(("nothing was promoted for this category: the base answers",))
    if expected not in {"", alias.model}:
        raise RefusedError((f"{alias.model} answers now, not {expected}",))
    return alias


def _rollback(
    transaction: ReadTransaction, current: model_pb2.Alias, base: str, to_version: int | None
) -> model_pb2.AuditEntry:
    if to_version is None:
        target = _before(transaction, current.category, base)
    elif to_version == 0:
        target = base
    else:
        target = _answered_before(transaction, current.category, to_version)
    if target == current.model:
        raise RefusedError((f"{target} answers already",))
    return model_pb2.AuditEntry(action=ROLL_BACK, category=current.category, from_model=current.model, to_model=target)


def _answered_before(transaction: ReadTransaction, category: int, version: int) -> str:
    """The model of a version that answered once: a rollback is no way round the gate."""
    versions = {model.version: model.name for model in registry.models(transaction, category)}
    if version not in versions:
        raise registry.UnknownModelError(f"version {version} is not registered for this category", version)
    name = versions[version]
    moves = (entry for entry in audit.entries(transaction) if entry.action in _MOVES)
    if not any(entry.category == category and entry.to_model == name for entry in moves):
        raise RefusedError((f"version {version} never answered: `becas-ft promote {name}` after its shadow test",))
    return name


def _is_same(transaction: ReadTransaction, entry: model_pb2.AuditEntry, category: int, version: int | None) -> bool:
    """Whether a rollback asked for is the one that was done under its request_id, as far as the log tells."""
    if entry.category != category:
        return False
    return version is None or registry.get(transaction, entry.to_model).version == version


def _taken() -> AlreadyExistsError:
    return AlreadyExistsError("request_id was used for another switch: choose a new one for each")


def _settle(transaction: WriteTransaction, intent: model_pb2.AuditEntry) -> Switch:
    rolled_back = intent.action == ROLL_BACK
    left = model_pb2.MODEL_STATE_ROLLED_BACK if rolled_back else model_pb2.MODEL_STATE_RETIRED
    for name, state in ((intent.from_model, left), (intent.to_model, model_pb2.MODEL_STATE_PROMOTED)):
        if transaction.get(MODELS, name) is not None:
            registry.set_state(transaction, name, state)
    alias = registry.point(transaction, intent.category, intent.to_model)
    intent.time.GetCurrentTime()
    entry = audit.append(transaction, intent)
    published.publish(
        transaction,
        published_event_pb2.PublishedEvent(
            name="fine_tuning.rolled_back" if rolled_back else "fine_tuning.promoted",
            category=intent.category,
            model=intent.to_model,
            reason=intent.reason,
            data=intent.evidence,
        ),
    )
    transaction.delete(SWITCHES, int(intent.category))
    # Who answers was decided for everybody.
    transaction.delete(CANARIES, int(intent.category))
    if intent.request_id:
        transaction.put(ANSWERED, f"{intent.action}:{intent.request_id}", entry)
    return Switch(alias, entry)
