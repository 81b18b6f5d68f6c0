"""Promotion and rollback: moves a category's alias in one step, and survives a crash between runtime and ledger.

A switch is written as an intent before the runtime is asked, and settled (alias, states, audit, event) in one
transaction afterwards. Whatever a crash leaves between the two is finished by `recover`: asking the runtime again
for the same alias changes nothing.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from becas.ft.v1 import model_pb2, published_event_pb2
from becas_ft.ledger import Ledger, ReadTransaction, WriteTransaction
from becas_ft.ledger.schema import ALIASES, ANSWERED, MODELS, SWITCHES
from becas_ft.rollout import audit, names, published, registry
from becas_ft.rollout.gate import Decision, Verdict

Result = TypeVar("Result")

PROMOTE = "promote"
ROLL_BACK = "rollback"


class RefusedError(Exception):
    """The evidence or the model's state does not allow the switch; `reasons` say why."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class Aliases(Protocol):
    """What is needed of a runtime."""

    async def copy(self, source: str, alias: str) -> None:
        """Points an alias at a model, in one step."""


@dataclass(frozen=True)
class Judgement:
    """What the trials say of a model: the gate's verdict, and the figures behind it as JSON."""

    verdict: Verdict
    evidence: str
    trial_id: str


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
        # Until the first recovery, and after a failure, runtime and ledger may disagree.
        self._agreed = False

    async def promote(
        self, model: str, *, actor: str, reason: str, force: bool = False, request_id: str = ""
    ) -> Switch:
        """Points the model's category at it.

        Raises: UnknownModelError; RefusedError where the gate does not pass and `force` is not set.
        """
        async with self._lock:
            await self._agree()
            if answered := await self._read(partial(_answered, action=PROMOTE, request_id=request_id)):
                return answered
            if standing := await self._read(partial(_standing, model=model)):
                return standing
            judgement = await asyncio.to_thread(self._judge, model)
            entry = await self._read(partial(_promotion, model=model, judgement=judgement, force=force))
            entry.actor, entry.reason, entry.request_id = actor, reason, request_id
            return await self._switch(entry)

    async def rollback(
        self,
        category: int,
        *,
        actor: str,
        reason: str,
        to_version: int | None = None,
        evidence: str = "",
        request_id: str = "",
    ) -> Switch:
        """Points the category at the version before, a version, or (0) the base.

        Raises: UnknownModelError; RefusedError where nothing was promoted or the target answers already.
        """
        async with self._lock:
            await self._agree()
            if answered := await self._read(partial(_answered, action=ROLL_BACK, request_id=request_id)):
                return answered
            entry = await self._read(partial(_rollback, category=category, to_version=to_version))
            entry.actor, entry.reason, entry.evidence, entry.request_id = actor, reason, evidence, request_id
            return await self._switch(entry)

    async def recover(self) -> list[Switch]:
        """Finishes what a crash left between runtime and ledger, and sets every alias again; call at start."""
        async with self._lock:
            self._agreed = False
            return await self._agree()

    async def _agree(self) -> list[Switch]:
        if self._agreed:
            return []
        intents = await self._read(lambda transaction: [found for _, found in transaction.scan(SWITCHES)])
        settled = [await self._finish(intent) for intent in intents]
        aliases = await self._read(lambda transaction: [alias for _, alias in transaction.scan(ALIASES)])
        for alias in aliases:
            await self._runtime.copy(alias.model, alias.name)
        self._agreed = True
        return settled

    async def _switch(self, intent: model_pb2.AuditEntry) -> Switch:
        def plan(transaction: WriteTransaction) -> None:
            transaction.put(SWITCHES, int(intent.category), intent)

        await asyncio.to_thread(self._ledger.write, plan)
        try:
            switch = await self._finish(intent)
        except Exception:
            # Nothing was promised, so the switch is given up; the alias is set to what the ledger says before the next.
            self._agreed = False
            await asyncio.to_thread(
                self._ledger.write, lambda transaction: transaction.delete(SWITCHES, int(intent.category))
            )
            raise
        except BaseException:
            # Cancelled on the way: whether the runtime moved is not known.
            self._agreed = False
            raise
        return switch

    async def _finish(self, intent: model_pb2.AuditEntry) -> Switch:
        alias = names.alias(registry.category_name(intent.category))
        await self._runtime.copy(intent.to_model, alias)
        return await asyncio.to_thread(self._ledger.write, lambda transaction: _settle(transaction, intent))

    async def _read(self, view: Callable[[ReadTransaction], Result]) -> Result:
        return await asyncio.to_thread(self._ledger.read, view)


def _promotion(
    transaction: ReadTransaction, model: str, judgement: Judgement | None, *, force: bool
) -> model_pb2.AuditEntry:
    candidate = registry.get(transaction, model)
    if candidate.state == model_pb2.MODEL_STATE_BASE:
        raise RefusedError(("a base model is not promoted: `becas-ft rollback --to-version 0` returns to it",))
    before = registry.alias_of(transaction, candidate.category)
    if judgement is None and not force:
        raise RefusedError((f"model {model} has no shadow test since it was made or rolled back",))
    if judgement is not None and judgement.verdict.decision is not Decision.PROMOTE and not force:
        raise RefusedError(judgement.verdict.reasons)
    return model_pb2.AuditEntry(
        action=PROMOTE,
        category=candidate.category,
        from_model=before.model if before else candidate.base_model,
        to_model=model,
        evidence=judgement.evidence if judgement else "",
    )


def _standing(transaction: ReadTransaction, model: str) -> Switch | None:
    """The switch that made the model answer, where it answers already: promoting it again changes nothing."""
    alias = registry.alias_of(transaction, registry.get(transaction, model).category)
    if alias is None or alias.model != model:
        return None
    made = [entry for entry in audit.entries(transaction) if entry.to_model == model]
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


def _rollback(transaction: ReadTransaction, category: int, to_version: int | None) -> model_pb2.AuditEntry:
    alias = registry.alias_of(transaction, category)
    if alias is None:
        raise RefusedError(("nothing was promoted for this category: the base answers",))
    current = registry.get(transaction, alias.model)
    base = current.base_model or current.name
    if to_version is None:
        target = _before(transaction, category, base)
    elif to_version == 0:
        target = base
    else:
        versions = {model.version: model.name for model in registry.models(transaction, category)}
        if to_version not in versions:
            raise registry.UnknownModelError(f"version {to_version} is not registered for this category")
        target = versions[to_version]
    if target == alias.model:
        raise RefusedError((f"{target} answers already",))
    return model_pb2.AuditEntry(action=ROLL_BACK, category=alias.category, from_model=alias.model, to_model=target)


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
    if intent.request_id:
        transaction.put(ANSWERED, f"{intent.action}:{intent.request_id}", entry)
    return Switch(alias, entry)
