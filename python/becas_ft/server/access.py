"""Who may call what: the rules of a listening address, and the check of every call."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc

from becas_ft.access.certificates import CertificateError
from becas_ft.access.clients import ClientCertificates
from becas_ft.access.folder import AccessFolder
from becas_ft.access.limits import ClientLimits
from becas_ft.access.roles import OPEN, may_call, may_label, needed
from becas_ft.access.tokens import Token, TokenFileError, Tokens
from becas_ft.addresses import is_loopback
from becas_ft.config import MIB, Config
from becas_ft.errors import (
    ConfigurationError,
    InvalidArgumentError,
    PermissionDeniedError,
    RateLimitedError,
    UnauthenticatedError,
)
from becas_ft.server.service import Context, Continuation
from becas_ft.server.streams import Caller, OpenStreams
from becas_ft.server.tls import Certificate

# What one client may send where anyone can be a client; a bot of a large community stays far below.
CALLS_PER_SECOND: Final = 1000.0
BYTES_PER_SECOND: Final = 32 * MIB
STREAMS: Final = 64

_SCHEME: Final = "bearer "
_REMEDY: Final = "send the metadata `authorization: Bearer TOKEN`; `becas-ft access token add` makes one"

OPERATOR: Final = "operator"
"""Who did something, where the caller says nothing of himself."""

DOOR: Final = grpc.local_server_credentials(grpc.LocalConnectionType.UDS)
"""Of the port that the dashboard of this process calls at; no other port is opened with such credentials."""

_LOCAL: Final = b"local"

_caller: ContextVar[Token | None] = ContextVar("caller", default=None)


def caller() -> Token | None:
    """Whose token this call came with; None where it came without a known one."""
    return _caller.get()


def labels() -> bool:
    """Whether what this call confirms and corrects counts as a person's word; always where nobody has a token."""
    token = caller()
    return token is None or may_label(token.role)


def signed(actor: str) -> str:
    """Who did something: what the caller says of himself and, where there is one, the name of the token."""
    token = caller()
    return actor if token is None else f"{actor} (token {token.name})"


@dataclass(frozen=True)
class Access:
    """What guards a listening address.

    Attributes:
        certificate: None: plaintext.
        tokens: known ones.
        required: whether a call needs one.
        limits: for each client.
        clients: whose certificates are looked at; None: clients need none.
        client_streams: that one client may have open; 0: no limit.
    """

    certificate: Certificate | None
    tokens: Tokens
    required: bool
    limits: ClientLimits
    clients: ClientCertificates | None = None
    client_streams: int = 0


def open_access(config: Config) -> Access:
    """Certificates and tokens, as the configuration and the address want them.

    Raises: ConfigurationError where the address is open to others and something is missing or unusable.
    """
    server, folder, problems = config.server, AccessFolder(config.access_dir), []
    # One address that is open to others opens the services: then both are guarded.
    reachable = {"server.listen": server.listen, "server.dashboard": server.dashboard}
    listening = [f"{name}: {address}" for name, address in reachable.items() if address]
    beyond = [one for one in listening if not is_loopback(one.partition(": ")[2])]
    local = not beyond
    required = not local if server.require_tokens is None else server.require_tokens
    cert, key = Path(server.tls_cert), Path(server.tls_key)
    tls = bool(server.tls_cert)
    if not tls and not local and folder.server_cert.exists():
        cert, key, tls = folder.server_cert, folder.server_key, True
    where = f"--access-dir {server.access_dir}" if server.access_dir else f"--data-dir {config.store.data_dir}"
    init = f"run `becas-ft access init {where} --host NAME`"
    if not local and not tls:
        problems.append(
            f"{beyond[0]} is open to others and needs TLS: {init}, name a certificate of yours with"
            " server.tls_cert and server.tls_key, or listen on 127.0.0.1"
        )
    if not local and not required:
        problems.append(
            f"server.require_tokens: {beyond[0].split()[1]} is open to others: only loopback can do without tokens"
        )
    if server.tls_client_ca and not tls:
        problems.append("server.tls_client_ca: needs TLS: name server.tls_cert and server.tls_key too")
    if server.tls_client_names and not server.tls_client_ca:
        problems.append(
            "server.tls_client_names: needs server.tls_client_ca: a name without an authority proves nothing"
        )
    try:
        tokens = Tokens(folder.tokens)
    except TokenFileError as error:
        raise ConfigurationError([*problems, str(error)]) from error
    if (required or not local) and all(token.expired for token in tokens.now()):
        problems.append(
            f"{(beyond or listening)[0]} needs tokens, and {folder.tokens} has none that counts: {init}, or add one"
            " with `becas-ft access token add`"
        )
    if problems:
        raise ConfigurationError(problems)
    authorities = Path(server.tls_client_ca) if server.tls_client_ca else None
    certificate = Certificate(cert, key, authorities) if tls else None
    try:
        names = Path(server.tls_client_names) if server.tls_client_names else None
        clients = ClientCertificates(authorities, names) if authorities else None
    except CertificateError as error:
        raise ConfigurationError([f"server.tls_client_names: {error}"]) from error
    calls, size = server.client_requests_per_second, server.client_bytes_per_second
    limits = ClientLimits(
        (0.0 if local else CALLS_PER_SECOND) if calls is None else calls,
        (0 if local else BYTES_PER_SECOND) if size is None else int(size),
    )
    streams = (0 if local else STREAMS) if server.client_streams is None else server.client_streams
    return Access(certificate, tokens, required, limits, clients, streams)


class AccessInterceptor(grpc.aio.ServerInterceptor):
    """Lets a call through to its handler, or refuses it before its request is read.

    Arguments:
        access: the rules.
        max_streams: that all clients together may have open.
    """

    def __init__(self, access: Access, max_streams: int) -> None:
        self._access = access
        self._streams = OpenStreams(max_streams, access.client_streams, self._check_again)
        self._counts_calls = access.required or access.limits.on or access.clients is not None

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """The handler of a call, guarded."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            return handler
        if method in OPEN:
            return self._open(handler)
        try:
            token = self._admit(method, handler_call_details.invocation_metadata)
        except (UnauthenticatedError, PermissionDeniedError) as error:
            return _refusal(error)
        return self._guarded(handler, token)

    def _admit(self, method: str, metadata: Any) -> Token | None:  # noqa: ANN401 - gRPC's type differs between its stubs and itself
        """The token that a call may be made with; None where it has none and needs none.

        Raises:
            UnauthenticatedError: no token, or one that does not count.
            PermissionDeniedError: another role is needed.
        """
        values = [value for key, value in metadata or () if key == "authorization"]
        if not self._access.required and not values:
            return None
        token = None
        if len(values) == 1 and isinstance(values[0], str) and values[0].lower().startswith(_SCHEME):
            token = self._access.tokens.find(values[0][len(_SCHEME) :].strip())
        if not self._access.required:
            return self._known(token)
        if not values:
            raise UnauthenticatedError(f"this server needs a token: {_REMEDY}", reason="TOKEN_MISSING")
        if token is None:
            raise UnauthenticatedError(f"this token is not known here: {_REMEDY}", reason="TOKEN_UNKNOWN")
        if token.expired:
            raise UnauthenticatedError(
                f"the token {token.name} has expired: {_REMEDY}", reason="TOKEN_EXPIRED", metadata={"token": token.name}
            )
        self._known(token)
        if not may_call(token.role, method):
            name, roles = method.rpartition("/")[2], needed(method)
            raise PermissionDeniedError(
                f"{name} is not for the role {token.role}: use a token of the role {' or '.join(roles)}",
                reason="ROLE_MISSING",
                metadata={"method": name, "role": token.role.value, "roles": ",".join(roles)},
            )
        return token

    def _known(self, token: Token | None) -> Token | None:
        """The token, as what the call is known by from here on; None where it does not count."""
        counts = None if token is None or token.expired else token
        # Each call has a context of its own, which its handler and its log line share.
        _caller.set(counts)
        return counts

    def _open(self, handler: "grpc.RpcMethodHandler[Any, Any]") -> "grpc.RpcMethodHandler[Any, Any]":
        """A handler that needs no token; who calls it can hold up no one who has one."""
        serialisers = handler.request_deserializer, handler.response_serializer
        if not handler.response_streaming:
            return grpc.stream_unary_rpc_method_handler(_one_request(handler.unary_unary), *serialisers)
        # gRPC's stubs know of no coroutines that write to the context themselves.
        behaviour: Any = handler.unary_stream
        assert not inspect.isasyncgenfunction(behaviour)

        async def watch(request: Any, context: Context) -> None:  # noqa: ANN401 - a message
            with self._streams.place(None):
                await behaviour(request, context)

        return grpc.unary_stream_rpc_method_handler(watch, *serialisers)

    def _guarded(
        self, handler: "grpc.RpcMethodHandler[Any, Any]", token: Token | None
    ) -> "grpc.RpcMethodHandler[Any, Any]":
        """A handler that counts what comes in, and ends a stream whose caller counts no longer."""
        serialisers = handler.request_deserializer, handler.response_serializer
        if handler.request_streaming and handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(self._both_ways(handler.stream_stream, token), *serialisers)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(self._stream(handler.unary_stream, token), *serialisers)
        if handler.request_streaming:
            raise NotImplementedError("no RPC takes a stream and answers once")
        if token is None and not self._counts_calls:
            return handler
        return grpc.stream_unary_rpc_method_handler(_one_request(self._unary(handler.unary_unary, token)), *serialisers)

    def _unary(self, behaviour: Any, token: Token | None) -> Callable[..., Any]:  # noqa: ANN401 - gRPC's stubs know of no coroutines
        async def handle(request: Any, context: Context) -> Any:  # noqa: ANN401 - bytes or a message
            self._count(self._caller(context, token), request)
            return await behaviour(request, context)

        return handle

    def _stream(self, behaviour: Any, token: Token | None) -> Callable[..., Any]:  # noqa: ANN401 - as above
        async def handle(request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401 - as above
            caller = self._caller(context, token)
            self._count(caller, request)
            async with (
                aclosing(behaviour(request, context)) as items,
                aclosing(self._streams.guard(caller, items)) as responses,
            ):
                async for response in responses:
                    self._check_again(caller)
                    yield response

        return handle

    def _both_ways(self, behaviour: Any, token: Token | None) -> Callable[..., Any]:  # noqa: ANN401 - as above
        async def handle(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
            caller = self._caller(context, token)
            async with (
                aclosing(behaviour(self._each(requests, caller), context)) as items,
                aclosing(self._streams.guard(caller, items)) as responses,
            ):
                async for response in responses:
                    yield response

        return handle

    async def _each(self, requests: AsyncIterator[Any], caller: Caller) -> AsyncGenerator[Any, None]:
        """The requests of a stream; it waits for its time, since it can push back, where a call is refused."""
        async for request in requests:
            while wait := self._access.limits.take(caller.client, _size(request)):  # noqa: ASYNC110 - only time makes room
                await asyncio.sleep(wait)
            self._check_again(caller)
            yield request

    def _caller(self, context: Context, token: Token | None) -> Caller:
        """Who makes a call.

        Raises: UnauthenticatedError, PermissionDeniedError where the certificate does not count.
        """
        certificate = None
        shown = context.auth_context() if self._access.clients is not None else {}
        if self._access.clients is not None and _LOCAL in shown.get("transport_security_type", ()):
            if not self._access.required:
                raise UnauthenticatedError(
                    "the dashboard shows no client certificate of who asks: where server.tls_client_ca is set it needs"
                    " tokens, server.require_tokens = true",
                    reason="CERTIFICATE_MISSING",
                )
        elif self._access.clients is not None:
            certificate = b"".join(shown.get("x509_pem_cert", ())), b"".join(shown.get("x509_pem_cert_chain", ()))
            self._access.clients.check(*certificate)
        return Caller(f"token {token.name}" if token else _address(context), token, certificate)

    def _count(self, caller: Caller, request: Any) -> None:  # noqa: ANN401 - bytes or a message
        """Raises: RateLimitedError where the client has sent too much."""
        limits = self._access.limits
        if wait := limits.take(caller.client, _size(request)):
            setting, limit = limits.exceeded(caller.client)
            raise RateLimitedError(
                f"{caller.subject} sends more than {setting} allows, {limit}: send less often, or less at once",
                wait,
                subject=caller.subject,
                setting=setting,
                limit=limit,
            )

    def _check_again(self, caller: Caller) -> None:
        """Raises: UnauthenticatedError, PermissionDeniedError where the caller of a stream no longer counts."""
        if self._access.required and (caller.token is None or not self._access.tokens.holds(caller.token)):
            raise UnauthenticatedError(f"the token was revoked, or has expired: {_REMEDY}", reason="TOKEN_REVOKED")
        if self._access.clients is not None and caller.certificate is not None:
            self._access.clients.check(*caller.certificate)


def _refusal(error: UnauthenticatedError | PermissionDeniedError) -> "grpc.RpcMethodHandler[Any, Any]":
    """A handler that refuses; one of a stream, whatever the method: it answers before a request is read."""

    async def refuse(requests: Any, context: Context) -> AsyncIterator[bytes]:  # noqa: ANN401 - nobody reads it
        del requests, context
        raise error
        yield b""

    return grpc.stream_stream_rpc_method_handler(refuse)


def _one_request(behaviour: Any) -> Callable[..., Any]:  # noqa: ANN401 - gRPC's stubs know of no coroutines
    """A handler that reads its one request itself.

    Where gRPC reads it, no deadline is over a client that begins a call and sends no request: a few of them would fill
    the server. On the wire the two are the same.
    """

    async def handle(requests: AsyncIterator[Any], context: Context) -> Any:  # noqa: ANN401 - bytes or a message
        async for request in requests:
            return await behaviour(request, context)
        raise InvalidArgumentError("request", "is missing: send one message")

    return handle


def _address(context: Context) -> str:
    """Where a call comes from, whatever its port."""
    return context.peer().rpartition(":")[0]


def _size(request: Any) -> int:  # noqa: ANN401 - bytes or a message
    return len(request) if isinstance(request, bytes) else int(request.ByteSize())
