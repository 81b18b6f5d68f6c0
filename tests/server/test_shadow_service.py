"""Shadow tests as bots and operators call them: a real server, a real model."""

import json
import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc
import pytest

from becas.ft.v1 import event_pb2, ingest_pb2, shadow_pb2, shadow_service_pb2_grpc
from becas_ft.evidence.clusters import capped_log_e
from becas_ft.evidence.eprocess import log_e_value
from helpers import canaries, models
from helpers.rpc import details
from helpers.served import SCAM, SECONDS, Served, json_label
from helpers.server import ServerProcess

LIVES = 8
Found = TypeVar("Found")


def question(request_id: str, text: str = "claim the prize now") -> shadow_pb2.ShadowTestRequest:
    return shadow_pb2.ShadowTestRequest(
        category=SCAM, input=text, user_id=canaries.USER, guild_id=canaries.GUILD, request_id=request_id
    )


def test_a_trial_from_the_first_request_to_its_end(served: Served) -> None:
    """Asked, shadowed, judged twice, corrected through ingest, reported, stopped; ids and secrets stay out of it."""
    trial = served.set_up(models.candidate(1))
    first = served.shadow.ShadowTest(question(canaries.EVENT_PREFIX, canaries.TEXT), timeout=SECONDS)
    again = served.shadow.ShadowTest(question(canaries.EVENT_PREFIX, canaries.TEXT), timeout=SECONDS)
    with pytest.raises(grpc.RpcError) as other:
        served.shadow.ShadowTest(question(canaries.EVENT_PREFIX, "another text"), timeout=SECONDS)
    judged = served.shadow.RecordTruth(
        shadow_pb2.RecordTruthRequest(request_id=canaries.EVENT_PREFIX, truth="true"), timeout=SECONDS
    )

    assert trial.running
    assert (first, first.sampled, first.model) == (again, True, models.BASE)
    assert first.label in {"true", "false"}
    assert details(other.value).code is grpc.StatusCode.ALREADY_EXISTS
    assert list(judged.trial_ids) == [trial.trial_id]

    correction = event_pb2.Event(
        event_id="evt-correction-1",
        causation_id=canaries.EVENT_PREFIX,
        guild_id=canaries.GUILD,
        ai_correction=event_pb2.AiCorrection(
            correction=event_pb2.Correction(
                ai_decision=event_pb2.AiDecision(action="ban", context="claim the prize now", confidence=0.9),
                category="false_positive",
                lesson="A raffle of the guild itself.",
                corrected_label="false",
            )
        ),
    )
    receipts = served.ingest.Ingest(ingest_pb2.IngestRequest(events=[correction]), timeout=SECONDS).receipts
    assert receipts[0].status == ingest_pb2.STATUS_ACCEPTED
    report = wait_for(lambda: _judged_false(served, trial.trial_id))
    assert (report.requests, report.sampled, report.pairs, report.judged) == (1, 1, 1, 1)
    assert report.recommendation == shadow_pb2.RECOMMENDATION_NEED_MORE_DATA
    assert "1 are judged" in report.reasoning or "1 of 100 judged" in report.reasoning

    ended = served.shadow.StopShadowTest(
        shadow_pb2.StopShadowTestRequest(trial_id=trial.trial_id, reason=canaries.TEXT), timeout=SECONDS
    ).trial
    assert not ended.running
    assert canaries.found_in(ended.SerializeToString()) == []


def _judged_false(served: Served, trial_id: str) -> shadow_pb2.ComparisonReport | None:
    report = served.report(trial_id).report
    return report if [group.label for group in report.classes] == ["false"] and report.pairs else None


def wait_for(look: Callable[[], Found | None]) -> Found:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return found
        time.sleep(0.2)
    raise AssertionError("it did not happen")


@pytest.mark.parametrize("alpha", [0.0, -0.01, 0.0501, 1.0, math.nan])
def test_a_request_does_not_raise_the_error_level(served: Served, alpha: float) -> None:
    """Every version shares the configured one out: a request may ask for less only."""
    request = shadow_pb2.SetUpShadowTestRequest(category=SCAM, candidate_model=models.candidate(1), alpha=alpha)
    with pytest.raises(grpc.RpcError) as caught:
        served.shadow.SetUpShadowTest(request, timeout=SECONDS)

    found = details(caught.value)
    assert found.code is grpc.StatusCode.INVALID_ARGUMENT
    assert found.fields == {
        "alpha": "must be over 0 and at most shadow.alpha, which is 0.05: send less, or leave it out"
    }


def test_a_trial_that_has_no_pair_yet_is_set_up_anew(served: Served) -> None:
    """With another level, as if the first had never been; after a pair it stays; every end has its figures."""
    request = shadow_pb2.SetUpShadowTestRequest(
        category=SCAM, candidate_model=models.candidate(1), sample_rate=1.0, alpha=0.01
    )
    first = served.set_up(models.candidate(1))
    second = served.shadow.SetUpShadowTest(request, timeout=SECONDS).trial
    served.compare(second.trial_id, 1, b_right=True)
    with pytest.raises(grpc.RpcError) as caught:
        served.shadow.SetUpShadowTest(request, timeout=SECONDS)
    served.shadow.StopShadowTest(shadow_pb2.StopShadowTestRequest(trial_id=second.trial_id), timeout=SECONDS)

    assert details(caught.value).reason == "TRIAL_RUNNING"
    assert second.e_threshold == pytest.approx(5 * first.e_threshold)
    data = {event.trial_id: json.loads(event.data) for event in served.published() if event.trial_id}
    assert (data[first.trial_id]["judged"], data[first.trial_id]["wins"]) == (0, 0)
    assert (data[second.trial_id]["judged"], data[second.trial_id]["wins"]) == (1, 1)


def test_only_disagreements_need_a_label(served: Served) -> None:
    """The queue pages through unlabelled disagreements, oldest first; a pair's id judges it, and is for one pair."""
    trial = served.set_up(models.candidate(2))
    for number in range(5):
        assert not served.compare(trial.trial_id, number, b_right=True, truth=None)
    assert served.compare(trial.trial_id, 0, b_right=True, truth=None)
    with pytest.raises(grpc.RpcError) as other:
        served.compare(trial.trial_id, 0, b_right=False, truth=None)
    assert details(other.value).code is grpc.StatusCode.ALREADY_EXISTS

    pages, token = [], ""
    while True:
        answer = served.shadow.ListDisagreements(
            shadow_pb2.ListDisagreementsRequest(trial_id=trial.trial_id, page_size=2, page_token=token),
            timeout=SECONDS,
        )
        pages.append([entry.pair_id for entry in answer.disagreements])
        if not (token := answer.next_page_token):
            break
    assert [len(page) for page in pages] == [2, 2, 1]
    named = [name for page in pages for name in page]
    assert len(set(named)) == 5
    for name in named:
        request = shadow_pb2.RecordTruthRequest(request_id=name, truth="true")
        assert list(served.shadow.RecordTruth(request, timeout=SECONDS).trial_ids) == [trial.trial_id]
    report = served.report(trial.trial_id, html=True)
    assert (report.report.wins, report.report.losses) == (5, 0)
    # Everything that a page shows is in it.
    assert "http" not in report.html.replace("http-equiv", "")
    assert trial.trial_id in report.html
    assert report.html.count("<svg") == 4
    stats = served.shadow.GetShadowStats(shadow_pb2.GetShadowStatsRequest(), timeout=SECONDS)
    assert stats.pairs_by_model[models.candidate(2)] == 5
    served.shadow.StopShadowTest(shadow_pb2.StopShadowTestRequest(trial_id=trial.trial_id), timeout=SECONDS)


@dataclass
class Teller:
    """A bot that records pairs and their truths until the server is gone, and repeats what was not acknowledged.

    Attributes:
        number: makes its ids its own.
        done: pairs whose truth was acknowledged.
    """

    number: int
    done: int = 0

    def b_right(self, pair: int) -> bool:
        """Whether B is the one that was right; two of three."""
        return (pair + self.number) % 3 > 0

    def run(self, channel: grpc.Channel, trial_id: str, most: int = 1 << 30) -> None:
        """One life of the server; at most so many pairs in all."""
        stub = shadow_service_pb2_grpc.ShadowServiceStub(channel)
        while self.done < most:
            name = f"{self.number}-{self.done}"
            pair = shadow_pb2.RecordComparisonRequest(
                trial_id=trial_id,
                request_id=name,
                output_a=json_label(not self.b_right(self.done)),
                output_b=json_label(self.b_right(self.done)),
                user_id=name,
            )
            truth = shadow_pb2.RecordTruthRequest(request_id=name, truth="true")
            try:
                stub.RecordComparison(pair, timeout=SECONDS)
                stub.RecordTruth(truth, timeout=SECONDS)
            except grpc.RpcError:
                return
            self.done += 1


def test_killed_at_any_moment_of_a_trial(tmp_path: Path) -> None:
    """After every kill -9 under load the e-value is that of what was acknowledged, and at most what was under way."""
    models.make(tmp_path / "data", models.candidate(1))
    process = ServerProcess(tmp_path / "data", tmp_path / "server", variables={"BECAS_FT_RUNTIME__KIND": "embedded"})
    tellers, chance, trial_id = [Teller(number) for number in range(4)], random.Random(20261125), ""
    for life in range(LIVES + 1):
        process.start()
        with process.channel(use_local_subchannel_pool=1) as channel:
            served = Served(process, channel)
            if not trial_id:
                served.register(models.BASE, models.BASE)
                served.register(models.candidate(1), models.BASE)
                trial_id = served.set_up(models.candidate(1)).trial_id
            found = served.report(trial_id).report
            told = sum(teller.done for teller in tellers)
            assert told <= found.wins + found.losses <= told + len(tellers), f"life {life}"
            _is_evidence_of_its_counts(found)
            if life == LIVES:
                break
            threads = [threading.Thread(target=teller.run, args=(channel, trial_id)) for teller in tellers]
            for thread in threads:
                thread.start()
            time.sleep(0.1 + chance.random() * 0.5)
            process.kill()
            for thread in threads:
                thread.join()
    with process.channel() as channel:
        served = Served(process, channel)
        most = max(teller.done for teller in tellers) + 1
        for teller in tellers:
            teller.run(channel, trial_id, most)
        found = served.report(trial_id).report
    assert process.stop() == 0
    wins = sum(teller.b_right(pair) for teller in tellers for pair in range(most))
    assert most > 1
    assert (found.wins, found.losses, found.pairs) == (wins, 4 * most - wins, 4 * most)
    _is_evidence_of_its_counts(found)


def _is_evidence_of_its_counts(found: shadow_pb2.ComparisonReport) -> None:
    plain = log_e_value(found.wins, found.losses)
    capped = capped_log_e([1] * found.wins + [-1] * found.losses, range(found.wins + found.losses))
    assert math.log(found.e_value_plain) == pytest.approx(plain, abs=1e-9)
    assert math.log(found.e_value_capped) == pytest.approx(capped, abs=1e-9)
    assert found.e_value == min(found.e_value_plain, found.e_value_capped)


@pytest.mark.parametrize(
    ("call", "code", "field"),
    [
        (("RecordTruth", shadow_pb2.RecordTruthRequest(request_id="never-asked", truth="true")), "NOT_FOUND", ""),
        (("RecordTruth", shadow_pb2.RecordTruthRequest(truth="true")), "INVALID_ARGUMENT", "request_id"),
        (("GetComparisonReport", shadow_pb2.GetComparisonReportRequest(trial_id="no-trial-1")), "NOT_FOUND", ""),
        (("ListDisagreements", shadow_pb2.ListDisagreementsRequest(page_size=-1)), "INVALID_ARGUMENT", "page_size"),
        (("ListDisagreements", shadow_pb2.ListDisagreementsRequest(page_token="?")), "INVALID_ARGUMENT", "page_token"),
        (
            ("SetUpShadowTest", shadow_pb2.SetUpShadowTestRequest(category=SCAM, candidate_model="smollm2")),
            "INVALID_ARGUMENT",
            "candidate_model",
        ),
        (
            ("SetUpShadowTest", shadow_pb2.SetUpShadowTestRequest(category=SCAM, candidate_model="nobody")),
            "NOT_FOUND",
            "",
        ),
        (("ShadowTest", shadow_pb2.ShadowTestRequest(category=SCAM, request_id="r")), "INVALID_ARGUMENT", "input"),
        (
            ("ShadowTest", shadow_pb2.ShadowTestRequest(category=SCAM, input="x", request_id="pair:1")),
            "INVALID_ARGUMENT",
            "request_id",
        ),
        (("ShadowTest", shadow_pb2.ShadowTestRequest(input="x", request_id="r")), "INVALID_ARGUMENT", "category"),
    ],
)
def test_a_refusal_names_the_field_and_the_remedy(
    served: Served, call: tuple[str, object], code: str, field: str
) -> None:
    """Unknown things are NOT_FOUND, unusable fields INVALID_ARGUMENT."""
    method, request = call
    with pytest.raises(grpc.RpcError) as caught:
        getattr(served.shadow, method)(request, timeout=SECONDS)

    found = details(caught.value)
    assert found.code is grpc.StatusCode[code]
    assert list(found.fields) == ([field] if field else [])
