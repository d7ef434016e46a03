# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mann-Whitney against SciPy, and its promises."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import scipy.stats
from ansible_collections.meshops.canary.plugins.module_utils.analysis.rank_test import rank_test


@pytest.mark.parametrize("seed", range(30))
def test_agrees_with_scipy(seed: int) -> None:
    rng = random.Random(seed)
    digits = 0 if seed % 3 == 0 else 6  # every third has ties
    a = [round(rng.lognormvariate(3, 0.5), digits) for _turn in range(rng.choice((1, 2, 5, 8, 9, 60)))]
    b = [round(rng.lognormvariate(3.1, 0.5), digits) for _turn in range(rng.choice((1, 3, 8, 30, 200)))]
    tied = len({*a, *b}) < len(a) + len(b)
    method = "exact" if not tied and min(len(a), len(b)) <= 8 else "asymptotic"
    wanted = scipy.stats.mannwhitneyu(a, b, alternative="greater", method=method)
    got = rank_test(Counter(a), Counter(b))
    assert got.u == wanted.statistic
    assert got.p_value == pytest.approx(wanted.pvalue, rel=1e-9, abs=1e-15)
    assert got.effect == pytest.approx(wanted.statistic / (len(a) * len(b)))


def test_a_histogram_is_a_sample_with_ties() -> None:
    wanted = scipy.stats.mannwhitneyu([1, 1, 2, 5], [1, 2, 2, 2], alternative="greater", method="asymptotic")
    got = rank_test({1: 2, 2: 1, 5: 1}, {1: 1, 2: 3})
    assert (got.u, got.p_value) == (wanted.statistic, pytest.approx(wanted.pvalue, rel=1e-9))


def test_equal_samples_are_no_evidence() -> None:
    assert rank_test({5.0: 20}, {5.0: 30}).p_value == 1.0


@pytest.mark.parametrize(("a", "b"), [([], [1]), ([1], []), ([float("nan")], [1])])
def test_empty_samples_are_refused(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match=r"at least one value|not a number"):
        rank_test(Counter(a), Counter(b))


def test_false_alarms_in_ten_thousand_equal_pairs() -> None:
    rng = random.Random(5)
    alarms = 0
    for _turn in range(10_000):
        a = [rng.lognormvariate(3, 0.5) for _turn in range(20)]
        b = [rng.lognormvariate(3, 0.5) for _turn in range(20)]
        alarms += rank_test(Counter(a), Counter(b)).p_value < 0.01
    assert alarms <= 200  # the 2 % that is promised; 1 % is expected


def test_doubled_latency_is_seen() -> None:
    rng = random.Random(6)
    caught = 0
    for _turn in range(200):
        a = [2 * rng.lognormvariate(3, 0.5) for _turn in range(50)]
        b = [rng.lognormvariate(3, 0.5) for _turn in range(50)]
        result = rank_test(Counter(a), Counter(b))
        caught += result.p_value < 0.01 and result.effect >= 0.6
    assert caught >= 190
