"""A door between a client and a real server that a test opens, and whose connections it cuts."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, Self

_CHUNK: Final = 1 << 16
# HTTP/2: a frame has a header of 9 bytes, the first 3 its length, the fourth its type; an answer begins with HEADERS.
_FRAME_HEADER: Final = 9
_HEADERS: Final = 1


class Gate:
    """Refuses connections until it is opened, then passes bytes on; use it with `with`.

    Arguments:
        server: host and port that it leads to.
    """

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))
        # Bound but not listening: the port is taken, and connecting is refused.
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._passages: list[socket.socket] = []
        self._to_lose = 0
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.close()
        self.cut()

    def open(self) -> None:
        """Accept connections from now on."""
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break every connection; new ones are accepted."""
        for end in self._passages:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def lose(self, answers: int) -> None:
        """Break the connection as an answer begins, when the server has done what was asked; so many times."""
        self._to_lose = answers

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._passages += [client, server]
                threading.Thread(target=_carry, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            for frame in _frames(server):
                if self._to_lose and frame[3] == _HEADERS:
                    self._to_lose -= 1
                    break
                client.sendall(frame)
        for end in (server, client):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        server.close()


def _frames(source: socket.socket) -> Iterator[bytes]:
    held = b""
    while data := source.recv(_CHUNK):
        held += data
        while len(held) >= (length := _FRAME_HEADER + int.from_bytes(held[:3])):
            yield held[:length]
            held = held[length:]


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
    source.close()
