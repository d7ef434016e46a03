# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Base of the evaluators that sort answers into groups: does the canary answer anything more often than stable? Pure.

Each group is compared by the tests of failed requests: the martingale at any time, Fisher's exact test at the end. The
alpha of both halves is divided among the groups by fixed weights.
"""

from __future__ import annotations

import abc
import typing as t
from dataclasses import replace

from . import binomial
from .error_rates import RequestCount, SequentialLimit, SequentialRate, worse_p_value
from .final_tests import FinalTests

if t.TYPE_CHECKING:
    from .intervals import Evidence, Interval, MetricSpec
    from .verdict import Judgement

_NAMED: t.Final = 3
"""Groups that a reason names at most."""

Answers = tuple[int, t.Mapping[str, int]]
"""The answers that are compared, and group -> answers."""


class _GroupTest:
    """One group. alpha: of its sequential tests together. before: stable's answers in the step before."""

    def __init__(
        self, alpha: float, tolerated: float, state: t.Sequence[float] | None, before: RequestCount | None
    ) -> None:
        self._rate, self._alpha = SequentialRate(tolerated, state), alpha
        self.canary, self.stable = 0, 0
        self._limit = None
        if before is not None:
            self._alpha = alpha / 2
            highest = tolerated * binomial.upper_limit(before.errors, before.requests, alpha / 4)
            self._limit = SequentialLimit(highest) if highest < 1.0 else None

    def add(self, canary: RequestCount, stable: RequestCount, *, alone: bool) -> None:
        """Add one interval. alone: stable has too few answers to compare with, except those before."""
        self.canary, self.stable = self.canary + canary.errors, self.stable + stable.errors
        if canary.errors + stable.errors < canary.requests + stable.requests:  # else all are alike, and say nothing
            self._rate.add(canary, stable)
        if self._limit and alone:
            self._limit.add(canary)

    def strength(self) -> float:
        """Return the evidence times alpha: from 1 on the canary answers so more often than stable."""
        evidence = self._rate.evidence * self._alpha
        return max(evidence, self._limit.evidence * self._alpha / 2) if self._limit else evidence

    def state(self) -> list[float]:
        return [round(number, 6) for number in self._rate.state()]


class GroupsEvaluator(abc.ABC):
    """The groups of both versions' answers, the canary compared with stable.

    noun: what the groups are of, in messages and results. A subclass says how answers are sorted into groups.
    """

    noun: t.ClassVar[str]

    def __init__(self, spec: MetricSpec, evidence: Evidence) -> None:
        metric = spec.metric
        self._spec, self._metric, self._half_alpha = spec, metric, metric.alpha / 2
        self._tolerated = max(1.0, metric.max_ratio or 1.0)
        self._canary, self._stable = RequestCount(0, 0), RequestCount(0, 0)
        self._answers = {"canary": 0, "stable": 0}
        self._states = _by_group(metric.name, ".rate", evidence)
        before = evidence.get(f"{metric.name}.stable")
        self._answers_before = int(before[0]) if before else 0
        counts_before = _by_group(metric.name, ".stable", evidence)
        self._before = {group: int(count[0]) for group, count in counts_before.items()}
        self._tests: dict[str, _GroupTest] = {}
        self._intervals: list[RequestCount] = []
        self._differing: dict[str, float] = {}
        self._final_tests = FinalTests(self._half_alpha)
        for group in self._states:
            self._test_of(group)

    def add(self, interval: Interval) -> None:
        answers = self._sorted(interval)
        requests = self._requests(interval, answers)
        self._canary, self._stable = self._canary + requests[0], self._stable + requests[1]
        (canary, counts), (stable, theirs) = answers
        self._answers = {"canary": self._answers["canary"] + canary, "stable": self._answers["stable"] + stable}
        for group in {*counts, *theirs}:
            self._test_of(group)
        alone = self._is_alone
        for group, test in self._tests.items():
            mine = RequestCount(canary, min(canary, counts.get(group, 0)))
            test.add(mine, RequestCount(stable, min(stable, theirs.get(group, 0))), alone=alone)
            if group not in self._differing and test.strength() >= 1.0 and not self._is_ignored(group):
                self._differing[group] = test.strength()
        if self._answers_before and alone:
            self._intervals.append(RequestCount(canary, 0))

    def _requests(self, interval: Interval, answers: tuple[Answers, Answers]) -> tuple[RequestCount, RequestCount]:
        """Return the requests that min_requests is about. answers: those of the interval that are compared."""
        del answers
        return interval.canary, interval.stable

    @abc.abstractmethod
    def _sorted(self, interval: Interval) -> tuple[Answers, Answers]:
        """Return the answers of the canary and of stable that are compared."""

    @abc.abstractmethod
    def _share_of_alpha(self, group: str) -> float:
        """Return the part of alpha for the tests of a group; all parts together are at most 1."""

    @abc.abstractmethod
    def _hint(self, named: t.Sequence[str]) -> str:
        """Return what to do about the groups that differ, if the release is meant to do that."""

    @staticmethod
    def _class_of(group: str) -> str:
        """Return the class that a group is part of, the group itself if it is part of none."""
        return group

    @staticmethod
    def _shown(group: str) -> str:
        """Return the group's name in messages."""
        return group

    def _never_fails(self, group: str) -> bool:
        """Return whether more answers of a group hold the canary at most."""
        del group
        return False

    def _test_of(self, group: str) -> _GroupTest:
        """Return the test of a group. A new one has seen the intervals before, in which no answer was of the group."""
        if group not in self._tests:
            enough = self._answers_before >= self._metric.min_requests
            before = RequestCount(self._answers_before, self._before.get(group, 0)) if enough else None
            alpha = self._half_alpha * self._share_of_alpha(group)
            test = self._tests[group] = _GroupTest(alpha, self._tolerated, self._states.get(group), before)
            for canary in self._intervals:
                test.add(canary, RequestCount(0, 0), alone=True)
        return self._tests[group]

    @property
    def _is_alone(self) -> bool:
        return self._stable.requests < self._metric.min_requests

    def alarm(self) -> Judgement | None:
        if self._spec.verdict == "inconclusive":
            return None
        failed = {group: one for group, one in self._differing.items() if not self._never_fails(group)}
        return self._difference("fail", failed) if failed else None

    def judgement(self) -> Judgement:
        failed = self.alarm()
        if failed is not None:
            return failed
        if self._differing:
            return self._difference("inconclusive", self._differing)
        judgement = self._final_tests.judgement(self._canary.requests, self._test)
        if judgement.outcome == "pass" and self._spec.alarm_only:
            return replace(judgement, weight=0.0, critical=False)
        return judgement

    def difference(self) -> Judgement | None:
        """Return how the canary differs from stable, None where it does not or cannot be judged yet."""
        judgement = self.judgement()
        return judgement if judgement.outcome == "fail" or self._differing else None

    def _test(self, alpha: float) -> Judgement:
        """Return the judgement at the end, all groups together at the level `alpha`."""
        metric, canary, stable = self._metric, self._canary, self._stable
        before = self._answers_before if self._is_alone else 0
        if canary.requests < metric.min_requests or stable.requests + before < metric.min_requests:
            few = f"{canary.requests} canary requests and {stable.requests + before} of stable"
            needed = f"{metric.min_requests} of each are needed to compare {self.noun}"
            return metric.judgement("inconclusive", f"{few}; {needed}")
        p_values = {group: self._p_value(group, before) for group in self._tests if not self._is_ignored(group)}
        strengths = {group: alpha * self._share_of_alpha(group) / max(p, 1e-300) for group, p in p_values.items()}
        differing = {group: strength for group, strength in strengths.items() if strength > 1.0}
        failures = {group: strength for group, strength in differing.items() if not self._never_fails(group)}
        if failures and self._spec.verdict == "fail":
            return self._difference("fail", failures)
        if differing:
            self._differing.update(differing)  # for good: a canary that is held is not tested until it passes
            return self._difference("inconclusive", differing)
        return metric.judgement("pass", f"the {self.noun} of {canary.requests} canary requests are like stable's")

    def _p_value(self, group: str, before: int) -> float:
        """Return that of Fisher's exact test, 1 within max_ratio. before: answers of the previous step to add."""
        mine = RequestCount(self._answers["canary"], self._tests[group].canary)
        count = self._tests[group].stable + (self._before.get(group, 0) if before else 0)
        theirs = RequestCount(self._answers["stable"] + before, count)
        return worse_p_value(mine, theirs) if mine.requests and mine.rate > self._tolerated * theirs.rate else 1.0

    def _difference(self, outcome: t.Literal["fail", "inconclusive"], differing: t.Mapping[str, float]) -> Judgement:
        """Return the judgement that names the groups themselves, and a class only where none of its groups differs."""
        classes = {self._class_of(group) for group in differing if self._class_of(group) != group}
        named = sorted((group for group in differing if group not in classes), key=lambda one: -differing[one])
        sides = {"canary": self._canary, "stable": self._stable}
        counts = {side: {group: getattr(self._tests[group], side) for group in named} for side in sides}
        names = " and ".join(self._shown(group) for group in named[:_NAMED])
        others = f" and {len(named) - _NAMED} other {self.noun}" if len(named) > _NAMED else ""
        p_value = self._half_alpha / max(differing.values())
        compared = "; ".join(self._compared(group) for group in named[:_NAMED])
        reason = f"the canary answers {names}{others} more often than stable: {compared}"
        reason += f"; p = {p_value:.2g}, corrected for the number of {self.noun}"
        numbers = {side: {"requests": count.requests, self.noun: counts[side]} for side, count in sides.items()}
        return self._metric.judgement(outcome, f"{reason}. {self._hint(named)}", max(differing.values()), **numbers)

    def _compared(self, group: str) -> str:
        mine, canary = self._tests[group].canary, self._answers["canary"]
        theirs, stable, when = self._tests[group].stable, self._answers["stable"], ""
        if self._is_alone and self._answers_before:
            theirs, stable, when = self._before.get(group, 0), self._answers_before, " in the step before"
        return (
            f"{self._shown(group)} {mine} of {canary}{_percent(mine, canary)}, stable's {theirs} of {stable}"
            f"{_percent(theirs, stable)}{when}"
        )

    def _is_ignored(self, group: str) -> bool:
        """Return whether a group is not compared; a class stands for its groups too."""
        return group in self._spec.ignored or self._class_of(group) in self._spec.ignored

    def evidence(self) -> dict[str, list[float]]:
        name, enough = self._metric.name, not self._is_alone
        answers = self._answers["stable"] if enough else self._answers_before
        counts = {group: test.stable for group, test in self._tests.items()} if enough else self._before
        return {
            **{f"{name}.{group}.rate": test.state() for group, test in self._tests.items()},
            **({f"{name}.stable": [float(answers)]} if answers else {}),
            **({f"{name}.{group}.stable": [float(count)] for group, count in counts.items()} if answers else {}),
        }


def _by_group(name: str, ending: str, evidence: Evidence) -> dict[str, t.Sequence[float]]:
    """Return group -> state of the keys `NAME.GROUP.ENDING`."""
    prefix = f"{name}."
    return {
        key[len(prefix) : -len(ending)]: state
        for key, state in evidence.items()
        if key.startswith(prefix) and key.endswith(ending) and len(key) > len(prefix) + len(ending)
    }


def _percent(part: int, whole: int) -> str:
    return f" ({100.0 * part / whole:.3g}%)" if whole else ""
