"""Talks to the server, and turns its errors into words."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from grpc_status import rpc_status

from becas_ft.addresses import is_loopback
from becas_ft.cli.options import CA, CLIENT_CERT, CLIENT_KEY, TOKEN, TOKEN_FILE
from becas_ft.errors import CommandError, RemoteError, UnreachableError, UsageError

CALL_SECONDS: Final = 60.0
# Forgetting rewrites the whole file; an export reads it.
LONG_CALL_SECONDS: Final = 3600.0

# Calls that act once however often they arrive are asked again where the server was away or too busy.
SERVICE_CONFIG: Final = Path(__file__).parent.parent / "service_config.json"
_OPTIONS: Final = (
    ("grpc.service_config", SERVICE_CONFIG.read_text(encoding="utf-8")),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    # A machine that vanishes says nothing: whoever waits for it for hours must ask whether it is there.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.http2.max_pings_without_data", 0),
)


def new_request_id() -> str:
    """Names one invocation of a command to the server, over all its attempts."""
    return uuid.uuid4().hex


@contextmanager
def connect(server: str) -> Iterator[grpc.Channel]:
    """A channel; gRPC's errors inside become ours.

    It speaks TLS where an authority is named, and to every other machine: no token leaves this one in plain text.

    Raises:
        UnreachableError: nobody answers there, or nobody who is trusted.
        RemoteError: the server answered with an error.
        UsageError: the token or a certificate cannot be read.
    """
    token, tls = _token(), bool(os.environ.get(CA)) or not is_loopback(server)
    opened = grpc.secure_channel(server, _trust(), _OPTIONS) if tls else grpc.insecure_channel(server, _OPTIONS)
    with opened as channel:
        try:
            yield grpc.intercept_channel(channel, _Bearer(token)) if token else channel
        except grpc.RpcError as error:
            raise _in_words(error, server, tls=tls) from error


def _token() -> str:
    """The token that is sent; empty: none."""
    path = os.environ.get(TOKEN_FILE)
    token = (_read(TOKEN_FILE, path).decode("utf-8", errors="replace") if path else os.environ.get(TOKEN, "")).strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        # Not shown: most of it could be a token.
        raise UsageError(
            f"{TOKEN_FILE if path else TOKEN}: is no token: it must be one line that begins with becas_ft_"
        )
    return token


def _trust() -> grpc.ChannelCredentials:
    """The authorities that are trusted, the system's where none is named; and who this client is."""
    ca, certificate, key = (os.environ.get(name) for name in (CA, CLIENT_CERT, CLIENT_KEY))
    if bool(certificate) != bool(key):
        raise UsageError(f"{CLIENT_CERT} and {CLIENT_KEY}: name both, or neither")
    return grpc.ssl_channel_credentials(
        root_certificates=_read(CA, ca) if ca else None,
        private_key=_read(CLIENT_KEY, key) if key else None,
        certificate_chain=_read(CLIENT_CERT, certificate) if certificate else None,
    )


def _read(variable: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{variable}: {path}: {error.strerror}") from error


class _Bearer(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamStreamClientInterceptor):
    """Sends a token with every call.

    gRPC's own call credentials would not travel in plain text, not even on this machine.
    """

    def __init__(self, token: str) -> None:
        self._metadata = ("authorization", f"Bearer {token}")

    def _send(self, continuation: Any, details: Any, request: Any) -> Any:  # noqa: ANN401 - whatever the call is of
        return continuation(details._replace(metadata=(*(details.metadata or ()), self._metadata)), request)

    intercept_unary_unary = intercept_unary_stream = intercept_stream_stream = _send  # type: ignore[assignment]  # as above


def _in_words(error: grpc.RpcError, server: str, *, tls: bool) -> CommandError:
    assert isinstance(error, grpc.Call)  # every RpcError that a call raises is one
    code = error.code()
    details = rpc_status.from_call(error)
    if details is None and code is grpc.StatusCode.UNAVAILABLE:
        return UnreachableError(_unreachable(server, tls=tls))
    lines = [f"{code.name}: {error.details()}"]
    for packed in details.details if details is not None else ():
        violations, info, retry = BadRequest(), ErrorInfo(), RetryInfo()
        if packed.Unpack(violations):
            lines += [f"  {violation.field}: {violation.description}" for violation in violations.field_violations]
        elif packed.Unpack(info):
            lines.append(f"  reason: {info.reason}, request: {info.metadata.get('request_id', 'unknown')}")
        elif packed.Unpack(retry):
            lines.append(f"  try again in {retry.retry_delay.ToMilliseconds() / 1000:g} s")
    return RemoteError("\n".join(lines))


def _unreachable(server: str, *, tls: bool) -> str:
    """Nobody answered: gRPC does not say whether for lack of a server, or of trust."""
    if not tls:
        return (
            f"no server answers at {server}: start one with `becas-ft serve`, "
            f"or name another with --server or BECAS_FT_SERVER; where it serves TLS, name its ca.pem with {CA}"
        )
    return (
        f"no server that is trusted answers with TLS at {server}: name its ca.pem with {CA} (without it, the system's"
        f" authorities are trusted), call it by a name that its certificate has and, where it asks for one, name a"
        f" client certificate with {CLIENT_CERT} and {CLIENT_KEY}"
    )
