"""Lists come in pages: sizes, sealed tokens that belong to their arguments, an empty token at the end."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import grpc
import pytest

from becas.ft.v1 import (
    dataset_pb2,
    dataset_service_pb2_grpc,
    example_pb2,
    ingest_service_pb2_grpc,
    shadow_pb2,
    shadow_service_pb2_grpc,
    training_pb2,
    training_service_pb2_grpc,
)
from becas_ft.ledger import Ledger, WriteTransaction
from becas_ft.ledger.schema import JOBS
from helpers import events
from helpers.rpc import details
from helpers.server import ServerProcess

SCAM, INTENT = example_pb2.CATEGORY_SCAM_DETECTION, example_pb2.CATEGORY_INTENT_CLASSIFICATION
DEFAULT, LARGEST = 50, 1_000
ENTRIES = LARGEST + 10


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    """A server with more jobs and examples than the largest page has."""
    folder = tmp_path_factory.mktemp("listed")
    ledger = Ledger(folder / "data" / "ledger")
    ledger.write(_put_jobs)
    ledger.close()
    server = ServerProcess(folder / "data", folder / "server").start()
    with server.channel() as channel:
        batch = [events.scam_message(f"event-{number}", number) for number in range(ENTRIES)]
        ingest_service_pb2_grpc.IngestServiceStub(channel).Ingest(events.request(batch), timeout=60)
        yield channel
    assert server.stop() == 0


def _put_jobs(transaction: WriteTransaction) -> None:
    for number in range(ENTRIES):
        for category, name in ((SCAM, "scam_detection"), (INTENT, "intent_classification")):
            job = training_pb2.Job(
                job_id=f"{name}-{number}", category=category, stage=training_pb2.STAGE_FAILED, error="of a test"
            )
            job.created.FromSeconds(1_790_000_000 + number)
            transaction.put(JOBS, job.job_id, job)


Lister = tuple[Any, Any, str]


def listers(channel: grpc.Channel) -> dict[str, Lister]:
    """Each paged list: the call, its request with an argument, and the field of its entries."""
    training = training_service_pb2_grpc.TrainingServiceStub(channel)
    dataset = dataset_service_pb2_grpc.DatasetServiceStub(channel)
    return {
        "ListJobs": (training.ListJobs, partial(training_pb2.ListJobsRequest, category=SCAM), "jobs"),
        "ListExamples": (dataset.ListExamples, partial(dataset_pb2.ListExamplesRequest, category=SCAM), "examples"),
    }


@pytest.mark.parametrize("name", ["ListJobs", "ListExamples"])
def test_pages(listed: grpc.Channel, name: str) -> None:
    """0 is the default, too much is cut down, below 0 is refused; every entry comes once, and the end has no token."""
    call, request, field = listers(listed)[name]

    first = call(request(), timeout=30)
    largest = call(request(page_size=2_000_000), timeout=30)
    entries, token = [], ""
    while True:
        page = call(request(page_size=333, page_token=token), timeout=30)
        entries += list(getattr(page, field))
        if not (token := page.next_page_token):
            break
    with pytest.raises(grpc.RpcError) as caught:
        call(request(page_size=-1), timeout=30)

    assert len(getattr(first, field)) == DEFAULT
    assert first.next_page_token
    assert len(getattr(largest, field)) == LARGEST
    assert largest.next_page_token
    assert entries[:LARGEST] == list(getattr(largest, field))
    assert len({str(entry) for entry in entries}) == len(entries) == ENTRIES
    assert list(details(caught.value).fields) == ["page_size"]


@pytest.mark.parametrize("name", ["ListJobs", "ListExamples"])
def test_a_token_belongs_to_its_arguments(listed: grpc.Channel, name: str) -> None:
    """With another filter, changed, or made up it is refused, with the field's name."""
    call, request, _ = listers(listed)[name]
    token = call(request(page_size=5), timeout=30).next_page_token
    wrong = [
        request(page_size=5, page_token=token, category=INTENT),
        request(page_size=5, page_token="c2NhbV9kZXRlY3Rpb24tMQ=="),
        request(page_size=5, page_token="scam_detection-1"),
        request(page_size=5, page_token=f"{'A' if token[0] != 'A' else 'B'}{token[1:]}"),
    ]
    for one in wrong:
        with pytest.raises(grpc.RpcError) as caught:
            call(one, timeout=30)
        told = details(caught.value)
        assert (told.code, list(told.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, ["page_token"])

    assert call(request(page_size=7, page_token=token), timeout=30).next_page_token


def test_a_token_of_one_list_is_none_of_another(listed: grpc.Channel) -> None:
    """Tokens are sealed with the name of their method."""
    call, request, _ = listers(listed)["ListJobs"]
    token = call(request(page_size=5), timeout=30).next_page_token
    shadow = shadow_service_pb2_grpc.ShadowServiceStub(listed)

    with pytest.raises(grpc.RpcError) as caught:
        shadow.ListDisagreements(shadow_pb2.ListDisagreementsRequest(page_token=token), timeout=30)

    assert list(details(caught.value).fields) == ["page_token"]
