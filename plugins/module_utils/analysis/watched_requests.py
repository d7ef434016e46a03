# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is remembered of failed requests and of response times over all looks. Pure.

A metric's alpha is halved. One half is for the alarms: tests that may be looked at as often as one likes (errors), or
at doubling numbers of requests and minute by minute, each with half of it, as alpha / (k (k + 1)) at the k-th look,
which sums to alpha (latency; source: D. Siegmund, Sequential Analysis, 1985, on repeated significance tests; the bound
is Bonferroni's). The other half is for the end, which comes again while another metric is undecided: its tests share it
in the same way, at doubling numbers of requests too.
"""

from __future__ import annotations

import math
import typing as t
from collections import Counter
from dataclasses import replace

from . import binomial
from .metrics import judge_errors, judge_latency
from .rates import SequentialLimit, SequentialRate, Tally
from .sources import cumulative

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .looks import Came, Evidence, Question
    from .verdict import Judgement


MINUTE: t.Final = 60.0
"""Seconds of which response times are judged for themselves, so that a good hour does not hide a bad minute."""


class _Ends:
    """The tests of the end. Between two of them the word of the last one stands. alpha: for all of them together."""

    def __init__(self, alpha: float) -> None:
        self._alpha, self._tests, self._next = alpha, 0, 0
        self._last: Judgement | None = None

    def judge(self, requests: int, judged: Callable[[float], Judgement]) -> Judgement:
        """Return what `judged` says at the level that is its turn; too few requests are no test yet.

        requests: of the canary until now.
        """
        if self._last is not None and requests < self._next:
            return self._last
        judgement = judged(self._alpha / ((self._tests + 1) * (self._tests + 2)))
        if judgement.outcome != "inconclusive":
            self._last, self._tests, self._next = judgement, self._tests + 1, 2 * requests
        return judgement


class Errors:
    """Failed requests, of the canary beside stable's, a limit, and what stable did before."""

    def __init__(self, question: Question, evidence: Evidence) -> None:
        metric = question.metric
        self._metric, self._half = metric, metric.alpha / 2
        self._canary, self._stable = Tally(0, 0), Tally(0, 0)
        self._ends = _Ends(self._half)
        self._rate = SequentialRate(max(1.0, metric.max_ratio or 1.0), evidence.get(f"{metric.name}.rate"))
        self._limit = None
        if metric.limit is not None and 0 < metric.limit < 100:
            self._limit = SequentialLimit(metric.limit / 100.0, evidence.get(f"{metric.name}.limit"))
        counts = evidence.get(f"{metric.name}.stable")
        self._remembered = Tally(int(counts[0]), int(counts[1])) if counts else None
        # A canary that has all requests is compared with the most that stable may really have had before. Half of the
        # test's part of alpha is for that to be wrong.
        before = self._remembered
        self._part = self._half / (2 if self._limit else 1)
        self._alone = None
        if metric.compare and before and before.requests >= metric.min_requests:
            self._part = self._half / (3 if self._limit else 2)
            most = binomial.upper_limit(before.errors, before.requests, self._part / 2)
            most *= max(1.0, metric.max_ratio or 1.0)
            self._alone = SequentialLimit(most) if most < 1.0 else None

    def add(self, came: Came) -> None:
        self._canary, self._stable = self._canary + came.canary, self._stable + came.stable
        if self._limit:
            self._limit.add(came.canary)
        if self._metric.compare:
            self._rate.add(came.canary, came.stable)
            if self._alone and self._stable.requests < self._metric.min_requests:
                self._alone.add(came.canary)

    def alarm(self) -> Judgement | None:
        zero = self._metric.limit is not None and self._metric.limit <= 0 and self._canary.errors > 0
        parts = ((self._rate, 1.0), (self._limit, 1.0), (self._alone, 0.5))
        alarms = [test.evidence for test, part in parts if test and test.rejects(self._part * part)]
        if not alarms and not zero:
            return None
        mine, theirs = self._canary, self._stable
        than = f"stable's {theirs.errors} of {theirs.requests}" if theirs.requests else "the limit allows"
        told = f"{mine.errors} of {mine.requests} canary requests failed, more than {than}"
        return self._metric.says(
            "fail", f"{told}; no chance explains that", self._strength(max(alarms, default=1.0)), **self._numbers()
        )

    def judgement(self) -> Judgement:
        return self._ends.judge(self._canary.requests, self._judged)

    def _judged(self, alpha: float) -> Judgement:
        stable: Tally | None = self._stable
        said = ""
        if self._metric.compare and self._stable.requests < self._metric.min_requests and self._remembered:
            stable = self._stable + self._remembered
            said = " (stable has too few requests now, so those of the step before count too)"
        judged = judge_errors(replace(self._metric, alpha=alpha), self._canary, stable)
        return replace(judged, reason=judged.reason + said)

    def evidence(self) -> dict[str, list[float]]:
        name = self._metric.name
        enough = self._stable.requests >= self._metric.min_requests
        stable = self._stable if enough else self._remembered
        return {
            **({f"{name}.rate": self._rate.state()} if self._metric.compare else {}),
            **({f"{name}.limit": self._limit.state()} if self._limit else {}),
            **({f"{name}.stable": [float(stable.requests), float(stable.errors)]} if stable else {}),
        }

    def _strength(self, evidence: float) -> float:
        judged = judge_errors(replace(self._metric, min_requests=1), self._canary, self._stable)
        return max(evidence * self._half, judged.strength if judged.outcome == "fail" else 0.0)

    def _numbers(self) -> dict[str, t.Any]:
        sides = (("canary", self._canary), ("stable", self._stable))
        return {side: {"requests": one.requests, "errors": one.errors} for side, one in sides}


class Latency:
    """Response times of both versions."""

    def __init__(self, question: Question, evidence: Evidence) -> None:
        self._metric = question.metric
        self._canary: Counter[float] = Counter()
        self._stable: Counter[float] = Counter()
        flat = list(evidence.get(f"{self._metric.name}.stable") or ())
        pairs = zip(flat[::2], flat[1::2], strict=True)
        self._remembered = Counter({math.inf if bound < 0 else bound: int(count) for bound, count in pairs})
        self._looks, self._next = 0, self._metric.min_requests
        self._recent: tuple[Counter[float], Counter[float]] = (Counter(), Counter())
        self._recent_seconds, self._minutes = 0.0, 0
        self._ends = _Ends(self._metric.alpha / 2)
        self._failed: Judgement | None = None

    def add(self, came: Came) -> None:
        self._canary.update(came.times[0])
        self._stable.update(came.times[1])
        for recent, times in zip(self._recent, came.times, strict=True):
            recent.update(times)
        self._recent_seconds += came.seconds

    def alarm(self) -> Judgement | None:
        if self._failed is None and self._canary.total() >= self._next:
            self._looks += 1
            self._next = 2 * self._canary.total()
            self._failed = self._look(self._canary, self._stable, self._looks)
        canary, stable = self._recent
        fewest = min(canary.total(), stable.total()) if self._metric.compare else canary.total()
        if self._failed is None and self._recent_seconds >= MINUTE and fewest >= self._metric.min_requests:
            self._minutes += 1
            self._failed = self._look(canary, stable, self._minutes)
            self._recent, self._recent_seconds = (Counter(), Counter()), 0.0
        return self._failed

    def _look(self, canary: Counter[float], stable: Counter[float], number_of_look: int) -> Judgement | None:
        """Judge by tests alone: a percentile of few requests lies beyond a limit by chance too easily."""
        alpha = self._metric.alpha / 4 / (number_of_look * (number_of_look + 1))
        bare = replace(self._metric, alpha=alpha, limit=None)
        judged = judge_latency(bare, cumulative(canary), cumulative(self._base(stable)), by_test=True)
        if judged.outcome == "fail":
            return judged
        if self._metric.limit is not None:
            slow, number = _beyond(canary, self._metric.limit), canary.total()
            p_value = binomial.upper_tail(slow, number, 1.0 - self._metric.quantile)
            if p_value < alpha:
                told = f"{slow} of {number} canary requests took longer than {self._metric.limit:g} ms"
                return self._metric.says("fail", f"{told}; p = {p_value:.2g}", alpha / max(p_value, 1e-300))
        return None

    def judgement(self) -> Judgement:
        if self._failed is not None:
            return self._failed
        return self._ends.judge(self._canary.total(), self._judged)

    def _judged(self, alpha: float) -> Judgement:
        asked = replace(self._metric, alpha=alpha)
        return judge_latency(asked, cumulative(self._canary), cumulative(self._base(self._stable)))

    def evidence(self) -> dict[str, list[float]]:
        enough = self._stable.total() >= self._metric.min_requests
        base = self._stable if enough else self._remembered
        flat = [number for bound in sorted(base) for number in (-1.0 if math.isinf(bound) else bound, base[bound])]
        return {f"{self._metric.name}.stable": [float(number) for number in flat]} if flat else {}

    def _base(self, stable: Counter[float]) -> Counter[float]:
        """Return stable's times; those of the step before too where the last requests under way are all it has now."""
        base = Counter(stable)
        if base.total() < self._metric.min_requests:
            base.update(self._remembered)  # the operator + would leave out empty buckets, which say where others begin
        return base


def _beyond(times: Mapping[float, int], limit: float) -> int:
    """Return the requests that surely took longer than `limit`: those of buckets that begin there or above."""
    below, number = 0.0, 0
    for bound in sorted(times):
        number += times[bound] if below >= limit else 0
        below = bound
    return number
