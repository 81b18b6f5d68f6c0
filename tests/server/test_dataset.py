"""DatasetService of a real server."""

import hashlib
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import grpc
import pytest

from becas.ft.v1 import (
    dataset_pb2,
    dataset_service_pb2_grpc,
    example_pb2,
    ingest_pb2,
    ingest_service_pb2_grpc,
    model_pb2,
    model_service_pb2_grpc,
)
from becas_ft.ledger import Ledger
from becas_ft.rollout import registry
from helpers import canaries, events
from helpers.rpc import details
from helpers.served import SCAM
from helpers.server import ServerProcess, ServerStarter


@pytest.fixture
def dataset(channel: grpc.Channel) -> dataset_service_pb2_grpc.DatasetServiceStub:
    """The generated stub."""
    return dataset_service_pb2_grpc.DatasetServiceStub(channel)


def ingest(channel: grpc.Channel, count: int, start: int = 0) -> None:
    stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
    for first in range(start, start + count, 500):
        last = min(first + 500, start + count)
        batch = [events.scam_message(f"data-{number}", number) for number in range(first, last)]
        receipts = stub.Ingest(events.request(batch), timeout=60).receipts
        assert {receipt.status for receipt in receipts} == {ingest_pb2.STATUS_ACCEPTED}


def export(
    stub: dataset_service_pb2_grpc.DatasetServiceStub, request: dataset_pb2.ExportRequest
) -> tuple[bytes, list[str], dataset_pb2.Manifest]:
    """Data, ids, manifest."""
    pieces = list(stub.Export(request, timeout=120))
    kinds = [piece.WhichOneof("part") for piece in pieces]
    order = {"data": 0, "example_ids": 1, "manifest": 2, None: 3}
    assert kinds == sorted(kinds, key=lambda kind: order[kind])
    assert kinds.count("manifest") == 1
    ids = [example_id for piece in pieces for example_id in piece.example_ids.example_ids]
    return b"".join(piece.data for piece in pieces), ids, pieces[-1].manifest


def test_statistics(channel: grpc.Channel, dataset: dataset_service_pb2_grpc.DatasetServiceStub) -> None:
    """Totals are exact, and every category has its row, in the order of the proto."""
    ingest(channel, 42)

    stats = dataset.GetTrainingStats(dataset_pb2.GetTrainingStatsRequest(), timeout=30)

    assert [row.category for row in stats.categories] == [
        value.number for value in example_pb2.Category.DESCRIPTOR.values if value.number != 0
    ]
    scam = stats.categories[example_pb2.CATEGORY_SCAM_DETECTION - 1]
    assert (stats.total_examples, scam.total, scam.tiers.gold, scam.mean_quality) == (42, 42, 42, 0.915)


def test_export_is_data_then_ids_then_manifest(
    channel: grpc.Channel, dataset: dataset_service_pb2_grpc.DatasetServiceStub
) -> None:
    """The pieces come in their order, and the manifest counts what was sent."""
    ingest(channel, 200)
    request = dataset_pb2.ExportRequest(category=example_pb2.CATEGORY_SCAM_DETECTION)

    data, ids, manifest = export(dataset, request)

    lines = [json.loads(line) for line in data.decode().splitlines()]
    assert len(lines) == len(ids) == manifest.examples == 200
    assert all(line.keys() == {"input", "output", "system", "metadata", "quality"} for line in lines)
    assert manifest.data_bytes == len(data)
    assert dict(manifest.by_label) == {"true": 100, "false": 100}
    again, _, manifest_again = export(dataset, request)
    assert hashlib.sha256(again).digest() == hashlib.sha256(data).digest()
    assert manifest_again == manifest


def test_export_that_is_cancelled_lets_the_server_go_on(
    server: ServerProcess, channel: grpc.Channel, dataset: dataset_service_pb2_grpc.DatasetServiceStub
) -> None:
    """A caller that goes away after the first piece stops its export; the next one is answered in full."""
    ingest(channel, 3000)
    request = dataset_pb2.ExportRequest(category=example_pb2.CATEGORY_SCAM_DETECTION)
    for _ in range(20):
        call = dataset.Export(request, timeout=60)
        next(iter(call))
        # The stub gives the call its iterator's type.
        cast("grpc.Call", call).cancel()

    data, _, manifest = export(dataset, request)

    assert manifest.data_bytes == len(data) > 0
    assert server.stop() == 0


def test_unusable_fields_are_named(dataset: dataset_service_pb2_grpc.DatasetServiceStub) -> None:
    """Each mistake of a request is INVALID_ARGUMENT with the path of the field."""
    calls: list[tuple[str, Callable[[], object]]] = [
        ("min_quality", lambda: list(dataset.Export(dataset_pb2.ExportRequest(min_quality=1.5), timeout=30))),
        (
            "page_size",
            lambda: dataset.ListExamples(dataset_pb2.ListExamplesRequest(page_size=-1), timeout=30),
        ),
        ("user_id", lambda: dataset.Forget(dataset_pb2.ForgetRequest(), timeout=30)),
        ("guild_id", lambda: dataset.SetConsent(dataset_pb2.SetConsentRequest(granted=True), timeout=30)),
    ]
    for field, call in calls:
        with pytest.raises(grpc.RpcError) as caught:
            call()
        found = details(caught.value)
        assert (found.code, list(found.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, [field])


def test_example_by_its_id(channel: grpc.Channel, dataset: dataset_service_pb2_grpc.DatasetServiceStub) -> None:
    """What a page lists can be asked for by its id; what is not there is NOT_FOUND with details."""
    ingest(channel, 5)
    listed = dataset.ListExamples(dataset_pb2.ListExamplesRequest(), timeout=30).examples

    for example in listed:
        request = dataset_pb2.GetExampleRequest(example_id=example.example_id)
        assert dataset.GetExample(request, timeout=30).example == example
    with pytest.raises(grpc.RpcError) as caught:
        dataset.GetExample(dataset_pb2.GetExampleRequest(example_id="scam_detection-999999"), timeout=30)

    assert len(listed) == 5
    assert details(caught.value).code is grpc.StatusCode.NOT_FOUND


def test_pages_cover_everything_once(
    channel: grpc.Channel, dataset: dataset_service_pb2_grpc.DatasetServiceStub
) -> None:
    """Page by page every example comes once."""
    ingest(channel, 25)
    found: list[str] = []
    request = dataset_pb2.ListExamplesRequest(page_size=10)
    while True:
        page = dataset.ListExamples(request, timeout=30)
        found += [example.example_id for example in page.examples]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token

    assert len(found) == len(set(found)) == 25


def test_forget_erases_a_member(channel: grpc.Channel, dataset: dataset_service_pb2_grpc.DatasetServiceStub) -> None:
    """Examples of the member go, those of others stay; a second call finds nothing."""
    ingest(channel, 20)
    request = dataset_pb2.ForgetRequest(user_id="700000000000000007")

    first, second = dataset.Forget(request, timeout=60), dataset.Forget(request, timeout=60)

    assert (first.examples, second.examples) == (1, 0)
    assert dataset.GetTrainingStats(dataset_pb2.GetTrainingStatsRequest(), timeout=30).total_examples == 19


def test_forget_names_what_was_built_on_the_member(start_server: ServerStarter, data_dir: Path) -> None:
    """The dataset that held one of the examples and the model that learned from it, also after a restart; no other."""
    server = start_server()
    with server.channel() as channel:
        ingest(channel, 20)
        stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        _, _, everything = export(stub, dataset_pb2.ExportRequest(category=SCAM, balance=False))
        # 7 % 7 is another guild's remainder than 3: the member is not in it.
        elsewhere = dataset_pb2.ExportRequest(category=SCAM, balance=False, guild_id="800000000000000003")
        export(stub, elsewhere)
    server.stop()
    ledger = Ledger(data_dir / "ledger")
    for name, dataset_id in (("learned", everything.dataset_id), ("other", "another")):
        model = model_pb2.Model(name=name, base_model="smollm2", category=SCAM, dataset_id=dataset_id)
        ledger.write(partial(registry.register, model=model))
    ledger.close()

    with start_server().channel() as channel:
        stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        forgotten = stub.Forget(dataset_pb2.ForgetRequest(user_id="700000000000000007"), timeout=60)
        models = model_service_pb2_grpc.ModelServiceStub(channel)
        marked = {
            name: models.GetModel(model_pb2.GetModelRequest(name=name), timeout=30).model.built_on_erased
            for name in ("learned", "other")
        }

    assert (list(forgotten.datasets), list(forgotten.models)) == ([everything.dataset_id], ["learned"])
    assert marked == {"learned": True, "other": False}


def test_withdrawn_consent(channel: grpc.Channel, dataset: dataset_service_pb2_grpc.DatasetServiceStub) -> None:
    """A guild's examples go with its consent, and its events are REFUSED until it is granted again."""
    ingest(channel, 21)
    guild = "800000000000000003"
    stub = ingest_service_pb2_grpc.IngestServiceStub(channel)

    withdrawn = dataset.SetConsent(dataset_pb2.SetConsentRequest(guild_id=guild), timeout=60)
    refused = stub.Ingest(events.request([events.scam_message("refused", 1004)]), timeout=30).receipts[0]
    dataset.SetConsent(dataset_pb2.SetConsentRequest(guild_id=guild, granted=True), timeout=60)
    taken = stub.Ingest(events.request([events.scam_message("refused", 1004)]), timeout=30).receipts[0]

    assert 1004 % 7 == 3
    assert withdrawn.examples == 3
    assert (refused.status, refused.category, refused.tier, refused.score) == (
        ingest_pb2.STATUS_REFUSED,
        0,
        0,
        0.0,
    )
    assert taken.status == ingest_pb2.STATUS_ACCEPTED


def test_secrets_stay_out_of_answers(
    channel: grpc.Channel, dataset: dataset_service_pb2_grpc.DatasetServiceStub
) -> None:
    """Stored examples, exports in both formats, and errors that were given secrets show none of them."""
    planted = list(canaries.planted_events())
    receipts = ingest_service_pb2_grpc.IngestServiceStub(channel).Ingest(events.request(planted), timeout=60).receipts
    answers = [dataset.ListExamples(dataset_pb2.ListExamplesRequest(page_size=1000), timeout=30).SerializeToString()]
    for wanted in (dataset_pb2.FORMAT_JSONL, dataset_pb2.FORMAT_PARQUET):
        request = dataset_pb2.ExportRequest(
            format=wanted, balance=False, guild_id=canaries.GUILD, include_superseded=True, name="canaries"
        )
        answers += [piece.SerializeToString() for piece in dataset.Export(request, timeout=60)]
    for bad in (
        lambda: list(dataset.Export(dataset_pb2.ExportRequest(name=canaries.SECRETS["e-mail"]), timeout=30)),
        lambda: dataset.GetExample(dataset_pb2.GetExampleRequest(example_id=canaries.SECRETS["card"]), timeout=30),
        lambda: dataset.ListExamples(dataset_pb2.ListExamplesRequest(page_token=canaries.USER), timeout=30),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            bad()
        found = details(caught.value)
        answers.append(repr(found).encode())

    assert sum(receipt.status == ingest_pb2.STATUS_ACCEPTED for receipt in receipts) >= 17
    assert canaries.found_in(b"\n".join(answers)) == []
    assert b"[EMAIL]" in answers[0]


def test_retention(start_server: ServerStarter) -> None:
    """Examples past their category's age go by themselves."""
    server = start_server()
    with server.channel() as channel:
        stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
        old, young = events.scam_message("old", 1), events.scam_message("young", 2)
        old.time.FromMilliseconds(int((time.time() - 40 * 86400) * 1000))
        young.time.GetCurrentTime()
        stub.Ingest(events.request([old, young]), timeout=30)
    server.stop()

    server = start_server(BECAS_FT_STORE__RETENTION_DAYS__SCAM_DETECTION="30")
    with server.channel() as channel:
        dataset = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        deadline = time.monotonic() + 20
        while dataset.GetTrainingStats(dataset_pb2.GetTrainingStatsRequest(), timeout=30).total_examples != 1:
            assert time.monotonic() < deadline
            time.sleep(0.1)
