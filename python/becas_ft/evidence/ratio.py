"""Sequential sample-ratio check: evidence that requests are not sampled with the configured shares.

It is valid at every look.

Source: Lindon and Malek, "Anytime-valid inference for multinomial count data", arXiv 2011.03567
(Dirichlet-multinomial mixture).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def ratio_log_e(counts: ArrayLike, shares: ArrayLike, *, concentration: float = 1.0) -> float:
    """Logarithm of the e-value against the shares.

    Args:
        counts: Requests seen in each arm.
        shares: Their configured shares, each above 0, with a sum of 1.
        concentration: How near to the shares a fault is looked for; 1 finds coarse ones soonest, 100 slight
            ones.
    """
    seen = np.asarray(counts, dtype=np.float64)
    expected = np.asarray(shares, dtype=np.float64)
    if seen.shape != expected.shape or np.any(expected <= 0) or not math.isclose(float(expected.sum()), 1.0):
        raise ValueError("shares must be positive, sum up to 1 and match the counts")
    prior = concentration * expected
    log_e = special.gammaln(prior.sum()) - special.gammaln(prior).sum()
    log_e += special.gammaln(prior + seen).sum() - special.gammaln((prior + seen).sum())
    return float(log_e - (seen * np.log(expected)).sum())
