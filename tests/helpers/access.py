"""Servers with TLS and tokens, and calls to them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from becas_ft.access import certificates, tokens
from becas_ft.access.folder import AccessFolder, create
from becas_ft.access.roles import Role
from helpers.rpc import code_of
from helpers.server import ServerProcess

Metadata = tuple[tuple[str, str | bytes], ...]

# Bytes that are no message: a call that is let through ends with another code than one that is refused.
NO_MESSAGE = b"\x0a\xff"
STATS = "/becas.ft.v1.DatasetService/GetTrainingStats"
REFUSED = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
_STREAMED = {"Export", "WatchJob", "Subscribe"}
_BOTH_WAYS = {"IngestStream", "ServerReflectionInfo"}


@dataclass
class Keys:
    """What `becas-ft access init` makes, and a token of each role.

    Attributes:
        secrets: name of the token → the token; each role's goes by the role's name.
    """

    folder: AccessFolder
    authority: certificates.Signed = field(default_factory=certificates.make_authority)
    secrets: dict[str, str] = field(default_factory=dict)

    def make(self, hosts: Sequence[str] = ("localhost", "127.0.0.1")) -> "Keys":
        """Write everything down."""
        server = certificates.sign_server(self.authority, hosts)
        issued = [tokens.issue(role.value, role) for role in Role]
        self.secrets = {one.token.name: one.secret for one in issued}
        files = {
            self.folder.ca.name: self.authority.certificate,
            self.folder.ca_key.name: self.authority.key,
            self.folder.server_cert.name: server.certificate,
            self.folder.server_key.name: server.key,
            self.folder.tokens.name: tokens.serialise([one.token for one in issued]),
        }
        create(self.folder.path, files)
        return self

    def settings(self) -> dict[str, str]:
        """Environment of a server on loopback that is guarded as one beyond it."""
        return {
            "BECAS_FT_SERVER__ACCESS_DIR": str(self.folder.path),
            "BECAS_FT_SERVER__TLS_CERT": str(self.folder.server_cert),
            "BECAS_FT_SERVER__TLS_KEY": str(self.folder.server_key),
            "BECAS_FT_SERVER__REQUIRE_TOKENS": "true",
        }

    def channel(self, server: ServerProcess, client: certificates.Signed | None = None) -> grpc.Channel:
        """A channel of its own connection that trusts the authority."""
        credentials = grpc.ssl_channel_credentials(
            self.authority.certificate,
            client.key if client else None,
            client.certificate if client else None,
        )
        options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        return grpc.secure_channel(server.address.replace("0.0.0.0", "127.0.0.1"), credentials, options)


def keys(path: Path) -> Keys:
    """Keys in a folder."""
    return Keys(AccessFolder(path)).make()


def bearer(secret: str) -> Metadata:
    """The metadata of a token."""
    return (("authorization", f"Bearer {secret}"),)


def error_of(
    channel: grpc.Channel, method: str, metadata: Metadata = (), request: bytes = NO_MESSAGE
) -> grpc.RpcError | None:
    """How a call ends; None where it ends well."""
    name = method.rpartition("/")[2]
    call: Any
    try:
        if name in _BOTH_WAYS:
            call = channel.stream_stream(method)
            list(call(iter([request]), timeout=60, metadata=metadata))
        elif name in _STREAMED:
            call = channel.unary_stream(method)
            list(call(request, timeout=60, metadata=metadata))
        else:
            call = channel.unary_unary(method)
            call(request, timeout=60, metadata=metadata)
    except grpc.RpcError as error:
        return error
    return None


def answered(channel: grpc.Channel, method: str, metadata: Metadata = ()) -> bool:
    """Whether a call got past the guard."""
    error = error_of(channel, method, metadata)
    return error is None or code_of(error) not in REFUSED
