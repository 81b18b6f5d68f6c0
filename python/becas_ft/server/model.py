"""ModelService: models, and which one answers."""

from itertools import islice
from typing import Final

from becas.ft.v1 import model_pb2
from becas_ft.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from becas_ft.ledger import ReadTransaction, WriteTransaction
from becas_ft.rollout import audit, names, registry
from becas_ft.runtime.errors import ModelNotFound
from becas_ft.server import checks, rollout
from becas_ft.server.access import OPERATOR, signed
from becas_ft.server.application import Application
from becas_ft.server.service import Context

_AUDIT_PAGE: Final = 100


class ModelService:
    """Each method checks, calls, and replies; errors are mapped outside."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._core = application.core
        self._ledger = application.ledger

    async def RegisterModel(
        self, request: model_pb2.RegisterModelRequest, context: Context
    ) -> model_pb2.RegisterModelResponse:
        """Register what the runtime serves already."""
        del context
        name = checks.model_name("name", request.name)
        base = checks.model_name("base_model", request.base_model)
        try:
            served = await self._application.runtime.show(name)
        except ModelNotFound as error:
            raise NotFoundError("name", "the runtime has no model of this name: create it there first") from error
        model = model_pb2.Model(name=name, base_model=base, adapter_digest=served.adapter_digest or "")
        if name == base:
            model.state = model_pb2.MODEL_STATE_BASE
        else:
            model.category = checks.category(request.category)
            model.state = model_pb2.MODEL_STATE_CANDIDATE

        def register(transaction: WriteTransaction) -> model_pb2.Model:
            if model.state == model_pb2.MODEL_STATE_CANDIDATE:
                _check_base(transaction, base)
                model.version = _version(transaction, model)
            try:
                return registry.register(transaction, model)
            except ValueError as error:
                raise AlreadyExistsError("this name is registered with another adapter: choose another name") from error

        return model_pb2.RegisterModelResponse(model=await self._application.write(self._ledger.write, register))

    async def ListModels(self, request: model_pb2.ListModelsRequest, context: Context) -> model_pb2.ListModelsResponse:
        """Models and aliases; without a category all of them."""
        del context

        def view(transaction: ReadTransaction) -> model_pb2.ListModelsResponse:
            return model_pb2.ListModelsResponse(
                models=registry.models(transaction, request.category),
                aliases=registry.aliases(transaction, request.category),
            )

        return await self._application.read(self._ledger.read, view)

    async def GetModel(self, request: model_pb2.GetModelRequest, context: Context) -> model_pb2.GetModelResponse:
        """One model."""
        del context
        name = checks.model_name("name", request.name)
        model = await self._application.read(self._ledger.read, lambda transaction: registry.get(transaction, name))
        return model_pb2.GetModelResponse(model=model)

    async def Promote(self, request: model_pb2.PromoteRequest, context: Context) -> model_pb2.PromoteResponse:
        """Point a category at a model that passed its trial."""
        del context
        switch = await rollout.promote(
            self._application,
            checks.model_name("model", request.model),
            actor=signed(checks.free_text(self._core, "actor", request.actor) or OPERATOR),
            reason=checks.free_text(self._core, "reason", request.reason),
            force=request.force,
            request_id=checks.request_key(self._core, request.request_id),
        )
        entry = _echoed(switch.entry, request.request_id)
        return model_pb2.PromoteResponse(alias=switch.alias, audit_entry=entry)

    async def Rollback(self, request: model_pb2.RollbackRequest, context: Context) -> model_pb2.RollbackResponse:
        """Point a category back."""
        del context
        if request.to_version < 0:
            raise InvalidArgumentError("to_version", "must be a version, or 0 for the base")
        switch = await rollout.rollback(
            self._application,
            checks.category(request.category),
            actor=signed(checks.free_text(self._core, "actor", request.actor) or OPERATOR),
            reason=checks.free_text(self._core, "reason", checks.required("reason", request.reason)),
            to_version=request.to_version if request.HasField("to_version") else None,
            request_id=checks.request_key(self._core, request.request_id),
        )
        entry = _echoed(switch.entry, request.request_id)
        return model_pb2.RollbackResponse(alias=switch.alias, audit_entry=entry)

    async def ListAudit(self, request: model_pb2.ListAuditRequest, context: Context) -> model_pb2.ListAuditResponse:
        """A page of the log."""
        del context
        size = checks.page_size(request.page_size, _AUDIT_PAGE)
        after = max(0, request.after_sequence)

        def view(transaction: ReadTransaction) -> list[model_pb2.AuditEntry]:
            return list(islice(audit.entries(transaction, after=after), size))

        return model_pb2.ListAuditResponse(entries=await self._application.read(self._ledger.read, view))


def _check_base(transaction: ReadTransaction, base: str) -> None:
    try:
        registry.get(transaction, base)
    except registry.UnknownModelError as error:
        raise InvalidArgumentError("base_model", "is not registered: register it first, as its own base") from error


def _version(transaction: ReadTransaction, model: model_pb2.Model) -> int:
    """The version in the name where it has one that is free, else the next."""
    known = {other.version for other in registry.models(transaction, model.category) if other.name != model.name}
    try:
        stated = names.parse(model.name).version
    except ValueError:
        stated = 0
    return stated if stated and stated not in known else registry.next_version(transaction, model.category)


def _echoed(entry: model_pb2.AuditEntry, request_id: str) -> model_pb2.AuditEntry:
    """The entry with the caller's own id, which is stored as a pseudonym only."""
    echoed = model_pb2.AuditEntry()
    echoed.CopyFrom(entry)
    echoed.request_id = request_id
    return echoed
