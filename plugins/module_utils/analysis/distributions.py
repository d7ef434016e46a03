# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The distribution functions of the tests, in log space, from the standard library alone. Pure."""

from __future__ import annotations

import math
import typing as t
from functools import lru_cache

from .binomial import log_pmf

if t.TYPE_CHECKING:
    from collections.abc import Iterable

_LOG_ZERO: t.Final = float("-inf")


def normal_tail(z: float) -> float:
    """Return P(Z > z) of the standard normal distribution, accurate far into the tail."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def log_sum(terms: Iterable[float]) -> float:
    """Return log(sum(exp(term))) without overflow; -inf for no terms."""
    values = list(terms)
    top = max(values, default=_LOG_ZERO)
    if top == _LOG_ZERO:
        return _LOG_ZERO
    return top + math.log(math.fsum(math.exp(value - top) for value in values))


def log_add(one: float, other: float) -> float:
    """Return log(exp(one) + exp(other)) of finite numbers."""
    return max(one, other) + math.log1p(math.exp(-abs(one - other)))


def log_choose(n: int, k: int) -> float:
    """Return log of the binomial coefficient; -inf where it is zero."""
    if k < 0 or k > n:
        return _LOG_ZERO
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def hypergeometric_support(total: int, marked: int, drawn: int) -> range:
    """Return the values k can take when `drawn` of `total` are drawn and `marked` of them carry the mark."""
    return range(max(0, drawn + marked - total), min(marked, drawn) + 1)


@lru_cache(maxsize=256)
def log_hypergeometric_weights(total: int, marked: int, drawn: int) -> tuple[float, ...]:
    """Return log C(marked, k) C(total - marked, drawn - k) over the support, unnormalized."""
    return tuple(
        log_choose(marked, k) + log_choose(total - marked, drawn - k)
        for k in hypergeometric_support(total, marked, drawn)
    )


def hypergeometric_tail(k: int, total: int, marked: int, drawn: int) -> float:
    """Return P(K >= k) for K hypergeometric: the one-sided p-value of Fisher's exact test.

    Exact at every size: each term is the one before times a quotient of whole numbers; negligible terms are left out.
    Source: R. A. Fisher, Statistical Methods for Research Workers, section 21.02.
    """
    support = hypergeometric_support(total, marked, drawn)
    if k <= support[0]:
        return 1.0
    if k > support[-1]:
        return 0.0
    if k * total > marked * drawn:
        return min(1.0, _sum_upwards(k, total, marked, drawn))
    # P(K <= k - 1) is the upper tail of the marked ones that were not drawn.
    return 1.0 - _sum_upwards(marked - k + 1, total, marked, total - drawn)


def _sum_upwards(k: int, total: int, marked: int, drawn: int) -> float:
    """Return P(K >= k) for a k about or above the mean, from where the terms only shrink."""
    share = drawn / total
    # By binomials, as in `binomial` (Loader): no large numbers cancel.
    both = log_pmf(k, marked, share) + log_pmf(drawn - k, total - marked, share)
    term = math.exp(both - log_pmf(drawn, total, share))
    tail, last = term, hypergeometric_support(total, marked, drawn)[-1]
    while k < last and term > tail * 1e-18:
        term *= (marked - k) * (drawn - k) / ((k + 1) * (total - marked - drawn + k + 1))
        tail += term
        k += 1
    return tail


@lru_cache(maxsize=4096)
def log_noncentral_ratio(k: int, total: int, marked: int, drawn: int, odds: float) -> float:
    """Return log of P(K = k | odds ratio) / P(K = k | odds ratio 1), K hypergeometric given its margins.

    Fisher's noncentral hypergeometric distribution: P(k | w) is proportional to C(m, k) C(N - m, n - k) w^k, so the
    ratio is w^k times the quotient of the two normalising sums.
    Source: A. Agresti, Categorical Data Analysis, 3rd ed., section 3.5.
    """
    support = hypergeometric_support(total, marked, drawn)
    weights = log_hypergeometric_weights(total, marked, drawn)
    log_odds = math.log(odds)
    tilted = log_sum(weight + value * log_odds for value, weight in zip(support, weights, strict=True))
    return k * log_odds + log_sum(weights) - tilted
