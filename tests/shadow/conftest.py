"""A tester over a real core and a real ledger, with models that fail on request."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from becas.ft.v1 import model_pb2
from becas_ft._core import Core, output_schema
from becas_ft.ledger import Ledger, WriteTransaction
from becas_ft.rollout import registry
from becas_ft.runtime import Runtime
from becas_ft.shadow.tester import Limits, ShadowTester
from helpers.bench import A, B, Bench, OpenBench
from helpers.fake_runtime import Behaviour, FakeRuntime, says
from helpers.served import SCAM
from runtime.conftest import adapters, base, make_adapter, ollama_binary, start_ollama

# Real servers and adapters, as the tests of the runtimes have them.
__all__ = ["adapters", "base", "bench", "make_adapter", "ollama_binary", "start_ollama"]

YES, NO = says(is_scam=True), says(is_scam=False)


@pytest.fixture
def bench(tmp_path: Path) -> OpenBench:
    """Opens the parts over the same folder as often as a test wants: as a restart does."""

    @asynccontextmanager
    async def opened(
        b: Behaviour = YES,
        a: Behaviour = NO,
        *,
        runtime: Runtime | None = None,
        folder: Path = tmp_path / "data",
        **limits: float,
    ) -> AsyncIterator[Bench]:
        core, ledger = Core(str(folder)), Ledger(folder / "ledger")
        ledger.write(_register)
        fake = FakeRuntime({A: a, B: b})

        async def base_model(_: str) -> str:
            return A

        tester = ShadowTester(
            core,
            runtime or fake,  # type: ignore[arg-type]  # answers are all that is asked of it
            ledger,
            schemas={"scam_detection": json.loads(output_schema("scam_detection")) if runtime else {}},
            base_model=base_model,
            limits=Limits(**{"close_timeout": 0.1, **limits}),  # type: ignore[arg-type]  # numbers all
        )
        tester.start()
        try:
            yield Bench(core, ledger, fake, tester)
        finally:
            await tester.close()
            ledger.close()
            core.close()

    return opened


def _register(transaction: WriteTransaction) -> None:
    registry.register(transaction, model_pb2.Model(name=A, base_model=A, state=model_pb2.MODEL_STATE_BASE))
    candidate = model_pb2.Model(name=B, category=SCAM, version=1, base_model=A, state=model_pb2.MODEL_STATE_CANDIDATE)
    registry.register(transaction, candidate)
