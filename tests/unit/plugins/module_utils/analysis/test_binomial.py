# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The exact binomial distribution, against SciPy and against its own definition."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis import binomial
from scipy import stats

SHARES = (0.001, 0.01, 0.1, 0.25, 0.5, 0.9, 0.999)


def exact_pmf(count: int, n: int, share: Fraction) -> Fraction:
    return math.comb(n, count) * share**count * (1 - share) ** (n - count)


@pytest.mark.parametrize("share", [Fraction(1, 10), Fraction(1, 2), Fraction(997, 1000)])
@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 60])
def test_probabilities_are_those_of_rational_arithmetic(n: int, share: Fraction) -> None:
    for count in range(n + 1):
        wanted = math.log(exact_pmf(count, n, share))
        assert binomial.log_pmf(count, n, float(share)) == pytest.approx(wanted, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("n", [1, 7, 100, 3000, 50_000])
def test_p_values_are_those_of_scipy(n: int, share: float) -> None:
    middle, spread = n * share, math.sqrt(n * share * (1 - share))
    counts = {round(middle + z * spread) for z in (-5, -3.3, -2, -1, -0.3, 0, 0.3, 1, 2, 3.3, 5)} | {0, n}
    for count in sorted(count for count in counts if 0 <= count <= n):
        wanted = stats.binomtest(count, n, share).pvalue
        assert binomial.p_value(count, n, share) == pytest.approx(wanted, rel=1e-9, abs=1e-12), count


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("n", [10, 1000, 1_000_000])
def test_tails_are_those_of_scipy_and_complete_each_other(n: int, share: float) -> None:
    for count in sorted({0, int(n * share * 0.97), int(n * share), min(n, int(n * share * 1.03) + 1), n - 1}):
        lower = binomial.lower_tail(count, n, share)
        assert lower == pytest.approx(stats.binom.cdf(count, n, share), rel=1e-9, abs=1e-12)
        assert lower + binomial.upper_tail(count + 1, n, share) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("share", [0.0, 0.002, 0.1, 0.5, 0.97, 1.0])
@pytest.mark.parametrize("n", [0, 1, 30, 2000])
def test_the_interval_is_where_the_test_does_not_reject(n: int, share: float) -> None:
    low, high = binomial.interval(n, share, 0.001)
    assert 0 <= low <= n * share <= high <= n
    assert all(binomial.p_value(count, n, share) >= 0.001 for count in (low, high))
    assert all(binomial.p_value(count, n, share) < 0.001 for count in (low - 1, high + 1) if 0 <= count <= n)


def test_power_is_the_chance_of_leaving_the_interval() -> None:
    low, high = binomial.interval(1000, 0.1, 0.001)
    outside = stats.binom.cdf(low - 1, 1000, 0.15) + stats.binom.sf(high, 1000, 0.15)
    assert binomial.rejection_probability(1000, 0.1, 0.15, 0.001) == pytest.approx(outside, rel=1e-9)
    assert binomial.rejection_probability(1000, 0.1, 0.1, 0.001) <= 0.001


def test_certain_shares_leave_no_room() -> None:
    assert binomial.p_value(0, 50, 0.0) == 1.0
    assert binomial.p_value(1, 50, 0.0) == 0.0
    assert binomial.p_value(50, 50, 1.0) == 1.0
    assert binomial.p_value(49, 50, 1.0) == 0.0


def test_a_million_requests() -> None:
    low, high = binomial.interval(1_000_000, 0.1, 0.001)
    assert low < 100_000 < high
    p = binomial.p_value(101_000, 1_000_000, 0.1)
    assert p == pytest.approx(stats.binomtest(101_000, 1_000_000, 0.1).pvalue, rel=1e-9)
