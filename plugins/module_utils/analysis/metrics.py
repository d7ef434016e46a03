# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judges the numbers of one metric. Pure.

`kinds.KINDS` lists the kinds of metrics and their evaluators, which use these functions. A number that is missing, not
a number or from too few requests is `inconclusive`, never `pass`.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass, replace

from . import histogram
from .error_rates import RequestCount, worse_p_value
from .rank_test import RankTest, rank_test
from .verdict import Judgement

Buckets = t.Mapping[float, float]
MIN_SLACK_MS: t.Final = 10.0
SLACK_RATIO: t.Final = 1.25


@dataclass(frozen=True)
class Metric:
    """The thresholds of one metric; each is optional.

    name: its name in reasons. alpha: probability of a false alarm, 0..1.
    min_requests: fewer on either side is `inconclusive`. limit: maximum (errors: percent of requests, latency:
    milliseconds at `quantile`, stalled: seconds, rate: requests per second, value: its unit). floor: minimum.
    max_ratio: maximum as a multiple of stable's (errors: rate, latency: at `quantile`, rate, value).
    effect: smallest effect size of the rank test that counts as slower, 0.5..1. slack: milliseconds by which the
    canary's median may exceed stable's in any case, None for that of `allowed_slowdown`.
    compare: whether to compare with stable. quantile: 0..1. weight, critical: see Judgement.
    """

    name: str
    alpha: float = 0.01
    min_requests: int = 100
    limit: float | None = None
    floor: float | None = None
    max_ratio: float | None = None
    effect: float = 0.6
    slack: float | None = None
    compare: bool = True
    quantile: float = 0.95
    weight: float = 1.0
    critical: bool = False

    def judgement(
        self, outcome: t.Literal["pass", "fail", "inconclusive"], reason: str, strength: float = 0.0, **numbers: t.Any
    ) -> Judgement:
        """Return the judgement with this metric's name, weight and criticality."""
        return Judgement(self.name, outcome, reason, self.weight, self.critical, strength, numbers)

    def allowed_slowdown(self, base: float) -> float:
        """Return the milliseconds by which the canary may be slower than stable, which takes `base` milliseconds.

        Two pods of one version differ by some milliseconds, slow ones by more than fast ones.
        """
        if self.slack is not None:
            return self.slack
        return max(MIN_SLACK_MS, ((self.max_ratio or SLACK_RATIO) - 1.0) * base)


def judge_errors(metric: Metric, canary: RequestCount | None, stable: RequestCount | None) -> Judgement:
    """Judge failed requests. None: not known."""
    if canary is None:
        return metric.judgement("inconclusive", "no requests of the canary are known")
    failed = f"{canary.errors} of {canary.requests} canary requests failed"
    numbers: dict[str, t.Any] = {"canary": {"requests": canary.requests, "errors": canary.errors}}
    if canary.requests < metric.min_requests:
        return metric.judgement(
            "inconclusive", f"{failed}; {metric.min_requests} requests are needed to judge", **numbers
        )
    if metric.limit is not None:
        limit = metric.limit / 100.0
        if canary.rate > limit:
            return metric.judgement(
                "fail", f"{failed}, {canary.rate:.2%}; at most {limit:.2%} is allowed", 1.0, **numbers
            )
    if not metric.compare:
        if metric.limit is None:
            return metric.judgement("inconclusive", "neither a limit nor a comparison with stable is set", **numbers)
        return metric.judgement("pass", f"{failed}, {canary.rate:.2%}; at most {metric.limit:g}% is allowed", **numbers)
    if stable is None or stable.requests < metric.min_requests:
        known = "no known requests" if stable is None else f"{stable.requests} requests"
        return metric.judgement("inconclusive", f"stable has {known}; {_too_few(metric)}", **numbers)
    numbers["stable"] = {"requests": stable.requests, "errors": stable.errors}
    p_value = worse_p_value(canary, stable)
    compared = f"stable's {stable.errors} of {stable.requests} ({stable.rate:.2%})"
    strength = metric.alpha / max(p_value, 1e-300)
    worse = p_value < metric.alpha and canary.rate > (metric.max_ratio or 1.0) * stable.rate
    more = "more often" if worse else "no more often" if p_value >= metric.alpha else "more often, within max_ratio,"
    reason = f"the canary fails {more} than stable: {failed} ({canary.rate:.2%}), {compared}; p = {p_value:.2g}"
    return metric.judgement("fail" if worse else "pass", reason, strength, p_value=p_value, **numbers)


def _too_few(metric: Metric) -> str:
    """Return what to do where stable has too few requests, in this step and the one before."""
    needed = f"{metric.min_requests} requests are needed to compare"
    return f"{needed}: add a smaller step before this one, or judge by a limit alone (compare: false)"


def judge_latency(
    metric: Metric, canary: Buckets | None, stable: Buckets | None, *, by_test: bool = False
) -> Judgement:
    """Judge response times by histograms: upper bound in milliseconds -> cumulative count of requests.

    Slower means all of these: the rank test rejects at alpha, the effect is at least `effect`, and the median exceeds
    stable's by more than is allowed. With many requests the smallest difference is significant.
    by_test: do not fail by max_ratio; a percentile of few requests exceeds it by chance too often.
    """
    try:
        canary_counts = histogram.counts(canary) if canary else {}
        stable_counts = histogram.counts(stable) if stable else {}
    except histogram.InvalidHistogram as error:
        return metric.judgement("inconclusive", f"the histogram is invalid: {error}")
    if canary is None or sum(canary_counts.values()) < metric.min_requests:
        return metric.judgement(
            "inconclusive", f"{sum(canary_counts.values())} canary requests; {metric.min_requests} are needed to judge"
        )
    at = f"p{metric.quantile * 100:g}"
    value = histogram.quantile(canary, metric.quantile)
    numbers: dict[str, t.Any] = {"canary": {"requests": sum(canary_counts.values()), at: value}}
    if metric.limit is not None and value > metric.limit:
        return metric.judgement(
            "fail", f"{at} is {value:.0f} ms; at most {metric.limit:g} ms is allowed", 1.0, **numbers
        )
    if not metric.compare:
        if metric.limit is None:
            return metric.judgement("inconclusive", "neither a limit nor a comparison with stable is set", **numbers)
        return metric.judgement("pass", f"{at} is {value:.0f} ms; at most {metric.limit:g} ms is allowed", **numbers)
    if stable is None or sum(stable_counts.values()) < metric.min_requests:
        return metric.judgement(
            "inconclusive", f"stable has {sum(stable_counts.values())} requests; {_too_few(metric)}", **numbers
        )
    numbers["stable"] = {"requests": sum(stable_counts.values()), at: histogram.quantile(stable, metric.quantile)}
    medians = (histogram.quantile(canary, 0.5), histogram.quantile(stable, 0.5))
    return _compare_latency(metric, rank_test(canary_counts, stable_counts), medians, numbers, by_test)


def _compare_latency(
    metric: Metric, ranks: RankTest, medians: tuple[float, float], numbers: dict[str, t.Any], by_test: bool
) -> Judgement:
    """Judge the rank test, the difference of the medians, and max_ratio at `quantile`."""
    at = f"p{metric.quantile * 100:g}"
    value, base = numbers["canary"][at], numbers["stable"][at]
    numbers = {**numbers, "p_value": ranks.p_value, "effect": ranks.effect}
    reason = (
        f"{at} {value:.0f} ms, stable's {base:.0f} ms; p50 {medians[0]:.0f} ms, stable's {medians[1]:.0f} ms; "
        f"effect {ranks.effect:.2f} (0.5 is none), p = {ranks.p_value:.2g}"
    )
    min_difference = MIN_SLACK_MS if metric.slack is None else metric.slack
    ratio = math.inf if by_test else metric.max_ratio or math.inf
    if base > 0 and value > ratio * base and value - base > min_difference:
        strength = value / base / ratio
        said = f"the canary takes {value / base:.1f} times as long as stable at {at}, and {ratio:g} times is allowed"
        return metric.judgement("fail", f"{said}: {reason}", strength, **numbers)
    if ranks.p_value >= metric.alpha or ranks.effect < metric.effect:
        return metric.judgement("pass", f"the canary is not slower than stable: {reason}", **numbers)
    more, allowed = medians[0] - medians[1], metric.allowed_slowdown(medians[1])
    if more <= allowed and allowed > 0:
        said = f"the canary is slower than stable by {more:.3g} ms at p50, within the {allowed:.3g} ms that are allowed"
        return metric.judgement("pass", f"{said}: {reason}", **numbers)
    said = f"the canary is slower than stable by {more:.3g} ms at p50, and {allowed:.3g} ms are allowed"
    return metric.judgement("fail", f"{said}: {reason}", metric.alpha / max(ranks.p_value, 1e-300), **numbers)


def judge_value(metric: Metric, canary: float | None, stable: float | None = None) -> Judgement:
    """Judge one number by limit, floor and max_ratio. None, NaN and infinity are no evidence."""
    if canary is None or not math.isfinite(canary):
        return metric.judgement("inconclusive", f"the canary's value is {'missing' if canary is None else canary}")
    numbers: dict[str, t.Any] = {"canary": canary}
    if metric.limit is None and metric.floor is None and metric.max_ratio is None:
        return metric.judgement("inconclusive", "no limit, floor or max_ratio is set", **numbers)
    if metric.limit is not None and canary > metric.limit:
        return metric.judgement("fail", f"{canary:g} is above the limit {metric.limit:g}", 1.0, **numbers)
    if metric.floor is not None and canary < metric.floor:
        return metric.judgement("fail", f"{canary:g} is below the floor {metric.floor:g}", 1.0, **numbers)
    if metric.max_ratio is None:
        return metric.judgement("pass", f"{canary:g} is within the bounds", **numbers)
    if stable is None or not math.isfinite(stable) or stable <= 0:
        return metric.judgement(
            "inconclusive", f"stable's value is {'missing' if stable is None else stable}, so no ratio", **numbers
        )
    numbers["stable"] = stable
    if canary > metric.max_ratio * stable:
        return metric.judgement(
            "fail",
            f"{canary:g} is {canary / stable:.2f} times stable's; at most {metric.max_ratio:g} is allowed",
            1.0,
            **numbers,
        )
    return metric.judgement("pass", f"{canary:g} is {canary / stable:.2f} times stable's", **numbers)


def judge_rate(metric: Metric, canary: int, stable: int, seconds: float) -> Judgement:
    """Judge the requests per second. canary, stable: requests answered in `seconds`."""
    if seconds <= 0.0:
        return metric.judgement("inconclusive", "no requests were counted yet")
    judgement = judge_value(metric, canary / seconds, stable / seconds)
    return replace(judgement, reason=f"requests per second: {judgement.reason}")


def judge_check(metric: Metric, canary: float | None, stable: float | None = None) -> Judgement:
    """Judge an HTTP check. canary: 1 passed, 0 failed, None not made."""
    del stable
    if canary is None:
        return metric.judgement("inconclusive", "the check was not made")
    if canary < 1.0:
        return metric.judgement("fail", "the check failed", 1.0)
    return metric.judgement("pass", "the check passed")
