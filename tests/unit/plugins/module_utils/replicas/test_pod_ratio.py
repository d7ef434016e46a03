# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ratios against brute force, over everything a user can ask for."""

from __future__ import annotations

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.replicas import pod_ratio

SHARES = range(1, 100)


def _distance(canary: int, total: int, share: int) -> float:
    return abs(canary / total - share / 100)


@pytest.mark.parametrize("total", range(2, 201))
def test_for_total_is_the_nearest(total: int) -> None:
    for share in SHARES:
        got = pod_ratio.for_total(share, total)
        best = min(_distance(canary, total, share) for canary in range(1, total))
        assert got.stable >= 1
        assert got.canary >= 1
        assert got.stable + got.canary == total
        assert _distance(got.canary, total, share) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("stable", range(1, 201))
def test_for_stable_is_the_nearest_and_keeps_capacity(stable: int) -> None:
    """Beyond the first canary that has more than its share each further pod only takes it further off."""
    for share in SHARES:
        enough = stable * share // (100 - share) + 2
        best = min(_distance(canary, stable + canary, share) for canary in range(1, enough + 1))
        assert 100 * enough > share * (stable + enough), "the search ended too early"
        got = pod_ratio.for_stable(share, stable)
        assert got.stable == stable
        assert _distance(got.canary, stable + got.canary, share) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("share", SHARES)
def test_the_pods_named_for_a_share_are_the_fewest_that_reach_it(share: int) -> None:
    result = pod_ratio.advice(share, pod_ratio.for_stable(0, 1))
    exact = next(total for total in range(2, 101) if share * total % 100 == 0)
    assert f"Exactly {share}% needs {exact} pods" in result


@pytest.mark.parametrize("share", SHARES)
def test_within_is_the_fewest(share: int) -> None:
    for points in (0.0, 0.5, 2.0):
        got = pod_ratio.within(share, points)
        assert abs(got.error(share)) <= points + 1e-9
        for total in range(2, got.stable + got.canary):
            assert min(abs(100 * canary - share * total) for canary in range(1, total)) > points * total


def test_zero_takes_the_canary_away() -> None:
    assert pod_ratio.for_stable(0, 3) == pod_ratio.for_total(0, 3) == (3, 0)


def test_the_story() -> None:
    assert pod_ratio.for_stable(25, 3) == (3, 1)


def test_one_percent_is_dear_and_says_so() -> None:
    result = pod_ratio.advice(1, pod_ratio.for_stable(1, 3))
    assert "25.0% reached" in result
    assert "Exactly 1% needs 100 pods (67 within 0.5 points)" in result
    assert "meshops.canary.canary_weight" in result


@pytest.mark.parametrize("share", [-1, 100, 101, float("nan"), float("inf")])
def test_a_share_must_be_one(share: float) -> None:
    with pytest.raises(InvalidInput, match="share must be a percent"):
        pod_ratio.for_stable(share, 3)


def test_too_few_pods_are_named() -> None:
    with pytest.raises(InvalidInput, match="at least 2"):
        pod_ratio.for_total(10, 1)
    with pytest.raises(InvalidInput, match="at least 1"):
        pod_ratio.for_stable(10, 0)
