"""Training, parity, shadow tests and production ask a model with the same bytes."""

import json
from pathlib import Path

from becas.ft.v1 import dataset_pb2, shadow_pb2
from becas_ft._core import Core
from helpers import canaries, events
from helpers.served import SCAM


def test_an_exported_example_is_the_prompt_of_its_event(tmp_path: Path) -> None:
    """System and input of the JSONL line, and of a request with the same event, are the same bytes; ids are gone."""
    event = events.scam_message("evt-one-prompt", 77)
    event.scam_detected.text = canaries.TEXT
    core = Core(str(tmp_path / "data"))
    core.ingest(events.request([event]).SerializeToString())

    pieces = core.export(dataset_pb2.ExportRequest(category=SCAM, balance=False).SerializeToString())
    data = b"".join(dataset_pb2.ExportResponse.FromString(piece).data for piece in pieces)
    exported = json.loads(data)
    asked = shadow_pb2.ShadowTestRequest(category=SCAM, request_id="another id", payload=event)
    system, prompt = core.prompt(asked.SerializeToString())

    assert (system.encode(), prompt.encode()) == (exported["system"].encode(), exported["input"].encode())
    assert canaries.found_in(prompt.encode()) == []
    core.close()
