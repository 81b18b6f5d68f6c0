"""McNemar's p-values agree with the published ones and with another library."""

import pytest
from statsmodels.stats.contingency_tables import mcnemar

from becas_ft.evidence.mcnemar import exact_p, mid_p


@pytest.mark.parametrize(
    ("first_only", "second_only", "p_value"),
    [(70, 59, 0.378688), (80, 59, 0.089452), (30, 60, 0.00206), (10, 10, 1.0)],
)
def test_statsmodels_exact_vectors(first_only: int, second_only: int, p_value: float) -> None:
    """Statsmodels stats/tests/test_nonparametric.py: exact p-values of four tables."""
    assert exact_p(first_only, second_only) == pytest.approx(p_value, abs=1e-6)


def test_contingencytables_mcnemar() -> None:
    """ocbe-uio/contingencytables tests/testthat/test-ch8.R, table [[59, 6], [16, 80]]: exact and mid-P."""
    assert exact_p(6, 16) == pytest.approx(0.052479, abs=1e-6)
    assert mid_p(6, 16) == pytest.approx(0.034690, abs=1e-6)


@pytest.mark.parametrize(("first_only", "second_only"), [(121, 59), (70, 59), (3, 0), (1, 2), (12, 12)])
def test_exact_against_statsmodels(first_only: int, second_only: int) -> None:
    """Statsmodels gives the same exact p-value."""
    expected = mcnemar([[101, first_only], [second_only, 33]], exact=True).pvalue

    assert exact_p(first_only, second_only) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("first_only", "second_only", "p_value", "tolerance"),
    [(121, 59, 3.815136e-06, 2e-6), (70, 59, 0.3327967, 1e-2)],
)
def test_mid_p_near_the_asymptotic_vectors(first_only: int, second_only: int, p_value: float, tolerance: float) -> None:
    """The statsmodels chi-square vectors without correction are the large-sample limit of mid-P."""
    asymptotic = mcnemar([[101, first_only], [second_only, 33]], exact=False, correction=False).pvalue

    assert asymptotic == pytest.approx(p_value, rel=1e-6)
    assert mid_p(first_only, second_only) == pytest.approx(p_value, abs=tolerance)


def test_without_disagreement_nothing_is_shown() -> None:
    """No discordant pair, or as many of each, give 1 for the exact test and no more than 1 for mid-P."""
    assert exact_p(0, 0) == mid_p(0, 0) == 1.0
    assert 0.8 < mid_p(10, 10) <= 1.0
