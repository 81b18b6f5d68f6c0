"""A bot beside a server whose pipeline drives itself: it publishes, asks, tells what was right, and looks."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from becas.ft.v1 import model_pb2, shadow_pb2, training_pb2, training_service_pb2_grpc
from helpers.served import SCAM, Served
from helpers.training import BASE, decision

MODEL = f"becas-{BASE.partition('-')[0]}-scam_detection-v1"
SETTINGS = {
    "BECAS_FT_RUNTIME__KIND": "embedded",
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
SECONDS = 540.0
# Production goes first: a candidate is asked, and after a restart loaded, in the pauses that it leaves.
PAUSE_SECONDS = 0.25


@dataclass
class Bot:
    """Asks what nobody has learned from.

    Attributes:
        first: number of its first message: over those that were learned from.
        turned: whether everything means the opposite now.
        asked: (model, whether its label was right) of every answer.
    """

    first: int
    turned: bool = False
    asked: list[tuple[str, bool]] = field(default_factory=list)

    def ask(self, served: Served, guild: str = "") -> str:
        """One message and its answer; the model that gave it."""
        number = self.first + len(self.asked)
        event = decision(number)
        truth = "true" if event.scam_detected.analysis.is_scam is not self.turned else "false"
        request = shadow_pb2.ShadowTestRequest(
            category=SCAM, payload=event, user_id=event.user_id, guild_id=guild, request_id=f"request-{number}"
        )
        answer = served.shadow.ShadowTest(request, timeout=SECONDS)
        self.asked.append((answer.model, answer.label == truth))
        return answer.model

    def judge(self, served: Served) -> None:
        """One message, its answer, and what would have been right."""
        number = self.first + len(self.asked)
        self.ask(served)
        truth = "true" if decision(number).scam_detected.analysis.is_scam is not self.turned else "false"
        told = shadow_pb2.RecordTruthRequest(request_id=f"request-{number}", truth=truth)
        served.shadow.RecordTruth(told, timeout=SECONDS)
        time.sleep(PAUSE_SECONDS)

    def judge_until(self, served: Served, enough: Callable[[], bool]) -> None:
        """Judged messages until something has happened; on a busy machine a candidate is asked about few of them."""
        deadline, before = time.monotonic() + SECONDS, len(self.asked)
        while time.monotonic() < deadline:
            self.judge(served)
            if enough():
                return
        raise AssertionError(f"{len(self.asked) - before} more requests changed nothing: {jobs(served)}")

    def judge_times(self, served: Served, count: int) -> list[tuple[str, bool]]:
        """So many judged messages; their answers."""
        for _ in range(count):
            self.judge(served)
        return self.asked[-count:]


def jobs(served: Served) -> list[training_pb2.Job]:
    """Newest first."""
    stub = training_service_pb2_grpc.TrainingServiceStub(served.channel)
    return list(stub.ListJobs(training_pb2.ListJobsRequest(), timeout=SECONDS).jobs)


def wait_until(what: Callable[[], bool]) -> None:
    """An AssertionError where it does not come."""
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
