"""A server whose runtime has registered candidates, and what tests ask of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from becas.ft.v1 import (
    dataset_service_pb2_grpc,
    event_service_pb2_grpc,
    example_pb2,
    ingest_service_pb2_grpc,
    model_pb2,
    model_service_pb2_grpc,
    published_event_pb2,
    shadow_pb2,
    shadow_service_pb2_grpc,
)
from helpers import models
from helpers.rpc import until_error
from helpers.server import ServerProcess

SCAM = example_pb2.CATEGORY_SCAM_DETECTION
SECONDS = 240


@dataclass(frozen=True)
class Served:
    """A server, and stubs of its services."""

    process: ServerProcess
    channel: grpc.Channel

    @property
    def shadow(self) -> shadow_service_pb2_grpc.ShadowServiceStub:
        """Shadow tests."""
        return shadow_service_pb2_grpc.ShadowServiceStub(self.channel)

    @property
    def model(self) -> model_service_pb2_grpc.ModelServiceStub:
        """Models."""
        return model_service_pb2_grpc.ModelServiceStub(self.channel)

    @property
    def events(self) -> event_service_pb2_grpc.EventServiceStub:
        """Published events."""
        return event_service_pb2_grpc.EventServiceStub(self.channel)

    @property
    def ingest(self) -> ingest_service_pb2_grpc.IngestServiceStub:
        """Ingest."""
        return ingest_service_pb2_grpc.IngestServiceStub(self.channel)

    @property
    def dataset(self) -> dataset_service_pb2_grpc.DatasetServiceStub:
        """Datasets."""
        return dataset_service_pb2_grpc.DatasetServiceStub(self.channel)

    def register(self, name: str, base: str, category: "example_pb2.Category.ValueType" = SCAM) -> model_pb2.Model:
        """Registers a model."""
        request = model_pb2.RegisterModelRequest(name=name, base_model=base, category=category)
        return self.model.RegisterModel(request, timeout=SECONDS).model

    def set_up(
        self, candidate: str, category: "example_pb2.Category.ValueType" = SCAM, rate: float = 1.0
    ) -> shadow_pb2.Trial:
        """Begins a trial."""
        request = shadow_pb2.SetUpShadowTestRequest(category=category, candidate_model=candidate, sample_rate=rate)
        return self.shadow.SetUpShadowTest(request, timeout=SECONDS).trial

    def promote(self, model: str) -> model_pb2.PromoteResponse:
        """Promotes a model without evidence."""
        return self.model.Promote(model_pb2.PromoteRequest(model=model, force=True), timeout=SECONDS)

    def rollback(self, to_version: int | None = None) -> model_pb2.RollbackResponse:
        """Rolls scam_detection back."""
        request = model_pb2.RollbackRequest(category=SCAM, reason="test", to_version=to_version)
        return self.model.Rollback(request, timeout=SECONDS)

    def audited(self) -> list[model_pb2.AuditEntry]:
        """The audit log."""
        return list(self.model.ListAudit(model_pb2.ListAuditRequest(), timeout=SECONDS).entries)

    def published(self) -> list[published_event_pb2.PublishedEvent]:
        """Every event that is kept."""
        received, _ = until_error(self.events.Subscribe(published_event_pb2.SubscribeRequest(), timeout=3))
        return received

    def compare(self, trial_id: str, number: int, *, b_right: bool, truth: str | None = "true") -> bool:
        """Stores a pair on which the two disagree; whether it was there before."""
        request = shadow_pb2.RecordComparisonRequest(
            trial_id=trial_id,
            request_id=f"{trial_id}/{number}",
            output_a=json_label(not b_right),
            output_b=json_label(b_right),
            confidence_a=0.7,
            confidence_b=0.9,
            latency_a=100 + number % 7,
            latency_b=90 + number % 5,
            truth=truth,
            user_id=str(700_000_000_000_000_000 + number),
        )
        return self.shadow.RecordComparison(request, timeout=SECONDS).duplicate

    def report(self, trial_id: str, *, html: bool = False) -> shadow_pb2.GetComparisonReportResponse:
        """What the evidence says."""
        request = shadow_pb2.GetComparisonReportRequest(trial_id=trial_id, html=html)
        return self.shadow.GetComparisonReport(request, timeout=SECONDS)


@contextmanager
def serving(folder: Path, *candidates: str, **settings: str) -> Iterator[Served]:
    """A server of a test's own, for one that moves aliases, kills it or takes models away.

    Arguments:
        folder: of the test.
        candidates: models that are made and registered, beside the packaged base.
        settings: as environment variables.
    """
    models.make(folder / "data", *candidates)
    variables = {
        "BECAS_FT_RUNTIME__KIND": "embedded",
        # A busy machine is slow, not broken.
        "BECAS_FT_SHADOW__ANSWER_TIMEOUT_SECONDS": str(SECONDS),
        **settings,
    }
    process = ServerProcess(folder / "data", folder / "server", variables=variables).start()
    # One that is started again is the same server to those that know its address.
    process.listen = process.address
    try:
        with process.channel() as channel:
            served = Served(process, channel)
            served.register(models.BASE, models.BASE)
            for name in candidates:
                served.register(name, models.BASE)
            yield served
    finally:
        process.kill()


def json_label(is_scam: bool) -> str:
    """An output of scam_detection."""
    return f'{{"isScam":{str(is_scam).lower()},"scamType":"prize","reasoning":"a prize"}}'
