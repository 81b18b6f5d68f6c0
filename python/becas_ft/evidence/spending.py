"""Error rates shared out over many tests: versions of one category, and all tests that run at a time.

Sources: the union bound over the series 1/v^2, whose sum is pi^2/6, for versions; Wang and Ramdas, "False discovery
rate control with e-values", arXiv 2009.02824, for e-BH.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def alpha_of_version(version: int, alpha: float = 0.05) -> float:
    """Error rate of the test of one version, counted from 1: alpha * 6 / (pi * version)^2.

    All sum up to alpha.
    """
    if version < 1:
        raise ValueError(f"versions count from 1: {version}")
    return alpha * 6 / (math.pi * version) ** 2


def threshold_of_version(version: int, alpha: float = 0.05) -> float:
    """E-value that the candidate of a version must reach."""
    return 1 / alpha_of_version(version, alpha)


def version_of_threshold(threshold: float, alpha: float = 0.05) -> int:
    """The version whose share of `alpha` a threshold is: the inverse of `threshold_of_version`."""
    return max(1, round(math.sqrt(6 * alpha * threshold) / math.pi))


def e_benjamini_hochberg(e_values: ArrayLike, alpha: float = 0.05) -> NDArray[np.bool_]:
    """Which of the tests to reject, with a false discovery rate of at most `alpha` under any dependence.

    The k largest e-values are rejected, for the largest k whose k-th e-value reaches (number of tests) /
    (alpha * k).
    """
    values = np.asarray(e_values, dtype=np.float64)
    rejected = np.zeros(values.shape, dtype=np.bool_)
    descending = np.argsort(-values, kind="stable")
    ranks = np.arange(1, values.size + 1)
    reached = np.flatnonzero(values[descending] >= values.size / (alpha * ranks))
    if reached.size:
        rejected[descending[: reached[-1] + 1]] = True
    return rejected
