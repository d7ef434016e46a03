# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verdict on a split: the exact multinomial test, its power, and what it says when there is too little."""

from __future__ import annotations

import math
import random

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis import binomial, split
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from scipy import stats

NINETY_TEN = {"v1": 90, "v2": 10}


def enumerated_p_value(counts: list[int], shares: list[float]) -> float:
    """The definition, outcome by outcome: everything no likelier than what was seen."""
    n = sum(counts)
    seen = stats.multinomial.pmf(counts, n, shares) * (1 + 1e-7)

    def outcomes(left: int, versions: int) -> list[list[int]]:
        if versions == 1:
            return [[left]]
        return [[first, *rest] for first in range(left + 1) for rest in outcomes(left - first, versions - 1)]

    each = stats.multinomial.pmf(outcomes(n, len(shares)), n, shares)
    return float(each[each <= seen].sum())


@pytest.mark.parametrize(
    ("counts", "shares"),
    [
        ([7, 2, 1], [0.8, 0.1, 0.1]),
        ([30, 8, 2], [0.5, 0.3, 0.2]),
        ([0, 40, 0], [0.1, 0.8, 0.1]),
        ([10, 10, 10], [1 / 3, 1 / 3, 1 / 3]),
        ([3, 9, 14], [1 / 3, 1 / 3, 1 / 3]),
        ([12, 3, 2, 1], [0.7, 0.1, 0.1, 0.1]),
        ([1, 0, 0, 5, 4], [0.2, 0.2, 0.2, 0.2, 0.2]),
    ],
)
def test_the_multinomial_p_value_is_its_definition(counts: list[int], shares: list[float]) -> None:
    p, method = split.p_value(counts, shares)
    assert method == "exact"
    assert p == pytest.approx(enumerated_p_value(counts, shares), rel=1e-9)


@pytest.mark.parametrize("counts", [[900, 100], [2683, 317], [2783, 217], [89_500, 10_500]])
def test_two_versions_are_the_binomial_test_of_scipy(counts: list[int]) -> None:
    p, method = split.p_value(counts, [0.9, 0.1])
    assert (method, p) == ("exact", pytest.approx(stats.binomtest(counts[1], sum(counts), 0.1).pvalue, rel=1e-9))


def test_the_bound_finds_what_the_exact_test_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = [0.7, 0.2, 0.1]
    samples = [[700 + a, 200 + b, 100 - a - b] for a in (-40, 0, 33) for b in (-30, 0, 41)]
    monkeypatch.setattr(split, "NEGLIGIBLE_P_VALUE", 0.0)
    exact = [split.p_value(sample, shares) for sample in samples]
    monkeypatch.setattr(split, "MAX_STEPS", 0)
    bound = [split.p_value(sample, shares) for sample in samples]
    assert {method for _p, method in exact} == {"exact"}
    assert {method for _p, method in bound} == {"bound"}
    outliers = [(exact_p, bound_p) for (exact_p, _m), (bound_p, _n) in zip(exact, bound, strict=True) if exact_p < 1e-4]
    assert outliers, "the samples must contain some that deviate"
    assert all(bound_p < 0.01 for _exact_p, bound_p in outliers)


def test_false_failures_are_as_rare_as_alpha_says() -> None:
    """At alpha 0.05, 2,000 honest samples fail about 100 times at most; 139 is four standard deviations more."""
    draw = random.Random(20261122)
    versions, shares = ["v1", "v2", "v3"], [0.6, 0.3, 0.1]
    failures = 0
    for _sample in range(2000):
        drawn = draw.choices(versions, shares, k=60)
        failures += split.p_value([drawn.count(version) for version in versions], shares)[0] < 0.05
    assert 0 < failures <= 139


def test_a_fitting_split_passes_with_the_number_of_requests() -> None:
    verdict = split.test_split({"v1": 2683, "v2": 317}, NINETY_TEN)
    assert (verdict.verdict, verdict.n, verdict.method) == ("pass", 3000, "exact")
    assert verdict.power > 0.99
    assert verdict.as_dict()["reasons"] == ["3000 requests fit the intended shares (p = 0.301)"]


def test_a_wrong_split_fails_and_names_the_version_and_its_bounds() -> None:
    verdict = split.test_split({"v1": 2783, "v2": 217}, NINETY_TEN)
    low, high = binomial.interval(3000, 0.1, 0.001)
    assert verdict.verdict == "fail"
    seen = "v2 answered 217 of 3000 requests (7.23%) where 10.00% is intended"
    assert f"{seen} ({low} to {high} would fit)" in verdict.reasons


def test_only_the_versions_outside_their_bounds_are_named() -> None:
    verdict = split.test_split({"v1": 8000, "v2": 1400, "v3": 600}, {"v1": 80, "v2": 10, "v3": 10})
    assert verdict.verdict == "fail"
    assert [reason.split()[0] for reason in verdict.reasons] == ["v2", "v3"]


def test_no_requests_are_inconclusive() -> None:
    for counts in ({}, {"v1": 0, "v2": 0}):
        verdict = split.test_split(counts, NINETY_TEN)
        assert (verdict.verdict, verdict.p_value, verdict.n, verdict.power) == ("inconclusive", None, 0, 0.0)
        assert verdict.reasons == ("no requests were counted",)


def test_too_few_requests_are_inconclusive_however_well_they_fit() -> None:
    verdict = split.test_split({"v1": 90, "v2": 10}, NINETY_TEN)
    assert (verdict.verdict, verdict.p_value) == ("inconclusive", 1.0)
    assert "about 704 requests are needed" in verdict.reasons[0]


def test_too_few_requests_still_fail_when_they_contradict() -> None:
    assert split.test_split({"v1": 0, "v2": 12}, NINETY_TEN).verdict == "fail"


@pytest.mark.parametrize("counts", [{"v1": 99_999, "v2": 1}, {"v1": 5, "v2": 1}])
def test_a_single_request_where_none_was_intended_fails(counts: dict[str, int]) -> None:
    verdict = split.test_split(counts, {"v1": 100, "v2": 0})
    assert (verdict.verdict, verdict.p_value) == ("fail", 0.0)
    assert verdict.reasons[0].startswith("v2 answered 1 of ")


def test_a_version_without_a_share_fails_too() -> None:
    verdict = split.test_split({"v1": 900, "v2": 100, "v9": 1}, NINETY_TEN)
    assert verdict.verdict == "fail"
    assert verdict.reasons == ("v9 answered 1 of 1001 requests and should answer none",)


@pytest.mark.parametrize(("n", "wanted"), [(31, "inconclusive"), (32, "pass")])
def test_a_split_to_one_version_needs_enough_requests_to_detect_a_leak(n: int, wanted: str) -> None:
    assert split.test_split({"v1": n}, {"v1": 100}).verdict == wanted


def test_a_share_smaller_than_the_deviation_must_be_distinguishable_from_none() -> None:
    needed = split.requests_needed({"v1": 99.9, "v2": 0.1})
    assert needed == pytest.approx(math.log(0.001 / 2) / math.log(0.999), rel=0.15)
    assert split.test_split({"v1": needed, "v2": 0}, {"v1": 99.9, "v2": 0.1}).verdict == "fail"


def test_shares_need_not_add_up_to_a_hundred() -> None:
    counts = {"v1": 1500, "v2": 4500}
    assert split.test_split(counts, {"v1": 1, "v2": 3}) == split.test_split(counts, {"v1": 25, "v2": 75})


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (({"v1": -1}, {"v1": 1}), {}, "counts: v1 has -1"),
        (({"v1": 1}, {"v1": -1}), {}, "shares: v1 has -1"),
        (({"v1": 1}, {"v1": math.nan}), {}, "shares: v1 has nan"),
        (({"v1": 1}, {"v1": 0}), {}, "shares: all are 0"),
        (({"v1": 1}, {}), {}, "shares: all are 0"),
        (({"v1": 1}, {"v1": 1}), {"alpha": 0}, "alpha: 0"),
        (({"v1": 1}, {"v1": 1}), {"detect": 5}, "detect: 5"),
        (({"v1": 1}, {"v1": 1}), {"power": 1}, "power: 1"),
    ],
)
def test_bad_input_names_the_option(arguments: tuple, options: dict, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        split.test_split(*arguments, **options)


@pytest.mark.parametrize("n", [10, 1_000, 20_000, 100_000, 1_000_000])
@pytest.mark.parametrize("shares", [[0.9, 0.1], [0.34, 0.33, 0.33], [0.4, 0.3, 0.2, 0.1]])
def test_any_number_of_requests_has_a_p_value(n: int, shares: list[float]) -> None:
    versions = [f"v{number}" for number in range(len(shares))]
    counts = {version: int(n * share) for version, share in zip(versions, shares, strict=True)}
    counts["v0"] += round(2 * math.sqrt(n * 0.2))
    verdict = split.test_split(counts, dict(zip(versions, shares, strict=True)))
    assert verdict.p_value is not None
    assert 0.0 < verdict.p_value <= 1.0


def test_a_small_share_that_needs_more_requests_is_named() -> None:
    verdict = split.test_split({"v2": 6, "v3": 54}, {"v2": 10, "v3": 90}, detect=0.5)
    assert verdict.verdict == "inconclusive"
    assert (
        "a deviation of 50 points, or none at all in place of a share of 10%, would be detected" in verdict.reasons[0]
    )
