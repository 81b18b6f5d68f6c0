"""Which model answers a request, and which one runs beside it."""

from dataclasses import dataclass

from becas.ft.ledger.v1 import records_pb2
from becas.ft.v1 import example_pb2, shadow_pb2
from becas_ft.ledger import ReadTransaction
from becas_ft.rollout import canary, canary_record, registry
from becas_ft.shadow import sampling, trials


@dataclass(frozen=True)
class Standing:
    """What a category's requests meet now.

    Arguments:
        trial: the running one; None where none runs.
        promoted: the promoted model; empty where the base answers.
        canary: None where there is none.
    """

    trial: shadow_pb2.Trial | None
    promoted: str
    canary: records_pb2.Canary | None


@dataclass(frozen=True)
class Route:
    """Where a request goes.

    Arguments:
        incumbent: A: what the alias points at.
        trial: the trial that takes it; None where none does.
        sampled: whether both models see it.
        canary: whether the candidate answers it, and the incumbent runs beside.
    """

    incumbent: str
    trial: shadow_pb2.Trial | None = None
    sampled: bool = False
    canary: bool = False

    def beside(self, trial: shadow_pb2.Trial) -> str:
        """The model that runs beside the one that answers."""
        return self.incumbent if self.canary else trial.candidate_model


@dataclass(frozen=True)
class Given:
    """What production said.

    Arguments:
        answer: the caller's.
        failed: the candidate's, in whose place the incumbent answered; None where nobody failed.
        quiet: nothing else ran beside it.
    """

    answer: records_pb2.Answer
    failed: records_pb2.Answer | None = None
    quiet: bool = False


def standing(transaction: ReadTransaction, category: "example_pb2.Category.ValueType") -> Standing:
    """What the ledger says of a category."""
    alias = registry.alias_of(transaction, category)
    return Standing(
        trials.running_trial(transaction, category),
        alias.model if alias else "",
        canary_record.of(transaction, category),
    )


def route(found: Standing, incumbent: str, pseudonym: sampling.Pseudonym, *, request: str, who: str) -> Route:
    """Where a request goes; the same request goes the same way as long as trial and canary stay.

    Arguments:
        found: what its category's requests meet.
        incumbent: the model that answers the category.
        pseudonym: the store's keyed hash (kind, text).
        request: pseudonym of the request.
        who: pseudonym of its guild; of its user where there is no guild, of the request where there is neither.
    """
    trial, running = found.trial, found.canary
    if trial is None or trial.base_model != incumbent:
        # None runs, or the alias moved under it: its pairs would compare something else.
        return Route(incumbent)
    return Route(
        incumbent,
        trial,
        sampled=sampling.is_sampled(pseudonym, trial.trial_id, request, trial.sample_rate),
        canary=running is not None
        and running.trial_id == trial.trial_id
        and canary.is_member(pseudonym, trial.trial_id, who, running.percent),
    )
