"""Without a model runtime the server serves everything else, and says what to do."""

import grpc
import pytest

from becas.ft.v1 import ingest_pb2, ingest_service_pb2_grpc, model_pb2, model_service_pb2_grpc, shadow_pb2
from becas.ft.v1 import shadow_service_pb2_grpc as shadow_service
from helpers import events
from helpers.rpc import details
from helpers.served import SCAM
from helpers.server import ServerStarter


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        # Nobody listens on the discard port.
        ({"BECAS_FT_RUNTIME__KIND": "ollama", "BECAS_FT_RUNTIME__OLLAMA_HOST": "http://127.0.0.1:9"}, "ollama serve"),
        ({"BECAS_FT_RUNTIME__KIND": "embedded", "BECAS_FT_RUNTIME__EMBEDDED_BASE": "/no/such/file.gguf"}, "GGUF"),
    ],
)
def test_everything_else_is_served(start_server: ServerStarter, settings: dict[str, str], remedy: str) -> None:
    """Ingest and lists answer; what needs a model is UNAVAILABLE with the remedy, and may be tried again."""
    with start_server(**settings).channel() as channel:
        ingest = ingest_service_pb2_grpc.IngestServiceStub(channel)
        receipts = ingest.Ingest(events.request([events.scam_message("e", 1)]), timeout=60).receipts
        listed = model_service_pb2_grpc.ModelServiceStub(channel).ListModels(model_pb2.ListModelsRequest(), timeout=60)
        question = shadow_pb2.ShadowTestRequest(category=SCAM, input="claim the prize", request_id="r")
        with pytest.raises(grpc.RpcError) as caught:
            shadow_service.ShadowServiceStub(channel).ShadowTest(question, timeout=60)

    assert [receipt.status for receipt in receipts] == [ingest_pb2.STATUS_ACCEPTED]
    assert list(listed.aliases) == []
    found = details(caught.value)
    assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "RUNTIME_UNAVAILABLE")
    assert found.retry_seconds == pytest.approx(5.0)
    assert remedy in found.message
