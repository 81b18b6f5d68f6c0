"""All 39,000 real events: each gets the score of the table, nothing is counted twice, corrections supersede."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from becas.ft.v1 import dataset_pb2, dataset_service_pb2_grpc, example_pb2
from becas_ft import _core
from helpers.dedupe_oracle import REASONS, Answer, Predicted, right_label
from helpers.real_events import EVENTS, Imported
from helpers.scorer import expected

_UNPLAIN = set("<>|[]#")


def test_every_event_gets_category_score_and_tier_of_the_table(imported: Imported) -> None:
    """An independent scorer in Python, written from the table, agrees on every line."""
    differences = []
    for event, receipt in zip(imported.events, imported.receipts, strict=True):
        wanted = expected(event)
        got = (receipt["eventId"], receipt["category"], receipt["tier"], f"{receipt['score']:.4f}")
        if got != (event["metadata"]["eventId"], wanted.category, wanted.tier, str(wanted.score)):
            differences.append((got, wanted))

    assert differences[:5] == []


def test_every_status_and_its_reasons_are_those_of_the_rules(imported: Imported, predicted: Predicted) -> None:
    """An independent dedupe agrees on every line: who is new, who wins, who was corrected before."""
    differences = []
    for receipt, wanted in zip(imported.receipts, predicted.answers, strict=True):
        got = Answer(receipt["status"], frozenset(receipt["reasons"]) & REASONS)
        if got != wanted:
            differences.append((receipt, wanted))

    assert differences[:5] == []
    said = {reason for answer in predicted.answers for reason in answer.reasons}
    assert said == REASONS, "the events do not show every rule"


def test_the_winners_are_those_of_the_rules(imported: Imported, predicted: Predicted, copied: _core.Core) -> None:
    """Of equal inputs the right one is stored; the corrected ones are superseded, and no others."""
    listed = list(examples(imported, include_superseded=True))
    oracle = predicted.oracle
    pseudonyms = {event: copied.pseudonym("event", event) for event in oracle.stored}

    assert {one.event for one in listed if not one.corrected_twin} == set(pseudonyms.values())
    assert {one.event for one in listed if one.superseded} == {pseudonyms[event] for event in oracle.superseded}
    assert sum(one.corrected_twin for one in listed) == oracle.twins


def test_a_second_import_changes_no_statistic(imported: Imported) -> None:
    """GetTrainingStats stays as it was, byte for byte as they come over the wire."""
    before = raw_statistics(imported)
    assert len(dataset_pb2.GetTrainingStatsResponse.FromString(before).rejected_by_reason) > 2
    assert {raw_statistics(imported) for _ in range(10)} == {before}
    again = imported.cli("import", str(EVENTS), "--json").json()

    assert again["duplicate"] == again["events"]
    assert {raw_statistics(imported) for _ in range(10)} == {before}


def test_statistics_equal_a_recount_and_every_record_is_sound(imported: Imported, copied: _core.Core) -> None:
    """All of them: tiers, means, corrections, RAG, rejections with their reasons."""
    assert copied.recount() == copied.stats() == raw_statistics(imported)
    assert copied.verify() == []


def test_statistics_equal_a_count_of_what_is_listed(imported: Imported) -> None:
    """The counters are those of the records."""
    stats = statistics(imported)
    listed = list(examples(imported, include_superseded=True))
    kept = [example for example in listed if not example.superseded]

    assert stats.total_examples == len(kept)
    assert stats.superseded == len(listed) - len(kept)
    by_category = Counter(example.category for example in kept)
    assert {row.category: row.total for row in stats.categories if row.total} == dict(by_category)
    gold = sum(example.tier == example_pb2.TIER_GOLD for example in kept)
    assert stats.tiers.gold == gold
    assert all(by_category[category] for category in example_pb2.Category.values() if category)


def test_no_original_of_a_correction_is_exported(imported: Imported, copied: _core.Core) -> None:
    """Found by pseudonym: every stored event that its own guild corrected is superseded, and in no dataset."""
    originals = first_deliveries(imported.events)
    stored: dict[str, list[example_pb2.Example]] = {}
    for example in examples(imported, include_superseded=True):
        stored.setdefault(example.event, []).append(example)
    exported = exported_ids(imported)
    assert len(exported) > 10_000
    checked = 0
    for event in first_deliveries(imported.events).values():
        original = originals.get(event["metadata"].get("causationId", ""))
        if event["eventName"] != "ai.correction" or original is None:
            continue
        if original["metadata"]["guildId"] != event["metadata"]["guildId"]:
            continue
        for example in stored.get(copied.pseudonym("event", original["metadata"]["eventId"]), []):
            checked += 1
            assert example.superseded
            assert example.example_id not in exported

    assert checked > 100


def test_no_corrected_decision_is_exported_and_its_twin_is(imported: Imported) -> None:
    """Wherever a rule gives a label, the gold twin teaches it; the wrong label is taught nowhere."""
    originals = first_deliveries(imported.events)
    taught: dict[tuple[str, str], set[str]] = {}
    for example in examples(imported):
        category = example_pb2.Category.Name(example.category).removeprefix("CATEGORY_").lower()
        taught.setdefault((category, text_of(example.input)), set()).add(example.label)
    checked = 0
    for correction, original in corrections(imported.events, originals):
        category = expected(original).category
        message = correction["aiDecision"]["context"]
        right = right_label(category, original, correction)
        if right is None or not plain(message):
            continue
        checked += 1
        assert taught.get((category, message)) == {right}, category

    assert checked > 300


def raw_statistics(imported: Imported) -> bytes:
    """The answer as it comes over the wire: parsed and written again, its maps would be in another order."""
    with imported.server.channel() as channel:
        method = channel.unary_unary(
            "/becas.ft.v1.DatasetService/GetTrainingStats", request_serializer=bytes, response_deserializer=bytes
        )
        return method(b"", timeout=60)


def statistics(imported: Imported) -> dataset_pb2.GetTrainingStatsResponse:
    return dataset_pb2.GetTrainingStatsResponse.FromString(raw_statistics(imported))


def exported_ids(imported: Imported) -> set[str]:
    """Every example of an export of everything."""
    with imported.server.channel(max_receive_message_length=-1) as channel:
        stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        responses = stub.Export(dataset_pb2.ExportRequest(balance=False), timeout=60)
        return {example_id for response in responses for example_id in response.example_ids.example_ids}


def first_deliveries(events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Events by id; of one that was delivered twice the first."""
    return {event["metadata"]["eventId"]: event for event in reversed(events)}


def examples(imported: Imported, *, include_superseded: bool = False) -> Iterator[example_pb2.Example]:
    token = ""
    with imported.server.channel(max_receive_message_length=-1) as channel:
        stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        while True:
            request = dataset_pb2.ListExamplesRequest(
                page_size=1000, page_token=token, include_superseded=include_superseded
            )
            page = stub.ListExamples(request, timeout=60)
            yield from page.examples
            token = page.next_page_token
            if not token:
                return


def corrections(
    events: list[dict[str, Any]], originals: dict[str, dict[str, Any]]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Corrections of an event of their own guild, where the message was corrected once only."""
    found: dict[tuple[str, str], list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    taken: set[str] = set()
    for event in events:
        metadata = event["metadata"]
        original = originals.get(metadata.get("causationId", ""))
        if event["eventName"] != "ai.correction" or original is None or metadata["eventId"] in taken:
            continue
        taken.add(metadata["eventId"])
        if original["metadata"]["guildId"] == metadata["guildId"]:
            correction = event["payload"]["correction"]
            key = (expected(original).category, correction["aiDecision"]["context"])
            found.setdefault(key, []).append((correction, original))
    return (pairs[0] for pairs in found.values() if len(pairs) == 1)


def text_of(prompt: str) -> str:
    """The message in a prompt: the JSON text behind its key."""
    for line in prompt.splitlines():
        key, _, value = line.partition(": ")
        if key in {"Message", "Request", "Text"}:
            return str(json.loads(value))
    return ""


def plain(message: str) -> bool:
    """Whether redaction leaves the message as it is, and no invisible or odd character stands in it."""
    ordinary = message.isascii() and message.isprintable() and message == message.strip()
    return ordinary and not _UNPLAIN & set(message) and _core.redact_line(message)[0] == message
