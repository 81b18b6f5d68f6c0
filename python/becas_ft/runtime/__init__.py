"""Model runtimes: one protocol, served by Ollama or by llama.cpp in child processes."""

from becas_ft.runtime.confidence import Answer, label_confidence, read_answer
from becas_ft.runtime.errors import (
    GenerationTimeout,
    InvalidModel,
    InvalidOutput,
    ModelInUse,
    ModelNotFound,
    ModelRuntimeError,
    PromptTooLong,
    RequestRefused,
    RuntimeUnavailable,
    WorkerCrashed,
)
from becas_ft.runtime.protocol import (
    Finish,
    GenerateRequest,
    Generation,
    Health,
    ModelDefinition,
    ModelDetails,
    ModelSummary,
    Priority,
    Runtime,
    Token,
)

__all__ = [
    "Answer",
    "Finish",
    "GenerateRequest",
    "Generation",
    "GenerationTimeout",
    "Health",
    "InvalidModel",
    "InvalidOutput",
    "ModelDefinition",
    "ModelDetails",
    "ModelInUse",
    "ModelNotFound",
    "ModelRuntimeError",
    "ModelSummary",
    "Priority",
    "PromptTooLong",
    "RequestRefused",
    "Runtime",
    "RuntimeUnavailable",
    "Token",
    "WorkerCrashed",
    "label_confidence",
    "read_answer",
]
