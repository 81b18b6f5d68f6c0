"""What the pages draw, against what else the service says and against formulas from outside."""

import math
import time
from collections import Counter

import grpc
import pytest
from scipy.special import betaln
from scipy.stats import beta

from becas.ft.v1 import dataset_pb2, dataset_service_pb2_grpc, event_pb2, example_pb2, shadow_pb2, training_pb2
from becas.ft.v1 import training_service_pb2_grpc as training
from becas_ft.places import thin
from becas_ft.server.ingest_rate import IngestRates
from helpers import events
from helpers.dashboard import Dashboard
from helpers.rpc import code_of
from helpers.served import SECONDS

BINS = 20
TRIAL = "scam_detection-trial-1"


def histogram(found: Dashboard, category: "example_pb2.Category.ValueType") -> list[int]:
    stub = dataset_service_pb2_grpc.DatasetServiceStub(found.served.channel)
    request = dataset_pb2.GetQualityHistogramRequest(category=category)
    return list(stub.GetQualityHistogram(request, timeout=SECONDS).bins)


def scores(found: Dashboard, category: "example_pb2.Category.ValueType") -> list[float]:
    """Of every example that counts, page by page."""
    stub = dataset_service_pb2_grpc.DatasetServiceStub(found.served.channel)
    listed: list[float] = []
    token = ""
    while True:
        request = dataset_pb2.ListExamplesRequest(category=category, page_size=1000, page_token=token)
        page = stub.ListExamples(request, timeout=SECONDS)
        listed += [example.score for example in page.examples]
        token = page.next_page_token
        if not token:
            return listed


def test_quality_is_that_of_the_examples(living: Dashboard) -> None:
    """Of one category and of all: every listed example in the bin of its score, 1 in the last."""
    for category in (example_pb2.CATEGORY_UNSPECIFIED, example_pb2.CATEGORY_VIOLATION_DETECTION):
        # Scores have four places: in whole points no bound is missed by a rounding.
        expected = Counter(min(round(score * 10_000) // 500, BINS - 1) for score in scores(living, category))

        assert histogram(living, category) == [expected[place] for place in range(BINS)]
        assert sum(expected.values()) > 20
    assert histogram(living, example_pb2.CATEGORY_USER_PROFILING) == [0] * BINS


def test_a_replaced_example_leaves_the_histogram(empty: Dashboard) -> None:
    """The corrected one goes, its twin comes, and the correction is counted under its own category."""
    original = events.scam_message("original", 1)
    empty.served.ingest.Ingest(events.request([original]), timeout=SECONDS)
    before = sum(histogram(empty, example_pb2.CATEGORY_SCAM_DETECTION))
    empty.served.ingest.Ingest(events.request([events.correction("later", "original", 1)]), timeout=SECONDS)

    assert before == sum(histogram(empty, example_pb2.CATEGORY_SCAM_DETECTION)) == 1
    assert sum(histogram(empty, example_pb2.CATEGORY_HUMAN_CORRECTION)) == 1


def test_a_category_that_there_is_not_is_refused(empty: Dashboard) -> None:
    """By its field."""
    stub = dataset_service_pb2_grpc.DatasetServiceStub(empty.served.channel)
    request = dataset_pb2.GetQualityHistogramRequest.FromString(b"\x08\x63")
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetQualityHistogram(request, timeout=SECONDS)

    assert code_of(caught.value) is grpc.StatusCode.INVALID_ARGUMENT
    assert "category" in str(caught.value)


def test_every_event_is_in_the_rate_once(empty: Dashboard) -> None:
    """Rates times their spans are the events that came, however the samples fell; unusable ones are told apart."""
    batch = [*(events.scam_message(f"e-{n}", n) for n in range(30)), *[event_pb2.Event()] * 10]
    empty.served.ingest.Ingest(events.request(batch), timeout=SECONDS)
    stub = dataset_service_pb2_grpc.DatasetServiceStub(empty.served.channel)
    deadline = time.monotonic() + SECONDS
    while True:
        rates = stub.GetIngestRate(dataset_pb2.GetIngestRateRequest(), timeout=SECONDS).rates
        if any(rate.events_per_second for rate in rates):
            break
        assert time.monotonic() < deadline
        time.sleep(0.2)
    [rate] = [rate for rate in rates if rate.events_per_second]

    assert rate.invalid_per_second / rate.events_per_second == pytest.approx(0.25)
    # A sample is taken every five seconds; on a busy machine a little later, never sooner.
    assert 0 < rate.events_per_second <= 40 / 4.9


def test_rates_are_differences_of_counters() -> None:
    """The first sample is only where counting begins; an hour is kept; a clock that was set back changes nothing."""
    rates = IngestRates()
    rates.take(100, 7, at=1_000.0, clock=50.0)
    assert not rates.answer().rates
    rates.take(150, 8, at=1_005.0, clock=55.0)
    rates.take(150, 8, at=10.0, clock=60.0)
    rates.take(999, 9, at=15.0, clock=60.0)

    found = [(rate.events_per_second, rate.invalid_per_second, rate.time.seconds) for rate in rates.answer().rates]
    assert found == [(10.0, 0.2, 1_005), (0.0, 0.0, 10)]
    for number in range(2_000):
        rates.take(999, 9, at=20.0 + number, clock=61.0 + number)
    assert len(rates.answer().rates) == 720


def mixture(wins: int, losses: int) -> float:
    """Natural logarithm of the uniform mixture's e-value for a win rate over one half (Howard et al., 1810.08240)."""
    tail = float(beta.logsf(0.5, 1 + wins, 1 + losses))
    return float(betaln(1 + wins, 1 + losses)) + tail - math.log(0.5) + (wins + losses) * math.log(2)


def test_the_path_ends_at_the_report(living: Dashboard) -> None:
    """Point by point no more evidence than wins and losses give; the last one is the report's own figure."""
    request = shadow_pb2.GetTrialPathRequest(trial_id=TRIAL)
    path = living.served.shadow.GetTrialPath(request, timeout=SECONDS)
    report = living.served.report(TRIAL).report
    last = path.points[-1]

    assert [point.judged for point in path.points] == list(range(1, report.judged + 1))
    assert (last.wins, last.losses) == (report.wins, report.losses)
    assert 10**last.log10_e_value == pytest.approx(report.e_value, rel=1e-9)
    assert last.win_rate.estimate == pytest.approx(report.win_rate.estimate)
    assert (last.win_rate.low, last.win_rate.high) == pytest.approx((report.win_rate.low, report.win_rate.high))
    assert path.e_threshold == pytest.approx(report.e_threshold)
    for before, point in zip(path.points, path.points[1:], strict=False):
        assert (point.wins - before.wins, point.losses - before.losses) in {(1, 0), (0, 1), (0, 0)}
    for point in path.points:
        assert point.log10_e_value * math.log(10) <= mixture(point.wins, point.losses) + 1e-9
        assert 0 <= point.win_rate.low <= point.win_rate.estimate <= point.win_rate.high <= 1


def test_what_there_is_not_is_not_found(empty: Dashboard) -> None:
    """No trial, no job: NOT_FOUND, not an empty chart."""
    with pytest.raises(grpc.RpcError) as path:
        empty.served.shadow.GetTrialPath(shadow_pb2.GetTrialPathRequest(trial_id="nothing-1"), timeout=SECONDS)
    stub = training.TrainingServiceStub(empty.served.channel)
    with pytest.raises(grpc.RpcError) as curve:
        stub.GetLossCurve(training_pb2.GetLossCurveRequest(job_id="nothing-1"), timeout=SECONDS)

    assert {code_of(path.value), code_of(curve.value)} == {grpc.StatusCode.NOT_FOUND}


def test_thinning_keeps_both_ends() -> None:
    """At most so many, the first and the last among them, in order, none twice."""
    assert thin(0, 5) == []
    assert thin(1, 5) == [0]
    assert thin(5, 5) == [0, 1, 2, 3, 4]
    assert thin(1_001, 3) == [0, 500, 1_000]
