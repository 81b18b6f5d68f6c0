"""DatasetService: examples and datasets out, people and guilds erased."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing
from functools import partial
from typing import Any, TypeVar

from becas.ft.v1 import backup_pb2, dataset_pb2, model_pb2
from becas_ft.errors import InvalidArgumentError
from becas_ft.ledger import WriteTransaction
from becas_ft.ledger.schema import MODELS
from becas_ft.rollout import audit, registry
from becas_ft.server import backup
from becas_ft.server.access import OPERATOR, signed
from becas_ft.server.application import Application
from becas_ft.server.service import Context, decode

Result = TypeVar("Result")


class DatasetService:
    """Each method checks, calls, and replies; errors are mapped outside."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._core = application.core

    async def Export(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        """Data, ids, manifest; the next piece is made when the caller has taken the last one."""
        del context
        pieces = await self._application.read(self._core.export, request)
        while (piece := await self._application.read(next, pieces, None)) is not None:
            yield piece

    async def GetTrainingStats(self, request: bytes, context: Context) -> bytes:
        """Exact totals."""
        del context
        decode(dataset_pb2.GetTrainingStatsRequest, request)
        return await self._application.read(self._core.stats)

    async def GetQualityHistogram(self, request: bytes, context: Context) -> bytes:
        """Examples by score."""
        del context
        return await self._application.read(self._core.quality_histogram, request)

    async def GetIngestRate(self, request: bytes, context: Context) -> bytes:
        """Events over the last hour."""
        del context
        decode(dataset_pb2.GetIngestRateRequest, request)
        return self._application.ingest_rates.answer().SerializeToString()

    async def ListExamples(self, request: bytes, context: Context) -> bytes:
        """A page of examples."""
        del context
        return await self._application.read(self._core.list_examples, request)

    async def GetExample(self, request: bytes, context: Context) -> bytes:
        """One example."""
        del context
        return await self._application.read(self._core.get_example, request)

    async def Forget(self, request: bytes, context: Context) -> bytes:
        """Erase a member."""
        del context
        user_id = _required("user_id", decode(dataset_pb2.ForgetRequest, request).user_id)
        forgotten = await self._to_its_end(self._forget(user_id))
        return forgotten.SerializeToString()

    async def SetConsent(self, request: bytes, context: Context) -> bytes:
        """Grant or withdraw a guild's consent."""
        del context
        consent = decode(dataset_pb2.SetConsentRequest, request)
        guild_id = _required("guild_id", consent.guild_id)
        examples = await self._to_its_end(self._set_consent(guild_id, granted=consent.granted))
        return dataset_pb2.SetConsentResponse(examples=examples).SerializeToString()

    async def Backup(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        """Files, then the manifest."""
        del context
        decode(backup_pb2.BackupRequest, request)
        async with aclosing(backup.take(self._application)) as pieces:
            async for piece in pieces:
                yield piece.SerializeToString()

    async def _forget(self, user_id: str) -> dataset_pb2.ForgetResponse:
        application = self._application
        async with application.both_stores:
            examples, other_records, datasets = await application.write(self._core.forget, user_id)
            other_records += await application.tester.erase(user=self._core.pseudonym("user", user_id))
            # Also where nothing is stored any more: a training may hold what was evicted since it began.
            await application.jobs.forget()
            entry = _entry("forget", f"{examples} examples and {other_records} other records of a member erased")
            mark = partial(_mark, datasets=datasets, entry=entry)
            models = await application.write(application.ledger.write, mark)
        return dataset_pb2.ForgetResponse(
            examples=examples, other_records=other_records, datasets=datasets, models=models
        )

    async def _set_consent(self, guild_id: str, *, granted: bool) -> int:
        application = self._application
        async with application.both_stores:
            examples = await application.write(self._core.set_consent, guild_id, granted)
            if not granted:
                await application.tester.erase(guild=self._core.pseudonym("guild", guild_id))
                await application.jobs.forget()
            entry = _entry("consent", "granted" if granted else f"withdrawn: {examples} examples of a guild erased")
            await application.write(application.ledger.write, partial(audit.append, entry=entry))
        return examples

    async def _to_its_end(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Erasures are whole: a caller that goes away, or a deadline, does not leave one half done."""
        task = asyncio.create_task(work)
        self._application.erasures.add(task)
        task.add_done_callback(self._application.erasures.discard)
        return await asyncio.shield(task)


def _entry(action: str, what: str) -> model_pb2.AuditEntry:
    """What the audit log says of an erasure: who and how much, never of whom."""
    entry = model_pb2.AuditEntry(action=action, actor=signed(OPERATOR), reason=what)
    entry.time.GetCurrentTime()
    return entry


def _mark(transaction: WriteTransaction, datasets: list[str], entry: model_pb2.AuditEntry) -> list[str]:
    """Records an erasure, and marks the models that learned from one of the datasets; their names."""
    audit.append(transaction, entry)
    named = [model for model in registry.models(transaction) if model.dataset_id in datasets]
    for model in named:
        model.built_on_erased = True
        transaction.put(MODELS, model.name, model)
    return sorted(model.name for model in named)


def _required(field: str, value: str) -> str:
    if not value:
        raise InvalidArgumentError(field, "is required: send the id as the platform gives it")
    return value
