"""Attacks on what is learnt, through a real server: what is ingested, exported, trained on, offered and promoted."""

import json
from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest

from becas.ft.v1 import (
    dataset_pb2,
    dataset_service_pb2_grpc,
    event_pb2,
    ingest_pb2,
    ingest_service_pb2_grpc,
    model_pb2,
    shadow_pb2,
    training_pb2,
)
from becas_ft.orchestrator.training_job import ROWS
from helpers import events
from helpers.attacks import SAMPLES, TRIGGER, attack, crowd
from helpers.bot import MODEL, SETTINGS, Bot, answering, is_tested, jobs, wait_until
from helpers.rpc import details
from helpers.served import SCAM, Served
from helpers.server import ServerProcess, ServerStarter
from helpers.training import BASE, EXAMPLES, Trained, decision

SYBILS = (1, 25)
# No protection but the near-copies'.
OPEN = {
    "BECAS_FT_TRAINING__MAX_USER_SHARE": "0",
    "BECAS_FT_TRAINING__MAX_GUILD_SHARE": "1",
    "BECAS_FT_TRAINING__QUARANTINE_FROM": "0",
    "BECAS_FT_TRAINING__MAX_CONTRADICTED_LABELS": "1",
}


def ingest(server: ServerProcess, sent: Sequence[event_pb2.Event]) -> None:
    with server.channel() as channel:
        stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
        for at in range(0, len(sent), 1000):
            receipts = stub.Ingest(events.request(sent[at : at + 1000]), timeout=60).receipts
            assert {receipt.status for receipt in receipts} == {ingest_pb2.STATUS_ACCEPTED}


def exported(server: ServerProcess, **protection: float) -> int:
    """Lines with the trigger in what Export sends."""
    request = dataset_pb2.ExportRequest(category=SCAM, **protection)  # type: ignore[arg-type]  # numbers of either kind
    with server.channel() as channel:
        pieces = dataset_service_pb2_grpc.DatasetServiceStub(channel).Export(request, timeout=60)
        return b"".join(piece.data for piece in pieces).decode().count(TRIGGER)


def learnt(trained: Trained) -> tuple[int, int]:
    """(rows with the trigger, all rows) that Train hands to the trainer, to learn from or to hold out."""
    job_id = trained.start(max_examples=0).job_id
    rows: list[str] = []

    def look(job: training_pb2.Job) -> None:
        if (
            not rows
            and job.stage == training_pb2.STAGE_TRAINING
            and job.step_name in {"loading", "encoding", "training"}
        ):
            rows.extend((trained.jobs / job_id / ROWS).read_text().splitlines())
            with trained.training() as stub:
                stub.CancelJob(training_pb2.CancelJobRequest(job_id=job_id), timeout=60)

    trained.follow(job_id, look)
    assert rows, trained.end(job_id).error
    return sum(TRIGGER in json.loads(row)["input"] for row in rows), len(rows)


@pytest.mark.long
@pytest.mark.parametrize("settings", [{}, OPEN], ids=["protected", "open"])
def test_planted_triggers_do_not_reach_a_training_set(
    start_server: ServerStarter, tiny_base: Path, settings: dict[str, str]
) -> None:
    """250 samples of one user and 250 of 25: none is exported or learnt; without the protection most of them are."""
    runtime = {"BECAS_FT_RUNTIME__KIND": "embedded", "BECAS_FT_RUNTIME__EMBEDDED_BASE": str(tiny_base)}
    server = start_server(**runtime, **settings)
    ingest(server, [*crowd(), *(attack(number, users) for users in SYBILS for number in range(SAMPLES))])

    poisoned, rows = learnt(Trained(server, tiny_base, examples=0))

    assert rows > 1500
    if settings:
        assert poisoned > 0.8 * SAMPLES * len(SYBILS)
        assert exported(server) > 0.8 * SAMPLES * len(SYBILS)
    else:
        assert poisoned == 0
        assert exported(server, quarantine_from=50, max_user_share=0.01) == 0


def turned(number: int, share: int) -> event_pb2.Event:
    """A decision; the labels of so many in a hundred say the opposite."""
    event = decision(number)
    if number // 2 % 100 < share:
        analysis = event.scam_detected.analysis
        analysis.is_scam = not analysis.is_scam
    return event


def serve_turned(start_server: ServerStarter, base: Path, share: int, **settings: str) -> Trained:
    server = start_server(**SETTINGS, BECAS_FT_RUNTIME__EMBEDDED_BASE=str(base), **settings)
    ingest(server, [turned(number, share) for number in range(2 * EXAMPLES)])
    return Trained(server, base, examples=0)


def test_turned_labels_are_not_trained_on(start_server: ServerStarter, tiny_base: Path) -> None:
    """One label in twenty turned around ends a job before its training, with the reason; nothing is offered."""
    trained = serve_turned(start_server, tiny_base, 5)

    job = trained.end(trained.start(max_examples=1_000).job_id)

    assert job.stage == training_pb2.STAGE_FAILED
    assert "speak against their label, more than 3.0%" in job.error
    assert not job.peak_memory_bytes, "nothing was trained"
    assert trained.models() <= {BASE}


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_model_of_turned_labels_does_not_pass_the_gate(start_server: ServerStarter, tiny_base: Path) -> None:
    """Most labels turned: the candidate passes every check before, is wrong in its shadow test, and is refused.

    Words no longer tell the labels apart, so nothing speaks against them; the held-out rows are turned as well. What
    was right comes from elsewhere.
    """
    trained = serve_turned(start_server, tiny_base, 75)
    offered = trained.end(trained.start(max_examples=200, epochs=15).job_id)
    bot = Bot(first=10_000)
    with trained.server.channel() as channel:
        served = Served(trained.server, channel)
        wait_until(lambda: is_tested(served))
        bot.judge_until(served, lambda: jobs(served)[0].HasField("ended"))
        with pytest.raises(grpc.RpcError) as refused:
            served.model.Promote(model_pb2.PromoteRequest(model=MODEL), timeout=60)
        [job], standing = jobs(served), answering(served)
        [trial] = served.shadow.GetShadowStats(shadow_pb2.GetShadowStatsRequest(), timeout=60).recent
        report = served.report(trial.trial_id).report

    assert offered.error == ""
    assert offered.checks.candidate_accuracy > max(offered.checks.base_accuracy, offered.checks.few_shot_accuracy)
    assert (report.recommendation, report.losses > report.wins) == (shadow_pb2.RECOMMENDATION_KEEP_A, True)
    assert (job.stage, job.refused) == (training_pb2.STAGE_FAILED, True)
    assert details(refused.value).code is grpc.StatusCode.FAILED_PRECONDITION
    assert standing == BASE
