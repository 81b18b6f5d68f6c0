"""What a client can be told, and the errors that it raises."""

from dataclasses import dataclass
from pathlib import Path

import grpc

MIB = 1024 * 1024


@dataclass(frozen=True)
class Access:
    """How a server beyond this machine is called.

    Attributes:
        ca_file: the authority to trust, PEM; the system's where None.
        token: the bot's; it travels by TLS only.
    """

    ca_file: Path | None = None
    token: str = ""


@dataclass(frozen=True)
class Settings:
    """Sizes and times; the defaults suit a bot.

    Attributes:
        batch_events: events that go in one message, at most.
        batch_bytes: their bytes, at most; a larger event is refused. The server takes 4 MiB by default.
        linger_seconds: how long an event waits for others.
        buffer_bytes: events without a receipt; when it is full, `publish` waits.
        answer_seconds: how long a batch waits for its receipts before it is sent over another stream.
        first_backoff_seconds: the pause after a first failure; it doubles with each, and the server may ask for more.
        longest_backoff_seconds: the longest pause that the client takes by itself.
        close_seconds: how long `close` waits for the last receipts.
    """

    batch_events: int = 500
    batch_bytes: int = MIB
    linger_seconds: float = 0.2
    buffer_bytes: int = 16 * MIB
    answer_seconds: float = 60.0
    first_backoff_seconds: float = 0.2
    longest_backoff_seconds: float = 5.0
    close_seconds: float = 30.0


class ClosedError(Exception):
    """The client is closed; what it says has no receipt has to be published again."""


class DeliveryError(Exception):
    """The server answered in a way that no repetition mends.

    Attributes:
        code: the status.
    """

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code
