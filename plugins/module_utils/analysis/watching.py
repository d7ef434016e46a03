# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judging while watching: an alarm at any look, a verdict at the end, and few false ones over all looks. Pure.

A metric's alpha is halved. One half is for the alarms: tests that may be looked at as often as one likes (errors), or
at doubling numbers of requests with alpha / (k (k + 1)) at the k-th look, which sums to alpha (latency; source:
D. Siegmund, Sequential Analysis, 1985, on repeated significance tests; the bound is Bonferroni's). The other half is
for the one test at the end.
"""

from __future__ import annotations

import math
import typing as t
from collections import Counter
from dataclasses import dataclass, replace

from . import binomial, histogram
from .metrics import Metric, judge_errors, judge_latency, judge_value
from .rates import SequentialLimit, SequentialRate, Tally
from .sources import cumulative
from .verdict import Judgement, Verdict, combine

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .sources import Increment

    Evidence = Mapping[str, Sequence[float]]
    Pair = tuple["float | None", "float | None"]

Kind = t.Literal["errors", "latency", "value"]
MORE_THAN_REMEMBERED: t.Final = 4
"""Errors beyond the remembered ones that a version without errors may have had: 98 % of a Poisson count of 4 is > 0."""


@dataclass(frozen=True)
class Question:
    """One metric to watch. consecutive: looks in a row beyond its bounds before a value is an alarm, >= 1."""

    metric: Metric
    kind: Kind
    consecutive: int = 3


class Watched(t.Protocol):
    """One metric's memory of all looks."""

    def add(self, canary: Tally, stable: Tally, times: tuple[Counter[float], Counter[float]], value: Pair) -> None:
        """Take in what came since the last look."""

    def alarm(self) -> Judgement | None:
        """Return a failure that needs no more evidence, None while there is none."""

    def judgement(self) -> Judgement:
        """Return what there is to say at the end."""

    def evidence(self) -> dict[str, list[float]]:
        """Return what a later watch needs to go on from here."""


class Observation:
    """A canary beside stable over many looks.

    canary, stable: the versions' names. evidence: what `evidence` returned of a watch before; with it the sequential
    tests go on, and a canary that has all requests is compared with what stable did before.
    Raises ValueError for evidence of another set of metrics.
    """

    def __init__(
        self, questions: Sequence[Question], canary: str, stable: str, evidence: Evidence | None = None
    ) -> None:
        self._canary, self._stable = canary, stable
        makers: dict[str, t.Callable[[Question, Evidence], Watched]] = {
            "errors": _Errors,
            "latency": _Latency,
            "value": _Value,
        }
        self._watched = {one.metric.name: makers[one.kind](one, evidence or {}) for one in questions}

    def add(self, increment: Increment, values: Mapping[str, Pair] | None = None) -> None:
        """Take in what came since the last look. values: metric -> (canary's, stable's); None where unknown."""
        canary, stable = increment.tally(self._canary), increment.tally(self._stable)
        times = (increment.times.get(self._canary, Counter()), increment.times.get(self._stable, Counter()))
        for name, watched in self._watched.items():
            watched.add(canary, stable, times, (values or {}).get(name, (None, None)))

    def alarm(self) -> Verdict | None:
        """Return the verdict `fail` as soon as nothing the other metrics may say could change it."""
        alarms = {name: watched.alarm() for name, watched in self._watched.items()}
        if not any(alarms.values()):
            return None
        others = {name: watched.judgement() for name, watched in self._watched.items() if not alarms[name]}
        at_best = [alarm or replace(others[name], outcome="pass") for name, alarm in alarms.items()]
        if combine(at_best).outcome != "fail":
            return None
        return combine([alarm or others[name] for name, alarm in alarms.items()])

    def verdict(self) -> Verdict:
        """Return the verdict on everything seen so far."""
        return combine([watched.judgement() for watched in self._watched.values()])

    def evidence(self) -> dict[str, list[float]]:
        """Return the state of the sequential tests and stable's numbers, for the next watch."""
        return {key: state for watched in self._watched.values() for key, state in watched.evidence().items()}


def fresh(evidence: Evidence) -> dict[str, list[float]]:
    """Return the evidence without the tests' state: what stable did stays true when the canary begins anew."""
    return {key: list(state) for key, state in evidence.items() if key.endswith(".stable")}


class _Errors:
    def __init__(self, question: Question, evidence: Evidence) -> None:
        metric = question.metric
        self._metric, self._half = metric, metric.alpha / 2
        self._canary, self._stable = Tally(0, 0), Tally(0, 0)
        self._rate = SequentialRate(max(1.0, metric.max_ratio or 1.0), evidence.get(f"{metric.name}.rate"))
        self._limit = None
        if metric.limit is not None and 0 < metric.limit < 100:
            self._limit = SequentialLimit(metric.limit / 100.0, evidence.get(f"{metric.name}.limit"))
        counts = evidence.get(f"{metric.name}.stable")
        self._remembered = Tally(int(counts[0]), int(counts[1])) if counts else None
        self._alone = None
        if metric.compare and self._remembered and self._remembered.requests >= metric.min_requests:
            few = (self._remembered.errors + MORE_THAN_REMEMBERED) / (self._remembered.requests + MORE_THAN_REMEMBERED)
            self._alone = SequentialLimit(min(few, 0.5))

    def add(self, canary: Tally, stable: Tally, times: t.Any, value: Pair) -> None:
        del times, value
        self._canary, self._stable = _sum(self._canary, canary), _sum(self._stable, stable)
        if self._limit:
            self._limit.add(canary)
        if self._metric.compare:
            self._rate.add(canary, stable)
            if self._alone and self._stable.requests < self._metric.min_requests:
                self._alone.add(canary)

    def alarm(self) -> Judgement | None:
        zero = self._metric.limit is not None and self._metric.limit <= 0 and self._canary.errors > 0
        tests = [one for one in (self._rate, self._limit, self._alone) if one is not None]
        alarms = [one.evidence for one in tests if one.rejects(self._half / len(tests))]
        if not alarms and not zero:
            return None
        mine, theirs = self._canary, self._stable
        than = f"stable's {theirs.errors} of {theirs.requests}" if theirs.requests else "the limit allows"
        told = f"{mine.errors} of {mine.requests} canary requests failed, more than {than}"
        return self._metric.says(
            "fail", f"{told}; no chance explains that", self._strength(max(alarms, default=1.0)), **self._numbers()
        )

    def judgement(self) -> Judgement:
        stable: Tally | None = self._stable
        said = ""
        if self._metric.compare and self._stable.requests < self._metric.min_requests and self._remembered:
            stable = _sum(self._stable, self._remembered)
            said = " (stable has too few requests now, so those of the step before count too)"
        judged = judge_errors(replace(self._metric, alpha=self._half), self._canary, stable)
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


class _Latency:
    def __init__(self, question: Question, evidence: Evidence) -> None:
        self._metric = question.metric
        self._canary: Counter[float] = Counter()
        self._stable: Counter[float] = Counter()
        flat = list(evidence.get(f"{self._metric.name}.stable") or ())
        pairs = zip(flat[::2], flat[1::2], strict=True)
        self._remembered = Counter({math.inf if bound < 0 else bound: int(count) for bound, count in pairs})
        self._looks, self._next = 0, self._metric.min_requests
        self._failed: Judgement | None = None

    def add(self, canary: Tally, stable: Tally, times: tuple[Counter[float], Counter[float]], value: Pair) -> None:
        del canary, stable, value
        self._canary.update(times[0])
        self._stable.update(times[1])

    def alarm(self) -> Judgement | None:
        if self._failed is None and self._canary.total() >= self._next:
            self._looks += 1
            self._next = 2 * self._canary.total()
            self._failed = self._look(self._metric.alpha / 2 / (self._looks * (self._looks + 1)))
        return self._failed

    def _look(self, alpha: float) -> Judgement | None:
        """Judge by tests alone: a percentile of few requests lies beyond a limit by chance too easily."""
        bare = replace(self._metric, alpha=alpha, limit=None, max_ratio=None)
        judged = judge_latency(bare, cumulative(self._canary), cumulative(self._base()))
        if judged.outcome == "fail":
            return judged
        if self._metric.limit is not None:
            slow, number = _beyond(self._canary, self._metric.limit), self._canary.total()
            p_value = binomial.upper_tail(slow, number, 1.0 - self._metric.quantile)
            if p_value < alpha:
                told = f"{slow} of {number} canary requests took longer than {self._metric.limit:g} ms"
                return self._metric.says("fail", f"{told}; p = {p_value:.2g}", alpha / max(p_value, 1e-300))
        return None

    def judgement(self) -> Judgement:
        if self._failed is not None:
            return self._failed
        halved = replace(self._metric, alpha=self._metric.alpha / 2)
        return judge_latency(halved, cumulative(self._canary), cumulative(self._base()))

    def evidence(self) -> dict[str, list[float]]:
        enough = self._stable.total() >= self._metric.min_requests
        base = self._stable if enough else self._remembered
        flat = [number for bound in sorted(base) for number in (-1.0 if math.isinf(bound) else bound, base[bound])]
        return {f"{self._metric.name}.stable": [float(number) for number in flat]} if flat else {}

    def _base(self) -> Counter[float]:
        """Return stable's times; those of the step before too where the last requests under way are all it has now."""
        enough = self._stable.total() >= self._metric.min_requests
        return self._stable if enough else self._stable + self._remembered


class _Value:
    def __init__(self, question: Question, evidence: Evidence) -> None:
        del evidence
        self._metric, self._consecutive = question.metric, question.consecutive
        self._last = judge_value(self._metric, None)
        self._failures = 0

    def add(self, canary: t.Any, stable: t.Any, times: t.Any, value: Pair) -> None:
        del canary, stable, times
        self._last = judge_value(self._metric, *value)
        self._failures = self._failures + 1 if self._last.outcome == "fail" else 0

    def alarm(self) -> Judgement | None:
        return self._last if self._failures >= self._consecutive else None

    def judgement(self) -> Judgement:
        if 0 < self._failures < self._consecutive:
            told = f"{self._last.reason}, at {self._failures} of {self._consecutive} looks in a row"
            return replace(self._last, outcome="inconclusive", reason=told)
        return self._last

    def evidence(self) -> dict[str, list[float]]:
        return {}


def quantiles(times: Mapping[float, int], shares: Sequence[float] = (0.5, 0.95, 0.99)) -> dict[str, float | None]:
    """Return p50, p95 and p99 in milliseconds for results; None without requests."""
    held = cumulative(times)
    found = {f"p{share * 100:g}": histogram.quantile(held, share) for share in shares}
    return {name: None if math.isnan(value) else round(value, 2) for name, value in found.items()}


def _sum(one: Tally, other: Tally) -> Tally:
    return Tally(one.requests + other.requests, one.errors + other.errors)


def _beyond(times: Mapping[float, int], limit: float) -> int:
    """Return the requests that surely took longer than `limit`: those of buckets that begin there or above."""
    below, number = 0.0, 0
    for bound in sorted(times):
        number += times[bound] if below >= limit else 0
        below = bound
    return number
