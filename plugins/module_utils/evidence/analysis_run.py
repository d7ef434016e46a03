# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The loop of an analysis: measure, judge, wait. It ends at an alarm, when decided after `watch`, or at the deadline.

Past and present are measured in the same way: past times without waiting, future ones when they come.
At a manual gate the loop ends at the answer instead. The time of an answer does not depend on the number of requests,
so only the tests that may be evaluated at any time count.
"""

from __future__ import annotations

import time
import typing as t
from collections import Counter
from dataclasses import replace

from ..analysis.error_rates import RequestCount
from ..analysis.sequential import quantiles
from ..analysis.verdict import Verdict
from ..errors import CanaryError, MetricsError
from ..rollout.approval import UNREADABLE_SECONDS
from ..rollout.step_estimates import duration
from ..task.context import NO_TERMINAL, ROLLBACK_NOTE
from .gate_answers import READ_EVERY, unknown_answer, unreadable
from .notes import Notes

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..analysis.counter_deltas import Increment
    from ..analysis.intervals import ValuePair
    from ..analysis.sequential import Observation
    from ..rollout.approval import Answer
    from ..task.context import Terminal
    from .custom_metrics import ValueQuery
    from .proxy_source import Source

DEADLINE_FACTOR: t.Final = 10.0
"""Default deadline as a multiple of `watch`."""
MAX_PAST_MEASUREMENTS: t.Final = 400
MILLISECOND: t.Final = 0.001
TIMELINE_ENTRIES: t.Final = 120
"""Maximum entries of the timeline; beyond it neighbors are joined."""
LOG_EVERY: t.Final = 10.0
"""Seconds between two progress logs while no request fails."""


class AnalysisRun:
    """One analysis. verdict: the latest one. seconds: how long the canary was observed.

    timeline: for plots; each entry has at (Unix time) and, of canary and stable, requests and errors since the previous
    entry. reaction_seconds: from the last measurement before the first error to the verdict `fail`, an upper bound of
    the true time; None without either. notes: measurements that failed, and why. answer: that to the manual gate.
    answer_error: why the answer could not be read at last, empty if it could.

    approval: returns the answer to the manual gate, None while there is none, and raises CanaryError where it cannot be
    read; None without a gate.
    needed: requests of the canary without which there is no verdict, for the progress logs.
    """

    def __init__(
        self,
        source: Source,
        observation: Observation,
        value_queries: Mapping[str, ValueQuery],
        params: Mapping[str, t.Any],
        log: Callable[[str], None],
        *,
        approval: Callable[[], Answer | None] | None = None,
        terminal: Terminal = NO_TERMINAL,
        needed: int = 0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._source, self._observation, self._value_queries, self._log = source, observation, value_queries, log
        self._clock, self._sleep = clock, sleep
        self._approval, self._terminal, self._needed = approval, terminal, needed
        self.answer: Answer | None = None
        self.answer_error = ""
        self._canary, self._stable = params["canary"], params["stable"]
        self._end = params["at"]
        self._window, self._warm_up = float(params["window"]), float(params["warm_up"])
        self._min_seconds = self._warm_up + float(params["watch"])
        if self._end is None:  # the present is judged too
            self._min_seconds = max(self._min_seconds, self._window)
        self._deadline = self._limit(params)
        if approval is not None:
            self._min_seconds = self._deadline
        self._interval = self._pace(params["interval"] or source.interval)
        self.started = clock() - self._window if self._end is None else self._end - self._window
        self._counts = {self._canary: RequestCount(0, 0), self._stable: RequestCount(0, 0)}
        self._times: dict[str, Counter[float]] = {self._canary: Counter(), self._stable: Counter()}
        self._before_first_error: float | None = None
        self._failed_at: float | None = None
        self._last_error = ""  # why the last measurement failed
        self._counted = self.started  # end of the last interval that was counted
        self._logged_at, self._logged_errors = self.started, (0, 0)
        self.verdict = observation.verdict()
        self._failures = self.measurements = self._all_requests = 0
        self.seconds = 0.0
        self.timeline: list[dict[str, t.Any]] = []
        self.notes = Notes()

    def _limit(self, params: Mapping[str, t.Any]) -> float:
        if self._end is not None:
            return self._window
        given = params["deadline"]
        deadline = float(given) if given is not None else self._warm_up + DEADLINE_FACTOR * float(params["watch"])
        return max(deadline, self._window)

    def _pace(self, interval: float) -> float:
        return max(interval, self._window / MAX_PAST_MEASUREMENTS)

    @property
    def _last_second(self) -> float:
        """Return the deadline; an answer that cannot be read has one of its own."""
        return self._deadline + (UNREADABLE_SECONDS if self.answer_error else 0.0)

    @property
    def failed_requests(self) -> int:
        """Return the canary's failed requests, and those that have waited too long."""
        return self._failures + self._observation.overdue()

    @property
    def reaction_seconds(self) -> float | None:
        """Return the seconds from before the first error to the verdict fail."""
        if self._before_first_error is None or self._failed_at is None:
            return None
        return round(self._failed_at - self._before_first_error, 3)

    def run(self) -> None:
        """Measure until there is a verdict, or an answer.

        Raises CanaryError if the first measurement or a query is not possible; at a manual gate it is noted instead.
        """
        try:
            self._source.begin(self._moment(self.started))
        except CanaryError as error:
            if self._approval is None:
                raise
            self._note(f"A measurement failed: {error.msg}")
        for query_value in self._value_queries.values():
            self._try(query_value, self._moment(self.started))
        at = self.started
        while True:
            before, at = at, min(at + self._interval, self.started + self._last_second)
            if self._wait_for(at) or self.answer is not None:
                at = self._clock()
            at = max(at, self._clock()) if self._moment(at) is None else at
            self._measure(before, at)
            self.seconds = at - self.started
            if self._decided(at):
                return
            if self._terminal.rollback_requested():
                self.verdict = replace(self.verdict, outcome="inconclusive", reasons=(ROLLBACK_NOTE,))
                return
            self._log_progress(at)

    def late_failures(self) -> int:
        """Return the canary's failed requests since the last measurement; 0 where they cannot be counted."""
        try:
            return int(self._source.measure(None).count_of(self._canary).errors)
        except CanaryError:
            return 0

    def numbers(self) -> dict[str, t.Any]:
        """Return requests, errors and response times of both versions, and the canary's share of all versions'."""
        total = self._all_requests
        sides = {"canary": self._canary, "stable": self._stable}
        numbers = {side: self._side(version) for side, version in sides.items()}
        share = 100.0 * self._counts[self._canary].requests / total if total else None
        return {**numbers, "share": None if share is None else round(share, 3)}

    def _side(self, version: str) -> dict[str, t.Any]:
        count = self._counts[version]
        percent = round(100.0 * count.rate, 4) if count.requests else None
        times = quantiles(self._times[version])
        return {"requests": count.requests, "errors": count.errors, "error_percent": percent, **times}

    def _moment(self, at: float) -> float | None:
        """Return the time to query the source for, None for now."""
        past = self._end is not None or (self._window and at < self._clock() - self._interval / 2)
        return at if past else None

    def _wait_for(self, at: float) -> bool:
        """Wait until `at`, or until the gate is answered or a rollback requested; return whether one of these came.

        The answer is read before each measurement.
        """
        if self._end is not None:
            return False
        while (
            not (ended := self._answered() or self._terminal.rollback_requested()) and (left := at - self._clock()) > 0
        ):
            self._sleep(min(left, READ_EVERY))
        return ended

    def _answered(self) -> bool:
        if self._approval is not None and self.answer is None:
            try:
                self.answer, self.answer_error = self._approval(), ""
            except CanaryError as error:
                self.answer_error = error.msg
                self._note(unreadable(error.msg))
        return self.answer is not None

    def _measure(self, before: float, at: float) -> None:
        moment = self._moment(at)
        try:
            increment = self._source.measure(moment)
        except CanaryError as error:
            self._last_error = error.msg
            self._note(f"A measurement failed: {error.msg}")
            return
        self._last_error = ""
        self.measurements += 1
        seconds, self._counted = 0.0 if increment.first_reading else at - self._counted, at
        self._count(increment, before, at)
        # The interval is counted once: a custom query that fails must not lose it.
        values = {name: self._value(name, query_value, moment) for name, query_value in self._value_queries.items()}
        if at - self.started > self._warm_up:
            self._observation.add(increment, values, seconds=seconds)

    def _value(self, name: str, query_value: ValueQuery, moment: float | None) -> ValuePair | None:
        try:
            return query_value(moment)
        except CanaryError as error:
            self._note(f"{name} had no answer: {error.msg}")
            return None

    @staticmethod
    def _try(query_value: ValueQuery, moment: float | None) -> None:
        """Query once at the start: an invalid query stays invalid, other errors may pass."""
        try:
            query_value(moment)
        except MetricsError as error:
            if error.details.get("reason") in ("query", "unexpected"):
                raise
        except CanaryError:
            pass

    def _count(self, increment: Increment, before: float, at: float) -> None:
        canary, stable = increment.count_of(self._canary), increment.count_of(self._stable)
        if canary.errors and self._before_first_error is None:
            self._before_first_error = before
        self._failures += canary.errors
        self._all_requests += sum(one.requests for one in increment.counts.values())
        for version, count in ((self._canary, canary), (self._stable, stable)):
            self._counts[version] += count
            self._times[version].update(increment.times.get(version, {}))
        sides = (("canary", canary), ("stable", stable))
        counts = {side: {"requests": one.requests, "errors": one.errors} for side, one in sides}
        self.timeline.append({"at": round(at, 3), **counts})
        if len(self.timeline) > TIMELINE_ENTRIES:
            self.timeline = _halved(self.timeline)

    def _decided(self, at: float) -> bool:
        alarm = self._observation.alarm()
        if alarm is not None:
            self._set_verdict(alarm, at)
            return True
        over = self.seconds >= self._last_second - MILLISECOND
        if self._approval is not None:
            return self._gate_decided(at, over)
        if self.seconds < self._min_seconds - MILLISECOND and not over:
            return False
        verdict = self._observation.verdict()
        doubt = f"no failure until the last measurement failed: {self._last_error}" if self._last_error else ""
        if self.seconds < self._min_seconds - MILLISECOND:
            doubt = f"no failure, but only {self.seconds:.0f} s of {self._min_seconds:.0f} s were observed"
        if doubt and verdict.outcome == "pass":
            verdict = replace(verdict, outcome="inconclusive", reasons=(doubt,))
        self._set_verdict(verdict, at)
        return over or verdict.outcome != "inconclusive"

    def _gate_decided(self, at: float, over: bool) -> bool:
        """Return whether the gate is answered, or the time is over; the final tests are not made."""
        if self.answer is None and not over:
            return False
        reason = f"{self.answer or 'not answered'} after {self.seconds:.0f} s, without an alarm until then"
        if self.answer is None and self.answer_error:
            reason = unknown_answer(self.answer_error)
        reason += f"; the last measurement failed: {self._last_error}" if self._last_error else ""
        self._set_verdict(Verdict("inconclusive", (reason,), (), None), at)
        return True

    def _set_verdict(self, verdict: Verdict, at: float) -> None:
        self.verdict = verdict
        if verdict.outcome == "fail":
            self._failed_at = at if self._end is not None else self._clock()

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self._log(sentence)
        self.notes.add(sentence)

    def _log_progress(self, at: float) -> None:
        """Log the counts so far; the past is judged too fast for that."""
        counts = [self._counts[version] for version in (self._canary, self._stable)]
        errors = (counts[0].errors, counts[1].errors)
        if self._end is not None or (errors == self._logged_errors and at - self._logged_at < LOG_EVERY):
            return
        self._logged_at, self._logged_errors = at, errors
        sides = (f"{self._canary}: {failed_summary(counts[0])}", f"{self._stable}: {failed_summary(counts[1])}")
        until = self._min_seconds if self.seconds < self._min_seconds else self._deadline
        parts = (*sides, self._missing_requests(counts[0].requests), f"{self.seconds:.0f} s of {until:.0f} s")
        self._log(" | ".join(part for part in parts if part))

    def _missing_requests(self, requests: int) -> str:
        """Return how many of the needed requests were counted, and when there are enough; empty if there are."""
        if requests >= self._needed or self._approval is not None:
            return ""
        counted = max(self.seconds - self._warm_up, 1.0)
        left = f", about {duration((self._needed - requests) * counted / requests)} more" if requests else ""
        return f"{requests} of {self._needed} requests{left}"


def failed_summary(count: RequestCount) -> str:
    """Return how many requests failed, as text."""
    percent = f" ({100.0 * count.rate:.3g}%)" if count.requests else ""
    return f"{count.errors} of {count.requests} failed{percent}"


def _halved(timeline: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return the timeline with pairs of neighbors joined; an odd last one stays as it is."""
    joined = []
    for first, second in zip(timeline[::2], timeline[1::2], strict=False):
        sums = {
            side: {key: first[side][key] + second[side][key] for key in ("requests", "errors")}
            for side in ("canary", "stable")
        }
        joined.append({"at": second["at"], **sums})
    return joined + timeline[len(joined) * 2 :]
