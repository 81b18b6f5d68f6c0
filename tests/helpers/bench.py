"""The parts of a tester, opened together."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Final

from becas.ft.v1 import shadow_pb2
from becas_ft._core import Core
from becas_ft.ledger import Ledger
from becas_ft.rollout.gate import Policy
from becas_ft.shadow import report, trials
from becas_ft.shadow.tester import ShadowTester
from helpers.fake_runtime import FakeRuntime
from helpers.served import SCAM

A, B = "smollm2", "becas-smollm2-scam_detection-v1"
FIGURES: Final = partial(report.figures_of, policy=Policy())


@dataclass
class Bench:
    """The parts of a tester."""

    core: Core
    ledger: Ledger
    runtime: FakeRuntime
    tester: ShadowTester

    def set_up(self, rate: float = 1.0) -> shadow_pb2.Trial:
        """Begins a trial of B against A."""
        plan = trials.Plan(SCAM, A, B, sample_rate=rate)
        return self.ledger.write(partial(trials.set_up, plan=plan, figures=FIGURES))


# `bench(b, a=…, **limits)` of the fixture: opens over the same folder each time, as a restart does.
OpenBench = Callable[..., AbstractAsyncContextManager[Bench]]


def question(number: int = 1, text: str = "claim the prize now", guild: str = "") -> shadow_pb2.ShadowTestRequest:
    """A request about a message, by a member of that number."""
    return shadow_pb2.ShadowTestRequest(
        category=SCAM, input=text, request_id=f"request-{number}", user_id=str(number), guild_id=guild
    )
