"""Talks to the server, and turns its errors into words."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from grpc_status import rpc_status

from becas_ft.errors import CommandError, RemoteError, UnreachableError

CALL_SECONDS: Final = 60.0
# Forgetting rewrites the whole file; an export reads it.
LONG_CALL_SECONDS: Final = 3600.0

# Calls that carry a request_id: asked again with the same one where the answer was lost, they act once.
_REPEATED: Final = {
    "methodConfig": [
        {
            "name": [{"service": "becas.ft.v1.ModelService", "method": method} for method in ("Promote", "Rollback")],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.5s",
                "backoffMultiplier": 2,
                "maxBackoff": "4s",
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
_OPTIONS: Final = (
    ("grpc.service_config", json.dumps(_REPEATED)),
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

    Raises:
        UnreachableError: nobody answers there.
        RemoteError: the server answered with an error.
    """
    with grpc.insecure_channel(server, options=_OPTIONS) as channel:
        try:
            yield channel
        except grpc.RpcError as error:
            raise _in_words(error, server) from error


def _in_words(error: grpc.RpcError, server: str) -> CommandError:
    assert isinstance(error, grpc.Call)  # every RpcError that a call raises is one
    code = error.code()
    details = rpc_status.from_call(error)
    if details is None and code is grpc.StatusCode.UNAVAILABLE:
        return UnreachableError(
            f"no server answers at {server}: start one with `becas-ft serve`, "
            "or name another with --server or BECAS_FT_SERVER"
        )
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
