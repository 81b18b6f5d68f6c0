"""Reflection under both of its names, so that clients that know only one work without a proto file."""

from collections.abc import Sequence
from typing import Final

import grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import SERVICE_NAME
from grpc_reflection.v1alpha.reflection import aio as reflection_aio

# The messages of v1 are those of v1alpha, field for field; grpcio ships the older name only.
_NEWER_NAME: Final = "grpc.reflection.v1.ServerReflection"


def add_reflection(services: Sequence[str], server: grpc.aio.Server) -> None:
    """Let clients ask what the server offers: the services named, and reflection itself."""
    servicer = reflection_aio.ReflectionServicer((*services, SERVICE_NAME))
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        tuple(
            grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler})
            for name in (SERVICE_NAME, _NEWER_NAME)
        )
    )
