"""Every stage with every happening does what the diagram says, and nothing else."""

import itertools

import pytest

from becas_ft.orchestrator.states import Happening, IllegalTransitionError, Pipeline, Stage, step

# Copied by hand from the design's list of stages and the diagram; all pairs that are not here are illegal.
LEGAL = """
collecting ready ready_for_training
ready_for_training start training
ready_for_training fail failed
ready_for_training cancel failed
ready_for_training refuse failed
training trained testing
training fail failed
training cancel failed
training refuse failed
testing checked evaluating
testing fail failed
testing cancel failed
testing refuse failed
evaluating gate_passed promoting
evaluating fail failed
evaluating cancel failed
evaluating refuse failed
promoting promoted deployed
promoting fail failed
promoting cancel failed
promoting refuse failed
deployed settled collecting
failed settled collecting
"""
EXPECTED = {(stage, happening): after for stage, happening, after in map(str.split, LEGAL.split("\n")[1:-1])}


@pytest.mark.parametrize(("stage", "happening"), list(itertools.product(Stage, Happening)))
def test_every_pair_steps_as_drawn_or_is_refused(stage: Stage, happening: Happening) -> None:
    """All 80 pairs: the drawn ones move, the others raise and name both."""
    after = EXPECTED.get((stage.value, happening.value))

    if after is None:
        with pytest.raises(IllegalTransitionError, match=f"{happening} cannot follow in stage {stage}"):
            step(Pipeline(stage), happening)
    else:
        assert step(Pipeline(stage), happening).stage == after


def test_failures_are_counted_until_a_deployment() -> None:
    """Back-off needs to know how often in a row; refusal and cancellation are no failures of ours."""
    assert step(Pipeline(Stage.TRAINING, 1), Happening.FAIL).failures == 2
    assert step(Pipeline(Stage.EVALUATING, 1), Happening.REFUSE).failures == 1
    assert step(Pipeline(Stage.TRAINING, 1), Happening.CANCEL).failures == 1
    assert step(Pipeline(Stage.PROMOTING, 2), Happening.PROMOTED).failures == 0
