"""Trials: what decides is fixed when one is set up; one runs at a time in a category."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from becas.ft.ledger.v1 import records_pb2
from becas.ft.v1 import example_pb2, published_event_pb2, shadow_pb2
from becas_ft.evidence import spending
from becas_ft.ledger import ReadTransaction, WriteTransaction
from becas_ft.ledger.schema import PAIRS, TRIAL_COUNTS, TRIALS
from becas_ft.rollout import canary_record, published, registry
from becas_ft.rollout.gate import Decision, Verdict

MAXIMUM_HORIZON = 1_000_000

Figures: TypeAlias = Callable[[ReadTransaction, str], str]
"""What the trial of an id has shown, as JSON: published with its end."""


class UnknownTrialError(Exception):
    """No trial has this id."""


class TrialRunningError(Exception):
    """Another trial of the category runs."""

    def __init__(self, trial_id: str) -> None:
        super().__init__(f"{trial_id} is running: stop it first")
        self.trial_id = trial_id


@dataclass(frozen=True)
class Plan:
    """What decides a trial, fixed before its first pair.

    Arguments:
        category: number of the category.
        base_model: the incumbent (A): answers production.
        candidate_model: the candidate (B).
        task_type: free words, redacted.
        sample_rate: share of requests that B sees, over 0 to 1.
        alpha: error level before spending over versions, over 0 to under 1.
        horizon: judged pairs after which it ends.
        watch: set up after a promotion, to notice that the former model (B) was better.
    """

    category: "example_pb2.Category.ValueType"
    base_model: str
    candidate_model: str
    task_type: str = ""
    sample_rate: float = 0.2
    alpha: float = 0.05
    horizon: int = 10_000
    watch: bool = False

    def problems(self) -> list[tuple[str, str]]:
        """(field, what is wrong and what to send instead) of everything unusable."""
        found = []
        if self.base_model == self.candidate_model:
            found.append(("candidate_model", "is the base model itself: name another model"))
        if not 0 < self.sample_rate <= 1:
            found.append(("sample_rate", "must be over 0 and at most 1"))
        if not 0 < self.alpha < 1:
            found.append(("alpha", "must be between 0 and 1, both excluded"))
        if not 1 <= self.horizon <= MAXIMUM_HORIZON:
            found.append(("horizon", f"must be 1 to {MAXIMUM_HORIZON}"))
        return found


def with_base(plan: Plan, base_model: str) -> Plan:
    """The same plan against another incumbent."""
    return replace(plan, base_model=base_model)


def set_up(transaction: WriteTransaction, plan: Plan, figures: Figures) -> shadow_pb2.Trial:
    """Starts a trial, in the place of a watch, or of one of the same candidate that has no pair yet.

    Raises: UnknownModelError for a candidate that is not registered; TrialRunningError.
    """
    running = running_trial(transaction, plan.category)
    if running is not None:
        stop(transaction, running.trial_id, _why_it_makes_way(transaction, running, plan), figures)
    candidate = registry.get(transaction, plan.base_model if plan.watch else plan.candidate_model)
    name = registry.category_name(plan.category)
    number = transaction.number(f"trials:{name}") + 1
    transaction.set_number(f"trials:{name}", number)
    version = max(1, candidate.version)
    spent = 0 if plan.watch else _spent(transaction, plan.category)
    trial = shadow_pb2.Trial(
        trial_id=f"{name}-trial-{number}",
        category=plan.category,
        base_model=plan.base_model,
        candidate_model=plan.candidate_model,
        task_type=plan.task_type,
        sample_rate=plan.sample_rate,
        alpha=plan.alpha,
        horizon=plan.horizon,
        e_threshold=spending.threshold_of_version(max(version, spent + 1), plan.alpha),
        running=True,
        watch=plan.watch,
        version=version,
    )
    trial.created.GetCurrentTime()
    transaction.put(TRIALS, trial.trial_id, trial)
    transaction.put(TRIAL_COUNTS, trial.trial_id, records_pb2.TrialCounts())
    return trial


def _why_it_makes_way(transaction: ReadTransaction, running: shadow_pb2.Trial, plan: Plan) -> str:
    if running.watch and not plan.watch:
        # A watch lasts until something newer is tested: it never stands in a candidate's way.
        return "a new candidate is tested"
    same = running.candidate_model == plan.candidate_model and running.watch == plan.watch
    if same and not any(transaction.scan(PAIRS, prefix=f"{running.trial_id}/")):
        # Nobody has seen anything of it that could have moved them to begin anew.
        return "set up anew before its first pair"
    raise TrialRunningError(running.trial_id)


def _spent(transaction: ReadTransaction, category: int) -> int:
    """The last share of α that a trial of the category was given; 0 where none was.

    A version has a share of its own, and needs no other while each is tested once. Another test of a version is another
    chance to be promoted by luck: it begins at an e-value of 1 and takes the next share. One that ended before anything
    was judged had no such chance.
    """
    return max(
        (
            spending.version_of_threshold(trial.e_threshold, trial.alpha)
            for trial in all_trials(transaction)
            if trial.category == category and not trial.watch and _was_judged(transaction, trial.trial_id)
        ),
        default=0,
    )


def _was_judged(transaction: ReadTransaction, trial_id: str) -> bool:
    return any(pair.resolved for _, pair in transaction.scan(PAIRS, prefix=f"{trial_id}/"))


def get(transaction: ReadTransaction, trial_id: str) -> shadow_pb2.Trial:
    """The trial of an id.

    Raises: UnknownTrialError.
    """
    trial = transaction.get(TRIALS, trial_id)
    if trial is None:
        raise UnknownTrialError("no trial has this trial_id: `becas-ft shadow stats` lists them")
    return trial


def running_trial(transaction: ReadTransaction, category: int) -> shadow_pb2.Trial | None:
    """The trial that takes the category's requests now; None where none runs."""
    return next((trial for trial in all_trials(transaction) if trial.running and trial.category == category), None)


def all_trials(transaction: ReadTransaction) -> list[shadow_pb2.Trial]:
    """Every trial, newest first."""
    found = [trial for _, trial in transaction.scan(TRIALS)]
    return sorted(found, key=lambda trial: (trial.created.seconds, trial.created.nanos), reverse=True)


def end_decided(transaction: WriteTransaction, trial_id: str, verdict: Verdict, figures: Figures) -> bool:
    """Ends a trial whose horizon is reached or that is given up; whether it did.

    One that passed goes on while its candidate is in a canary: each step asks for its evidence.
    """
    if not verdict.final:
        return False
    running = canary_record.of(transaction, get(transaction, trial_id).category)
    if verdict.decision is Decision.PROMOTE and running is not None and running.trial_id == trial_id:
        return False
    stop(transaction, trial_id, "; ".join(verdict.reasons), figures)
    return True


def newest_of(transaction: ReadTransaction, candidate_model: str) -> shadow_pb2.Trial | None:
    """The newest trial that tested a model as candidate; None where there is none."""
    return next(
        (trial for trial in all_trials(transaction) if trial.candidate_model == candidate_model and not trial.watch),
        None,
    )


def stop(transaction: WriteTransaction, trial_id: str, reason: str, figures: Figures) -> shadow_pb2.Trial:
    """Ends a trial and publishes it with its figures; an ended one stays as it is.

    Raises: UnknownTrialError.
    """
    trial = get(transaction, trial_id)
    if not trial.running:
        return trial
    trial.running = False
    trial.ended_reason = reason
    trial.ended.GetCurrentTime()
    transaction.put(TRIALS, trial_id, trial)
    published.publish(
        transaction,
        published_event_pb2.PublishedEvent(
            name="ab_test.completed",
            category=trial.category,
            model=trial.candidate_model,
            trial_id=trial_id,
            reason=reason,
            data=figures(transaction, trial_id),
        ),
    )
    return trial
