"""A canary in a real server over real gRPC: a trained candidate takes over share by share, or goes back to nobody.

Ingest, training, both processes of the embedded runtime and the pipeline are real; guilds are many, and members tell
what was right until the candidate has passed.
"""

import itertools
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import grpc
import pytest

from becas.ft.v1 import model_pb2, training_pb2
from becas_ft.rollout import audit
from helpers.bot import MODEL, SETTINGS, Bot, answering, is_tested, jobs, wait_until
from helpers.rpc import code_of
from helpers.served import Served
from helpers.server import ServerProcess
from helpers.training import BASE, EXAMPLES, Trained

SHARES = [1, 5, 25, 50]
# Asked at every share: of so many, 5 % may be nobody, 25 % and 50 % are some and not all. They alone complete no step.
GUILDS = [str(800_000_000_000_000_000 + number) for number in range(40)]
MOST = 2_000

# Minutes on two cores.
pytestmark = [pytest.mark.timeout(1_200), pytest.mark.long]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """The data folder of a server that has trained a candidate and begun its shadow test."""
    folder = tmp_path_factory.mktemp("trained")
    server = ServerProcess(folder / "data", folder / "server", variables=settings(tiny_base)).start()
    try:
        Trained(server, tiny_base).start()
        with server.channel() as channel:
            wait_until(lambda: is_tested(Served(server, channel)))
        assert server.stop() == 0
    finally:
        server.kill()
    return server.data_dir


def settings(base: Path, judged: int = 20, answers: int = 45) -> dict[str, str]:
    return SETTINGS | {
        "BECAS_FT_RUNTIME__EMBEDDED_BASE": str(base),
        "BECAS_FT_PROMOTION__CANARY": "true",
        "BECAS_FT_PROMOTION__MIN_JUDGED": str(judged),
        "BECAS_FT_PROMOTION__CANARY_MIN_ANSWERS": str(answers),
    }


@contextmanager
def serving(folder: Path, trained: Path, variables: dict[str, str]) -> Iterator[Served]:
    """A server of a test's own over a copy of what was trained."""
    shutil.copytree(trained, folder / "data")
    server = ServerProcess(folder / "data", folder / "server", variables=variables).start()
    server.listen = server.address
    try:
        with server.channel() as channel:
            yield Served(server, channel)
    finally:
        server.kill()


def shares(served: Served) -> list[int]:
    """Per cent of the guilds, as the audit log has them one after the other."""
    return [json.loads(entry.evidence)["percent"] for entry in served.audited() if entry.action == "canary"]


def has_widened(served: Served, steps: int) -> bool:
    """Whether more steps than these were taken, or the last one was and the alias moved."""
    return len(shares(served)) > steps or answering(served) == MODEL


def member(served: Served, bot: Bot) -> str:
    """A guild that the candidate answers."""
    guilds = (str(900_000_000_000_000_000 + number) for number in range(MOST))
    return next(guild for guild in guilds if bot.ask(served, guild) == MODEL)


def ask_until(served: Served, bot: Bot, guild: str, enough: Callable[[], bool]) -> set[str]:
    """Messages of a guild until something has happened; the models that answered them."""
    models = set()
    while not enough():
        models.add(bot.ask(served, guild))
        assert len(bot.asked) < MOST, jobs(served)
    return models


@pytest.mark.parametrize(("judged", "answers"), [(20, 45), (100, 100)], ids=["few", "as by default"])
def test_a_better_candidate_takes_over_share_by_share(
    tmp_path: Path, trained: Path, tiny_base: Path, judged: int, answers: int
) -> None:
    """1, 5, 25, 50 % of the guilds and then everybody; who is in stays in, also over a kill -9, and nobody waits."""
    bot, seen = Bot(first=EXAMPLES), {}
    with serving(tmp_path, trained, settings(tiny_base, judged, answers)) as served:
        bot.judge_until(served, lambda: bool(shares(served)))
        assert {model for model, _ in bot.asked} == {BASE}
        inside = member(served, bot)
        for place, share in enumerate(SHARES):
            assert shares(served) == SHARES[: place + 1]
            assert answering(served) == BASE
            seen[share] = {guild for guild in GUILDS if bot.ask(served, guild) == MODEL}
            if share == SHARES[1]:
                served.process.kill()
                served.process.start()
            models = ask_until(served, bot, inside, partial(has_widened, served, place + 1))
            assert models <= {MODEL}
        after = {bot.ask(served, guild) for guild in GUILDS}
        wait_until(lambda: jobs(served)[0].stage == training_pb2.STAGE_DEPLOYED)
        log, published = served.audited(), served.published()

    assert seen[1] <= seen[5] <= seen[25] < seen[50] < set(GUILDS)
    assert seen[25]
    assert after == {MODEL}
    assert [(entry.action, entry.actor, entry.to_model) for entry in log] == [
        *[("canary", "pipeline", MODEL)] * len(SHARES),
        ("promote", "pipeline", MODEL),
    ]
    assert [json.loads(entry.evidence)["percent"] for entry in log[:-1]] == SHARES
    # What the step before has shown.
    assert all(json.loads(entry.evidence)["answers"] >= answers for entry in log[1:-1])
    assert all(json.loads(entry.evidence)["judged"] >= judged for entry in log)
    assert audit.broken_links(log) == []
    assert [event.name for event in published] == [
        "fine_tuning.completed",
        "fine_tuning.ready_for_promotion",
        "fine_tuning.promoted",
        "ab_test.completed",
    ]


def test_a_candidate_that_does_not_answer_goes_back_to_nobody(tmp_path: Path, trained: Path, tiny_base: Path) -> None:
    """Its adapter is gone and its process dies: its guild has the incumbent's answers at once, and then all of them."""
    bot = Bot(first=EXAMPLES)
    with serving(tmp_path, trained, settings(tiny_base)) as served:
        bot.judge_until(served, lambda: bool(shares(served)))
        inside = member(served, bot)
        (served.process.data_dir / "models" / MODEL / "adapter.gguf").unlink()
        for worker in workers_of(served.process):
            os.kill(worker, signal.SIGKILL)
        models = ask_until(served, bot, inside, lambda: len(shares(served)) > 1)
        wait_until(lambda: jobs(served)[0].stage == training_pb2.STAGE_FAILED)
        after = {bot.ask(served, guild) for guild in [inside, *GUILDS]}
        with pytest.raises(grpc.RpcError) as refused:
            served.model.Promote(model_pb2.PromoteRequest(model=MODEL), timeout=60)
        [job], log, published = jobs(served), served.audited(), served.published()
        standing = answering(served)

    assert models == after == {BASE}
    assert standing == BASE
    assert [json.loads(entry.evidence)["percent"] for entry in log] == [1, 0]
    assert (log[-1].actor, log[-1].from_model, log[-1].to_model) == ("pipeline", MODEL, BASE)
    assert "had no usable answer of the candidate" in log[-1].reason
    assert job.refused
    assert "had no usable answer of the candidate" in job.error
    # The same version needs a new shadow test.
    assert code_of(refused.value) == grpc.StatusCode.FAILED_PRECONDITION
    assert [event.name for event in published] == [
        "fine_tuning.completed",
        "fine_tuning.ready_for_promotion",
        "ab_test.completed",
        "fine_tuning.failed",
    ]


def workers_of(server: ServerProcess) -> list[int]:
    """Processes of the embedded runtime."""
    children = [path.read_text().split() for path in Path(f"/proc/{server.process.pid}/task").glob("*/children")]
    return [
        int(child)
        for child in itertools.chain(*children)
        if b"becas_ft.runtime.worker" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
