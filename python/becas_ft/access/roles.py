"""Which roles may call which RPC: the one table."""

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What a token may do."""

    BOT = "bot"
    """Hands in what it decided, asks models, states what turned out right."""
    LABELLER = "labeller"
    """Confirms and corrects decisions, labels what models disagree about, and sees totals."""
    OPERATOR = "operator"
    """Runs the pipeline: everything but erasure, consent and backups."""
    ADMIN = "admin"
    """Everything."""


_ADMIN: Final = frozenset({Role.ADMIN})
_OPERATOR: Final = _ADMIN | {Role.OPERATOR}
_BOT: Final = _OPERATOR | {Role.BOT}
_LABELLER: Final = _OPERATOR | {Role.LABELLER}
_ANY: Final = _BOT | _LABELLER

ROLES: Final[dict[str, frozenset[Role]]] = {
    # What a bot's token confirms or corrects is kept, and counts as unverified.
    "/becas.ft.v1.IngestService/Ingest": _ANY,
    "/becas.ft.v1.IngestService/IngestStream": _ANY,
    "/becas.ft.v1.DatasetService/Export": _OPERATOR,
    "/becas.ft.v1.DatasetService/GetTrainingStats": _LABELLER,
    "/becas.ft.v1.DatasetService/GetQualityHistogram": _LABELLER,
    "/becas.ft.v1.DatasetService/GetIngestRate": _LABELLER,
    "/becas.ft.v1.DatasetService/ListExamples": _OPERATOR,
    "/becas.ft.v1.DatasetService/GetExample": _OPERATOR,
    "/becas.ft.v1.DatasetService/Forget": _ADMIN,
    "/becas.ft.v1.DatasetService/SetConsent": _ADMIN,
    "/becas.ft.v1.DatasetService/Backup": _ADMIN,
    "/becas.ft.v1.TrainingService/Train": _OPERATOR,
    "/becas.ft.v1.TrainingService/GetJob": _OPERATOR,
    "/becas.ft.v1.TrainingService/ListJobs": _OPERATOR,
    "/becas.ft.v1.TrainingService/WatchJob": _OPERATOR,
    "/becas.ft.v1.TrainingService/GetLossCurve": _OPERATOR,
    "/becas.ft.v1.TrainingService/CancelJob": _OPERATOR,
    "/becas.ft.v1.TrainingService/GetPipelineStats": _LABELLER,
    "/becas.ft.v1.TrainingService/CheckPipeline": _OPERATOR,
    "/becas.ft.v1.ShadowService/SetUpShadowTest": _OPERATOR,
    "/becas.ft.v1.ShadowService/ShadowTest": _BOT,
    # Moderators state the truth where they work, through the bot.
    "/becas.ft.v1.ShadowService/RecordTruth": _ANY,
    "/becas.ft.v1.ShadowService/RecordComparison": _BOT,
    "/becas.ft.v1.ShadowService/ListDisagreements": _LABELLER,
    "/becas.ft.v1.ShadowService/GetComparisonReport": _OPERATOR,
    "/becas.ft.v1.ShadowService/GetTrialPath": _OPERATOR,
    "/becas.ft.v1.ShadowService/GetShadowStats": _LABELLER,
    "/becas.ft.v1.ShadowService/StopShadowTest": _OPERATOR,
    "/becas.ft.v1.ModelService/RegisterModel": _OPERATOR,
    "/becas.ft.v1.ModelService/ListModels": _OPERATOR,
    "/becas.ft.v1.ModelService/GetModel": _OPERATOR,
    "/becas.ft.v1.ModelService/Promote": _OPERATOR,
    "/becas.ft.v1.ModelService/Rollback": _OPERATOR,
    "/becas.ft.v1.ModelService/ListAudit": _OPERATOR,
    "/becas.ft.v1.EventService/Subscribe": _ANY,
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": _ANY,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _ANY,
}

OPEN: Final = frozenset({"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"})
"""Answered without a token: load balancers have none."""


def may_call(role: Role, method: str) -> bool:
    """Whether a role may call a method; one that is not in the table is the admin's alone."""
    return role in ROLES.get(method, _ADMIN)


def may_label(role: Role) -> bool:
    """Whether human_validated and ai.correction of a role's events count as a person's word."""
    return role in _LABELLER


def needed(method: str) -> list[str]:
    """The roles that may, the least first."""
    return [role.value for role in Role if may_call(role, method)]
