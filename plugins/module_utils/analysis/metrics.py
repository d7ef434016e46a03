# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the numbers of one metric to one judgement. Pure.

Three kinds: errors (counts of requests), latency (samples or histograms), value (one number, any source). Whatever is
missing, not a number or too little is `inconclusive`, never `pass`.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass

from . import histogram
from .ranks import grouped_rank_test
from .rates import Tally, worse_p_value
from .verdict import Judgement

if t.TYPE_CHECKING:
    from collections.abc import Mapping

Buckets = t.Mapping[float, float]


@dataclass(frozen=True)
class Metric:
    """What is asked of one metric; every threshold is optional, at least one must be set for a value.

    name: how reasons call it. alpha: chance of a false alarm at one look, 0..1.
    min_requests: fewer on either side is `inconclusive`. limit: the most that is allowed (errors: percent of requests,
    latency: milliseconds at `quantile`, value: its unit). floor: the least allowed (value only).
    max_ratio: the most the canary may have as a multiple of stable's (errors: rate, latency: at `quantile`, value).
    effect: smallest effect size of the rank test that counts as slower, 0.5..1. slack: milliseconds by which the canary
    may be slower than stable at `quantile` in any case.
    compare: test against stable at all. quantile: 0..1. weight, critical: see Judgement.
    """

    name: str
    alpha: float = 0.01
    min_requests: int = 100
    limit: float | None = None
    floor: float | None = None
    max_ratio: float | None = None
    effect: float = 0.6
    slack: float = 0.0
    compare: bool = True
    quantile: float = 0.95
    weight: float = 1.0
    critical: bool = False

    def says(
        self, outcome: t.Literal["pass", "fail", "inconclusive"], reason: str, strength: float = 0.0, **numbers: t.Any
    ) -> Judgement:
        """Return the judgement with this metric's name, weight and criticality."""
        return Judgement(self.name, outcome, reason, self.weight, self.critical, strength, numbers)


def judge_errors(metric: Metric, canary: Tally | None, stable: Tally | None) -> Judgement:
    """Judge failed requests. None: the numbers could not be had. limit is in percent of requests."""
    if canary is None:
        return metric.says("inconclusive", "there are no numbers for the canary")
    seen = f"{canary.errors} of {canary.requests} canary requests failed"
    numbers: dict[str, t.Any] = {"canary": {"requests": canary.requests, "errors": canary.errors}}
    if canary.requests < metric.min_requests:
        return metric.says("inconclusive", f"{seen}; {metric.min_requests} requests are needed to judge", **numbers)
    if metric.limit is not None:
        limit = metric.limit / 100.0
        if canary.rate > limit:
            return metric.says("fail", f"{seen}, {canary.rate:.2%}; at most {limit:.2%} may", 1.0, **numbers)
    if not metric.compare:
        if metric.limit is None:
            return metric.says("inconclusive", "neither a limit nor a comparison with stable was asked for", **numbers)
        return metric.says("pass", f"{seen}, {canary.rate:.2%}; at most {metric.limit:g}% may", **numbers)
    if stable is None or stable.requests < metric.min_requests:
        had = "no numbers" if stable is None else f"{stable.requests} requests"
        return metric.says(
            "inconclusive", f"stable has {had}; {metric.min_requests} requests are needed to compare", **numbers
        )
    numbers["stable"] = {"requests": stable.requests, "errors": stable.errors}
    p_value = worse_p_value(canary, stable)
    compared = f"stable's {stable.errors} of {stable.requests} ({stable.rate:.2%})"
    told = f"{seen} ({canary.rate:.2%}), {compared}; p = {p_value:.2g}"
    strength = metric.alpha / max(p_value, 1e-300)
    worse = p_value < metric.alpha and canary.rate > (metric.max_ratio or 1.0) * stable.rate
    return metric.says("fail" if worse else "pass", told, strength, p_value=p_value, **numbers)


def judge_latency(metric: Metric, canary: Buckets | None, stable: Buckets | None) -> Judgement:
    """Judge response times by histograms: upper bound in milliseconds -> cumulative count of requests.

    Slower means: the rank test rejects at alpha and the effect is at least `effect`; both, because with many requests
    any difference is significant.
    """
    try:
        mine = histogram.counts(canary) if canary else {}
        theirs = histogram.counts(stable) if stable else {}
    except histogram.BrokenHistogram as broken:
        return metric.says("inconclusive", f"the histogram cannot be read: {broken}")
    if canary is None or sum(mine.values()) < metric.min_requests:
        return metric.says(
            "inconclusive", f"{sum(mine.values())} canary requests; {metric.min_requests} are needed to judge"
        )
    at = f"p{metric.quantile * 100:g}"
    value = histogram.quantile(canary, metric.quantile)
    numbers: dict[str, t.Any] = {"canary": {"requests": sum(mine.values()), at: value}}
    if metric.limit is not None and value > metric.limit:
        return metric.says("fail", f"{at} is {value:.0f} ms; at most {metric.limit:g} ms is allowed", 1.0, **numbers)
    if not metric.compare:
        if metric.limit is None:
            return metric.says("inconclusive", "neither a limit nor a comparison with stable was asked for", **numbers)
        return metric.says("pass", f"{at} is {value:.0f} ms; at most {metric.limit:g} ms is allowed", **numbers)
    if stable is None or sum(theirs.values()) < metric.min_requests:
        return metric.says(
            "inconclusive",
            f"{sum(theirs.values())} requests on stable; {metric.min_requests} are needed to compare",
            **numbers,
        )
    return _compare_latency(metric, mine, theirs, value, histogram.quantile(stable, metric.quantile), numbers)


def _compare_latency(
    metric: Metric,
    mine: Mapping[float, int],
    theirs: Mapping[float, int],
    value: float,
    base: float,
    numbers: dict[str, t.Any],
) -> Judgement:
    at = f"p{metric.quantile * 100:g}"
    ranks = grouped_rank_test(mine, theirs)
    numbers = {
        **numbers,
        "stable": {"requests": ranks.stable, at: base},
        "p_value": ranks.p_value,
        "effect": ranks.effect,
    }
    told = (
        f"{at} {value:.0f} ms, stable's {base:.0f} ms; effect {ranks.effect:.2f} (0.5 is none), p = {ranks.p_value:.2g}"
    )
    if value - base <= metric.slack and metric.slack > 0:
        return metric.says("pass", f"{told}; up to {metric.slack:g} ms more is tolerated", **numbers)
    if metric.max_ratio is not None and base > 0 and value > metric.max_ratio * base:
        return metric.says(
            "fail",
            f"{told}; at most {metric.max_ratio:g} times stable's is allowed",
            value / base / metric.max_ratio,
            **numbers,
        )
    if ranks.p_value < metric.alpha and ranks.effect >= metric.effect:
        return metric.says("fail", told, metric.alpha / max(ranks.p_value, 1e-300), **numbers)
    return metric.says("pass", told, **numbers)


def judge_value(metric: Metric, canary: float | None, stable: float | None = None) -> Judgement:
    """Judge one number against limit, floor and max_ratio. None or NaN or infinite: there is no evidence."""
    if canary is None or not math.isfinite(canary):
        return metric.says("inconclusive", f"the canary's value is {'missing' if canary is None else canary}")
    numbers: dict[str, t.Any] = {"canary": canary}
    if metric.limit is None and metric.floor is None and metric.max_ratio is None:
        return metric.says("inconclusive", "no limit, floor or max_ratio was asked for", **numbers)
    if metric.limit is not None and canary > metric.limit:
        return metric.says("fail", f"{canary:g} is above the limit {metric.limit:g}", 1.0, **numbers)
    if metric.floor is not None and canary < metric.floor:
        return metric.says("fail", f"{canary:g} is below the floor {metric.floor:g}", 1.0, **numbers)
    if metric.max_ratio is None:
        return metric.says("pass", f"{canary:g} is within its bounds", **numbers)
    if stable is None or not math.isfinite(stable) or stable <= 0:
        return metric.says(
            "inconclusive", f"stable's value is {'missing' if stable is None else stable}, so no ratio", **numbers
        )
    numbers["stable"] = stable
    if canary > metric.max_ratio * stable:
        return metric.says(
            "fail",
            f"{canary:g} is {canary / stable:.2f} times stable's; {metric.max_ratio:g} is allowed",
            1.0,
            **numbers,
        )
    return metric.says("pass", f"{canary:g} is {canary / stable:.2f} times stable's", **numbers)
