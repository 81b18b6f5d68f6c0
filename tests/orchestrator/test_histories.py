"""Random histories of the whole pipeline beside a model of what the design says: no divergence, kills included.

The model knows nothing of the code: it counts gold examples, judged pairs, versions and switches, and says what must
be there. Stores, journal, driver, gate and promotion are the real ones; trainings and the runtime's aliases are fakes
that take no time (see `helpers.world`). How many histories run is a setting, so that a long run is one command.
"""

import asyncio
import copy
import os
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from becas.ft.v1 import model_pb2, training_pb2
from becas_ft.errors import ConflictError, FailedPreconditionError
from becas_ft.orchestrator.next_step import Rules
from becas_ft.orchestrator.readiness import Thresholds
from becas_ft.rollout import audit, canary_record, registry
from becas_ft.rollout.canary import Policy
from becas_ft.rollout.promotion import RefusedError, Switch
from helpers.served import SCAM
from helpers.world import ALIAS, BASE, NAME, KilledError, World

Result = TypeVar("Result")

HISTORIES = int(os.environ.get("BECAS_HISTORIES", "500"))
STEPS = 25
GOLD, NEW_GOLD, JUDGED, ATTEMPTS = 3, 3, 20, 2
DAY = 86_400
# All wins or all losses: 2^40/41 is over 1/α of every version that a history can reach.
PAIRS = 40


def version(number: int) -> str:
    return f"becas-{BASE}-{NAME}-v{number}" if number else BASE


@dataclass
class Expected:
    """What the design says must be there.

    Attributes:
        gold: examples ever.
        gold_at_training: when the last training that came to a result began; None before the first.
        days: since then.
        failures: trainings in a row that failed.
        rested: whether a day passed since the last of them; every back-off here is shorter.
        stage: of the job in flight; `collecting` where there is none.
        versions: candidates ever registered; the last one is the candidate of the job in flight.
        line: promoted and not rolled back, the base (0) first; the last one answers.
        switches: (action, version) of every entry of the audit log.
        trial: whether the candidate's trial against the model that answers was set up.
        verdict: what that trial's pairs say: `win`, `loss`, or nothing yet.
        won: by version, the incumbent that its newest trial showed to be worse; gone once it was rolled back.
        rolled_back: versions taken out of production.
        automatic: whether the pipeline moved the alias on the first day, when no hour has passed since.
        first_day: whether no time passed yet.
        canary: whether the pipeline promotes over a canary.
        share: whether the candidate answers a share of the guilds.
        answered: what it did there: `well`, `badly`, or nothing yet.
    """

    gold: int = 0
    gold_at_training: int | None = None
    days: int = 0
    failures: int = 0
    rested: bool = True
    stage: str = "collecting"
    versions: int = 0
    line: list[int] = field(default_factory=lambda: [0])
    switches: list[tuple[str, int]] = field(default_factory=list)
    trial: bool = False
    verdict: str = ""
    won: dict[int, int] = field(default_factory=dict)
    rolled_back: set[int] = field(default_factory=set)
    automatic: bool = False
    first_day: bool = True
    canary: bool = False
    share: bool = False
    answered: str = ""

    @property
    def answers(self) -> int:
        """The version that answers; 0 for the base."""
        return self.line[-1]

    def is_ready(self) -> bool:
        """The design's readiness, in small."""
        new = self.gold_at_training is None or self.gold - self.gold_at_training >= NEW_GOLD or self.days >= 30
        return self.stage == "collecting" and self.gold >= GOLD and new

    def train(self, outcome: str) -> None:
        """A training comes to an end."""
        if outcome == "failed":
            self.failures, self.rested = self.failures + 1, False
            return
        self.failures, self.rested = 0, True
        self.gold_at_training, self.days = self.gold, 0
        if outcome == "offered":
            self.versions += 1
            self.stage, self.trial, self.verdict = "evaluating", False, ""

    def look(self, outcome: str, *, auto_promote: bool) -> None:
        """One step of the pipeline."""
        candidate = self.versions
        if self.stage == "collecting":
            if self.is_ready() and self.failures < ATTEMPTS and self.rested:
                self.train(outcome)
        elif self.answers == candidate:
            self.stage = "promoting" if self.stage == "evaluating" else "collecting"
        elif candidate in self.rolled_back or (self.stage == "promoting" and self.verdict == "loss"):
            self.stage = "collecting"
        elif self.answered == "badly":
            self.stage = "collecting"
            self.won.pop(candidate)
            self.share, self.answered = False, ""
        elif not self.trial:
            self.trial = True
            self.won.pop(candidate, None)
        elif self.verdict == "win" and self.stage == "evaluating":
            self.stage = "promoting"
        elif self.verdict == "win" and auto_promote and self.canary and not self.answered:
            self.share = True
        elif self.verdict == "win" and auto_promote and not (self.automatic and self.first_day):
            self.automatic = True
            self.promote(candidate)
            self.stage = "collecting"

    def promote(self, number: int) -> None:
        """The alias moves to a version."""
        self.line.append(number)
        self.switches.append(("promote", number))
        self.other_answers()

    def roll_back(self, target: int | None) -> None:
        """The alias moves back: to a version that answered before, or one step."""
        self.rolled_back.add(self.answers)
        self.won.pop(self.answers, None)
        self.line.pop()
        if target is not None:
            while len(self.line) > 1 and self.answers != target:
                self.line.pop()
            if self.answers != target:
                self.line.append(target)
        self.rolled_back.discard(self.answers)
        self.switches.append(("rollback", self.answers))
        self.other_answers()

    def other_answers(self) -> None:
        """A trial against a model that does not answer any more says nothing, and its canary is over."""
        self.share, self.answered = False, ""
        if self.stage != "collecting" and self.answers != self.versions:
            self.trial, self.verdict = False, ""


class Histories(RuleBasedStateMachine):
    """One history."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.expected = Expected()
        self.pairs = 0

    @initialize(auto_promote=st.booleans(), canary=st.booleans(), start=st.integers(0, 3), well=st.booleans())
    def begin(self, auto_promote: bool, canary: bool, start: int, well: bool) -> None:
        """With and without a person, all at once and over a canary; from nothing, or from a candidate that passed.

        Random steps alone hardly ever come so far.
        """
        self.auto_promote, self.expected.canary = auto_promote, canary
        policy = Policy(steps=(50,), minimum_answers=1) if canary else None
        rules = Rules(auto_promote=auto_promote, retry_seconds=60.0, max_attempts=ATTEMPTS, canary=policy)
        thresholds = Thresholds(gold=GOLD, total=GOLD, mean_quality=0.5, new_gold=NEW_GOLD, days=30)

        async def make() -> World:
            return World(Path(self.folder.name), thresholds=thresholds, rules=rules, min_judged=JUDGED)

        self.world = self.wait(make())
        if start:
            self.ingest(GOLD)
            for _ in range(2):
                self.look("offered")
            self.judge(True)
            for _ in range(start):
                self.look("offered")
            if start > 1 and self.expected.share:
                self.answer(well)

    def teardown(self) -> None:
        """Close, and leave nothing."""
        self.wait(self.world.close())
        self.loop.close()
        self.folder.cleanup()

    def wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run to the end."""
        return self.loop.run_until_complete(work)

    @rule(count=st.integers(1, 4))
    def ingest(self, count: int) -> None:
        """Gold arrives."""
        self.world.gold(count)
        self.expected.gold += count

    @rule(days=st.sampled_from([1, 29, 30]))
    def time_passes(self, days: int) -> None:
        """Nothing happens by itself."""
        self.world.seconds += days * DAY
        self.expected.days += days
        self.expected.first_day = False
        self.expected.rested = True

    @rule(outcome=st.sampled_from(["offered", "offered", "refused", "failed"]))
    def look(self, outcome: str) -> None:
        """The pipeline takes the step that is due, and no other."""
        self.world.jobs.outcome = outcome
        self.wait(self.world.check())
        self.expected.look(outcome, auto_promote=self.auto_promote)

    @rule(outcome=st.sampled_from(["offered", "refused", "failed"]))
    def train(self, outcome: str) -> None:
        """A person asks for a training: also where failures in a row stopped the pipeline."""
        self.world.jobs.outcome = outcome
        request = training_pb2.TrainRequest(category=SCAM)
        if self.expected.is_ready():
            self.wait(self.world.train(request))
            self.expected.train(outcome)
        else:
            with pytest.raises((FailedPreconditionError, ConflictError)):
                self.wait(self.world.train(request))

    @precondition(
        lambda self: self.expected.stage != "collecting" and self.expected.trial and not self.expected.verdict
    )
    @precondition(lambda self: self.expected.answers != self.expected.versions)
    @rule(win=st.booleans())
    def judge(self, win: bool) -> None:
        """Members tell who was right: the candidate always, or never."""
        trial = self.world.trial()
        assert trial is not None
        self.world.judge(trial.trial_id, self.pairs, [(not win, win)] * PAIRS)
        self.pairs += PAIRS
        self.expected.verdict = "win" if win else "loss"
        if win:
            self.expected.won[self.expected.versions] = self.expected.answers

    @precondition(lambda self: self.expected.share and not self.expected.answered)
    @rule(well=st.booleans())
    def answer(self, well: bool) -> None:
        """The candidate is asked in production: it answers, or it does not."""
        trial = self.world.trial()
        assert trial is not None
        failure = "" if well else "timeout"
        self.world.ledger.write(partial(canary_record.note, category=SCAM, trial_id=trial.trial_id, failure=failure))
        self.expected.answered = "well" if well else "badly"

    @precondition(lambda self: self.expected.stage != "collecting" and self.expected.verdict == "loss")
    @rule()
    def lost(self) -> None:
        """A trial that is decided against the candidate ends, and so does its job."""
        self.world.end_trials()
        self.wait(self.world.check())
        self.expected.stage = "collecting"

    @precondition(lambda self: self.expected.versions)
    @rule(data=st.data(), point=st.none() | st.integers(0, 6))
    def promote(self, data: st.DataObject, point: int | None) -> None:
        """A person promotes: only the gate's yes moves anything; killed on the way it is done or it is not."""
        number = data.draw(st.integers(1, self.expected.versions))
        if number == self.expected.answers:
            self.wait(self.world.promote(version(number)))
        elif self.expected.won.get(number) == self.expected.answers:
            after = copy.deepcopy(self.expected)
            after.promote(number)
            self._switch(lambda: self.world.promote(version(number)), after, point)
        else:
            with pytest.raises(RefusedError):
                self.wait(self.world.promote(version(number)))

    @rule(to_base=st.booleans(), point=st.none() | st.integers(0, 6))
    def roll_back(self, to_base: bool, point: int | None) -> None:
        """A person rolls back, to the version before or to the base; killed on the way it is done or it is not."""
        target = 0 if to_base else None
        if self.expected.answers == 0:
            with pytest.raises(RefusedError):
                self.wait(self.world.rollback(target))
            return
        after = copy.deepcopy(self.expected)
        after.roll_back(target)
        self._switch(lambda: self.world.rollback(target), after, point)

    @precondition(lambda self: self.expected.versions and self.expected.answers)
    @rule(data=st.data(), point=st.none() | st.integers(0, 6))
    def roll_back_to(self, data: st.DataObject, point: int | None) -> None:
        """A person names a version: only one that answered before is a target."""
        target = data.draw(st.integers(1, self.expected.versions))
        answered = {number for _, number in self.expected.switches}
        if target == self.expected.answers or target not in answered:
            with pytest.raises(RefusedError):
                self.wait(self.world.rollback(target))
            return
        after = copy.deepcopy(self.expected)
        after.roll_back(target)
        self._switch(lambda: self.world.rollback(target), after, point)

    @rule()
    def watch(self) -> None:
        """Without evidence nothing moves; a promotion that stands is watched, unless a candidate is tested."""
        self.wait(self.world.watch())
        trial = self.world.trial()
        promoted = bool(self.expected.switches) and self.expected.switches[-1][0] == "promote"
        if trial is None or trial.watch:
            assert (trial is not None) == promoted
            assert trial is None or trial.base_model == version(self.expected.answers)

    def _switch(self, move: Callable[[], Coroutine[Any, Any, Switch]], after: Expected, point: int | None) -> None:
        if point is None:
            self.wait(move())
            self.expected = after
        else:
            self._kill_in(move, point)
            self.expected = self._one_of(self.expected, after)

    @rule()
    def restart(self) -> None:
        """In order."""
        self.wait(self.world.close())
        self.world.open()
        self.wait(self.world.recover())

    @rule(point=st.integers(0, 14))
    def look_and_die(self, point: int) -> None:
        """Kill -9 somewhere in a look: its step was taken, or not, and what was begun is finished after the restart."""
        self.world.jobs.outcome = "offered"
        self._kill_in(self.world.check, point)
        taken = copy.deepcopy(self.expected)
        taken.look("offered", auto_promote=self.auto_promote)
        # The alias moved, and the job notices at the next look.
        moved = copy.deepcopy(self.expected)
        if len(taken.switches) > len(moved.switches):
            moved.automatic = True
            moved.promote(moved.versions)
        self.expected = self._one_of(self.expected, moved, taken)

    def _kill_in(self, work: Callable[[], Coroutine[Any, Any, object]], point: int) -> None:
        left = iter(range(point))

        def step() -> None:
            if next(left, None) is None:
                raise KilledError

        self.world.ledger.fault = self.world.runtime.fault = step
        with suppress(KilledError):
            self.wait(work())
        self.wait(self.world.kill())

    def _one_of(self, *possible: Expected) -> Expected:
        problems = []
        for expected in possible:
            try:
                self._compare(expected)
            except AssertionError as problem:
                problems.append(str(problem))
            else:
                return expected
        raise AssertionError("after a kill: none of these\n" + "\n".join(problems))

    @invariant()
    def agrees(self) -> None:
        """Registry, alias, audit log, journal and the model of the design tell one story."""
        self._compare(self.expected)

    def _compare(self, expected: Expected) -> None:
        world = self.world
        answering = version(expected.answers)
        assert world.answering() == answering
        assert world.runtime.aliases.get(ALIAS, BASE) == answering
        whole = world.audited()
        log = [entry for entry in whole if entry.action != canary_record.ACTION]
        assert [(entry.action, entry.to_model) for entry in log] == [
            (action, version(number)) for action, number in expected.switches
        ]
        assert audit.broken_links(whole) == []
        assert (world.ledger.read(partial(canary_record.of, category=SCAM)) is not None) == expected.share
        models = world.ledger.read(registry.models)
        assert {model.version for model in models} == set(range(expected.versions + 1))
        promoted = [model.name for model in models if model.state == model_pb2.MODEL_STATE_PROMOTED]
        assert promoted == ([answering] if expected.answers else [])
        in_flight = [job for job in self.wait(world.jobs.journal.all()) if not job.HasField("ended")]
        stages = [training_pb2.Stage.Name(job.stage).removeprefix("STAGE_").lower() for job in in_flight]
        assert stages == ([] if expected.stage == "collecting" else [expected.stage])
        if stages and expected.answers != expected.versions and expected.versions not in expected.rolled_back:
            trial = world.trial()
            tested = trial is not None and trial.candidate_model == version(expected.versions) and not trial.watch
            assert tested == expected.trial
        published = world.published()
        assert [event.cursor for event in published] == list(range(1, len(published) + 1))
        moves = [event for event in published if event.name in {"fine_tuning.promoted", "fine_tuning.rolled_back"}]
        assert [event.model for event in moves] == [entry.to_model for entry in log]


@pytest.mark.timeout(600 + 2 * HISTORIES)
def test_no_history_diverges() -> None:
    """Ingest, train, judge, promote, roll back, kill and restart in any order."""
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
