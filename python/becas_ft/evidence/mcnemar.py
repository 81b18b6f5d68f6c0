"""McNemar's test of two paired shares: descriptive, for a sample size that was fixed beforehand.

Source: Fagerland, Lydersen, Laake, "The McNemar test for binary matched-pairs data: mid-p and asymptotic are
better than exact conditional", BMC Medical Research Methodology 13 (2013).
"""

from __future__ import annotations

# Its subpackages are imported at their first use: `stats` and `optimize` take a second.
import scipy


def exact_p(first_only: int, second_only: int) -> float:
    """Two-sided exact conditional p-value of the discordant pairs; 1 without any."""
    return min(1.0, 2 * float(scipy.stats.binom.cdf(min(first_only, second_only), first_only + second_only, 0.5)))


def mid_p(first_only: int, second_only: int) -> float:
    """Two-sided mid-P value, which counts half of the observed outcome."""
    fewer, discordant = min(first_only, second_only), first_only + second_only
    if first_only == second_only:
        return 1 - float(scipy.stats.binom.pmf(fewer, discordant, 0.5)) / 2 if discordant else 1.0
    return 2 * float(scipy.stats.binom.cdf(fewer, discordant, 0.5)) - float(
        scipy.stats.binom.pmf(fewer, discordant, 0.5)
    )
