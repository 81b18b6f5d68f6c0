"""All 39,000 real events: each gets the score of the table, nothing is counted twice, corrections supersede."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from becas.ft.v1 import dataset_pb2, dataset_service_pb2_grpc, example_pb2
from becas_ft import _core
from helpers.real_events import EVENTS, Imported
from helpers.scorer import expected

_YES_NO = {"scam_detection": "isScam", "policy_interpretation": "violates"}
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


def test_every_status_follows_from_the_rules(imported: Imported) -> None:
    """A second delivery is DUPLICATE; below bronze is REJECTED; all else is stored or beaten by its own kind."""
    seen: set[str] = set()
    wrong = []
    for event, receipt in zip(imported.events, imported.receipts, strict=True):
        event_id = event["metadata"]["eventId"]
        wanted = expected(event)
        if event_id in seen:
            right = receipt["status"] == "DUPLICATE" and receipt["reasons"] == []
        elif wanted.tier == "reject" or wanted.rejected:
            right = receipt["status"] == "REJECTED"
        elif receipt["status"] == "DUPLICATE":
            right = bool({"SAME_INPUT", "CONFLICT"} & set(receipt["reasons"]))
        else:
            right = receipt["status"] == "ACCEPTED"
        seen.add(event_id)
        if not right:
            wrong.append(receipt)

    assert wrong[:5] == []
    assert {receipt["status"] for receipt in imported.receipts} == {"ACCEPTED", "DUPLICATE", "REJECTED"}


def test_a_second_import_changes_no_statistic(imported: Imported) -> None:
    """GetTrainingStats stays as it was, byte for byte."""
    before = statistics(imported)
    again = imported.cli("import", str(EVENTS), "--json").json()

    assert again["duplicate"] == again["events"]
    assert statistics(imported).SerializeToString(deterministic=True) == before.SerializeToString(deterministic=True)


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


def test_no_corrected_decision_is_exported_and_its_twin_is(imported: Imported) -> None:
    """Wherever a rule gives a label, the gold twin teaches it; the wrong label is taught nowhere."""
    originals = {event["metadata"]["eventId"]: event for event in imported.events}
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


def statistics(imported: Imported) -> dataset_pb2.GetTrainingStatsResponse:
    with imported.server.channel() as channel:
        stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        return stub.GetTrainingStats(dataset_pb2.GetTrainingStatsRequest(), timeout=60)


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


def right_label(category: str, original: dict[str, Any], correction: dict[str, Any]) -> str | None:
    """The design's rule for a twin's label."""
    if correction.get("correctedLabel"):
        return str(correction["correctedLabel"])
    payload = original["payload"]
    if category in _YES_NO:
        decision = payload.get("analysis") or payload.get("evaluation")
        return "false" if decision[_YES_NO[category]] else "true"
    if category == "violation_detection" and correction["category"] == "false_positive":
        return "none"
    if category == "moderation_decision":
        return str(correction["moderatorAction"]["type"])
    return None


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
