"""Published events as they come, over lost connections."""

import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Final

import grpc

from becas.ft.v1 import event_service_pb2_grpc, published_event_pb2
from becas_ft.cli.connection import connect

_FIRST_WAIT_SECONDS: Final = 0.5
_LONGEST_WAIT_SECONDS: Final = 15.0
# What a server that goes, or is full for a moment, ends a stream with; anything else would be answered again.
_PASSING: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
    }
)


def follow(server: str, after: int, tell: Callable[[str], None]) -> Iterator[published_event_pb2.PublishedEvent]:
    """What is kept after the cursor, then what happens, for ever; a lost connection is made again.

    An event whose consumer was done with it does not come again.

    Arguments:
        server: `HOST:PORT`.
        after: the last cursor seen; 0 for everything that is kept.
        tell: takes a line for people where a connection is lost or there again.

    Raises:
        UnreachableError: nobody answered from the beginning.
        RemoteError: the server refuses.
    """
    wait, known, lost = 0.0, False, False
    while True:
        begun = time.monotonic()
        with connect(server) as channel:
            connected = _connects(channel)
            if connected and lost:
                tell(f"connected to {server} again")
            known, lost = known or connected, not connected
            stub = event_service_pb2_grpc.EventServiceStub(channel)
            try:
                for event in stub.Subscribe(published_event_pb2.SubscribeRequest(after_cursor=after)):
                    if after and event.cursor > after + 1:
                        tell(f"events {after + 1:,} to {event.cursor - 1:,} are not kept any more")
                    yield event
                    after = event.cursor
            except grpc.RpcError as error:
                if not known or error.code() not in _PASSING:
                    raise
                if connected:
                    tell(f"lost {server} ({error.code().name}): trying to connect again, after event {after:,}")
                lost = True
        lasted = time.monotonic() - begun
        wait = _FIRST_WAIT_SECONDS if lasted > _LONGEST_WAIT_SECONDS else max(_FIRST_WAIT_SECONDS, 2 * wait)
        wait = min(wait, _LONGEST_WAIT_SECONDS)
        time.sleep(wait)


def _connects(channel: grpc.Channel) -> bool:
    """Whether somebody is there: a stream that waits for its first event does not tell."""
    states: SimpleQueue[grpc.ChannelConnectivity] = SimpleQueue()
    channel.subscribe(states.put, try_to_connect=True)
    while (state := states.get()) not in {
        grpc.ChannelConnectivity.READY,
        grpc.ChannelConnectivity.TRANSIENT_FAILURE,
        grpc.ChannelConnectivity.SHUTDOWN,
    }:
        pass
    channel.unsubscribe(states.put)
    return state is grpc.ChannelConnectivity.READY
