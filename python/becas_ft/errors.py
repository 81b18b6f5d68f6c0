"""Every exception that becas-ft raises on purpose; in one place, so that no import goes in circles.

    Exception
    ├── BecasError                      raised by the Python side
    │   ├── ConfigurationError          a configuration is unusable; all problems at once
    │   ├── ListenError                 an address cannot be listened on
    │   ├── AlreadyExistsError          another thing goes by that name, with other content
    │   ├── FailedPreconditionError     the state does not allow it yet
    │   ├── ConflictError               something in flight is in the way; ask again later
    │   ├── UnavailableError            a part that the service needs does not answer
    │   ├── DrainingError               the server is about to stop
    │   ├── UnauthenticatedError        no token, or one that nobody issued
    │   ├── PermissionDeniedError       the token's role does not allow it
    │   ├── RateLimitedError            a client sends more than it may
    │   └── CommandError                a command of `becas-ft` cannot go on
    │       ├── UsageError              an argument is unusable (exit code 2)
    │       ├── RemoteError             the server answered with an error
    │       └── UnreachableError        no server answers (exit code 3)
    └── CoreError                       raised by the Rust core
        ├── InvalidArgumentError        a field is unusable; `args` are (field path, problem and remedy)
        ├── NotFoundError               what was asked for does not exist
        ├── StoreFullError              the store has reached its configured size
        ├── DiskFullError               no space is left on the disk
        ├── OverloadedError             too much waits for the writer
        ├── DeadlineExceededError       the deadline passed before the write began
        ├── KeyFileError                the key file is missing, open to others, or another store's
        ├── StoreError                  the store is damaged, of another version, or already open
        ├── DiskError                   the disk failed
        ├── ConfigError                 the core's configuration is unusable
        └── ClosedError                 the store was closed

The Python side raises InvalidArgumentError and NotFoundError too: they mean the same wherever they are seen.
No message holds raw text or a raw id: messages travel to callers and into logs.
"""

from collections.abc import Mapping, Sequence

from becas_ft._core import (
    ClosedError,
    ConfigError,
    CoreError,
    DeadlineExceededError,
    DiskError,
    DiskFullError,
    InvalidArgumentError,
    KeyFileError,
    NotFoundError,
    OverloadedError,
    StoreError,
    StoreFullError,
)

__all__ = [
    "AlreadyExistsError",
    "BecasError",
    "ClosedError",
    "CommandError",
    "ConfigError",
    "ConfigurationError",
    "ConflictError",
    "CoreError",
    "DeadlineExceededError",
    "DiskError",
    "DiskFullError",
    "DrainingError",
    "FailedPreconditionError",
    "InvalidArgumentError",
    "KeyFileError",
    "ListenError",
    "NotFoundError",
    "OverloadedError",
    "PermissionDeniedError",
    "RateLimitedError",
    "RemoteError",
    "StoreError",
    "StoreFullError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnreachableError",
    "UsageError",
]


class BecasError(Exception):
    """Root of the Python side's errors.

    Arguments:
        message: what is wrong and what to do, without raw text and raw ids.
        reason: an UPPER_SNAKE code of at most 63 characters where the class alone says too little.
        metadata: the values that the message mentions, for programs.
    """

    def __init__(self, message: str, *, reason: str | None = None, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.metadata = dict(metadata or {})


class ConfigurationError(BecasError):
    """A configuration is unusable.

    Attributes:
        problems: one line each: where it stands, what is wrong.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(["The configuration is unusable:", *(f"  {problem}" for problem in problems)]))
        self.problems = tuple(problems)


class ListenError(BecasError):
    """An address cannot be listened on."""


class AlreadyExistsError(BecasError):
    """Another thing goes by that name, with other content."""


class FailedPreconditionError(BecasError):
    """The state does not allow it yet; the message says what is missing."""


class ConflictError(BecasError):
    """Something in flight is in the way; ask again when it has ended."""


class UnavailableError(BecasError):
    """A part that the service needs does not answer; the message names it and the remedy."""


class DrainingError(BecasError):
    """The server is about to stop; ask again in a moment."""


class UnauthenticatedError(BecasError):
    """No token, or one that nobody issued."""


class PermissionDeniedError(BecasError):
    """The token's role does not allow it."""


class RateLimitedError(BecasError):
    """A client sends more than it may.

    Attributes:
        retry_seconds: when it may send again.
        subject: whose limit it is.
        setting: the limit's name in the configuration.
        limit: its value; 0 where it is not a number of things.
    """

    def __init__(
        self,
        message: str,
        retry_seconds: float = 1.0,
        *,
        reason: str | None = None,
        subject: str = "",
        setting: str = "",
        limit: int = 0,
    ) -> None:
        super().__init__(message, reason=reason)
        self.retry_seconds = retry_seconds
        self.subject = subject
        self.setting = setting
        self.limit = limit


class CommandError(BecasError):
    """A command of `becas-ft` cannot go on."""


class UsageError(CommandError):
    """An argument is unusable."""


class RemoteError(CommandError):
    """The server answered with an error."""


class UnreachableError(CommandError):
    """No server answers at the address."""
