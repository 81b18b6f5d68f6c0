"""With the default thresholds the real events make one category ready; each other one is told what it lacks."""

from becas.ft.v1 import example_pb2, training_pb2, training_service_pb2_grpc
from helpers.real_events import Imported


def test_scam_detection_is_ready_and_the_others_say_what_they_lack(imported: Imported) -> None:
    """500 gold, 2,000 in all and a mean quality of .85, counted again from the statistics."""
    with imported.server.channel() as channel:
        stub = training_service_pb2_grpc.TrainingServiceStub(channel)
        rows = stub.GetPipelineStats(training_pb2.GetPipelineStatsRequest(), timeout=60).categories
        stats = imported.cli("stats", "--json").json()["categories"]

    counted = {
        row["category"]: (
            row.get("tiers", {}).get("gold", 0) < 500,
            row.get("total", 0) < 2_000,
            row.get("mean_quality", 0) < 0.85,
        )
        for row in stats
    }
    told = {
        example_pb2.Category.Name(row.category).removeprefix("CATEGORY_").lower(): (
            any("gold examples" in words for words in row.lacks),
            any(words.endswith(" examples") and "gold" not in words for words in row.lacks),
            any("mean quality" in words for words in row.lacks),
        )
        for row in rows
    }
    ready = {example_pb2.Category.Name(row.category) for row in rows if row.ready}
    assert told == counted
    assert ready == {"CATEGORY_SCAM_DETECTION"}
    assert len(rows) == 14
    assert all(row.next.startswith("lacks ") for row in rows if not row.ready)


def test_the_command_lists_both(imported: Imported) -> None:
    """`becas-ft jobs` shows where each category is, and what comes next."""
    shown = imported.cli("jobs").stdout

    assert "ready_for_training" in shown
    assert "of 500 gold examples" in shown
