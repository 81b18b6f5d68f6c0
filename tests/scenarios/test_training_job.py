"""A training job from Train to a served model, on both runtimes; and what is left when something is killed."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import time
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from becas.ft.v1 import training_pb2
from becas_ft._core import output_schema
from becas_ft.runtime.ollama import OllamaRuntime, OllamaSettings
from becas_ft.runtime.protocol import GenerateRequest
from becas_ft.shadow.question import bounded
from becas_ft.training.progress import ProgressReader
from becas_ft.training.recipe import memory_limit_for
from helpers.rpc import details
from helpers.served import SCAM
from helpers.training import BASE, Trained, trainer_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from helpers.ollama_server import OllamaServer

MODEL = "becas-smollm2-scam_detection-v1"
TRAINING, TESTING = training_pb2.STAGE_TRAINING, training_pb2.STAGE_TESTING

pytestmark = pytest.mark.timeout(600)


def check_offered(job: training_pb2.Job) -> None:
    """The job ended with a candidate that passed everything."""
    assert job.error == ""
    assert job.stage == training_pb2.STAGE_EVALUATING
    assert job.model == MODEL
    assert job.checks.parity_inputs >= 300
    assert job.checks.parity >= 0.98
    assert job.checks.candidate_accuracy > max(job.checks.base_accuracy, job.checks.few_shot_accuracy)


def once(action: Callable[[], object], when: Callable[[training_pb2.Job], bool]) -> Callable[[training_pb2.Job], None]:
    """Do something at the first state of a job that is so."""
    done: list[object] = []

    def seen(job: training_pb2.Job) -> None:
        if not done and when(job):
            done.append(action() or True)

    return seen


def test_job_is_told_step_by_step_and_leaves_a_model(embedded: Trained) -> None:
    """Stages come in order with step, loss, rate and time left; memory is bounded; the model is on record with all."""
    job_id = embedded.start().job_id
    states = embedded.follow(job_id)
    job = embedded.end(job_id)

    check_offered(job)
    stages = list(dict.fromkeys(state.stage for state in states))
    assert stages[-3:] == [TRAINING, TESTING, training_pb2.STAGE_EVALUATING]
    told = [state for state in states if state.stage == TRAINING and state.step_name == "training"]
    assert any(state.step and state.steps and state.loss and state.tokens_per_second for state in told)
    assert any(state.seconds_left for state in told)
    assert list(job.overrides) == ["not ready: 900 of 2,000 examples"]
    assert 0 < job.peak_memory_bytes <= memory_limit_for(BASE)
    assert (embedded.jobs / job_id / "loss.svg").stat().st_size > 1000
    assert MODEL in embedded.models() & embedded.folders()


def test_job_on_ollama_makes_a_model_that_is_listed_and_answers(on_ollama: Trained, ollama: OllamaServer) -> None:
    """The same job on a real Ollama: `ollama list` shows the model, and it answers in the category's schema."""
    job = on_ollama.end(on_ollama.start().job_id)

    check_offered(job)
    assert MODEL in ollama.listed()
    assert MODEL in on_ollama.models()
    schema = json.loads(output_schema("scam_detection"))
    answer = json.loads(asyncio.run(ask(ollama.host, schema)))
    assert set(schema["required"]) <= set(answer) <= set(schema["properties"])
    assert isinstance(answer["isScam"], bool)


async def ask(host: str, schema: dict[str, Any]) -> str:
    """One answer of the job's model, by its own system message."""
    # A tiny model never ends a text by itself.
    bound = bounded(schema, 8)
    runtime = OllamaRuntime(OllamaSettings(host=host))
    request = GenerateRequest(model=MODEL, prompt="Message: amber", schema=bound, max_tokens=400, timeout=240)
    answer = await runtime.generate(request)
    await runtime.close()
    return answer.text


def test_killed_trainer_costs_its_job_nothing(embedded: Trained) -> None:
    """Kill -9 of the trainer: the job goes on from the checkpoint, and its candidate is offered."""
    job_id = embedded.start().job_id
    folder = embedded.jobs / job_id
    kill = once(
        lambda: os.kill(trainer_in(folder), signal.SIGKILL), lambda job: job.stage == TRAINING and job.step > 20
    )
    embedded.follow(job_id, kill)

    check_offered(embedded.end(job_id))
    stages = [event.stage for event in ProgressReader(folder / "progress.jsonl").new()]
    assert stages.count("loading") == 2


@pytest.mark.long
def test_trainer_without_memory_costs_its_job_time_only(embedded: Trained) -> None:
    """Its private memory may not grow any more: the job goes on with half as much at a time, and says so to all."""
    job_id = embedded.start().job_id
    folder = embedded.jobs / job_id

    def starve() -> None:
        resource.prlimit(trainer_in(folder), resource.RLIMIT_DATA, (1, 1))

    embedded.follow(job_id, once(starve, lambda job: job.stage == TRAINING and job.step > 20))
    job = embedded.end(job_id)

    check_offered(job)
    assert list(job.notices) == ["memory did not suffice: it goes on with at most 512 tokens at a time"]
    logged = [line for line in embedded.server.log() if line["event"] == "trainer_lacks_memory"]
    assert [(line["job"], line["micro_tokens"]) for line in logged] == [(job_id, 512)]
    events = ProgressReader(folder / "progress.jsonl").new()
    assert [event.step for event in events if event.stage == "training"].count(1) == 1


@pytest.mark.parametrize("stage", [TRAINING, TESTING], ids=["training", "testing"])
def test_killed_server_goes_on_with_its_job(embedded: Trained, stage: int) -> None:
    """Kill -9 of the server, and a restart at once: the job goes on where it was, and its candidate is offered."""
    job_id = embedded.start().job_id
    embedded.follow(job_id, once(embedded.server.kill, lambda job: job.stage == stage and job.step > 20))
    assert MODEL not in embedded.folders() or stage == TESTING
    embedded.server.start()
    assert MODEL not in embedded.models()

    check_offered(embedded.end(job_id))
    events = ProgressReader(embedded.jobs / job_id / "progress.jsonl").new()
    trained = [event.step for event in events if event.stage == "training"]
    assert trained.count(1) == 1
    assert [event.stage for event in events].count("loading") == (2 if stage == TRAINING else 1)


def test_killed_ollama_is_waited_for(on_ollama: Trained, ollama: OllamaServer) -> None:
    """Kill -9 of Ollama in the middle of the checks: once it is back the job goes on, and its candidate is offered."""
    job_id = on_ollama.start().job_id

    def kill() -> None:
        ollama.stop(kill=True)
        ollama.start()

    on_ollama.follow(job_id, once(kill, lambda job: job.stage == TESTING and job.step > 20))

    check_offered(on_ollama.end(job_id))
    assert MODEL in ollama.listed()


def test_full_disk_ends_the_job_with_its_reason(embedded: Trained) -> None:
    """When the trainer cannot write, the job fails and says why; no model is on record, and none is in the runtime."""
    job_id = embedded.start().job_id
    folder = embedded.jobs / job_id

    def fill() -> None:
        resource.prlimit(trainer_in(folder), resource.RLIMIT_FSIZE, (30_000, 30_000))

    embedded.follow(job_id, once(fill, lambda job: job.stage == TRAINING and job.step_name == "loading"))
    job = embedded.end(job_id)

    assert job.stage == training_pb2.STAGE_FAILED
    assert "the disk is full" in job.error
    assert not (folder / "rows.jsonl").exists()
    assert MODEL not in embedded.models() | embedded.folders()


def test_ollama_that_is_down_stops_trainings_only(on_ollama: Trained, ollama: OllamaServer) -> None:
    """Train is UNAVAILABLE with the remedy; lists, the pipeline and ingest answer, and no attempt is used up."""
    ollama.stop()

    with pytest.raises(grpc.RpcError) as caught:
        on_ollama.start()
    with on_ollama.training() as stub:
        assert list(stub.ListJobs(training_pb2.ListJobsRequest(), timeout=60).jobs) == []
        pipeline = stub.GetPipelineStats(training_pb2.GetPipelineStatsRequest(), timeout=60)
    Trained(on_ollama.server, on_ollama.base, first=10_000)

    found = details(caught.value)
    assert found.code == grpc.StatusCode.UNAVAILABLE
    assert "ollama serve" in found.message
    assert next(row for row in pipeline.categories if row.category == SCAM).failed_attempts == 0


def test_same_request_gives_the_same_bytes(embedded: Trained) -> None:
    """Two jobs of one seed over one dataset make the same adapter, with all threads of the machine."""
    digests = set()
    for _ in range(2):
        job_id = embedded.start(epochs=2).job_id
        result_path = embedded.jobs / job_id / "result.json"
        while not result_path.exists():
            time.sleep(0.1)
        with embedded.training() as stub:
            stub.CancelJob(training_pb2.CancelJobRequest(job_id=job_id), timeout=60)
        result = json.loads(result_path.read_bytes())
        digests.add((result["sha256"], result["dataset_sha256"]))

    assert len(digests) == 1
