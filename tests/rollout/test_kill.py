"""kill -9 at every step of a switch, in a process of its own: afterwards everything agrees, and nobody mended it."""

import asyncio
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from becas.ft.v1 import example_pb2, model_pb2
from becas_ft.config import Config
from becas_ft.ledger import Ledger, WriteTransaction
from becas_ft.ledger.schema import SWITCHES
from becas_ft.rollout import audit, published, registry
from becas_ft.rollout.gate import Decision, Verdict
from becas_ft.rollout.promotion import Judgement, Promoter
from becas_ft.runtime.protocol import ModelDefinition
from becas_ft.runtime.registry import ModelRegistry
from becas_ft.server import rollout
from becas_ft.shadow import trials

SCAM = example_pb2.CATEGORY_SCAM_DETECTION
BASE, ALIAS = "smollm2", "becas-scam_detection"
V1, V2 = (f"becas-smollm2-scam_detection-v{version}" for version in (1, 2))
PASSED = Judgement(Verdict(Decision.PROMOTE, ("all conditions hold",)), '{"wins": 40}', "trial-1")
POINTS = 10

# Points: before and after each of the three commits (intent, switch, watch), and around the alias of the embedded
# runtime: before it, after its file is written, after that is renamed into place, after all of it.
CHILD = """
import asyncio, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
import test_kill
from becas_ft.ledger import Ledger
from becas_ft.runtime.registry import ModelRegistry

left = int(sys.argv[3])
armed = False

def step():
    global left
    if armed and left == 0:
        os.kill(os.getpid(), 9)
    left -= armed

class DyingLedger(Ledger):
    def write(self, change):
        step()
        done = super().write(change)
        step()
        return done

class DyingRegistry(ModelRegistry):
    def point(self, alias, name):
        step()
        super().point(alias, name)
        step()

real = os.fsync

def fsync(descriptor):
    real(descriptor)
    step()

os.fsync = fsync
folder = Path(sys.argv[1])
parts = test_kill.Parts(DyingLedger(folder / "ledger"), DyingRegistry(folder / "models"))

async def main():
    global armed
    await parts.promoter.recover()
    armed = True
    await (parts.promote(test_kill.V2) if sys.argv[2] == "promote" else parts.roll_back())

asyncio.run(main())
"""


@dataclass
class Parts:
    """What a switch is made with: a real ledger, and the real folder of the embedded runtime's models."""

    ledger: Ledger
    models: ModelRegistry

    @property
    def promoter(self) -> Promoter:
        """Always the same."""
        if not hasattr(self, "_promoter"):
            self._promoter = Promoter(self.ledger, self, lambda _: PASSED)
        return self._promoter

    async def copy(self, source: str, alias: str) -> None:
        """As EmbeddedRuntime does."""
        self.models.point(alias, source)

    async def base_model(self, category: str) -> str:
        """One base for all."""
        del category
        return BASE

    async def promote(self, model: str) -> None:
        """As the server does, the watch included."""
        await self.promoter.promote(model, actor="operator", reason="better")
        self.arrange()

    async def roll_back(self) -> None:
        """As the server does."""
        await self.promoter.rollback(SCAM, actor="operator", reason="worse")
        self.arrange()

    def arrange(self) -> None:
        """The watch over what answers now."""
        self.ledger.write(partial(rollout.arrange, config=Config()))


def prepared(folder: Path) -> None:
    """Two versions; the first answers."""
    parts = Parts(Ledger(folder / "ledger"), ModelRegistry(folder / "models"))

    def register(transaction: WriteTransaction) -> None:
        registry.register(transaction, model_pb2.Model(name=BASE, base_model=BASE, state=model_pb2.MODEL_STATE_BASE))
        for version, name in enumerate((V1, V2), start=1):
            model = model_pb2.Model(
                name=name, category=SCAM, version=version, base_model=BASE, state=model_pb2.MODEL_STATE_CANDIDATE
            )
            registry.register(transaction, model)

    parts.ledger.write(register)
    for name in (V1, V2):
        parts.models.add(ModelDefinition(name=name, base=BASE, system=name), base=BASE, base_digest="0" * 64)
    asyncio.run(parts.promote(V1))
    parts.ledger.close()


@pytest.mark.parametrize("action", ["promote", "rollback"])
@pytest.mark.parametrize("point", range(POINTS))
def test_killed_at_a_point_of_a_switch(tmp_path: Path, action: str, point: int) -> None:
    """Alias, registry, audit log, published events and watch tell one story after the restart."""
    prepared(tmp_path)
    command = [sys.executable, "-c", CHILD, str(tmp_path), action, str(point), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()

    parts = Parts(Ledger(tmp_path / "ledger"), ModelRegistry(tmp_path / "models"))
    asyncio.run(parts.promoter.recover())
    parts.arrange()

    alias = parts.ledger.read(partial(registry.alias_of, category=SCAM))
    log = parts.ledger.read(lambda transaction: list(audit.entries(transaction)))
    events = [event.name for event in published.read(parts.ledger, after=0) if "fine_tuning" in event.name]
    running = parts.ledger.read(partial(trials.running_trial, category=SCAM))
    after = V2 if action == "promote" else BASE
    assert alias is not None
    # Nothing was promised before the intent was on disk; from then on it is done.
    assert alias.model == (V1 if point == 0 else after)
    assert parts.models.target(ALIAS) == alias.model == log[-1].to_model
    assert len(log) == len(events) == (1 if point == 0 else 2)
    assert audit.broken_links(log) == []
    assert parts.ledger.read(lambda transaction: transaction.count(SWITCHES)) == 0
    states = {model.name: model.state for model in parts.ledger.read(registry.models)}
    promoted = [name for name, state in states.items() if state == model_pb2.MODEL_STATE_PROMOTED]
    assert promoted == ([] if alias.model == BASE else [alias.model])
    # A promoted model is watched by the one before; the base needs no watch.
    assert (running.base_model if running else BASE) == alias.model
    parts.ledger.close()


def test_every_point_is_a_point(tmp_path: Path) -> None:
    """One more and the switch is through: no step of it is left out above."""
    prepared(tmp_path)
    command = [sys.executable, "-c", CHILD, str(tmp_path), "promote", str(POINTS), str(Path(__file__).parent)]

    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
