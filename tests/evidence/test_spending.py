"""Error rates are shared out over versions and over live tests."""

import math

import numpy as np
import pytest

from becas_ft.evidence.spending import (
    alpha_of_version,
    e_benjamini_hochberg,
    threshold_of_version,
    version_of_threshold,
)


def test_versions_share_alpha() -> None:
    """All versions together spend alpha, the first about three fifths of it."""
    spent = sum(alpha_of_version(version) for version in range(1, 20_000))

    assert alpha_of_version(1) == pytest.approx(0.05 * 6 / math.pi**2)
    assert spent < 0.05
    assert spent == pytest.approx(0.05, abs=1e-5)
    assert threshold_of_version(1) == pytest.approx(32.8987, abs=1e-4)
    assert threshold_of_version(2) == pytest.approx(131.5947, abs=1e-4)


def test_versions_count_from_one() -> None:
    """Version 0 has no share."""
    with pytest.raises(ValueError, match="count from 1"):
        alpha_of_version(0)


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1e-6])
def test_a_threshold_tells_its_version(alpha: float) -> None:
    """What was spent is read back from what is stored, for every version that a category may reach."""
    assert all(version_of_threshold(threshold_of_version(v, alpha), alpha) == v for v in range(1, 5000))


def test_e_bh_of_statistics_page() -> None:
    """e-BH at .05: four of [120, 60, 40, 30, 1] reach 100, 50, 33.3, 25; none of [50, 30, 1.2, .5, 8] does."""
    assert e_benjamini_hochberg([120, 60, 40, 30, 1]).tolist() == [True, True, True, True, False]
    assert e_benjamini_hochberg([50, 30, 1.2, 0.5, 8]).tolist() == [False] * 5


def test_e_bh_keeps_the_order_given() -> None:
    """The answer stands at the place of each test, and a late threshold lets earlier ones through."""
    assert e_benjamini_hochberg([1, 45, 45, 45]).tolist() == [False, True, True, True]
    assert e_benjamini_hochberg([]).size == 0


def test_e_bh_false_discoveries() -> None:
    """With 10 true nulls among 20 tests, at most 5 % of the rejections are false on average."""
    random = np.random.default_rng(23)
    shares = []
    for _ in range(2000):
        scores = random.normal(size=20) + np.r_[np.zeros(10), np.full(10, 3.5)]
        rejected = e_benjamini_hochberg(np.exp(3 * scores - 4.5))
        shares.append(rejected[:10].sum() / max(1, rejected.sum()))

    assert np.mean(shares) <= 0.05
