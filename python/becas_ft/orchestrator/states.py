"""The pipeline of one category as a pure transition function.

    collecting ──ready──► ready_for_training ──start──► training ──trained──► testing ──checked──► evaluating
        ▲                                                                                             │
        │                                                                                      gate passed
        │                                                                                             ▼
        ├──────────── settled ──────────── deployed ◄──────────── promoted ──────────────────── promoting
        │                                     │
        └── settled ── failed ◄───────────────┴── fail, cancel or refuse, from any stage after collecting

A job begins at `ready_for_training` and ends at `deployed` or `failed`; its category then collects again.
"""

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """Where a category's pipeline is."""

    COLLECTING = "collecting"
    READY_FOR_TRAINING = "ready_for_training"
    TRAINING = "training"
    TESTING = "testing"
    EVALUATING = "evaluating"
    PROMOTING = "promoting"
    DEPLOYED = "deployed"
    FAILED = "failed"


class Happening(StrEnum):
    """What moves a pipeline on."""

    READY = "ready"
    START = "start"
    TRAINED = "trained"
    CHECKED = "checked"
    GATE_PASSED = "gate_passed"
    PROMOTED = "promoted"
    SETTLED = "settled"
    FAIL = "fail"
    CANCEL = "cancel"
    REFUSE = "refuse"


ENDED = frozenset({Stage.DEPLOYED, Stage.FAILED})
"""Stages in which no job is in flight, besides collecting."""

_FORWARD = {
    (Stage.COLLECTING, Happening.READY): Stage.READY_FOR_TRAINING,
    (Stage.READY_FOR_TRAINING, Happening.START): Stage.TRAINING,
    (Stage.TRAINING, Happening.TRAINED): Stage.TESTING,
    (Stage.TESTING, Happening.CHECKED): Stage.EVALUATING,
    (Stage.EVALUATING, Happening.GATE_PASSED): Stage.PROMOTING,
    (Stage.PROMOTING, Happening.PROMOTED): Stage.DEPLOYED,
    (Stage.DEPLOYED, Happening.SETTLED): Stage.COLLECTING,
    (Stage.FAILED, Happening.SETTLED): Stage.COLLECTING,
}
_IN_FLIGHT = (
    Stage.READY_FOR_TRAINING,
    Stage.TRAINING,
    Stage.TESTING,
    Stage.EVALUATING,
    Stage.PROMOTING,
)
TRANSITIONS: dict[tuple[Stage, Happening], Stage] = _FORWARD | {
    (stage, happening): Stage.FAILED
    for stage in _IN_FLIGHT
    for happening in (Happening.FAIL, Happening.CANCEL, Happening.REFUSE)
}
"""Every legal step; all else is an IllegalTransitionError."""


class IllegalTransitionError(Exception):
    """The happening cannot follow in this stage."""


@dataclass(frozen=True)
class Pipeline:
    """The state of one category: its stage, and the failed attempts since the last success."""

    stage: Stage = Stage.COLLECTING
    failures: int = 0


def step(pipeline: Pipeline, happening: Happening) -> Pipeline:
    """The state after a happening.

    Raises: IllegalTransitionError where the happening cannot follow.
    """
    stage = TRANSITIONS.get((pipeline.stage, happening))
    if stage is None:
        raise IllegalTransitionError(f"{happening} cannot follow in stage {pipeline.stage}")
    if happening is Happening.FAIL:
        return Pipeline(stage, pipeline.failures + 1)
    if stage is Stage.DEPLOYED:
        return Pipeline(stage, 0)
    return Pipeline(stage, pipeline.failures)
