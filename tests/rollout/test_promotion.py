"""Promotion and rollback move the alias once, say why for good, and outlive a crash at any point."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from becas.ft.v1 import example_pb2, model_pb2
from becas_ft.errors import AlreadyExistsError
from becas_ft.ledger import Ledger, WriteTransaction
from becas_ft.ledger.schema import SWITCHES
from becas_ft.rollout import audit, published, registry
from becas_ft.rollout.gate import Decision, Verdict
from becas_ft.rollout.promotion import Judgement, Promoter, RefusedError
from becas_ft.runtime.errors import ModelNotFound

Result = TypeVar("Result")
SCAM = example_pb2.CATEGORY_SCAM_DETECTION
BASE = "smollm2"
PASSED = Judgement(Verdict(Decision.PROMOTE, ("all conditions hold",)), '{"wins": 40}', "trial-1")
FAILED = Judgement(Verdict(Decision.NEED_MORE, ("e-value 3 of 32.9",)), "{}", "trial-1")


class AliasesFake:
    """Stands for a runtime's aliases, and fails or dies on request: a real runtime cannot be made to at a point."""

    def __init__(self) -> None:
        self.aliases: dict[str, str] = {}
        self.fault: Callable[[], None] = lambda: None
        self.gone: set[str] = set()
        self.wait: Callable[[], Awaitable[object]] = partial(asyncio.sleep, 0)

    async def copy(self, source: str, alias: str) -> None:
        """Sets the alias, then suffers the fault."""
        await self.wait()
        if source in self.gone:
            raise ModelNotFound(source)
        self.aliases[alias] = source
        self.fault()

    async def base_model(self, category: str) -> str:
        """One base for all."""
        del category
        return BASE


class KilledError(BaseException):
    """Stands for kill -9: nothing catches it."""


def kill() -> None:
    raise KilledError


def candidate(version: int) -> str:
    return f"becas-smollm2-scam_detection-v{version}"


def ledger_with_models(path: Path, versions: int = 2) -> Ledger:
    ledger = Ledger(path)

    def change(transaction: WriteTransaction) -> None:
        registry.register(transaction, model_pb2.Model(name=BASE, base_model=BASE, state=model_pb2.MODEL_STATE_BASE))
        for version in range(1, versions + 1):
            model = model_pb2.Model(
                name=candidate(version),
                category=SCAM,
                version=version,
                base_model=BASE,
                state=model_pb2.MODEL_STATE_CANDIDATE,
            )
            registry.register(transaction, model)

    ledger.write(change)
    return ledger


def log(ledger: Ledger) -> list[model_pb2.AuditEntry]:
    return ledger.read(lambda transaction: list(audit.entries(transaction)))


async def test_promotion_moves_the_alias_and_says_why_for_good(tmp_path: Path) -> None:
    """Alias, states, audit entry and published event tell one story."""
    ledger, runtime = ledger_with_models(tmp_path), AliasesFake()
    promoter = Promoter(ledger, runtime, lambda _: PASSED)

    switch = await promoter.promote(candidate(1), actor="operator", reason="better")

    assert runtime.aliases == {"becas-scam_detection": candidate(1)}
    assert switch.alias.model == candidate(1)
    entry = log(ledger)[0]
    assert (entry.from_model, entry.to_model, entry.actor, entry.reason) == (BASE, candidate(1), "operator", "better")
    assert entry.evidence == '{"wins": 40}'
    assert [event.name for event in published.read(ledger, after=0)] == ["fine_tuning.promoted"]
    assert ledger.read(partial(registry.get, name=candidate(1))).state == model_pb2.MODEL_STATE_PROMOTED


async def test_without_evidence_nothing_moves(tmp_path: Path) -> None:
    """The gate's reasons are the answer; force is kept in the log as what it is."""
    ledger, runtime = ledger_with_models(tmp_path), AliasesFake()

    with pytest.raises(RefusedError, match=r"e-value 3 of 32\.9"):
        await Promoter(ledger, runtime, lambda _: FAILED).promote(candidate(1), actor="a", reason="r")
    with pytest.raises(RefusedError, match="has no shadow test"):
        await Promoter(ledger, runtime, lambda _: None).promote(candidate(1), actor="a", reason="r")

    assert runtime.aliases == {}
    assert log(ledger) == []


async def test_rollback_goes_to_the_version_before_a_version_or_the_base(tmp_path: Path) -> None:
    """All three targets of the design."""
    ledger, runtime = ledger_with_models(tmp_path), AliasesFake()
    promoter = Promoter(ledger, runtime, lambda _: PASSED)
    await promoter.promote(candidate(1), actor="a", reason="r")
    await promoter.promote(candidate(2), actor="a", reason="r")

    before = await promoter.rollback(SCAM, actor="watch", reason="worse")
    base = await promoter.rollback(SCAM, actor="a", reason="r", to_version=0)
    version = await promoter.rollback(SCAM, actor="a", reason="r", to_version=2)

    assert [switch.alias.model for switch in (before, base, version)] == [candidate(1), BASE, candidate(2)]
    assert runtime.aliases == {"becas-scam_detection": candidate(2)}
    with pytest.raises(RefusedError, match="answers already"):
        await promoter.rollback(SCAM, actor="a", reason="r", to_version=2)
    with pytest.raises(registry.UnknownModelError, match="version 9"):
        await promoter.rollback(SCAM, actor="a", reason="r", to_version=9)


async def test_rollback_before_any_promotion_is_refused(tmp_path: Path) -> None:
    """There is nothing to take back."""
    promoter = Promoter(ledger_with_models(tmp_path), AliasesFake(), lambda _: PASSED)

    with pytest.raises(RefusedError, match="nothing was promoted"):
        await promoter.rollback(SCAM, actor="a", reason="r")


async def test_a_repeated_request_is_answered_and_does_nothing(tmp_path: Path) -> None:
    """The same request_id: the same entry, one switch."""
    ledger, runtime = ledger_with_models(tmp_path), AliasesFake()
    promoter = Promoter(ledger, runtime, lambda _: PASSED)

    first = await promoter.promote(candidate(1), actor="a", reason="r", request_id="x")
    again = await promoter.promote(candidate(1), actor="a", reason="r", request_id="x")

    assert first.entry == again.entry
    assert len(log(ledger)) == 1


def open_switches(ledger: Ledger) -> int:
    return ledger.read(lambda transaction: transaction.count(SWITCHES))


@pytest.mark.parametrize("times", [1, 2])
async def test_a_runtime_that_fails_leaves_everything_as_it_was(tmp_path: Path, times: int) -> None:
    """Also the first promotion, whose alias moved before its answer was lost: it is set back, if need be later."""
    left = [*range(times)]

    def fail() -> None:
        if left:
            left.pop()
            raise ConnectionError("the runtime is down")

    ledger, runtime = ledger_with_models(tmp_path), AliasesFake()
    runtime.fault = fail
    promoter = Promoter(ledger, runtime, lambda _: PASSED)

    with pytest.raises(ConnectionError):
        await promoter.promote(candidate(1), actor="a", reason="r")
    # Down for longer than one call: the next look mends it.
    assert open_switches(ledger) == times - 1
    await promoter.agree()

    assert runtime.aliases == {"becas-scam_detection": BASE}
    assert ledger.read(partial(registry.alias_of, category=SCAM)) is None
    assert open_switches(ledger) == 0
    assert log(ledger) == []


@pytest.mark.parametrize("action", ["promote", "rollback"])
@pytest.mark.parametrize("point", range(5))
async def test_a_caller_that_leaves_changes_nothing(tmp_path: Path, action: str, point: int) -> None:
    """Cancelled at any point of a switch, which goes to its end: no intent is open, and all tell one story."""
    first, runtime = ledger_with_models(tmp_path), AliasesFake()
    await Promoter(first, runtime, lambda _: PASSED).promote(candidate(1), actor="a", reason="r")
    first.close()
    ledger, points, loop = DyingLedger(tmp_path), iter(range(5)), asyncio.get_running_loop()
    promoter = Promoter(ledger, runtime, lambda _: PASSED)
    await promoter.recover()
    move = (
        promoter.promote(candidate(2), actor="a", reason="r")
        if action == "promote"
        else promoter.rollback(SCAM, actor="a", reason="r")
    )
    caller = asyncio.create_task(move)

    def step() -> None:
        if next(points, None) == point:
            loop.call_soon_threadsafe(caller.cancel)

    ledger.step = runtime.fault = step
    with suppress(asyncio.CancelledError):
        await caller
    await promoter.close()

    after = candidate(2) if action == "promote" else BASE
    alias = ledger.read(partial(registry.alias_of, category=SCAM))
    assert alias is not None
    assert runtime.aliases["becas-scam_detection"] == alias.model == log(ledger)[-1].to_model == after
    assert open_switches(ledger) == 0


async def test_a_caller_that_leaves_the_queue_asks_for_nothing(tmp_path: Path) -> None:
    """A switch that has not begun is not made for somebody who is gone."""
    ledger, runtime, go = ledger_with_models(tmp_path), AliasesFake(), asyncio.Event()
    promoter = Promoter(ledger, runtime, lambda _: PASSED)
    runtime.wait = go.wait
    first = asyncio.create_task(promoter.promote(candidate(1), actor="a", reason="r"))
    second = asyncio.create_task(promoter.promote(candidate(2), actor="a", reason="r"))
    await asyncio.sleep(0.05)
    second.cancel()
    go.set()
    await first

    assert [entry.to_model for entry in log(ledger)] == [candidate(1)]


async def test_a_model_that_is_gone_stands_in_nobodys_way(tmp_path: Path) -> None:
    """After a restart the alias of a lost model cannot be set again: it can be rolled back all the same."""
    ledger, runtime = ledger_with_models(tmp_path), AliasesFake()
    await Promoter(ledger, runtime, lambda _: PASSED).promote(candidate(1), actor="a", reason="r")
    runtime.gone = {candidate(1)}
    promoter = Promoter(ledger, runtime, lambda _: PASSED)

    await promoter.recover()
    switch = await promoter.rollback(SCAM, actor="a", reason="r")

    assert switch.alias.model == runtime.aliases["becas-scam_detection"] == BASE


async def test_rollback_is_no_way_round_the_gate(tmp_path: Path) -> None:
    """A version that never answered is refused, whatever its number; the category's own base is always a target."""
    ledger, runtime = ledger_with_models(tmp_path), AliasesFake()
    promoter = Promoter(ledger, runtime, lambda _: PASSED)
    await promoter.promote(candidate(1), actor="a", reason="r")

    with pytest.raises(RefusedError, match="version 2 never answered"):
        await promoter.rollback(SCAM, actor="a", reason="r", to_version=2)

    assert (await promoter.rollback(SCAM, actor="a", reason="r", to_version=0)).alias.model == BASE
    assert (await promoter.rollback(SCAM, actor="a", reason="r", to_version=1)).alias.model == candidate(1)


async def test_only_the_expected_model_is_rolled_back(tmp_path: Path) -> None:
    """Evidence against one model takes no other out that was promoted meanwhile."""
    ledger, runtime = ledger_with_models(tmp_path), AliasesFake()
    promoter = Promoter(ledger, runtime, lambda _: PASSED)
    await promoter.promote(candidate(1), actor="a", reason="r")
    await promoter.promote(candidate(2), actor="a", reason="r")

    with pytest.raises(RefusedError, match=f"{candidate(2)} answers now"):
        await promoter.rollback(SCAM, actor="watch", reason="worse", expected=candidate(1))

    assert runtime.aliases["becas-scam_detection"] == candidate(2)


async def test_a_trial_against_another_model_than_the_base_does_not_count(tmp_path: Path) -> None:
    """With nothing promoted the base answers: having beaten another model says nothing."""
    ledger, runtime = ledger_with_models(tmp_path), AliasesFake()
    other = replace(PASSED, incumbent=candidate(2))

    with pytest.raises(RefusedError, match=f"tested against {candidate(2)}, but {BASE} answers"):
        await Promoter(ledger, runtime, lambda _: other).promote(candidate(1), actor="a", reason="r")
    against_base = replace(PASSED, incumbent=BASE)
    await Promoter(ledger, runtime, lambda _: against_base).promote(candidate(1), actor="a", reason="r")

    assert [entry.to_model for entry in log(ledger)] == [candidate(1)]


async def test_force_is_kept_in_the_log_with_what_stood_against_it(tmp_path: Path) -> None:
    """Reason and evidence both tell."""
    ledger = ledger_with_models(tmp_path)

    await Promoter(ledger, AliasesFake(), lambda _: FAILED).promote(candidate(1), actor="a", reason="r", force=True)

    entry = log(ledger)[0]
    assert entry.reason == "forced although e-value 3 of 32.9: r"
    assert json.loads(entry.evidence) == {"forced": True, "against": ["e-value 3 of 32.9"]}


async def test_a_forced_promotion_may_go_without_a_reason(tmp_path: Path) -> None:
    """Then the log has what stood against it alone."""
    ledger = ledger_with_models(tmp_path)

    await Promoter(ledger, AliasesFake(), lambda _: FAILED).promote(candidate(1), actor="a", reason="", force=True)

    assert log(ledger)[0].reason == "forced although e-value 3 of 32.9"


async def test_a_request_id_is_for_one_switch(tmp_path: Path) -> None:
    """Used again for another model or target it is refused, and nothing moves."""
    ledger = ledger_with_models(tmp_path)
    promoter = Promoter(ledger, AliasesFake(), lambda _: PASSED)
    await promoter.promote(candidate(1), actor="a", reason="r", request_id="x")
    with pytest.raises(AlreadyExistsError, match="request_id"):
        await promoter.promote(candidate(2), actor="a", reason="r", request_id="x")
    await promoter.promote(candidate(2), actor="a", reason="r")
    first = await promoter.rollback(SCAM, actor="a", reason="r", to_version=1, request_id="x")
    again = await promoter.rollback(SCAM, actor="a", reason="r", to_version=1, request_id="x")
    with pytest.raises(AlreadyExistsError, match="request_id"):
        await promoter.rollback(SCAM, actor="a", reason="r", to_version=0, request_id="x")

    assert first.entry == again.entry
    assert len(log(ledger)) == 3


async def test_a_crash_after_the_runtime_moved_is_finished_at_the_next_start(tmp_path: Path) -> None:
    """Alias, registry and log agree after a restart, and a retry of the request does nothing more."""
    ledger, runtime = ledger_with_models(tmp_path), AliasesFake()
    runtime.fault = kill
    with pytest.raises(KilledError):
        await Promoter(ledger, runtime, lambda _: PASSED).promote(candidate(1), actor="a", reason="r", request_id="x")
    ledger.close()

    runtime.fault = lambda: None
    ledger = Ledger(tmp_path)
    promoter = Promoter(ledger, runtime, lambda _: PASSED)
    await promoter.recover()
    again = await promoter.promote(candidate(1), actor="a", reason="r", request_id="x")

    assert again.alias.model == runtime.aliases["becas-scam_detection"] == candidate(1)
    assert [entry.action for entry in log(ledger)] == ["promote"]
    assert audit.broken_links(log(ledger)) == []


async def test_concurrent_switches_are_taken_one_after_the_other(tmp_path: Path) -> None:
    """Whatever the order, the alias, the registry and the last entry agree."""
    ledger, runtime = ledger_with_models(tmp_path, versions=5), AliasesFake()
    promoter = Promoter(ledger, runtime, lambda _: PASSED)

    await asyncio.gather(*(promoter.promote(candidate(version), actor="a", reason="r") for version in range(1, 6)))

    last = log(ledger)[-1].to_model
    alias = ledger.read(partial(registry.alias_of, category=SCAM))
    assert alias is not None
    assert runtime.aliases["becas-scam_detection"] == alias.model == last
    assert len(log(ledger)) == 5


class DyingLedger(Ledger):
    """A ledger whose process is killed before or after one of its writes."""

    step: Callable[[], None] = staticmethod(lambda: None)

    def write(self, change: Callable[[WriteTransaction], Result]) -> Result:
        """As ever, between two points at which everything may end."""
        self.step()
        result = super().write(change)
        self.step()
        return result


@pytest.mark.parametrize("action", ["promote", "rollback"])
@pytest.mark.parametrize("point", range(5))
async def test_killed_at_any_point_everything_agrees_after_a_restart(tmp_path: Path, action: str, point: int) -> None:
    """Before and after the intent, after the runtime moved, before and after the end: nobody has to mend anything."""
    first, runtime = ledger_with_models(tmp_path), AliasesFake()
    await Promoter(first, runtime, lambda _: PASSED).promote(candidate(1), actor="a", reason="r")
    first.close()
    dying, points = DyingLedger(tmp_path), iter(range(5))
    promoter = Promoter(dying, runtime, lambda _: PASSED)
    await promoter.recover()

    def step() -> None:
        if next(points) == point:
            raise KilledError

    dying.step = runtime.fault = step
    switch = promoter.promote(candidate(2), actor="a", reason="r") if action == "promote" else None
    with pytest.raises(KilledError):
        await (switch or promoter.rollback(SCAM, actor="a", reason="r"))
    dying.close()

    runtime.fault = lambda: None
    ledger = Ledger(tmp_path)
    await Promoter(ledger, runtime, lambda _: PASSED).recover()

    alias = ledger.read(partial(registry.alias_of, category=SCAM))
    after = candidate(2) if action == "promote" else BASE
    assert alias is not None
    # Nothing was promised before the intent was on disk; from then on it is done.
    assert alias.model == (candidate(1) if point == 0 else after)
    assert runtime.aliases["becas-scam_detection"] == alias.model == log(ledger)[-1].to_model
    assert audit.broken_links(log(ledger)) == []
    assert ledger.read(lambda transaction: transaction.count(SWITCHES)) == 0
    promoted = [model.name for model in ledger.read(registry.models) if model.state == model_pb2.MODEL_STATE_PROMOTED]
    assert promoted == ([] if alias.model == BASE else [alias.model])


async def test_rolling_back_twice_goes_back_twice(tmp_path: Path) -> None:
    """Never forward again to what was just taken out."""
    ledger, runtime = ledger_with_models(tmp_path, versions=3), AliasesFake()
    promoter = Promoter(ledger, runtime, lambda _: PASSED)
    for version in (1, 2, 3):
        await promoter.promote(candidate(version), actor="a", reason="r")

    line = [(await promoter.rollback(SCAM, actor="a", reason="r")).alias.model for _ in range(3)]

    assert line == [candidate(2), candidate(1), BASE]
    with pytest.raises(RefusedError, match="answers already"):
        await promoter.rollback(SCAM, actor="a", reason="r")


async def test_promoting_what_answers_already_changes_nothing(tmp_path: Path) -> None:
    """The switch that made it answer is the reply."""
    ledger, runtime = ledger_with_models(tmp_path), AliasesFake()
    promoter = Promoter(ledger, runtime, lambda _: PASSED)

    first = await promoter.promote(candidate(1), actor="a", reason="r")
    again = await promoter.promote(candidate(1), actor="b", reason="s")

    assert first.entry == again.entry
    assert len(log(ledger)) == 1
