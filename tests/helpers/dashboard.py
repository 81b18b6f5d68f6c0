"""A server with a past to look at: events, a training, a shadow test, and what waits for a label. All of it real.

The base is a random llama of two layers; its candidate knows what half of the words mean after a training, or is as
random as the base, and served by the same llama.cpp. Either way they disagree about much of what they are asked.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from becas.ft.v1 import ingest_service_pb2_grpc, shadow_pb2, training_pb2
from helpers import events, models
from helpers.served import SCAM, SECONDS, Served
from helpers.server import ServerProcess
from helpers.tiny_gguf import write_tiny_adapter
from helpers.training import BASE, EXAMPLES, Trained, decision, write_task_base

MODEL = f"becas-{BASE.partition('-')[0]}-scam_detection-v1"
# Under the hundred that a promotion takes: the last ten are a person's.
JUDGED = 92
UNLABELLED = 11
_MOST_REQUESTS = 60


@dataclass(frozen=True)
class Dashboard:
    """A served dashboard.

    Attributes:
        served: the server behind it.
        url: of its first page, with a slash at the end.
    """

    served: Served
    url: str

    def waiting(self) -> list[shadow_pb2.Disagreement]:
        """What waits for a label."""
        request = shadow_pb2.ListDisagreementsRequest(page_size=1000)
        return list(self.served.shadow.ListDisagreements(request, timeout=SECONDS).disagreements)


@contextmanager
def dashboard(folder: Path, **settings: str) -> Iterator[Dashboard]:
    """A server with an empty store and its dashboard."""
    variables = {
        "BECAS_FT_RUNTIME__KIND": "embedded",
        # A busy machine is slow, not broken.
        "BECAS_FT_SHADOW__ANSWER_TIMEOUT_SECONDS": str(SECONDS),
        "BECAS_FT_SHADOW__CANDIDATE_TIMEOUT_SECONDS": str(SECONDS),
        # So small a model answers in milliseconds: which of two is slower is chance.
        "BECAS_FT_PROMOTION__MAX_P95_LATENCY_RATIO": "1000",
        **settings,
    }
    process = ServerProcess(folder / "data", folder / "server", variables=variables).start()
    try:
        with process.channel() as channel:
            yield Dashboard(Served(process, channel), f"http://{process.http_address()}/")
    finally:
        process.kill()


@contextmanager
def lively(folder: Path, *, train: bool = False) -> Iterator[Dashboard]:
    """A dashboard with something on nearly every page.

    Arguments:
        folder: for everything.
        train: whether the candidate comes from a training of minutes; else it was made beforehand, and there is no job.
    """
    base = write_task_base(folder / f"{BASE}.gguf")
    if not train:
        models.make_adapted(folder / "data", MODEL, base, write_tiny_adapter(folder / "adapter.gguf"))
    with dashboard(folder, BECAS_FT_RUNTIME__EMBEDDED_BASE=str(base)) as found:
        trained = Trained(found.served.process, base)
        _other_categories(found.served)
        if train:
            job = trained.end(trained.start().job_id)
            assert job.stage == training_pb2.STAGE_EVALUATING, job.error
        else:
            found.served.register(BASE, BASE)
            found.served.register(MODEL, BASE)
        trial = found.served.set_up(MODEL)
        for number in range(JUDGED):
            found.served.compare(trial.trial_id, number, b_right=number % 6 > 0)
        _disagree(found, trial.trial_id)
        yield found


def _other_categories(served: Served) -> None:
    """Events of other kinds, some of them too poor to be kept."""
    stub = ingest_service_pb2_grpc.IngestServiceStub(served.channel)
    stub.Ingest(events.request([events.violation_message(f"v-{n}", n) for n in range(180)]), timeout=SECONDS)
    stub.Ingest(events.request([events.sentiment_message(f"s-{n}", n) for n in range(90)]), timeout=SECONDS)


def _disagree(found: Dashboard, trial_id: str) -> None:
    """Requests of bots, answered by both models, until enough of them differ."""
    before = found.served.report(trial_id).report.pairs
    for number in range(_MOST_REQUESTS):
        event = decision(EXAMPLES + number)
        request = shadow_pb2.ShadowTestRequest(
            category=SCAM, payload=event, user_id=event.user_id, request_id=f"request-{number}"
        )
        found.served.shadow.ShadowTest(request, timeout=SECONDS)
        # Production goes first: a candidate is asked in the pauses that it leaves.
        deadline = time.monotonic() + SECONDS
        while found.served.report(trial_id).report.pairs <= before + number:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        if len(found.waiting()) >= UNLABELLED:
            return
    raise AssertionError(f"after {_MOST_REQUESTS} requests the models disagree about {len(found.waiting())}")
