"""What the demo leaves to a person before the dashboard: ten labels, the promotion, the rollback."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from becas.ft.v1 import shadow_pb2, shadow_service_pb2_grpc
from becas_ft.cli.connection import CALL_SECONDS
from becas_ft.cli.demo.process import Serving

# Disagreements whose truth nobody tells.
YOURS: Final = 10


def waiting(stub: shadow_service_pb2_grpc.ShadowServiceStub) -> int:
    """How many disagreements of the models wait for a label."""
    request = shadow_pb2.ListDisagreementsRequest(page_size=1000)
    found = stub.ListDisagreements(request, timeout=CALL_SECONDS).disagreements
    return sum(not entry.audit for entry in found)


def hand_over(say: Callable[[str], None], serving: Serving) -> None:
    """Say what to do, and wait until Ctrl-C, or until the server ends."""
    say(f"Open {serving.dashboard}")
    say(f"Labelling: {YOURS} disagreements wait for you. A key decides: is the message a scam?")
    say("Models: Promote… shows the evidence and asks you; Roll back… takes it back. Audit log: who did what.")
    say("Ctrl-C ends it.")
    with suppress(KeyboardInterrupt):
        serving.process.wait()
