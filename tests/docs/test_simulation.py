"""The figures behind the pictures of docs/statistics.md, against figures that others computed."""

import pytest

from pages import simulation

LONGEST = 2000


@pytest.mark.parametrize(
    ("look", "win_rate", "expected"),
    [
        # Exact chances to promote within 2,000 pairs without ties, looked at after each from the 100th on.
        (simulation.naive, 0.50, 0.283),
        (simulation.win_rate_only, 0.50, 0.0025),
        (simulation.evidence(20.0), 0.50, 0.0025),
        (simulation.evidence(20.0), 0.60, 0.298),
        (simulation.evidence(20.0), 0.65, 0.926),
    ],
)
def test_chance_to_promote(look: simulation.Look, win_rate: float, expected: float) -> None:
    """Chances by dynamic programming equal those of another programme, to the digits that it gives."""
    assert simulation.chance_to_promote(look, win_rate, LONGEST)[-1] == pytest.approx(expected, abs=6e-4, rel=2e-3)


@pytest.mark.parametrize(
    ("look", "ties", "expected"),
    [
        (simulation.win_rate_only, 0.5, 0.029),
        (simulation.evidence(20.0), 0.5, 0.008),
        (simulation.win_rate_only, 0.8, 0.152),
        (simulation.evidence(20.0), 0.8, 0.014),
    ],
)
def test_share_promoted_with_ties(look: simulation.Look, ties: float, expected: float) -> None:
    """With ties the win rate alone promotes equal models, and evidence does not; within four standard errors."""
    runs = 4000
    share = simulation.share_promoted(look, 0.5, ties, LONGEST, runs=runs, every=10)

    assert share == pytest.approx(expected, abs=4 * (2 * expected * (1 - expected) / runs) ** 0.5)


@pytest.mark.parametrize(("loss_rate", "expected"), [(0.7, 503), (0.8, 244), (0.9, 163)])
def test_delay_to_rollback(loss_rate: float, expected: int) -> None:
    """The median delay is that of another simulation of the same detector, within a quarter."""
    assert simulation.delay_to_rollback(loss_rate).quartiles[1] == pytest.approx(expected, rel=0.25)
