"""A server with enough examples for a training, and what tests ask of its jobs."""

from __future__ import annotations

import contextlib
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from becas.ft.v1 import (
    event_pb2,
    ingest_pb2,
    ingest_service_pb2_grpc,
    model_pb2,
    model_service_pb2_grpc,
    training_pb2,
    training_service_pb2_grpc,
)
from becas_ft._core import system
from helpers import events
from helpers.served import SCAM
from helpers.server import ServerProcess
from helpers.tiny_gguf import CHAT_TEMPLATE, write_tiny_gguf

BASE: Final = "smollm2-tiny"
WORDS: Final = events._WORDS
EXAMPLES: Final = 900
SECONDS: Final = 540.0
EPOCHS: Final = 40
_AT_WORK: Final = {training_pb2.STAGE_READY_FOR_TRAINING, training_pb2.STAGE_TRAINING, training_pb2.STAGE_TESTING}


def write_task_base(path: Path, chat_template: str = CHAT_TEMPLATE) -> Path:
    """Write a tiny llama with a token for each word that the tests' prompts and answers are made of."""
    texts = (system("scam_detection"), '"isScam" true false "scamType" "severity" "reasoning" Message', " ".join(WORDS))
    words = sorted({word for text in texts for word in re.findall(r" ?[A-Za-z]+", text)})
    # First what every answer begins with, so that it is spelled in one way: two that are nearly as likely would tie.
    first = ('{"', '":', ',"', '":"', '","', "isScam", "true", "false")
    return write_tiny_gguf(path, chat_template=chat_template, words=[*first, *words])


@dataclass
class Trained:
    """A server whose store has examples that can be learnt."""

    server: ServerProcess
    base: Path
    seconds: float = SECONDS
    first: int = 0
    examples: int = EXAMPLES

    def __post_init__(self) -> None:
        if not self.examples:
            return
        with self.server.channel() as channel:
            stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
            receipts = stub.Ingest(
                events.request([decision(self.first + n) for n in range(self.examples)]), timeout=60
            ).receipts
        assert {receipt.status for receipt in receipts} == {ingest_pb2.STATUS_ACCEPTED}

    @property
    def jobs(self) -> Path:
        """The folder of jobs."""
        return self.server.data_dir / "jobs"

    @contextlib.contextmanager
    def training(self) -> Iterator[training_service_pb2_grpc.TrainingServiceStub]:
        """TrainingService."""
        with self.server.channel() as channel:
            yield training_service_pb2_grpc.TrainingServiceStub(channel)

    def start(self, *, epochs: float = EPOCHS, max_examples: int = 100) -> training_pb2.Job:
        """Begin a job."""
        request = training_pb2.TrainRequest(
            category=SCAM, override_readiness=True, seed=3, max_examples=max_examples, epochs=epochs
        )
        with self.training() as stub:
            return stub.Train(request, timeout=60)

    def follow(
        self, job_id: str, seen: Callable[[training_pb2.Job], object] = lambda _: None
    ) -> list[training_pb2.Job]:
        """Every state of a job, until its candidate is offered, it ends, or the server goes."""
        states: list[training_pb2.Job] = []
        with self.training() as stub, contextlib.suppress(grpc.RpcError):
            for job in stub.WatchJob(training_pb2.WatchJobRequest(job_id=job_id), timeout=self.seconds):
                states.append(job)
                seen(job)
                if job.stage not in _AT_WORK:
                    break
        return states

    def end(self, job_id: str) -> training_pb2.Job:
        """The job once it is at work no more."""
        deadline = time.monotonic() + self.seconds
        with self.training() as stub:
            while True:
                job = stub.GetJob(training_pb2.GetJobRequest(job_id=job_id), timeout=60)
                if job.stage not in _AT_WORK:
                    return job
                assert time.monotonic() < deadline, job.step_name
                time.sleep(0.2)

    def models(self) -> set[str]:
        """What ListModels shows."""
        with self.server.channel() as channel:
            stub = model_service_pb2_grpc.ModelServiceStub(channel)
            return {model.name for model in stub.ListModels(model_pb2.ListModelsRequest(), timeout=60).models}

    def folders(self) -> set[str]:
        """Models that the embedded runtime has."""
        return {path.name for path in (self.server.data_dir / "models").iterdir()}


def trainer_in(folder: Path) -> int:
    """The process id of the trainer that works in a folder."""
    for found in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if found.read_bytes().split(b"\0")[1:4] == [b"-m", b"becas_ft.training.lora", str(folder).encode()]:
                return int(found.parent.name)
    raise ProcessLookupError


def decision(number: int) -> event_pb2.Event:
    """A scam in one half of the words, or another message in the other half: each of them tells."""
    event = events.scam_message(f"e-{number}", number)
    half = len(WORDS) // 2
    words = sorted(WORDS)[:half] if event.scam_detected.analysis.is_scam else sorted(WORDS)[half:]
    event.scam_detected.text = " ".join(random.Random(number).choices(words, k=40))
    event.user_id = str(700_000_000_000_000_000 + number)
    return event
