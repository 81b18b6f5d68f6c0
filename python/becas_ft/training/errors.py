"""Errors of training, each with the remedy in its text.

TrainingError
├── JobError            the job description is wrong
├── DatasetError        the dataset cannot be trained on
│   └── LeakageError    held-out rows share a user, a guild or a near-copy with training rows
├── GgufError           a GGUF file is damaged, incomplete or of an unknown architecture
├── TemplateError       the model's chat template is missing or does not render
├── ModelfileError      a Modelfile cannot be read
├── DivergedError       the loss is no longer a number
├── BusyError           another trainer works in the same job folder
├── CancelledError      the job was told to stop
└── TrainerFailedError  the trainer process ended without an adapter
"""

from __future__ import annotations


class TrainingError(Exception):
    """Root of all errors of this package; its text never quotes a row."""


class JobError(TrainingError):
    """The job description is wrong."""


class DatasetError(TrainingError):
    """The dataset cannot be trained on."""


class LeakageError(DatasetError):
    """Held-out rows share a user, the guild of rows without one, or a near-copy with training rows.

    Attributes:
        shared_users: how many users stand on both sides.
        shared_guilds: how many guilds have rows without a user on both sides.
        near_copies: how many held-out rows have a near-copy among the training rows.
    """

    def __init__(self, *, shared_users: int, shared_guilds: int, near_copies: int) -> None:
        super().__init__(
            f"held-out rows leak into training: {shared_users} shared users, {shared_guilds} shared guilds, "
            f"{near_copies} near-copies; export the dataset again, so that its splits are made by "
            "user and near-duplicate group",
        )
        self.shared_users = shared_users
        self.shared_guilds = shared_guilds
        self.near_copies = near_copies


class GgufError(TrainingError):
    """A GGUF file is damaged, incomplete or of an unknown architecture."""


class TemplateError(TrainingError):
    """The model's chat template is missing or does not render."""


class ModelfileError(TrainingError):
    """A Modelfile cannot be read."""


class DivergedError(TrainingError):
    """The loss is no longer a number."""


class BusyError(TrainingError):
    """Another trainer works in the same job folder."""


class CancelledError(TrainingError):
    """The job was told to stop; its checkpoint stays."""


class TrainerFailedError(TrainingError):
    """The trainer process ended without an adapter.

    Attributes:
        reason: a member of `becas_ft.training.job.FailureReason`, as text.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
