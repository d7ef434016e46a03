# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mann-Whitney's rank test with an effect size, for samples and histograms: is the canary slower? Pure."""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass

from .distributions import normal_tail

if t.TYPE_CHECKING:
    from collections.abc import Mapping

EXACT_UP_TO: t.Final = 8
"""Size of the smaller sample up to which, without ties, the exact distribution of U is used (as SciPy does)."""


@dataclass(frozen=True)
class RankTest:
    """The result of the rank test.

    u: Mann-Whitney's U of the canary. p_value: one-sided, of "the canary's values are not larger".
    effect: P(canary > stable) + P(equal) / 2, 0..1; 0.5 is no difference.
    Source of the effect size: A. Vargha, H. D. Delaney, J. Educ. Behav. Stat. 25, 2000; their words for |effect - 0.5|:
    small 0.06, medium 0.14, large 0.21.
    """

    u: float
    p_value: float
    effect: float
    canary: int
    stable: int


def rank_test(canary: Mapping[float, int], stable: Mapping[float, int]) -> RankTest:
    """Compare two samples given as value -> count, as a histogram's buckets are (one value a bucket, its upper bound).

    Any unit, the same for both. Raises ValueError for an empty sample or one with a NaN.
    Normal approximation with tie and continuity correction; the exact distribution where EXACT_UP_TO says so.
    Source: H. B. Mann, D. R. Whitney, Ann. Math. Stat. 18 (1947).
    """
    n, m = sum(canary.values()), sum(stable.values())
    if not n or not m:
        raise ValueError("both samples need at least one value")
    values = sorted({*canary, *stable})
    if any(math.isnan(value) for value in values):
        raise ValueError("a sample has a value that is not a number")
    u, ties, below = 0.0, 0.0, 0
    for value in values:
        mine, theirs = canary.get(value, 0), stable.get(value, 0)
        u += mine * (below + theirs / 2.0)
        below += theirs
        ties += (mine + theirs) ** 3 - (mine + theirs)
    exact = not ties and min(n, m) <= EXACT_UP_TO
    p_value = _exact_tail(int(u), n, m) if exact else _normal_tail(u, n, m, ties)
    return RankTest(u=u, p_value=p_value, effect=u / (n * m), canary=n, stable=m)


def _normal_tail(u: float, n: int, m: int, ties: float) -> float:
    size = n + m
    variance = n * m / 12.0 * (size + 1 - ties / (size * (size - 1)))
    if variance <= 0.0:
        return 1.0
    return normal_tail((u - n * m / 2.0 - 0.5) / math.sqrt(variance))


def _exact_tail(u: int, n: int, m: int) -> float:
    """P(U >= u): the number of partitions that fit an n x m box, as a Gaussian binomial coefficient."""
    counts = [1]
    for i in range(1, n + 1):
        counts = _divide(_multiply(counts, m + i), i)
    return sum(counts[u:]) / math.comb(n + m, n)


def _multiply(polynomial: list[int], power: int) -> list[int]:
    """Return polynomial * (1 - x**power)."""
    result = polynomial + [0] * power
    for index, coefficient in enumerate(polynomial):
        result[index + power] -= coefficient
    return result


def _divide(polynomial: list[int], power: int) -> list[int]:
    """Return polynomial / (1 - x**power), which divides it."""
    quotient = polynomial[: len(polynomial) - power]
    for index in range(power, len(quotient)):
        quotient[index] += quotient[index - power]
    return quotient
