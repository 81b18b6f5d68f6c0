"""Decides, without doing anything, what the pipeline of one category does next."""

import math
from dataclasses import dataclass
from enum import StrEnum

from becas_ft.orchestrator.states import Stage
from becas_ft.rollout.canary import EVERYBODY, Move, Policy, Progress
from becas_ft.rollout.canary import decide as course_of
from becas_ft.rollout.gate import Decision, Verdict


class Action(StrEnum):
    """What the driver does; `step` of `states` allows each in its stage only."""

    WAIT = "wait"
    TRAIN = "train"
    SET_UP_TRIAL = "set_up_trial"
    OFFER = "offer"
    WIDEN_CANARY = "widen_canary"
    END_CANARY = "end_canary"
    PROMOTE = "promote"
    SETTLE = "settle"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Rules:
    """What the pipeline may do by itself.

    Arguments:
        auto_fine_tune: train a category that is ready.
        auto_promote: promote without asking a person.
        max_attempts: trainings that may fail in a row.
        retry_seconds: before the second attempt; doubles with each failure.
        cool_down_seconds: between two switches of a category that no person asked for.
        canary: how a candidate that is promoted without a person takes over step by step; None for all at once.
    """

    auto_fine_tune: bool = True
    auto_promote: bool = False
    max_attempts: int = 3
    retry_seconds: float = 900.0
    cool_down_seconds: float = 3600.0
    canary: Policy | None = None


@dataclass(frozen=True)
class Trial:
    """The newest shadow test of a job's candidate.

    Arguments:
        trial_id: its id.
        running: whether it takes requests.
        ended_reason: in words, once it has ended.
        incumbent: the model that the candidate is tested against.
    """

    trial_id: str
    running: bool
    incumbent: str
    ended_reason: str = ""


@dataclass(frozen=True)
class View:
    """What is known of one category.

    Arguments:
        stage: of the job in flight; collecting where there is none.
        lacks: what is missing for a training, in words.
        failures: trainings in a row that failed.
        last_error: why the last of them did.
        seconds_since_failure: since the last of them.
        candidate: the job's model.
        rolled_back: whether the candidate was taken out of production again.
        answering: the model that answers production; empty where nobody can tell.
        trial: of the candidate.
        other_trial: a running trial of another candidate; empty where there is none.
        decision: of the gate, from the candidate's trial.
        reasons: of that decision, in words.
        cooling: seconds until the alias may move without a person.
        canary: the share of the guilds that a candidate answers already; None where there is none.
    """

    stage: Stage = Stage.COLLECTING
    lacks: tuple[str, ...] = ()
    failures: int = 0
    last_error: str = ""
    seconds_since_failure: float = 0.0
    candidate: str = ""
    rolled_back: bool = False
    answering: str = ""
    trial: Trial | None = None
    other_trial: str = ""
    decision: Decision | None = None
    reasons: tuple[str, ...] = ()
    cooling: float = 0.0
    canary: Progress | None = None


@dataclass(frozen=True)
class Next:
    """What to do, and why in words.

    Arguments:
        action: what to do.
        why: in words.
        percent: the share of the guilds that a canary is widened to.
    """

    action: Action
    why: str
    percent: int = 0


_ROLLED_BACK = Next(Action.REFUSE, "it was rolled back: a new version is needed")


def decide(view: View, rules: Rules) -> Next:
    """The next step of a category; the same view gives the same step."""
    match view.stage:
        case Stage.COLLECTING | Stage.DEPLOYED | Stage.FAILED:
            return _before_a_job(view, rules)
        case Stage.READY_FOR_TRAINING | Stage.TRAINING | Stage.TESTING:
            return Next(Action.WAIT, "the job is at work")
        case Stage.EVALUATING:
            return _evaluating(view)
        case Stage.PROMOTING:
            return _promoting(view, rules)


def _is_void(view: View, trial: Trial) -> bool:
    """Whether what it is tested against does not answer: that says nothing about the one that does."""
    return bool(view.answering) and trial.incumbent != view.answering


def retry_after(failures: int, rules: Rules) -> float:
    """Seconds between the last of so many failures in a row and the next attempt."""
    return rules.retry_seconds * 2.0 ** (failures - 1) if failures else 0.0


def _before_a_job(view: View, rules: Rules) -> Next:
    if view.lacks:
        return Next(Action.WAIT, f"lacks {'; '.join(view.lacks)}")
    if not rules.auto_fine_tune:
        return Next(Action.WAIT, "promotion.auto_fine_tune is off: `becas-ft train` begins a job")
    if view.failures >= rules.max_attempts:
        return Next(
            Action.WAIT,
            f"{view.failures} trainings in a row failed, the last: {view.last_error}; "
            "`becas-ft train` tries again once that is mended",
        )
    left = retry_after(view.failures, rules) - view.seconds_since_failure
    if view.failures and left > 0:
        return Next(Action.WAIT, f"attempt {view.failures + 1} of {rules.max_attempts} in {left:.0f} s")
    return Next(Action.TRAIN, "ready")


def _evaluating(view: View) -> Next:
    if view.answering == view.candidate:
        return Next(Action.OFFER, "it answers already")
    if view.rolled_back:
        return _ROLLED_BACK
    return _tested(view)


def _tested(view: View) -> Next:
    trial = view.trial
    if trial is None or _is_void(view, trial):
        return _to_test(view, trial)
    if view.decision is Decision.PROMOTE:
        return Next(Action.OFFER, "; ".join(view.reasons))
    if trial.running:
        return Next(Action.WAIT, f"{trial.trial_id}: {'; '.join(view.reasons)}")
    return Next(Action.REFUSE, trial.ended_reason or "; ".join(view.reasons))


def _to_test(view: View, trial: Trial | None) -> Next:
    """No trial yet, or one that says nothing any more."""
    if view.other_trial:
        return Next(Action.WAIT, f"waits for the end of {view.other_trial}")
    why = f"{trial.trial_id} was against {trial.incumbent}" if trial else "no shadow test yet"
    return Next(Action.SET_UP_TRIAL, why)


def _promoting(view: View, rules: Rules) -> Next:
    if view.answering == view.candidate:
        return Next(Action.SETTLE, "it answers")
    if view.rolled_back:
        return _ROLLED_BACK
    if view.canary is not None:
        return _in_canary(view, view.canary, rules)
    return _offered(view, rules)


def _offered(view: View, rules: Rules) -> Next:
    if view.trial is not None and _is_void(view, view.trial):
        return _to_test(view, view.trial)
    if view.decision is Decision.PROMOTE:
        return _passed(view, rules)
    # Labels that were corrected took back what had passed.
    if view.decision is Decision.KEEP:
        return Next(Action.REFUSE, "; ".join(view.reasons))
    return Next(Action.WAIT, f"the evidence does not suffice any more: {'; '.join(view.reasons)}")


def _passed(view: View, rules: Rules) -> Next:
    if not rules.auto_promote:
        return Next(Action.WAIT, f"waits for approval: `becas-ft promote {view.candidate}`")
    if rules.canary is None:
        return _switch(view, "; ".join(view.reasons))
    if view.trial is None or not view.trial.running:
        why = "passed, but its shadow test has ended, and a canary needs one"
        return Next(Action.WAIT, f"{why}: `becas-ft promote {view.candidate}`")
    return Next(Action.WIDEN_CANARY, "; ".join(view.reasons), rules.canary.after(0))


def _in_canary(view: View, running: Progress, rules: Rules) -> Next:
    if not rules.auto_promote or rules.canary is None:
        return Next(Action.END_CANARY, "promotion.auto_promote or promotion.canary is off")
    trial = view.trial
    if trial is None or trial.trial_id != running.trial_id or _is_void(view, trial):
        return Next(Action.END_CANARY, f"{running.trial_id} says nothing any more")
    words = f"canary: {running.percent} % of guilds"
    if not trial.running:
        return Next(Action.REFUSE, f"{words}; its shadow test ended: {trial.ended_reason}")
    course = course_of(running, Verdict(view.decision or Decision.NEED_MORE, view.reasons), rules.canary)
    why = f"{words}, {'; '.join(course.reasons)}"
    match course.move:
        case Move.BACK:
            return Next(Action.REFUSE, why)
        case Move.HOLD:
            return Next(Action.WAIT, why)
        case Move.WIDEN:
            percent = rules.canary.after(running.percent)
            return _switch(view, why) if percent == EVERYBODY else Next(Action.WIDEN_CANARY, why, percent)


def _switch(view: View, why: str) -> Next:
    if view.cooling > 0:
        minutes = math.ceil(view.cooling / 60)
        return Next(Action.WAIT, f"passed; the last automatic switch was too recent: {minutes} min to wait")
    return Next(Action.PROMOTE, why)
