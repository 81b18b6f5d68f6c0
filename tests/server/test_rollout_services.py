"""Promotion, rollback by the watch, the audit log and events, as operators see them: a real server, a real model."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from becas.ft.v1 import model_pb2, published_event_pb2, shadow_pb2
from becas_ft.rollout import audit
from helpers import canaries, models
from helpers.rpc import details
from helpers.served import SCAM, SECONDS, Served, serving
from helpers.server import CommandLine

CANDIDATE = models.candidate(1)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Served]:
    """A server of the test's own: it moves the alias and takes a model away."""
    with serving(tmp_path, CANDIDATE, BECAS_FT_PROMOTION__WATCH_INTERVAL_SECONDS="0.5") as served:
        yield served


def subscribed(served: Served, *, after: int = 0) -> Iterator[published_event_pb2.PublishedEvent]:
    """Events from a cursor on."""
    request = published_event_pb2.SubscribeRequest(after_cursor=after)
    events: Iterator[published_event_pb2.PublishedEvent] = served.events.Subscribe(request, timeout=SECONDS)
    return events


def test_from_evidence_to_promotion_to_rollback(alone: Served, tmp_path: Path) -> None:
    """No promotion without evidence; with it the alias moves once; a worse turn rolls back; every step is told."""
    trial = alone.set_up(CANDIDATE)
    with pytest.raises(grpc.RpcError) as early:
        alone.model.Promote(model_pb2.PromoteRequest(model=CANDIDATE), timeout=SECONDS)
    for number in range(100):
        alone.compare(trial.trial_id, number, b_right=True)
    assert alone.report(trial.trial_id).report.recommendation == shadow_pb2.RECOMMENDATION_PROMOTE_B
    request = model_pb2.PromoteRequest(model=CANDIDATE, actor=canaries.USER, request_id=canaries.EVENT_PREFIX)
    first = alone.model.Promote(request, timeout=SECONDS)
    again = alone.model.Promote(request, timeout=SECONDS)

    assert details(early.value).code is grpc.StatusCode.FAILED_PRECONDITION
    assert "0 of 100 judged pairs" in details(early.value).message
    assert first == again
    assert first.alias.model == CANDIDATE

    command = CommandLine(tmp_path / "cli", alone.process.address)
    running = [trial for trial in command("shadow", "stats", "--json").json()["recent"] if trial["running"]]
    assert [(one["base_model"], one["candidate_model"], one["watch"]) for one in running] == [
        (CANDIDATE, models.BASE, True)
    ]
    # The former model (B) alone is right, again and again: ln(6·10⁴)/ln 1.6 pairs are enough.
    for number in range(24):
        alone.compare(running[0]["trial_id"], number, b_right=True)
    told = subscribed(alone)
    seen = [next(told) for _ in range(4)]
    assert [event.name for event in seen] == [
        "fine_tuning.promoted",
        "ab_test.completed",
        "fine_tuning.rolled_back",
        "ab_test.completed",
    ]
    assert [event.cursor for event in seen] == [1, 2, 3, 4]
    # Killed and back, the subscriber sees what it has not seen, in order.
    told.cancel()  # type: ignore[attr-defined]  # a call
    assert next(subscribed(alone, after=2)) == seen[2]

    entries = alone.model.ListAudit(model_pb2.ListAuditRequest(), timeout=SECONDS).entries
    assert [(entry.action, entry.from_model, entry.to_model) for entry in entries] == [
        ("promote", models.BASE, CANDIDATE),
        ("rollback", CANDIDATE, models.BASE),
    ]
    assert entries[1].actor == "watch"
    assert audit.broken_links(entries) == []
    with pytest.raises(grpc.RpcError) as once_more:
        alone.model.Promote(model_pb2.PromoteRequest(model=CANDIDATE), timeout=SECONDS)
    assert "no shadow test" in details(once_more.value).message

    assert command("models", "--json").json()["aliases"][0]["model"] == models.BASE
    assert "rolled_back" in command("models").stdout
    assert "promote_b" in command("report", trial.trial_id, "--json", "--html", tmp_path / "r.html").json().values()
    assert "promote B" in command("report", trial.trial_id).stdout
    assert (tmp_path / "r.html").read_text().count("<svg") == 4
    assert len(command("events").stdout.splitlines()) == 4
    assert "watch" in command("audit").stdout
    done = command("rollback", "scam_detection", "--reason", "test", "--to-version", "1", "--json")
    assert done.json()["alias"]["model"] == CANDIDATE


def test_a_model_that_is_gone_is_replaced_at_once(alone: Served) -> None:
    """Without one judged pair: the base answers again."""
    alone.model.Promote(model_pb2.PromoteRequest(model=CANDIDATE, force=True), timeout=SECONDS)
    shutil.rmtree(alone.process.data_dir / "models" / CANDIDATE)

    told = subscribed(alone)
    names = [next(told).name for _ in range(2)]

    assert names == ["fine_tuning.promoted", "fine_tuning.rolled_back"]
    aliases = alone.model.ListModels(model_pb2.ListModelsRequest(category=SCAM), timeout=SECONDS).aliases
    assert [alias.model for alias in aliases] == [models.BASE]


def test_a_killed_server_goes_on_with_the_same_evidence(alone: Served) -> None:
    """Killed in the middle of a trial: the same report, and the same e-value, from what is on disk."""
    trial = alone.set_up(CANDIDATE)
    for number in range(9):
        alone.compare(trial.trial_id, number, b_right=number % 3 > 0)
    before = alone.report(trial.trial_id).report

    alone.process.kill()
    alone.process.start()
    with alone.process.channel() as channel:
        again = Served(alone.process, channel)
        assert again.report(trial.trial_id).report == before
        assert again.compare(trial.trial_id, 8, b_right=True)
        assert (before.wins, before.losses) == (6, 3)


def test_a_trial_from_the_command_line(alone: Served, tmp_path: Path) -> None:
    """Set up, look at what needs a label, give it, stop: what a moderator does at a prompt."""
    command = CommandLine(tmp_path / "cli", alone.process.address)

    trial = command("shadow", "set-up", "scam_detection", CANDIDATE, "--sample-rate", "0.5", "--json").json()
    alone.compare(trial["trial_id"], 1, b_right=True, truth=None)
    [waiting] = command("shadow", "disagreements", "--json").json()["disagreements"]
    shown = command("shadow", "disagreements", trial["trial_id"]).stdout
    told = command("shadow", "truth", waiting["pair_id"], "true").stdout
    refused = command("shadow", "truth", waiting["pair_id"], "perhaps")
    ended = command("shadow", "stop", trial["trial_id"], "--reason", "enough").stdout

    assert (trial["sample_rate"], trial["base_model"]) == (0.5, models.BASE)
    assert waiting["pair_id"] in shown.replace("\n", "")
    assert told == f"recorded in {trial['trial_id']}\n"
    assert (refused.code, "must be a label of scam_detection: true, false" in refused.stderr) == (1, True)
    assert ended == f"{trial['trial_id']} ended: enough\n"
    assert command("shadow", "disagreements", "--json").json()["disagreements"] == []
