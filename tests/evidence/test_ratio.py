"""The sample-ratio check finds wrong shares and leaves right ones alone."""

import math

import numpy as np
import pytest
from scipy import stats

from becas_ft.evidence.ratio import ratio_log_e


@pytest.mark.parametrize(
    ("counts", "concentration", "log_e"),
    [((250, 750), 1, 3.5005), ((250, 750), 100, 5.4665), ((200, 800), 1, -3.7952)],
)
def test_log_e_of_statistics_page(counts: tuple[int, int], concentration: float, log_e: float) -> None:
    """Lindon and Malek's e-value for configured shares of .2 and .8."""
    assert ratio_log_e(counts, (0.2, 0.8), concentration=concentration) == pytest.approx(log_e, abs=5e-5)


def test_right_shares_are_left_alone() -> None:
    """Looked at after every request, right shares raise an alarm in at most 5 % of streams."""
    random = np.random.default_rng(24)
    alarmed = 0
    for _ in range(200):
        sampled = np.cumsum(random.random(1000) < 0.2)
        alarmed += any(
            ratio_log_e((int(seen), look - int(seen)), (0.2, 0.8), concentration=100) >= math.log(20)
            for look, seen in enumerate(sampled[::10], 1)
            for look in ((look - 1) * 10 + 1,)
        )

    assert stats.binomtest(alarmed, 200, 0.05, alternative="greater").pvalue > 0.01


def test_shares_must_fit() -> None:
    """Shares that do not sum up to 1, or do not match the counts, are refused."""
    with pytest.raises(ValueError, match="sum up to 1"):
        ratio_log_e((1, 2), (0.2, 0.7))
    with pytest.raises(ValueError, match="match the counts"):
        ratio_log_e((1, 2, 3), (0.2, 0.8))
