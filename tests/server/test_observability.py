"""Metrics that are documented, alerts and panels that ask for metrics that there are, spans without people."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import promql_parser
import pytest
import yaml
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from becas.ft.v1 import event_pb2, ingest_pb2, ingest_service_pb2_grpc
from helpers import canaries, events
from helpers.otlp import receiving
from helpers.rpc import INGEST
from helpers.server import ServerProcess, ServerStarter

ROOT = Path(__file__).resolve().parents[2]
STAGES = [f"core.{name}" for name in ("decode", "draft", "score", "redact", "dedupe", "assemble", "commit")]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def scrape(server: ServerProcess) -> dict[str, Metric]:
    """What Prometheus reads, by name."""
    return {family.name: family for family in text_string_to_metric_families(server.metrics())}


@pytest.fixture
def scraped(start_server: ServerStarter) -> dict[str, Metric]:
    """The metrics of a server that took five events in one call, one of them unusable."""
    server = start_server("--dashboard", "127.0.0.1:0")
    batch = [*(events.scam_message(f"e-{n}", n) for n in range(4)), events.scam_message("", 9)]
    with server.channel() as channel:
        ingest_service_pb2_grpc.IngestServiceStub(channel).Ingest(events.request(batch), timeout=60)
    return scrape(server)


def samples(families: dict[str, Metric]) -> dict[str, set[str]]:
    """Every sample's name with its labels."""
    found: dict[str, set[str]] = {}
    for family in families.values():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_every_metric_is_documented_with_its_kind_and_labels(scraped: dict[str, Metric]) -> None:
    """The page names what a scrape has, and nothing else."""
    page = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(becas_\w+)` \| (\w+) \|([\w, ]*)\|", page, re.MULTILINE)
    documented = {
        (name, kind, frozenset(filter(None, labels.replace(" ", "").split(",")))) for name, kind, labels in rows
    }

    # A reason is known once an event was rejected for it.
    served = {
        (
            f"{name}_total" if family.type == "counter" else name,
            family.type,
            frozenset(label for sample in family.samples for label in sample.labels if label != "le")
            or (frozenset({"reason"}) if name == "becas_rejected" else frozenset()),
        )
        for name, family in scraped.items()
    }

    assert served == documented


def test_histograms_hold_what_happened(scraped: dict[str, Metric]) -> None:
    """One commit of the four usable events; it took a measurable time; the call is timed."""

    def values(name: str) -> dict[str, float]:
        return {
            sample.name.removeprefix(name) + sample.labels.get("le", ""): sample.value
            for sample in scraped[name].samples
            if sample.labels.get("method", INGEST) == INGEST
        }

    sizes, times, calls = map(values, ("becas_core_commit_events", "becas_core_commit_seconds", "becas_rpc_seconds"))

    assert (sizes["_sum"], sizes["_count"]) == (4, 1)
    assert [sizes[f"_bucket{bound}"] for bound in ("1.0", "4.0", "16.0", "+Inf")] == [0, 1, 1, 1]
    assert times["_count"] == calls["_count"] == 1
    assert 0 < times["_sum"] < calls["_sum"]
    assert scraped["becas_core_events_invalid"].samples[0].value == 1
    gold = {"category": "scam_detection", "tier": "gold"}
    assert [sample.value for sample in scraped["becas_examples"].samples if sample.labels == gold] == [4]


def selectors(expression: Any) -> Iterator[Any]:  # noqa: ANN401 - the parser's nodes have no common class
    """Every vector selector of a parsed expression."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
    for part in ("expr", "lhs", "rhs", "vector_selector", "param"):
        if (inner := getattr(expression, part, None)) is not None:
            yield from selectors(inner)
    for argument in getattr(expression, "args", None) or ():
        yield from selectors(argument)


def check(expression: str, served: dict[str, set[str]]) -> int:
    """An expression parses, and asks only for metrics and labels that are served; how many it asks for."""
    found = list(selectors(promql_parser.parse(expression)))
    for selector in found:
        labels = {matcher.name for matcher in selector.matchers.matchers} - {"instance", "job"}
        if selector.name != "up":
            assert selector.name in served, expression
            assert labels <= served[selector.name], expression
    return len(found)


def test_alerts_ask_for_what_is_served(scraped: dict[str, Metric]) -> None:
    """Each rule parses, names metrics and labels of a real scrape, and stands in the page with what to do."""
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())["groups"][0]["rules"]
    page = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")
    served = samples(scraped) | {"becas_rejected_total": {"reason"}}

    assert len(rules) >= 10
    for rule in rules:
        assert check(rule["expr"], served) >= 1
        assert rule["alert"] in page
        assert {"summary", "description"} == rule["annotations"].keys()


def test_grafana_asks_for_what_is_served(scraped: dict[str, Metric]) -> None:
    """Each panel's expressions parse and name metrics and labels of a real scrape."""
    board = json.loads((ROOT / "deploy" / "grafana" / "becas-ft.json").read_text())
    served = samples(scraped) | {"becas_rejected_total": {"reason"}}
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]

    assert len(expressions) >= 20
    for expression in expressions:
        assert check(expression.replace("$__rate_interval", "5m").replace("$instance", ".*"), served) >= 1


def test_a_wrong_name_would_be_found(scraped: dict[str, Metric]) -> None:
    """The check above can fail."""
    for expression in ("rate(becas_no_such_total[5m])", 'sum(becas_examples{tear="gold"}) / becas_examples'):
        with pytest.raises(AssertionError):
            check(expression, samples(scraped))


def test_an_ingest_is_traced_into_the_stages(start_server: ServerStarter) -> None:
    """The caller's trace goes on: a span of the call, below it one for each stage, in order; none quotes a request."""
    with receiving() as receiver:
        server = start_server(BECAS_FT_TRACING__OTLP_ENDPOINT=receiver.address, BECAS_FT_LOG__LEVEL="debug")
        with server.channel() as channel:
            stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
            request = events.request([events.scam_message(f"{canaries.EVENT_PREFIX}-{n}", n) for n in range(20)])
            request.events[0].scam_detected.text += f" {canaries.USER}"
            caller = (("traceparent", f"00-{TRACE}-{PARENT}-01"),)
            stub.Ingest(request, timeout=60, metadata=caller)
            list(stub.IngestStream(iter([request]), timeout=60))
            with pytest.raises(grpc.RpcError):
                stub.Ingest(ingest_pb2.IngestRequest(events=[event_pb2.Event(event_id="x")] * 5001), timeout=60)
        assert server.stop() == 0
        spans = receiver.spans()
        sent = b"".join(request.SerializeToString() for request in receiver.requests)

    calls = {span.name: span for span in spans if span.kind == Span.SPAN_KIND_SERVER and not span.status.code}
    [failed] = [span for span in spans if span.status.code]
    unary, streamed = calls["becas.ft.v1.IngestService/Ingest"], calls["becas.ft.v1.IngestService/IngestStream"]
    assert (unary.trace_id.hex(), unary.parent_span_id.hex()) == (TRACE, PARENT)
    assert streamed.trace_id != unary.trace_id
    assert failed.status.message == "INVALID_ARGUMENT"
    for call in (unary, streamed):
        below = [span for span in spans if span.parent_span_id == call.span_id]
        assert [span.name for span in below] == STAGES
        assert {span.trace_id for span in below} == {call.trace_id}
        edges = [(span.start_time_unix_nano, span.end_time_unix_nano) for span in below]
        assert all(begin <= end for begin, end in edges)
        assert [begin for begin, _ in edges[1:]] == [end for _, end in edges[:-1]]
        assert call.start_time_unix_nano <= edges[0][0]
        assert edges[-1][1] <= call.end_time_unix_nano
    attributes = {one.key for span in spans for one in span.attributes}
    assert attributes == {"rpc.system", "rpc.service", "rpc.method", "rpc.grpc.status_code"}
    for secret in (canaries.USER, canaries.EVENT_PREFIX, events.message(1)):
        assert secret.encode() not in sent
    [line] = [line for line in server.log() if line.get("trace_id") == TRACE]
    assert line["method"] == INGEST


def test_a_caller_that_does_not_record_is_not_recorded(start_server: ServerStarter) -> None:
    """The caller's decision is kept, and a share of 0 begins no trace here."""
    with receiving() as receiver:
        server = start_server(BECAS_FT_TRACING__OTLP_ENDPOINT=receiver.address, BECAS_FT_TRACING__SAMPLE_RATE="0")
        with server.channel() as channel:
            stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
            batch = events.request([events.scam_message("a", 1)])
            stub.Ingest(batch, timeout=60)
            stub.Ingest(batch, timeout=60, metadata=(("traceparent", f"00-{TRACE}-{PARENT}-00"),))
            stub.Ingest(batch, timeout=60, metadata=(("traceparent", f"00-{TRACE}-{PARENT}-01"),))
        assert server.stop() == 0

    recorded = [span for span in receiver.spans() if span.kind == Span.SPAN_KIND_SERVER]
    assert [span.trace_id.hex() for span in recorded] == [TRACE]


def test_a_collector_that_is_away_harms_nothing(start_server: ServerStarter) -> None:
    """Calls are answered, and the server stops in time."""
    server = start_server(BECAS_FT_TRACING__OTLP_ENDPOINT="http://127.0.0.1:1")
    with server.channel() as channel:
        stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
        receipts = stub.Ingest(events.request([events.scam_message("a", 1)]), timeout=60).receipts

    assert [receipt.status for receipt in receipts] == [ingest_pb2.STATUS_ACCEPTED]
    assert server.stop() == 0
