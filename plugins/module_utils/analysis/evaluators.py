# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evaluators of failed requests, response times, request rates and single numbers. Pure.

The alpha of errors and latency is halved. One half is for alarms: tests that may be evaluated at any time (errors), or
at doubling numbers of requests and minute by minute, each with half of it, as alpha / (k (k + 1)) at the k-th test,
which sums to alpha (latency; source: D. Siegmund, Sequential Analysis, 1985, on repeated significance tests; the bound
is Bonferroni's). The other half is for the end, which repeats while another metric is undecided: its tests share it in
the same way, at doubling numbers of requests too.
"""

from __future__ import annotations

import math
import typing as t
from collections import Counter
from dataclasses import replace

from . import binomial
from .counter_deltas import cumulative
from .error_rates import RequestCount, SequentialLimit, SequentialRate
from .final_tests import FinalTests
from .metrics import judge_errors, judge_latency, judge_rate, judge_value

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .intervals import Evidence, Interval, MetricSpec
    from .verdict import Judgement

RECENT_SECONDS: t.Final = 60.0
"""Response times are also judged by the minute, so that a good hour does not hide a bad minute."""


class ErrorEvaluator:
    """Failed requests: the canary compared with stable, with a limit, and with stable in the step before."""

    def __init__(self, spec: MetricSpec, evidence: Evidence) -> None:
        metric = spec.metric
        self._metric, self._half_alpha = metric, metric.alpha / 2
        self._canary, self._stable = RequestCount(0, 0), RequestCount(0, 0)
        self._final_tests = FinalTests(self._half_alpha)
        self._rate = SequentialRate(max(1.0, metric.max_ratio or 1.0), evidence.get(f"{metric.name}.rate"))
        self._limit = None
        if metric.limit is not None and 0 < metric.limit < 100:
            self._limit = SequentialLimit(metric.limit / 100.0, evidence.get(f"{metric.name}.limit"))
        counts = evidence.get(f"{metric.name}.stable")
        self._previous_stable = RequestCount(int(counts[0]), int(counts[1])) if counts else None
        # A canary that has all requests is compared with the highest error rate that stable may have had before. Half
        # of this test's part of alpha is for that bound to be wrong.
        before = self._previous_stable
        self._part = self._half_alpha / (2 if self._limit else 1)
        self._against_previous = None
        if metric.compare and before and before.requests >= metric.min_requests:
            self._part = self._half_alpha / (3 if self._limit else 2)
            highest = binomial.upper_limit(before.errors, before.requests, self._part / 2)
            highest *= max(1.0, metric.max_ratio or 1.0)
            self._against_previous = SequentialLimit(highest) if highest < 1.0 else None

    def add(self, interval: Interval) -> None:
        self._canary, self._stable = self._canary + interval.canary, self._stable + interval.stable
        if self._limit:
            self._limit.add(interval.canary)
        if self._metric.compare:
            self._rate.add(interval.canary, interval.stable)
            if self._against_previous and self._stable.requests < self._metric.min_requests:
                self._against_previous.add(interval.canary)

    def alarm(self) -> Judgement | None:
        none_allowed = self._metric.limit is not None and self._metric.limit <= 0 and self._canary.errors > 0
        parts = ((self._rate, 1.0), (self._limit, 1.0), (self._against_previous, 0.5))
        alarms = [test.evidence for test, part in parts if test and test.rejects(self._part * part)]
        if not alarms and not none_allowed:
            return None
        canary, stable = self._canary, self._stable
        than = f"stable's {stable.errors} of {stable.requests}" if stable.requests else "the limit allows"
        reason = f"{canary.errors} of {canary.requests} canary requests failed, more than {than}"
        if alarms:
            reason += f"; statistically significant (p = {1.0 / max(alarms):.2g})"
        return self._metric.judgement("fail", reason, self._strength(max(alarms, default=1.0)), **self._numbers())

    def judgement(self) -> Judgement:
        return self._final_tests.judgement(self._canary.requests, self._test)

    def _test(self, alpha: float) -> Judgement:
        stable: RequestCount | None = self._stable
        note = ""
        if self._metric.compare and self._stable.requests < self._metric.min_requests and self._previous_stable:
            stable = self._stable + self._previous_stable
            note = " (stable has too few requests now, so those of the previous step count too)"
        judgement = judge_errors(replace(self._metric, alpha=alpha), self._canary, stable)
        return replace(judgement, reason=judgement.reason + note)

    def evidence(self) -> dict[str, list[float]]:
        name = self._metric.name
        enough = self._stable.requests >= self._metric.min_requests
        stable = self._stable if enough else self._previous_stable
        return {
            **({f"{name}.rate": self._rate.state()} if self._metric.compare else {}),
            **({f"{name}.limit": self._limit.state()} if self._limit else {}),
            **({f"{name}.stable": [float(stable.requests), float(stable.errors)]} if stable else {}),
        }

    def _strength(self, evidence: float) -> float:
        judgement = judge_errors(replace(self._metric, min_requests=1), self._canary, self._stable)
        return max(evidence * self._half_alpha, judgement.strength if judgement.outcome == "fail" else 0.0)

    def _numbers(self) -> dict[str, t.Any]:
        sides = (("canary", self._canary), ("stable", self._stable))
        return {side: {"requests": count.requests, "errors": count.errors} for side, count in sides}


class LatencyEvaluator:
    """Response times of both versions."""

    def __init__(self, spec: MetricSpec, evidence: Evidence) -> None:
        self._metric = spec.metric
        self._canary: Counter[float] = Counter()
        self._stable: Counter[float] = Counter()
        flat = list(evidence.get(f"{self._metric.name}.stable") or ())
        pairs = zip(flat[::2], flat[1::2], strict=True)
        self._previous_stable = Counter({math.inf if bound < 0 else bound: int(count) for bound, count in pairs})
        self._tests, self._next = 0, self._metric.min_requests
        self._recent: tuple[Counter[float], Counter[float]] = (Counter(), Counter())
        self._recent_seconds, self._recent_tests = 0.0, 0
        self._final_tests = FinalTests(self._metric.alpha / 2)
        self._failed: Judgement | None = None

    def add(self, interval: Interval) -> None:
        self._canary.update(interval.times[0])
        self._stable.update(interval.times[1])
        for recent, times in zip(self._recent, interval.times, strict=True):
            recent.update(times)
        self._recent_seconds += interval.seconds

    def alarm(self) -> Judgement | None:
        if self._failed is None and self._canary.total() >= self._next:
            self._tests += 1
            self._next = 2 * self._canary.total()
            self._failed = self._test_alarm(self._canary, self._stable, self._tests)
        canary, stable = self._recent
        fewest = min(canary.total(), stable.total()) if self._metric.compare else canary.total()
        if self._failed is None and self._recent_seconds >= RECENT_SECONDS and fewest >= self._metric.min_requests:
            self._recent_tests += 1
            self._failed = self._test_alarm(canary, stable, self._recent_tests)
            self._recent, self._recent_seconds = (Counter(), Counter()), 0.0
        return self._failed

    def _test_alarm(self, canary: Counter[float], stable: Counter[float], number: int) -> Judgement | None:
        """Return a failure by tests alone: a percentile of few requests exceeds a limit by chance too often.

        number: of the test, from 1 on.
        """
        alpha = self._metric.alpha / 4 / (number * (number + 1))
        without_limit = replace(self._metric, alpha=alpha, limit=None)
        judgement = judge_latency(without_limit, cumulative(canary), cumulative(self._base(stable)), by_test=True)
        if judgement.outcome == "fail":
            return judgement
        if self._metric.limit is not None:
            slow, total = _slower_than(canary, self._metric.limit), canary.total()
            p_value = binomial.upper_tail(slow, total, 1.0 - self._metric.quantile)
            if p_value < alpha:
                reason = f"{slow} of {total} canary requests took longer than {self._metric.limit:g} ms"
                return self._metric.judgement("fail", f"{reason}; p = {p_value:.2g}", alpha / max(p_value, 1e-300))
        return None

    def judgement(self) -> Judgement:
        if self._failed is not None:
            return self._failed
        return self._final_tests.judgement(self._canary.total(), self._test)

    def _test(self, alpha: float) -> Judgement:
        metric = replace(self._metric, alpha=alpha)
        return judge_latency(metric, cumulative(self._canary), cumulative(self._base(self._stable)))

    def evidence(self) -> dict[str, list[float]]:
        enough = self._stable.total() >= self._metric.min_requests
        base = self._stable if enough else self._previous_stable
        flat = [number for bound in sorted(base) for number in (-1.0 if math.isinf(bound) else bound, base[bound])]
        return {f"{self._metric.name}.stable": [float(number) for number in flat]} if flat else {}

    def _base(self, stable: Counter[float]) -> Counter[float]:
        """Return stable's times, with those of the previous step where stable has too few requests now."""
        base = Counter(stable)
        if base.total() < self._metric.min_requests:
            base.update(self._previous_stable)  # the operator + would drop empty buckets, which bound those above them
        return base


def _slower_than(times: Mapping[float, int], limit: float) -> int:
    """Return the requests that certainly took longer than `limit`: those in buckets that begin there or above."""
    below, number = 0.0, 0
    for bound in sorted(times):
        number += times[bound] if below >= limit else 0
        below = bound
    return number


class RateEvaluator:
    """Requests per second over the whole analysis; judged at the end only, for a pause is no failure yet."""

    def __init__(self, spec: MetricSpec, evidence: Evidence) -> None:
        del evidence
        self._metric = spec.metric
        self._requests = [0, 0]
        self._seconds = 0.0

    def add(self, interval: Interval) -> None:
        self._requests[0] += interval.canary.requests
        self._requests[1] += interval.stable.requests
        self._seconds += interval.seconds

    def alarm(self) -> Judgement | None:
        return None

    def judgement(self) -> Judgement:
        return judge_rate(self._metric, self._requests[0], self._requests[1], self._seconds)

    def evidence(self) -> dict[str, list[float]]:
        return {}


class ValueEvaluator:
    """One number per measurement. A measurement without a number neither confirms nor clears earlier failures.

    judge: judges one pair of numbers, the canary's and stable's.
    """

    def __init__(self, spec: MetricSpec, evidence: Evidence, judge: t.Callable[..., Judgement] = judge_value) -> None:
        del evidence
        self._spec, self._metric, self._judge = spec, spec.metric, judge
        self._last = self._without_number = self._judge(self._metric, None)
        self._failures = self._missing = self._unanswered = 0

    def add(self, interval: Interval) -> None:
        if interval.value is None:
            self._unanswered += 1
            return
        self._unanswered = 0
        judgement = self._judge(self._metric, *interval.value)
        if judgement.outcome == "inconclusive":
            self._missing, self._without_number = self._missing + 1, judgement
            return
        self._missing, self._last = 0, judgement
        self._failures = self._failures + 1 if judgement.outcome == "fail" else 0

    def alarm(self) -> Judgement | None:
        return self._last if self._failures >= self._spec.consecutive else None

    def judgement(self) -> Judgement:
        failed = self.alarm()
        if failed:
            return failed
        if self._unanswered > self._spec.unanswered:
            return self._metric.judgement("inconclusive", f"no answer at {self._unanswered} measurements in a row")
        if self._missing > self._spec.missing:
            return self._without_number
        if self._failures:
            reason = f"{self._last.reason}, at {self._failures} of {self._spec.consecutive} measurements in a row"
            return replace(self._last, outcome="inconclusive", reason=reason)
        return self._last

    def evidence(self) -> dict[str, list[float]]:
        return {}
