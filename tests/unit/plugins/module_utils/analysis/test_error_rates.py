# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rate tests against SciPy, and their promises: false alarms and power, over simulated rollouts."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest
import scipy.stats
from ansible_collections.meshops.canary.plugins.module_utils.analysis.error_rates import (
    RequestCount,
    SequentialLimit,
    SequentialRate,
    worse_p_value,
)

COUNTS = [
    (100, 0, 900, 0),
    (100, 1, 900, 9),
    (500, 25, 4500, 45),
    (7, 7, 3, 0),
    (50, 50, 60, 60),
    (1, 0, 1, 1),
    (9999, 90, 10001, 70),
]


@pytest.mark.parametrize(("n", "x", "m", "y"), COUNTS)
def test_fishers_exact_test_agrees_with_scipy(n: int, x: int, m: int, y: int) -> None:
    wanted = scipy.stats.fisher_exact([[x, n - x], [y, m - y]], alternative="greater").pvalue
    assert worse_p_value(RequestCount(n, x), RequestCount(m, y)) == pytest.approx(wanted, rel=1e-9)


def _exactly(n: int, x: int, m: int, y: int) -> float:
    """P(X >= x) in whole numbers; SciPy's own is less exact here (1e-7 at these sizes)."""
    most = min(n, x + y)
    ways = sum(math.comb(n, k) * math.comb(m, x + y - k) for k in range(x, most + 1))
    return float(Fraction(ways, math.comb(n + m, x + y)))


@pytest.mark.parametrize(
    ("n", "x", "m", "y"),
    [(2000, 1, 18001, 0), (200, 1, 19801, 0), (1000, 2, 99000, 10), (40000, 60, 360000, 400), (30000, 9, 3000, 0)],
)
def test_rare_errors_among_many_requests_are_judged_exactly(n: int, x: int, m: int, y: int) -> None:
    """An approximation called one error of 200 beside none of 19801 certain, p = 1e-23, where it is 0.01."""
    assert worse_p_value(RequestCount(n, x), RequestCount(m, y)) == pytest.approx(_exactly(n, x, m, y), rel=1e-9)


def test_for_millions_of_requests_it_is_the_score_test_in_all_but_name() -> None:
    canary, stable = RequestCount(4_000_000, 40_400), RequestCount(36_000_000, 360_000)
    table = [[40_400, 4_000_000 - 40_400], [360_000, 36_000_000 - 360_000]]
    two_sided = scipy.stats.chi2_contingency(table, correction=False).pvalue
    assert worse_p_value(canary, stable) == pytest.approx(two_sided / 2, rel=0.02)
    assert worse_p_value(RequestCount(400, 0), RequestCount(36_000_000, 360_000)) == 1.0
    assert worse_p_value(RequestCount(4_000_000, 400_000), stable) == 0.0


def test_rare_errors_of_the_same_version_are_no_false_alarm() -> None:
    """1 error in 10,000 requests on both sides, 50,000 requests: 10,000 comparisons, alpha 0.01."""
    canary = scipy.stats.binom.rvs(5_000, 1e-4, size=10_000, random_state=5)
    stable = scipy.stats.binom.rvs(45_000, 1e-4, size=10_000, random_state=6)
    pairs = zip(canary.tolist(), stable.tolist(), strict=True)
    wrong = sum(worse_p_value(RequestCount(5_000, mine), RequestCount(45_000, theirs)) < 0.01 for mine, theirs in pairs)
    assert wrong <= 100


def test_nothing_seen_says_nothing() -> None:
    assert worse_p_value(RequestCount(0, 0), RequestCount(100, 5)) == 1.0
    assert math.isnan(RequestCount(0, 0).rate)


def test_errors_beyond_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and the 3 requests"):
        RequestCount(3, 4)


def _draw(rng: random.Random, n: int, rate: float) -> RequestCount:
    return RequestCount(n, sum(rng.random() < rate for _turn in range(n)))


def test_power_for_one_to_five_percent() -> None:
    rng = random.Random(1)
    caught = sum(worse_p_value(_draw(rng, 500, 0.05), _draw(rng, 4_500, 0.01)) < 0.01 for _turn in range(200))
    assert caught >= 190


def test_repeated_looks_raise_no_more_false_alarms_than_promised() -> None:
    rng, alarms, runs = random.Random(2), 0, 1_000
    for _turn in range(runs):
        test = SequentialRate()
        alarms += any(test.add(_draw(rng, 10, 0.02), _draw(rng, 90, 0.02)) >= 100 for _turn in range(20))
    # alpha is 0.01; the bound is that of a binomial with as many runs at 99.9 %
    assert alarms <= scipy.stats.binom.ppf(0.999, runs, 0.01)


def test_half_of_the_requests_failing_is_seen_within_seconds() -> None:
    rng, test = random.Random(3), SequentialRate()
    for second in range(1, 6):  # 200 requests/s, 10 % of them on the canary
        test.add(_draw(rng, 20, 0.5), _draw(rng, 180, 0.001))
        if test.rejects(0.01):
            assert second <= 2
            return
    pytest.fail("not seen within five seconds")


def test_state_goes_on_where_it_was() -> None:
    first = SequentialRate()
    first.add(RequestCount(20, 3), RequestCount(180, 1))
    second = SequentialRate(state=first.state())
    assert second.add(RequestCount(20, 3), RequestCount(180, 1)) == pytest.approx(
        first.add(RequestCount(20, 3), RequestCount(180, 1)), rel=1e-12
    )


def test_tolerated_odds_are_no_evidence() -> None:
    test = SequentialRate(tolerated=3.0)
    for _turn in range(50):
        test.add(RequestCount(100, 2), RequestCount(900, 9))
    assert not test.rejects(0.01)


def test_the_sequential_limit_keeps_alpha_and_detects_what_exceeds_it() -> None:
    rng, alarms, runs = random.Random(4), 0, 1_000
    for _turn in range(runs):
        test = SequentialLimit(0.02)
        alarms += any(test.add(_draw(rng, 25, 0.02)) >= 100 for _turn in range(20))
    assert alarms <= scipy.stats.binom.ppf(0.999, runs, 0.01)
    test = SequentialLimit(0.02)
    assert test.add(RequestCount(100, 20)) > 100


@pytest.mark.parametrize("limit", [0.0, 1.0, -1.0, 2.0])
def test_limit_must_be_a_rate(limit: float) -> None:
    with pytest.raises(ValueError, match="limit must be a rate"):
        SequentialLimit(limit)
