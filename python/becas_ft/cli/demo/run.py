"""The demo's steps, each done by the commands' own calls and printed with what it showed."""

import gzip
import itertools
import json
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from rich.console import Console

from becas.ft.v1 import (
    dataset_pb2,
    dataset_service_pb2_grpc,
    event_service_pb2_grpc,
    example_pb2,
    model_pb2,
    model_service_pb2_grpc,
    published_event_pb2,
    shadow_pb2,
    shadow_service_pb2_grpc,
    training_pb2,
    training_service_pb2_grpc,
)
from becas_ft.cli.connection import CALL_SECONDS, LONG_CALL_SECONDS, connect
from becas_ft.cli.demo.by_hand import YOURS, hand_over, waiting
from becas_ft.cli.demo.messages import LiveMessage, Traffic
from becas_ft.cli.demo.process import Serving
from becas_ft.cli.import_events import send_file
from becas_ft.cli.job_view import follow
from becas_ft.dataset_folder import write_dataset
from becas_ft.errors import CommandError
from becas_ft.messages import enum_name

CATEGORY = example_pb2.CATEGORY_SCAM_DETECTION
_REGRESSION_SECONDS = 600.0
_PIPELINE_SECONDS = 60.0
_WAVE = 20
_SECONDS_BETWEEN_WAVES = 60.0
_CALLERS = 2
# Published events that are kept arrive at once; after a silence of this length there are no more.
_SILENCE_SECONDS = 1.0
_ATTEMPTS = 3


@dataclass
class Demo:
    """What the demo has done so far.

    Arguments:
        console: where people read; nothing is printed where it is quiet.
        folder: where the demo keeps everything.
        traffic: what it plays.
        serving: its server; where that has a dashboard, what a person decides is left to you.
    """

    console: Console
    folder: Path
    traffic: Traffic
    serving: Serving
    result: dict[str, Any] = field(default_factory=dict)
    _step: int = 0

    def run(self) -> dict[str, Any]:
        """Every step in order; the figures for `--json`."""
        with connect(self.serving.address) as channel:
            self._import()
            self._stats(channel)
            self._export(channel)
            model = self._train(channel)
            self.shadow(channel, model)
            if self.serving.dashboard:
                with self._section("Yours: label, promote, roll back"):
                    hand_over(self._say, self.serving)
            else:
                self._promote(channel, model)
                self._regress(channel, model)
        return self.result

    @contextmanager
    def _section(self, title: str) -> Iterator[None]:
        self._step += 1
        self.console.print(f"\n[bold]{self._step}. {title}[/bold]")
        started = time.monotonic()
        yield
        self.console.print(f"   [dim]{time.monotonic() - started:.1f} s[/dim]")

    def _say(self, text: str) -> None:
        self.console.print(f"   {text}", highlight=False)

    def _import(self) -> None:
        with self._section(f"Ingest: {len(self.traffic.events):,} decisions on real messages"):
            path = self.folder / "events.jsonl.gz"
            with gzip.open(path, "wt", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in self.traffic.events)
            tally = send_file(path, self.serving.address)
            path.unlink()
            self.result["import"] = tally.as_object()
            self._say(", ".join(f"{status} {count:,}" for status, count in tally.statuses.items()))

    def _stats(self, channel: grpc.Channel) -> None:
        with self._section("Statistics: what became of them"):
            stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)
            answer = stub.GetTrainingStats(dataset_pb2.GetTrainingStatsRequest(), timeout=CALL_SECONDS)
            row = next(row for row in answer.categories if row.category == CATEGORY)
            self.result["stats"] = {
                "total": row.total,
                "gold": row.tiers.gold,
                "silver": row.tiers.silver,
                "bronze": row.tiers.bronze,
                "mean_quality": round(row.mean_quality, 4),
                "superseded": row.superseded,
            }
            self._say(
                f"scam_detection: {row.total:,} examples, {row.tiers.gold:,} gold, "
                f"mean quality {row.mean_quality:.4f}, {row.superseded} replaced by a moderator's correction"
            )

    def _export(self, channel: grpc.Channel) -> None:
        with self._section("Export: a balanced dataset"):
            out = self.folder / "dataset"
            stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)
            pieces = stub.Export(dataset_pb2.ExportRequest(category=CATEGORY), timeout=LONG_CALL_SECONDS)
            manifest = write_dataset(out, pieces, "jsonl", force=True)
            self.result["export"] = {
                "examples": manifest.examples,
                "by_label": dict(manifest.by_label),
                "by_split": dict(manifest.by_split),
                "dataset_id": manifest.dataset_id,
                "folder": str(out),
            }
            self._say(f"{manifest.examples:,} examples in {out}: {dict(manifest.by_label)}, {dict(manifest.by_split)}")

    def _train(self, channel: grpc.Channel) -> str:
        with self._section(
            "Ready: the pipeline trains a LoRA adapter for SmolLM2-135M by itself, serves and checks it"
        ):
            stub = training_service_pb2_grpc.TrainingServiceStub(channel)
            # The pipeline looks every hour; nobody waits for that here.
            begun = stub.CheckPipeline(training_pb2.CheckPipelineRequest(), timeout=CALL_SECONDS).jobs
            if not begun:
                pipeline = stub.GetPipelineStats(training_pb2.GetPipelineStatsRequest(), timeout=CALL_SECONDS)
                row = next(row for row in pipeline.categories if row.category == CATEGORY)
                raise CommandError(f"no training began: {row.next}")
            job = follow(stub, begun[0].job_id, quiet=self.console.quiet)
            if job.error:
                raise CommandError(f"the training failed: {job.error}")
            checks = job.checks
            self.result["job"] = {
                "job_id": job.job_id,
                "model": job.model,
                "accuracy": {
                    "base": round(checks.base_accuracy, 4),
                    "few_shot": round(checks.few_shot_accuracy, 4),
                    "candidate": round(checks.candidate_accuracy, 4),
                },
                "held_out": checks.held_out,
                "parity": round(checks.parity, 4),
                "parity_inputs": checks.parity_inputs,
                "seconds": round(job.seconds, 1),
                "peak_memory_bytes": job.peak_memory_bytes,
            }
            return job.model

    def shadow(self, channel: grpc.Channel, model: str) -> None:
        """Ask both models, and tell the truth late; with a dashboard all but what a person labels."""
        with self._section(f"Shadow test: {len(self.traffic.live)} held-out messages, asked of both models"):
            stub = shadow_service_pb2_grpc.ShadowServiceStub(channel)
            trial = self._trial_of(channel, model)
            self._say(f"{trial.trial_id}, set up by the pipeline: {trial.base_model} against {trial.candidate_model}")
            report = shadow_pb2.ComparisonReport()
            untold: list[LiveMessage] = []
            for wave in _waves(self.traffic.live):
                answers = self._ask(stub, wave)
                untold += [message for message in wave if message.request_id in answers]
                if not self.serving.dashboard:
                    self._tell_truth(stub, untold, _as_labelled)
                    untold.clear()
                report = self._report(stub, trial.trial_id, report.pairs + len(answers))
                self._say(
                    f"[dim]{report.pairs} pairs: {report.wins} wins, {report.losses} losses, "
                    f"e-value {report.e_value:.3g} of {report.e_threshold:.3g}[/dim]"
                )
            while untold and waiting(stub) > YOURS:
                self._tell_truth(stub, [untold.pop()], _as_labelled)
            report = self._report(stub, trial.trial_id, report.pairs)
            page = stub.GetComparisonReport(
                shadow_pb2.GetComparisonReportRequest(trial_id=trial.trial_id, html=True), timeout=CALL_SECONDS
            )
            (self.folder / "report.html").write_text(page.html, encoding="utf-8")
            self.result["report"] = {
                "wins": report.wins,
                "losses": report.losses,
                "ties": report.ties,
                "e_value": report.e_value,
                "e_threshold": round(report.e_threshold, 3),
                "recommendation": _recommendation(report),
                "page": str(self.folder / "report.html"),
            }
            self._say(report.reasoning)
            self._say(f"recommendation: {_recommendation(report)}; the page: {self.folder / 'report.html'}")

    def _promote(self, channel: grpc.Channel, model: str) -> None:
        with self._section("Promote: the gate offers it, a person approves, the alias moves"):
            self._say(self._offer(channel, model))
            stub = model_service_pb2_grpc.ModelServiceStub(channel)
            answer = stub.Promote(
                model_pb2.PromoteRequest(model=model, actor="demo", reason="approved in the demo"),
                timeout=CALL_SECONDS,
            )
            shadow = shadow_service_pb2_grpc.ShadowServiceStub(channel)
            probe = self._answer(shadow, self.traffic.live[0], "probe-1")
            self.result["promoted"] = probe.model == model
            self._say(f"{answer.alias.name} ► {answer.alias.model}; a production request is answered by {probe.model}")

    def _trial_of(self, channel: grpc.Channel, model: str) -> shadow_pb2.Trial:
        """The shadow test that the pipeline sets up for a candidate."""
        stub = shadow_service_pb2_grpc.ShadowServiceStub(channel)
        for _ in self._looks(channel):
            known = stub.GetShadowStats(shadow_pb2.GetShadowStatsRequest(), timeout=CALL_SECONDS).recent
            found = next((trial for trial in known if trial.candidate_model == model), None)
            if found is not None:
                return found
        raise CommandError("the pipeline set up no shadow test: see the server's log")

    def _offer(self, channel: grpc.Channel, model: str) -> str:
        """What the pipeline publishes once the gate has passed."""
        stub = event_service_pb2_grpc.EventServiceStub(channel)
        for _ in self._looks(channel):
            for event in self._events(stub):
                if event.name == "fine_tuning.ready_for_promotion" and event.model == model:
                    return f"{event.name}: {event.reason}"
        raise CommandError("the gate did not pass: the report says what is missing")

    def _events(self, stub: event_service_pb2_grpc.EventServiceStub) -> Iterator[published_event_pb2.PublishedEvent]:
        """What was published so far."""
        try:
            yield from stub.Subscribe(published_event_pb2.SubscribeRequest(), timeout=_SILENCE_SECONDS)
        except grpc.RpcError as error:
            if not isinstance(error, grpc.Call) or error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise

    def _looks(self, channel: grpc.Channel) -> Iterator[None]:
        """Looks of the pipeline, a moment apart, until they must have sufficed."""
        stub = training_service_pb2_grpc.TrainingServiceStub(channel)
        deadline = time.monotonic() + _PIPELINE_SECONDS
        while time.monotonic() < deadline:
            stub.CheckPipeline(training_pb2.CheckPipelineRequest(), timeout=CALL_SECONDS)
            yield
            time.sleep(0.5)

    def _regress(self, channel: grpc.Channel, model: str) -> None:
        with self._section("Regression: the truth turns against it, and it is rolled back by itself"):
            stub = shadow_service_pb2_grpc.ShadowServiceStub(channel)
            models = model_service_pb2_grpc.ModelServiceStub(channel)
            deadline = time.monotonic() + _REGRESSION_SECONDS
            rolled_back = ""
            for wave in _waves(_month_after_month(self.traffic.live)):
                if rolled_back or time.monotonic() > deadline:
                    break
                answers = self._ask(stub, wave)
                # What moderators would say had the scams changed overnight: the new model's answers are wrong now.
                answered = [message for message in wave if message.request_id in answers]
                self._tell_truth(stub, answered, partial(_turned, answers))
                self._say(f"[dim]{len(answered)} answers, each of them wrong now[/dim]")
                rolled_back = self._rolled_back(models, model, _SECONDS_BETWEEN_WAVES)
            self.result["rolled_back"] = bool(rolled_back)
            self._say(rolled_back or "no rollback came: see the server's log")

    def _ask(self, stub: shadow_service_pb2_grpc.ShadowServiceStub, messages: list[LiveMessage]) -> dict[str, str]:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_CALLERS) as pool:
            answers = list(pool.map(lambda message: self._patiently(stub, message), messages))
        unanswered = sum(answer is None for answer in answers)
        if unanswered:
            self._say(f"{unanswered} requests got no answer in time, and are left out")
        return {
            message.request_id: answer.label
            for message, answer in zip(messages, answers, strict=True)
            if answer is not None
        }

    def _patiently(
        self, stub: shadow_service_pb2_grpc.ShadowServiceStub, message: LiveMessage
    ) -> shadow_pb2.ShadowTestResponse | None:
        # As a bot would: a model that is late is asked again, and then done without.
        for _ in range(_ATTEMPTS):
            try:
                return self._answer(stub, message, message.request_id)
            except grpc.RpcError as error:
                if not isinstance(error, grpc.Call) or error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
        return None

    def _answer(
        self, stub: shadow_service_pb2_grpc.ShadowServiceStub, message: LiveMessage, request_id: str
    ) -> shadow_pb2.ShadowTestResponse:
        request = shadow_pb2.ShadowTestRequest(
            category=CATEGORY,
            input=message.text,
            context=message.context,
            user_id=message.user_id,
            guild_id=message.guild_id,
            request_id=request_id,
        )
        request.time.FromMilliseconds(message.time_ms)
        return stub.ShadowTest(request, timeout=LONG_CALL_SECONDS)

    def _tell_truth(
        self,
        stub: shadow_service_pb2_grpc.ShadowServiceStub,
        messages: list[LiveMessage],
        truth: Callable[[LiveMessage], bool],
    ) -> None:
        # Late, and in another order than the requests: so it comes in life.
        order = list(messages)
        random.Random(len(order)).shuffle(order)  # noqa: S311 - reproducible disorder, not a secret
        for message in order:
            request = shadow_pb2.RecordTruthRequest(
                request_id=message.request_id, truth="true" if truth(message) else "false"
            )
            stub.RecordTruth(request, timeout=CALL_SECONDS)

    def _report(
        self, stub: shadow_service_pb2_grpc.ShadowServiceStub, trial_id: str, pairs: int
    ) -> shadow_pb2.ComparisonReport:
        deadline = time.monotonic() + _SECONDS_BETWEEN_WAVES
        while True:
            request = shadow_pb2.GetComparisonReportRequest(trial_id=trial_id)
            report = stub.GetComparisonReport(request, timeout=CALL_SECONDS).report
            if report.pairs >= pairs or time.monotonic() > deadline:
                return report
            time.sleep(0.5)

    def _rolled_back(self, stub: model_service_pb2_grpc.ModelServiceStub, model: str, seconds: float) -> str:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            aliases = stub.ListModels(model_pb2.ListModelsRequest(category=CATEGORY), timeout=CALL_SECONDS).aliases
            if aliases and aliases[0].model != model:
                audit = stub.ListAudit(model_pb2.ListAuditRequest(), timeout=CALL_SECONDS)
                last = audit.entries[-1]
                return f"{aliases[0].name} ► {aliases[0].model}, by {last.actor}: {last.reason}"
            time.sleep(0.5)
        return ""


def _turned(answers: dict[str, str], message: LiveMessage) -> bool:
    return answers[message.request_id] != "true"


def _as_labelled(message: LiveMessage) -> bool:
    return message.is_scam


def _waves(messages: Iterable[LiveMessage]) -> Iterator[list[LiveMessage]]:
    """Candidates stand still while production is asked, so there are pauses in which they catch up."""
    left = iter(messages)
    while wave := list(itertools.islice(left, _WAVE)):
        yield wave


def _month_after_month(messages: list[LiveMessage]) -> Iterator[LiveMessage]:
    for month in itertools.count(1):
        for message in messages:
            yield replace(
                message,
                request_id=f"month-{month}-{message.request_id}",
                time_ms=message.time_ms + month * 30 * 86_400_000,
            )


def _recommendation(report: shadow_pb2.ComparisonReport) -> str:
    name = enum_name(shadow_pb2.Recommendation.DESCRIPTOR, report.recommendation) or ""
    # The contract's spelling: promote_B, keep_A, need_more_data.
    head, _, tail = name.rpartition("_")
    return f"{head}_{tail.upper()}" if len(tail) == 1 else name


def last_line(result: dict[str, Any]) -> str:
    """The one object that `--json` ends with."""
    return json.dumps(result, ensure_ascii=False)
