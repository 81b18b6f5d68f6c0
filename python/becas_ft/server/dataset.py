"""DatasetService: examples and datasets out, people and guilds erased."""

from collections.abc import AsyncIterator

from becas.ft.v1 import dataset_pb2
from becas_ft.errors import InvalidArgumentError
from becas_ft.server.application import Application
from becas_ft.server.service import Context, decode


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
        examples, other_records = await self._application.write(self._core.forget, user_id)
        other_records += await self._application.tester.erase(user=self._core.pseudonym("user", user_id))
        return dataset_pb2.ForgetResponse(examples=examples, other_records=other_records).SerializeToString()

    async def SetConsent(self, request: bytes, context: Context) -> bytes:
        """Grant or withdraw a guild's consent."""
        del context
        consent = decode(dataset_pb2.SetConsentRequest, request)
        guild_id = _required("guild_id", consent.guild_id)
        examples = await self._application.write(self._core.set_consent, guild_id, consent.granted)
        if not consent.granted:
            await self._application.tester.erase(guild=self._core.pseudonym("guild", guild_id))
        return dataset_pb2.SetConsentResponse(examples=examples).SerializeToString()


def _required(field: str, value: str) -> str:
    if not value:
        raise InvalidArgumentError(field, "is required: send the id as the platform gives it")
    return value
