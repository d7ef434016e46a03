# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The binomial distribution, exactly, from one request to millions, without SciPy.

Probabilities follow Catherine Loader, "Fast and Accurate Computation of Binomial Probabilities" (2000): the
logarithm is written as deviances and Stirling errors, so that no large numbers cancel. Differences of `lgamma`
would leave only nine good digits at a million requests.
"""

from __future__ import annotations

import math
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable

TIE = math.log1p(1e-7)
"""Two outcomes whose probabilities differ by less than this factor count as equally likely (as in R and SciPy)."""

_SERIES_FROM = 16
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


def log_pmf(count: int, n: int, share: float) -> float:
    """Return the log probability of exactly `count` of `n` requests, each taken with probability `share`."""
    if not 0 <= count <= n or (share <= 0 and count > 0) or (share >= 1 and count < n):
        return -math.inf
    if count == 0:
        return n * math.log1p(-share) if share < 1 else 0.0
    if count == n:
        return n * math.log(share)
    rest = n - count
    return (
        _stirling_error(n)
        - _stirling_error(count)
        - _stirling_error(rest)
        - _deviance(count, n * share)
        - _deviance(rest, n * (1 - share))
        - _HALF_LOG_TWO_PI
        - 0.5 * (math.log(count) + math.log1p(-count / n))
    )


def lower_tail(count: int, n: int, share: float) -> float:
    """Return the probability of `count` requests or fewer."""
    if count < 0:
        return 0.0
    if count >= n:
        return 1.0
    if count > n * share:
        return 1.0 - _sum_upwards(count + 1, n, share)
    return _sum_upwards(n - count, n, 1 - share)


def upper_tail(count: int, n: int, share: float) -> float:
    """Return the probability of `count` requests or more."""
    return lower_tail(n - count, n, 1 - share)


def mass_at_most(log_limit: float, n: int, share: float) -> float:
    """Return the probability of all outcomes whose own log probability is `log_limit` or less.

    The outcomes above the limit form one interval around the mode, found by bisection: what is left is two tails.
    """
    interval = _interval_above(log_limit, n, share)
    if interval is None:
        return 1.0
    low, high = interval
    return lower_tail(low - 1, n, share) + upper_tail(high + 1, n, share)


def p_value(count: int, n: int, share: float) -> float:
    """Return the exact two-sided p-value of `count` among `n` for a true share of `share` (0 to 1).

    Two-sided by the method of small p-values: the probability of every outcome that is no likelier than the one seen.
    """
    if n == 0:
        return 1.0
    return min(1.0, mass_at_most(log_pmf(count, n, share) + TIE, n, share))


def upper_limit(count: int, n: int, alpha: float) -> float:
    """Return the largest share that `count` of `n` leave possible, wrong with a probability of `alpha` at most.

    C. J. Clopper, E. S. Pearson, The use of confidence or fiducial limits, Biometrika 26 (1934).
    """
    if count >= n:
        return 1.0
    low, high = count / n, 1.0
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        if lower_tail(count, n, middle) > alpha:
            low = middle
        else:
            high = middle
    return high


def interval(n: int, share: float, alpha: float) -> tuple[int, int]:
    """Return the smallest and the largest count that the exact test of `share` at level `alpha` does not reject."""
    mode = _mode(n, share)
    low = _first(0, mode, lambda count: p_value(count, n, share) >= alpha)
    high = n - _first(0, n - mode, lambda missing: p_value(n - missing, n, share) >= alpha)
    return low, high


def rejection_probability(n: int, share: float, true_share: float, alpha: float) -> float:
    """Return the power: the probability that the exact test of `share` rejects when the share is `true_share`."""
    low, high = interval(n, share, alpha)
    return lower_tail(low - 1, n, true_share) + upper_tail(high + 1, n, true_share)


def _interval_above(log_limit: float, n: int, share: float) -> tuple[int, int] | None:
    """Return the first and last count with a log probability above `log_limit`, None if there is none."""
    mode = _mode(n, share)
    if log_pmf(mode, n, share) <= log_limit:
        return None
    low = _first(0, mode, lambda count: log_pmf(count, n, share) > log_limit)
    high = n - _first(0, n - mode, lambda missing: log_pmf(n - missing, n, share) > log_limit)
    return low, high


def _mode(n: int, share: float) -> int:
    return min(n, int((n + 1) * share))


def _first(low: int, high: int, is_true: Callable[[int], bool]) -> int:
    """Return the first number from `low` to `high` for which `is_true`; from there on it stays true."""
    while low < high:
        middle = (low + high) // 2
        if is_true(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _sum_upwards(count: int, n: int, share: float) -> float:
    """Return the probability of `count` or more; above the mean the terms shrink, so the sum can stop."""
    term = math.exp(log_pmf(count, n, share))
    total = term
    odds = share / (1 - share) if share < 1 else math.inf
    while count < n and term > total * 1e-18:
        term *= (n - count) / (count + 1) * odds
        total += term
        count += 1
    return total


def _stirling_error(n: int) -> float:
    """Return log(n!) minus Stirling's approximation of it."""
    if n < _SERIES_FROM:
        return math.lgamma(n + 1) - (n + 0.5) * math.log(n) + n - _HALF_LOG_TWO_PI
    square = float(n) * n
    return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / 1188 / square) / square) / square) / square) / n


def _deviance(count: float, expected: float) -> float:
    """Return count * log(count / expected) + expected - count without cancellation when the two are close."""
    difference = count - expected
    if abs(difference) >= 0.1 * (count + expected):
        return count * math.log(count / expected) - difference
    ratio = difference / (count + expected)
    total = difference * ratio
    term = 2 * count * ratio
    odd = 1
    while True:
        term *= ratio * ratio
        odd += 2
        following = total + term / odd
        if following == total:
            return total
        total = following
