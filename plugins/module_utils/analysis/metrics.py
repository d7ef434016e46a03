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
from dataclasses import dataclass, replace

from . import histogram
from .ranks import RankTest, rank_test
from .rates import Tally, worse_p_value
from .verdict import Judgement

Buckets = t.Mapping[float, float]
LEAST_SLACK_MS: t.Final = 10.0
SLACK_RATIO: t.Final = 1.25


@dataclass(frozen=True)
class Metric:
    """What is asked of one metric; every threshold is optional, at least one must be set for a value.

    name: how reasons call it. alpha: chance of a false alarm at one look, 0..1.
    min_requests: fewer on either side is `inconclusive`. limit: the most that is allowed (errors: percent of requests,
    latency: milliseconds at `quantile`, value: its unit). floor: the least allowed (value only).
    max_ratio: the most the canary may have as a multiple of stable's (errors: rate, latency: at `quantile`, value).
    effect: smallest effect size of the rank test that counts as slower, 0.5..1. slack: milliseconds by which the
    canary's middle request may take longer than stable's in any case; None: as `tolerated` says.
    compare: test against stable at all. quantile: 0..1. weight, critical: see Judgement.
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

    def says(
        self, outcome: t.Literal["pass", "fail", "inconclusive"], reason: str, strength: float = 0.0, **numbers: t.Any
    ) -> Judgement:
        """Return the judgement with this metric's name, weight and criticality."""
        return Judgement(self.name, outcome, reason, self.weight, self.critical, strength, numbers)

    def tolerated(self, base: float) -> float:
        """Return the milliseconds by which the canary may be slower than stable, which takes `base`.

        Two pods of one version differ by some milliseconds, and those of a slow one by more than those of a fast one.
        """
        if self.slack is not None:
            return self.slack
        return max(LEAST_SLACK_MS, ((self.max_ratio or SLACK_RATIO) - 1.0) * base)


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
        return metric.says("inconclusive", f"stable has {had}; {_too_few(metric)}", **numbers)
    numbers["stable"] = {"requests": stable.requests, "errors": stable.errors}
    p_value = worse_p_value(canary, stable)
    compared = f"stable's {stable.errors} of {stable.requests} ({stable.rate:.2%})"
    told = f"{seen} ({canary.rate:.2%}), {compared}; p = {p_value:.2g}"
    strength = metric.alpha / max(p_value, 1e-300)
    worse = p_value < metric.alpha and canary.rate > (metric.max_ratio or 1.0) * stable.rate
    return metric.says("fail" if worse else "pass", told, strength, p_value=p_value, **numbers)


def _too_few(metric: Metric) -> str:
    """Say what it takes to compare with stable, for a step that leaves stable nothing and has none before it."""
    needed = f"{metric.min_requests} requests are needed to compare"
    return f"{needed}: take a smaller step before this one, or judge by a limit alone (compare: false)"


def judge_latency(
    metric: Metric, canary: Buckets | None, stable: Buckets | None, *, by_test: bool = False
) -> Judgement:
    """Judge response times by histograms: upper bound in milliseconds -> cumulative count of requests.

    Slower means: the rank test rejects at alpha, the effect is at least `effect`, and the middle request takes longer
    by more than is tolerated; all of them, because with many requests any difference is significant.
    by_test: max_ratio only tolerates; a percentile of few requests lies beyond it by chance too easily.
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
        return metric.says("inconclusive", f"{sum(theirs.values())} requests on stable; {_too_few(metric)}", **numbers)
    numbers["stable"] = {"requests": sum(theirs.values()), at: histogram.quantile(stable, metric.quantile)}
    middles = (histogram.quantile(canary, 0.5), histogram.quantile(stable, 0.5))
    return _compare_latency(metric, rank_test(mine, theirs), middles, numbers, by_test)


def _compare_latency(
    metric: Metric, ranks: RankTest, middles: tuple[float, float], numbers: dict[str, t.Any], by_test: bool
) -> Judgement:
    """Judge the ranks, how much later the middle request is answered, and max_ratio at `quantile`."""
    at = f"p{metric.quantile * 100:g}"
    value, base = numbers["canary"][at], numbers["stable"][at]
    numbers = {**numbers, "p_value": ranks.p_value, "effect": ranks.effect}
    told = (
        f"{at} {value:.0f} ms, stable's {base:.0f} ms; p50 {middles[0]:.0f} ms, stable's {middles[1]:.0f} ms; "
        f"effect {ranks.effect:.2f} (0.5 is none), p = {ranks.p_value:.2g}"
    )
    least = LEAST_SLACK_MS if metric.slack is None else metric.slack
    ratio = math.inf if by_test else metric.max_ratio or math.inf
    if base > 0 and value > ratio * base and value - base > least:
        strength = value / base / ratio
        return metric.says("fail", f"{told}; at most {ratio:g} times stable's is allowed", strength, **numbers)
    if ranks.p_value >= metric.alpha or ranks.effect < metric.effect:
        return metric.says("pass", told, **numbers)
    tolerated = metric.tolerated(middles[1])
    if middles[0] - middles[1] <= tolerated and tolerated > 0:
        return metric.says("pass", f"{told}; up to {tolerated:.3g} ms more is tolerated", **numbers)
    return metric.says("fail", told, metric.alpha / max(ranks.p_value, 1e-300), **numbers)


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


def judge_rate(metric: Metric, canary: int, stable: int, seconds: float) -> Judgement:
    """Judge the requests in a second: how many each version answered in `seconds`."""
    if seconds <= 0.0:
        return metric.says("inconclusive", "nothing was counted yet")
    judged = judge_value(metric, canary / seconds, stable / seconds)
    return replace(judged, reason=f"requests in a second: {judged.reason}")


def judge_check(metric: Metric, canary: float | None, stable: float | None = None) -> Judgement:
    """Judge a check: 1 it was answered as it should be, 0 it was not, None it was not made."""
    del stable
    if canary is None:
        return metric.says("inconclusive", "the check was not made")
    if canary < 1.0:
        return metric.says("fail", "the check was not answered as it should be", 1.0)
    return metric.says("pass", "the check was answered as it should be")
