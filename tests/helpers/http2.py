"""A client of HTTP/2 that does what no gRPC library would: floods, half-begun calls, and readers that do not read."""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, Event, RemoteSettingsChanged
from h2.settings import SettingCodes

from helpers.server import ServerProcess

_CHUNK: Final = 1 << 16


def framed(message: bytes) -> bytes:
    """A gRPC message as it goes into a DATA frame."""
    return struct.pack(">BI", 0, len(message)) + message


class Client:
    """One connection.

    Attributes:
        settings: what the server allows, by code.
        events: all that it said, oldest first.
        gone: the error code with which it ended the connection, -1 where it gave none; None while it has not.
    """

    def __init__(self, server: ServerProcess, *, window: int | None = None) -> None:
        host, _, port = server.address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=30)
        self._authority = server.address
        self.connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        if window is not None:
            self.connection.local_settings[SettingCodes.INITIAL_WINDOW_SIZE] = window
        self.connection.initiate_connection()
        self.settings: dict[int, int] = {}
        self.events: list[Event] = []
        self.gone: int | None = None
        self.flush()
        self.read_until(lambda: bool(self.settings))

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def call(self, method: str, *metadata: tuple[str, str], end: bool = False) -> int:
        """Send the headers of a call; its stream."""
        stream: int = self.connection.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", method),
            (":authority", self._authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            *metadata,
        ]
        self.connection.send_headers(stream, headers, end_stream=end)
        return stream

    def flush(self) -> None:
        """Put on the wire what was said."""
        try:
            self._socket.sendall(self.connection.data_to_send())
        except OSError:
            self.gone = -1 if self.gone is None else self.gone

    def read(self, seconds: float) -> bool:
        """Read once what comes within some seconds; whether anything came."""
        self._socket.settimeout(seconds)
        try:
            data = self._socket.recv(_CHUNK)
        except TimeoutError:
            return False
        except OSError:
            data = b""
        if not data:
            self.gone = -1 if self.gone is None else self.gone
            return False
        for event in self.connection.receive_data(data):
            self.events.append(event)
            if isinstance(event, RemoteSettingsChanged):
                self.settings |= {int(code): changed.new_value for code, changed in event.changed_settings.items()}
            if isinstance(event, ConnectionTerminated):
                self.gone = int(event.error_code or 0)
        self.flush()
        return True

    def read_until(self, done: Callable[[], bool], seconds: float = 30.0) -> None:
        """Read until something is the case; an AssertionError where it is not in time."""
        until = time.monotonic() + seconds
        while not done():
            left = until - time.monotonic()
            assert left > 0, "the server did not say it in time"
            if not self.read(min(left, 1.0)) and self.gone is not None:
                assert done(), "the server has ended the connection"


@contextmanager
def client(server: ServerProcess, *, window: int | None = None) -> Iterator[Client]:
    """A connection; `window`: bytes of a stream that the server may send unasked."""
    opened = Client(server, window=window)
    try:
        yield opened
    finally:
        opened.close()
