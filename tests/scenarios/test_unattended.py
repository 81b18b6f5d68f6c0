"""The whole pipeline in a real server with nobody at it: bots publish, ask and tell what was right, and that is all.

Everything is real: ingest, readiness by the default thresholds, the trainer's process, the embedded runtime's, the
shadow test, the promotion and the rollback. The base is a random llama of two layers, which a training of seconds
teaches what half of the words mean.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from becas.ft.v1 import model_pb2, shadow_pb2, training_pb2, training_service_pb2_grpc
from becas_ft.rollout import audit
from helpers.served import SCAM, Served
from helpers.server import ServerProcess, ServerStarter
from helpers.training import BASE, Trained, decision

MODEL = f"becas-{BASE.partition('-')[0]}-scam_detection-v1"
# Over the 2,000 that a category needs.
EXAMPLES = 2_400
SETTINGS = {
    "BECAS_FT_RUNTIME__KIND": "embedded",
    "BECAS_FT_PROMOTION__AUTO_FINE_TUNE": "true",
    "BECAS_FT_PROMOTION__AUTO_PROMOTE": "true",
    "BECAS_FT_SHADOW__SAMPLE_RATE": "1",
    # Hours become seconds.
    "BECAS_FT_TRAINING__CHECK_INTERVAL_SECONDS": "1",
    "BECAS_FT_PROMOTION__COOL_DOWN_SECONDS": "1",
    "BECAS_FT_PROMOTION__WATCH_INTERVAL_SECONDS": "1",
    # A busy machine is slow, not broken.
    "BECAS_FT_SHADOW__ANSWER_TIMEOUT_SECONDS": "240",
    "BECAS_FT_SHADOW__CANDIDATE_TIMEOUT_SECONDS": "240",
    # So small a model answers in milliseconds: which of two is slower is chance.
    "BECAS_FT_PROMOTION__MAX_P95_LATENCY_RATIO": "1000",
}
# What bots send, and what only looks.
CALLS = {
    "IngestService/Ingest",
    "ShadowService/ShadowTest",
    "ShadowService/RecordTruth",
    "ShadowService/GetShadowStats",
    "TrainingService/ListJobs",
    "ModelService/ListModels",
    "ModelService/ListAudit",
    "EventService/Subscribe",
}
SECONDS = 240.0
MOST = 400
# Production goes first: a candidate is asked, and after a restart loaded, in the pauses that it leaves.
PAUSE_SECONDS = 0.25


@dataclass
class Bot:
    """Asks what nobody has learned from, and tells a moment later what would have been right.

    Attributes:
        server: kept over its restarts.
        turned: whether everything means the opposite now.
        asked: (model, whether its label was right) of every answer.
    """

    server: ServerProcess
    turned: bool = False
    asked: list[tuple[str, bool]] = field(default_factory=list)

    def ask(self, served: Served) -> None:
        """One message, its answer, and the truth."""
        number = EXAMPLES + len(self.asked)
        event = decision(number)
        truth = "true" if event.scam_detected.analysis.is_scam is not self.turned else "false"
        request = shadow_pb2.ShadowTestRequest(
            category=SCAM, payload=event, user_id=event.user_id, request_id=f"request-{number}"
        )
        answer = served.shadow.ShadowTest(request, timeout=SECONDS)
        told = shadow_pb2.RecordTruthRequest(request_id=request.request_id, truth=truth)
        served.shadow.RecordTruth(told, timeout=SECONDS)
        self.asked.append((answer.model, answer.label == truth))
        time.sleep(PAUSE_SECONDS)

    def ask_until(self, served: Served, enough: Callable[[], bool]) -> None:
        """Messages until something has happened."""
        for _ in range(MOST):
            self.ask(served)
            if enough():
                return
        raise AssertionError(f"{MOST} more requests changed nothing: {jobs(served)}")

    def ask_times(self, served: Served, count: int) -> list[tuple[str, bool]]:
        """So many messages; their answers."""
        for _ in range(count):
            self.ask(served)
        return self.asked[-count:]


def jobs(served: Served) -> list[training_pb2.Job]:
    stub = training_service_pb2_grpc.TrainingServiceStub(served.channel)
    return list(stub.ListJobs(training_pb2.ListJobsRequest(), timeout=SECONDS).jobs)


def wait_until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def answering(served: Served) -> str:
    """What the category's alias points at; the base where it was never moved."""
    aliases = served.model.ListModels(model_pb2.ListModelsRequest(category=SCAM), timeout=SECONDS).aliases
    return aliases[0].model if aliases else BASE


def is_tested(served: Served) -> bool:
    """Whether the pipeline has trained and begun a shadow test; an AssertionError where it has failed."""
    assert [job.error for job in jobs(served)] in ([], [""])
    stats = served.shadow.GetShadowStats(shadow_pb2.GetShadowStatsRequest(), timeout=SECONDS)
    return any(trial.running and trial.candidate_model == MODEL for trial in stats.recent)


def called(server: ServerProcess) -> set[str]:
    lines = [line for line in server.stderr.read_text().splitlines() if '"rpc"' in line]
    return {json.loads(line)["method"].removeprefix("/becas.ft.v1.") for line in lines}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_from_events_to_a_promoted_model_and_back_without_a_person(
    start_server: ServerStarter, tiny_base: Path
) -> None:
    """Ready, trained, tested, promoted, worse, rolled back; killed in the middle of its shadow test."""
    server = start_server(BECAS_FT_RUNTIME__EMBEDDED_BASE=str(tiny_base), **SETTINGS)
    server.listen = server.address
    Trained(server, tiny_base, examples=EXAMPLES)
    bot = Bot(server)
    with server.channel() as channel:
        served = Served(server, channel)
        wait_until(lambda: is_tested(served))
        before = bot.ask_times(served, 30)
    server.kill()
    server.start()
    with server.channel() as channel:
        served = Served(server, channel)
        bot.ask_until(served, lambda: answering(served) == MODEL)
        promoted = bot.ask_times(served, 20)
        bot.turned = True
        bot.ask_until(served, lambda: answering(served) == BASE)
        after = bot.ask_times(served, 5)
        log = served.audited()
        published = served.published()
        [job] = jobs(served)

    assert {model for model, _ in before} == {model for model, _ in after} == {BASE}
    assert {model for model, _ in promoted} == {MODEL}
    # The base knows nothing, and is right in half of them.
    assert sum(right for _, right in promoted) >= 15
    assert (job.stage, list(job.overrides)) == (training_pb2.STAGE_DEPLOYED, [])
    assert job.checks.candidate_accuracy > max(job.checks.base_accuracy, job.checks.few_shot_accuracy)
    assert [(entry.action, entry.actor, entry.to_model) for entry in log] == [
        ("promote", "pipeline", MODEL),
        ("rollback", "watch", BASE),
    ]
    assert json.loads(log[0].evidence)["judged"] >= 100
    assert "only the former model was right" in log[1].reason
    assert audit.broken_links(log) == []
    assert [event.name for event in published] == [
        "fine_tuning.completed",
        "fine_tuning.ready_for_promotion",
        "fine_tuning.promoted",
        "ab_test.completed",
        "fine_tuning.rolled_back",
        "ab_test.completed",
    ]
    assert [event.cursor for event in published] == [1, 2, 3, 4, 5, 6]
    tested, watched = (json.loads(event.data) for event in published if event.name == "ab_test.completed")
    assert tested["wins"] > tested["losses"]
    assert watched["wins"] > watched["losses"]
    assert called(server) <= CALLS
