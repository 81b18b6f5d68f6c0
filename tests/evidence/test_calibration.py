"""Calibration measures agree with published examples."""

import math

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from becas_ft.evidence.calibration import (
    adaptive_reliability_table,
    brier,
    brier_difference,
    calibration_error,
    calibration_error_interval,
    reliability_table,
)


def test_torchmetrics_binary_calibration_error() -> None:
    """Torchmetrics calibration_error.py, binary example with 2 bins: l1 .2900, l2 .2918, max .3167."""
    error = calibration_error(reliability_table([0.25, 0.25, 0.55, 0.75, 0.75], [0, 0, 1, 1, 1], bins=2))

    assert (error.mean, error.root_mean_square, error.largest) == pytest.approx((0.2900, 0.2918, 0.3167), abs=5e-5)


def test_torchmetrics_multiclass_calibration_error() -> None:
    """Torchmetrics calibration_error.py, multiclass example with 3 bins: .2000, .2082, .2333."""
    probabilities = np.array([[0.25, 0.20, 0.55], [0.55, 0.05, 0.40], [0.10, 0.30, 0.60], [0.90, 0.05, 0.05]])
    right = probabilities.argmax(axis=1) == [0, 1, 2, 0]

    error = calibration_error(reliability_table(probabilities.max(axis=1), right, bins=3))

    assert (error.mean, error.root_mean_square, error.largest) == pytest.approx((0.2000, 0.2082, 0.2333), abs=5e-5)


def test_brier_of_statistics_page() -> None:
    """Outcomes [0, 1, 1, 0] at [.1, .9, .8, .3] score .0375, as scikit-learn says too."""
    outcomes, confidences = [0, 1, 1, 0], [0.1, 0.9, 0.8, 0.3]

    assert brier(confidences, outcomes) == pytest.approx(0.0375)
    assert brier_score_loss(outcomes, confidences) == pytest.approx(0.0375)


def test_paired_brier_difference_finds_overconfidence() -> None:
    """A candidate equally often right but always sure scores worse, and the interval says so at any look."""
    random = np.random.default_rng(31)
    right = random.random(2000) < 0.8

    worse = brier_difference(np.full(2000, 0.8), right, np.full(2000, 1.0), right)

    assert worse.estimate == pytest.approx(brier(np.full(2000, 1.0), right) - brier(np.full(2000, 0.8), right))
    assert 0 < worse.lower < worse.estimate < worse.upper


def test_calibrated_confidences_have_a_small_error() -> None:
    """Confidences that come true have an error near 0 in both kinds of bins."""
    random = np.random.default_rng(32)
    confidences = random.beta(8, 2, size=20_000)
    right = random.random(20_000) < confidences

    assert calibration_error(reliability_table(confidences, right)).mean < 0.02
    assert calibration_error(adaptive_reliability_table(confidences, right)).mean < 0.02


def test_adaptive_bins_hold_equal_counts() -> None:
    """Bins of equal counts, and equal confidences in one bin."""
    confidences = np.random.default_rng(33).beta(8, 2, size=1000)
    table = adaptive_reliability_table(confidences, np.ones(1000))

    assert [row.count for row in table] == [100] * 10
    assert [row.count for row in adaptive_reliability_table([0.9] * 50, [1] * 50)] == [50]


def test_bins_close_on_the_right() -> None:
    """An edge belongs to the bin below it, 0 to the first one, and empty bins are left out."""
    table = reliability_table([0.0, 0.1, 0.10001, 1.0], [0, 0, 0, 1])

    assert [(row.upper, row.count) for row in table] == [
        (pytest.approx(0.1), 2),
        (pytest.approx(0.2), 1),
        (1.0, 1),
    ]


def test_error_interval_is_reproducible() -> None:
    """The bootstrap interval is the same for the same seed and agrees with the table about the estimate."""
    random = np.random.default_rng(34)
    confidences, right = random.random(800), random.random(800) < 0.5
    interval = calibration_error_interval(confidences, right, seed=7)

    assert interval == calibration_error_interval(confidences, right, seed=7)
    assert interval.estimate == pytest.approx(calibration_error(reliability_table(confidences, right)).mean)
    assert interval.lower < interval.estimate < interval.upper


def test_no_answers_say_nothing() -> None:
    """Without answers the measures are not numbers."""
    assert math.isnan(brier([], []))
    assert math.isnan(calibration_error(reliability_table([], [])).mean)
    assert adaptive_reliability_table([], []) == ()
    assert math.isnan(calibration_error_interval([], [], seed=1).estimate)
    assert math.isnan(brier_difference([0.5], [1], [0.5], [1]).estimate)


def test_impossible_confidences_are_refused() -> None:
    """A confidence above 1, an outcome that is neither, and lists that do not match raise."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        brier([1.2], [1])
    with pytest.raises(ValueError, match="between 0 and 1"):
        brier([math.nan], [1])
    with pytest.raises(ValueError, match="true or false"):
        brier([0.2], [0.5])
    with pytest.raises(ValueError, match="one outcome for each"):
        brier([0.2], [0, 1])
    with pytest.raises(ValueError, match="same requests"):
        brier_difference([0.5], [1], [0.5, 0.5], [1, 1])
