"""The whole pipeline in a real server with nobody at it: bots publish, ask and tell what was right, and that is all.

Everything is real: ingest, readiness by the default thresholds, the trainer's process, the embedded runtime's, the
shadow test, the promotion and the rollback. The base is a random llama of two layers, which a training of seconds
teaches what half of the words mean.
"""

import json
from pathlib import Path

import pytest

from becas.ft.v1 import training_pb2
from becas_ft.rollout import audit
from helpers.bot import MODEL, SETTINGS, Bot, answering, is_tested, jobs, wait_until
from helpers.served import Served
from helpers.server import ServerProcess, ServerStarter
from helpers.training import BASE, Trained

# Over the 2,000 that a category needs.
EXAMPLES = 2_400
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


def called(server: ServerProcess) -> set[str]:
    lines = [line for line in server.stderr.read_text().splitlines() if '"rpc"' in line]
    return {json.loads(line)["method"].removeprefix("/becas.ft.v1.") for line in lines}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_from_events_to_a_promoted_model_and_back_without_a_person(
    start_server: ServerStarter, tiny_base: Path
) -> None:
    """Ready, trained, tested, promoted, worse, rolled back; killed in the middle of its shadow test."""
    server = start_server(
        BECAS_FT_RUNTIME__EMBEDDED_BASE=str(tiny_base), BECAS_FT_PROMOTION__AUTO_FINE_TUNE="true", **SETTINGS
    )
    server.listen = server.address
    Trained(server, tiny_base, examples=EXAMPLES)
    bot = Bot(first=EXAMPLES)
    with server.channel() as channel:
        served = Served(server, channel)
        wait_until(lambda: is_tested(served))
        before = bot.judge_times(served, 30)
    server.kill()
    server.start()
    with server.channel() as channel:
        served = Served(server, channel)
        bot.judge_until(served, lambda: answering(served) == MODEL)
        promoted = bot.judge_times(served, 20)
        bot.turned = True
        bot.judge_until(served, lambda: answering(served) == BASE)
        after = bot.judge_times(served, 5)
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
