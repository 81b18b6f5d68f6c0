"""How a class becomes a gRPC service: a handler for each method of the proto, requests decoded or raw."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from becas_ft.errors import InvalidArgumentError

if TYPE_CHECKING:
    Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
else:
    # Generic only in its stubs.
    Context = grpc.aio.ServicerContext
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Any, Any] | None"]]
MessageT = TypeVar("MessageT", bound=Message)

_MAKE: Final = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


@dataclass(frozen=True)
class Service:
    """One service of the proto and what serves it.

    Attributes:
        descriptor: `ingest_service_pb2.DESCRIPTOR.services_by_name["IngestService"]`.
        servicer: has a coroutine (or an asynchronous generator) for each method, by its name.
        raw: requests and responses are bytes, undecoded.
    """

    descriptor: ServiceDescriptor
    servicer: object
    raw: bool = False

    def handler(self) -> grpc.GenericRpcHandler:
        """What the server routes to; a method without an implementation is an AttributeError at once."""
        handlers = {method.name: self._method(method) for method in self.descriptor.methods}
        return grpc.method_handlers_generic_handler(self.descriptor.full_name, handlers)

    def _method(self, method: MethodDescriptor) -> "grpc.RpcMethodHandler[Any, Any]":
        behaviour = getattr(self.servicer, method.name)
        make = _MAKE[method.client_streaming, method.server_streaming]
        if self.raw:
            return make(behaviour)
        request = GetMessageClass(method.input_type)
        if method.client_streaming:
            wrap: Callable[..., Any] = _decode_each
        elif method.server_streaming:
            wrap = _decode_then_stream
        else:
            wrap = _decode_then_answer
        return make(
            wrap(behaviour, request),
            response_serializer=GetMessageClass(method.output_type).SerializeToString,
        )


def decode(kind: type[MessageT], data: bytes) -> MessageT:
    """A message of bytes.

    gRPC's own deserialisation would answer INTERNAL to bad bytes, and without details.

    Raises:
        InvalidArgumentError: the bytes are not such a message.
    """
    try:
        return kind.FromString(data)
    except DecodeError as error:
        name = kind.DESCRIPTOR.name
        raise InvalidArgumentError("request", f"these bytes are not a {name}: encode one with the proto") from error


def _decode_then_answer(
    behaviour: Callable[[Message, Context], Awaitable[Message]], kind: type[Message]
) -> Callable[[bytes, Context], Awaitable[Message]]:
    async def handle(request: bytes, context: Context) -> Message:
        return await behaviour(decode(kind, request), context)

    return handle


def _decode_then_stream(
    behaviour: Callable[[Message, Context], AsyncIterator[Message]], kind: type[Message]
) -> Callable[[bytes, Context], AsyncIterator[Message]]:
    async def handle(request: bytes, context: Context) -> AsyncIterator[Message]:
        async for response in behaviour(decode(kind, request), context):
            yield response

    return handle


def _decode_each(
    behaviour: Callable[[AsyncIterator[Message], Context], AsyncIterator[Message]], kind: type[Message]
) -> Callable[[AsyncIterator[bytes], Context], AsyncIterator[Message]]:
    async def handle(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[Message]:
        async def decoded() -> AsyncIterator[Message]:
            async for request in requests:
                yield decode(kind, request)

        async for response in behaviour(decoded(), context):
            yield response

    return handle
