"""What the pipeline does next, by stage and by what is known: the design's rules, one row each."""

from dataclasses import replace

import pytest

from becas_ft.orchestrator.next_step import Action, Rules, Trial, View, decide
from becas_ft.orchestrator.states import Stage
from becas_ft.rollout.canary import Policy, Progress
from becas_ft.rollout.gate import Decision

AUTOMATIC = Rules(auto_fine_tune=True, auto_promote=True)
MANUAL = Rules(auto_fine_tune=False, auto_promote=False)
RUNNING = Trial("trial-1", running=True, incumbent="smollm2")
ENDED = Trial("trial-1", running=False, incumbent="smollm2", ended_reason="the candidate is worse")
EVALUATING = View(Stage.EVALUATING, candidate="v1", trial=RUNNING, decision=Decision.NEED_MORE)
STEPWISE = replace(AUTOMATIC, canary=Policy(steps=(1, 5), minimum_answers=100))
PROMOTING = View(Stage.PROMOTING, candidate="v1", trial=RUNNING, decision=Decision.PROMOTE)


@pytest.mark.parametrize("stage", [Stage.COLLECTING, Stage.DEPLOYED, Stage.FAILED])
@pytest.mark.parametrize(
    ("view", "rules", "action"),
    [
        (View(), AUTOMATIC, Action.TRAIN),
        (View(), MANUAL, Action.WAIT),
        (View(lacks=("1 of 500 gold examples",)), AUTOMATIC, Action.WAIT),
        # 900 s after the first failure, 1,800 s after the second, never by itself after the third.
        (View(failures=1, seconds_since_failure=899), AUTOMATIC, Action.WAIT),
        (View(failures=1, seconds_since_failure=900), AUTOMATIC, Action.TRAIN),
        (View(failures=2, seconds_since_failure=1_799), AUTOMATIC, Action.WAIT),
        (View(failures=2, seconds_since_failure=1_800), AUTOMATIC, Action.TRAIN),
        (View(failures=3, seconds_since_failure=10**9), AUTOMATIC, Action.WAIT),
    ],
)
def test_a_training_begins_when_it_is_due(stage: Stage, view: View, rules: Rules, action: Action) -> None:
    """Ready, allowed, and not too soon after a failure."""
    assert decide(replace(view, stage=stage), rules).action is action


@pytest.mark.parametrize("stage", [Stage.READY_FOR_TRAINING, Stage.TRAINING, Stage.TESTING])
def test_a_job_at_work_is_left_alone(stage: Stage) -> None:
    """Whatever else is known."""
    assert decide(View(stage), AUTOMATIC).action is Action.WAIT


@pytest.mark.parametrize(
    ("view", "action"),
    [
        (replace(EVALUATING, trial=None, decision=None), Action.SET_UP_TRIAL),
        (replace(EVALUATING, trial=None, decision=None, other_trial="trial-9"), Action.WAIT),
        (EVALUATING, Action.WAIT),
        (replace(EVALUATING, decision=Decision.KEEP), Action.WAIT),
        (replace(EVALUATING, decision=Decision.PROMOTE), Action.OFFER),
        (replace(EVALUATING, decision=Decision.PROMOTE, trial=ENDED), Action.OFFER),
        (replace(EVALUATING, decision=Decision.KEEP, trial=ENDED), Action.REFUSE),
        # Stopped by a person before it was decided.
        (replace(EVALUATING, trial=ENDED), Action.REFUSE),
        # The incumbent changed under the trial: it says nothing about the model that answers now.
        (replace(EVALUATING, trial=ENDED, answering="v7"), Action.SET_UP_TRIAL),
        (replace(EVALUATING, answering="v1"), Action.OFFER),
        (replace(EVALUATING, decision=None, rolled_back=True), Action.REFUSE),
    ],
)
def test_a_candidate_is_tested_until_it_is_decided(view: View, action: Action) -> None:
    """Both rule sets: no flag lets a candidate past its shadow test."""
    assert decide(view, AUTOMATIC).action is action
    assert decide(view, MANUAL).action is action


@pytest.mark.parametrize(
    ("view", "rules", "action"),
    [
        (PROMOTING, AUTOMATIC, Action.PROMOTE),
        (PROMOTING, MANUAL, Action.WAIT),
        (replace(PROMOTING, answering="v1"), MANUAL, Action.SETTLE),
        (replace(PROMOTING, decision=Decision.KEEP), AUTOMATIC, Action.REFUSE),
        # A corrected label took the evidence away again.
        (replace(PROMOTING, decision=Decision.NEED_MORE), AUTOMATIC, Action.WAIT),
        (replace(PROMOTING, decision=None), AUTOMATIC, Action.WAIT),
        (replace(PROMOTING, decision=None, rolled_back=True), AUTOMATIC, Action.REFUSE),
        (replace(PROMOTING, decision=Decision.NEED_MORE, trial=ENDED, answering="v7"), AUTOMATIC, Action.SET_UP_TRIAL),
    ],
)
def test_a_promotion_needs_the_evidence_still_and_a_person_or_the_flag(
    view: View, rules: Rules, action: Action
) -> None:
    """The gate is asked again at the very last moment."""
    assert decide(view, rules).action is action


IN_CANARY = replace(PROMOTING, canary=Progress("trial-1", percent=1, answers=100))


@pytest.mark.parametrize(
    ("view", "rules", "action", "percent"),
    [
        # A share at a time; after the last step the alias moves.
        (PROMOTING, STEPWISE, Action.WIDEN_CANARY, 1),
        (IN_CANARY, STEPWISE, Action.WIDEN_CANARY, 5),
        (replace(IN_CANARY, canary=Progress("trial-1", percent=5, answers=100)), STEPWISE, Action.PROMOTE, 0),
        (replace(IN_CANARY, canary=Progress("trial-1", percent=1, answers=99)), STEPWISE, Action.WAIT, 0),
        # An hour between two switches of the alias; a share waits for none.
        (replace(PROMOTING, cooling=60.0), STEPWISE, Action.WIDEN_CANARY, 1),
        (replace(IN_CANARY, cooling=60.0), STEPWISE, Action.WIDEN_CANARY, 5),
        (
            replace(IN_CANARY, canary=Progress("trial-1", percent=5, answers=100), cooling=60.0),
            STEPWISE,
            Action.WAIT,
            0,
        ),
        # The gate and production's guardrails at every step.
        (replace(IN_CANARY, decision=Decision.NEED_MORE), STEPWISE, Action.WAIT, 0),
        (replace(IN_CANARY, decision=None), STEPWISE, Action.WAIT, 0),
        (replace(IN_CANARY, decision=Decision.KEEP), STEPWISE, Action.REFUSE, 0),
        (replace(IN_CANARY, canary=Progress("trial-1", percent=1, failures=5)), STEPWISE, Action.REFUSE, 0),
        # Without a running trial there is no evidence: none is begun, and one that runs goes back.
        (replace(PROMOTING, trial=ENDED), STEPWISE, Action.WAIT, 0),
        (replace(IN_CANARY, trial=ENDED), STEPWISE, Action.REFUSE, 0),
        # What it was tested against does not answer any more, or another trial took over.
        (replace(IN_CANARY, answering="v7"), STEPWISE, Action.END_CANARY, 0),
        (replace(IN_CANARY, trial=Trial("trial-2", running=True, incumbent="smollm2")), STEPWISE, Action.END_CANARY, 0),
        (replace(IN_CANARY, trial=None), STEPWISE, Action.END_CANARY, 0),
        # A person promoted it, or took it out.
        (replace(IN_CANARY, answering="v1"), STEPWISE, Action.SETTLE, 0),
        (replace(IN_CANARY, rolled_back=True), STEPWISE, Action.REFUSE, 0),
        # Only what the pipeline promotes by itself, and only where the settings say so.
        (PROMOTING, replace(STEPWISE, auto_promote=False), Action.WAIT, 0),
        (IN_CANARY, replace(STEPWISE, auto_promote=False), Action.END_CANARY, 0),
        (IN_CANARY, AUTOMATIC, Action.END_CANARY, 0),
    ],
)
def test_a_canary_takes_over_step_by_step(view: View, rules: Rules, action: Action, percent: int) -> None:
    """With the evidence of the promotion at each; back to nobody without it."""
    due = decide(view, rules)

    assert (due.action, due.percent) == (action, percent)


def test_a_canary_says_where_it_is() -> None:
    """The share, and the answers of the step."""
    view = replace(IN_CANARY, canary=Progress("trial-1", percent=5, answers=37))

    assert decide(view, STEPWISE).why == "canary: 5 % of guilds, 37 of 100 answers"


def test_what_is_waited_for_is_said_in_words() -> None:
    """Names the counts, the command, or the error."""
    assert decide(View(lacks=("1 of 500 gold examples",)), AUTOMATIC).why == "lacks 1 of 500 gold examples"
    assert "`becas-ft promote v1`" in decide(PROMOTING, MANUAL).why
    assert "the disk is full" in decide(View(failures=3, last_error="the disk is full"), AUTOMATIC).why
    assert "attempt 2 of 3 in 900 s" in decide(View(failures=1), AUTOMATIC).why
