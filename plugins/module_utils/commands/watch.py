# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rhythm of an analysis: look, judge, wait. It ends at an alarm, when decided after `watch`, or at the deadline.

Past and present are one: a moment that has passed is looked at without waiting, one to come is waited for.
While a person is asked it ends at the answer instead: then nobody chose when to stop by the number of requests, so only
the tests that may be looked at at any time count.
"""

from __future__ import annotations

import time
import typing as t
from collections import Counter
from dataclasses import replace

from ..analysis.rates import Tally
from ..analysis.verdict import Verdict
from ..analysis.watching import quantiles
from ..errors import CanaryError, MetricsError
from . import stopping
from .approvals import ASK_EVERY

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..analysis.looks import Pair
    from ..analysis.sources import Increment
    from ..analysis.watching import Observation
    from ..rollout.approval import Answer
    from .numbers import Ask
    from .observe import Source

AFTER_WATCH: t.Final = 10.0
"""How many times `watch` the deadline is where none is given."""
MOST_LOOKS_BACK: t.Final = 400
MILLISECOND: t.Final = 0.001
TIMELINE: t.Final = 120
"""Entries the timeline keeps; with more looks neighbours are joined."""
TELL_EVERY: t.Final = 10.0
"""Seconds after which is told what was counted, if no request failed meanwhile."""


class Watch:
    """One analysis. verdict: the last word. seconds: how long was observed.

    timeline: for plots; each entry has at (Unix time) and, of canary and stable, requests and errors since the entry
    before. reaction_seconds: from the last look before the first error to the verdict `fail`, so the true time is at
    most that; None without either. notes: looks that told nothing, and why. answer: what the person has said.

    approval: returns the answer of the person that is asked, None while there is none; without it nobody is.
    """

    def __init__(
        self,
        source: Source,
        observation: Observation,
        askers: Mapping[str, Ask],
        params: Mapping[str, t.Any],
        log: Callable[[str], None],
        *,
        approval: Callable[[], Answer | None] | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._source, self._observation, self._askers, self._log = source, observation, askers, log
        self._clock, self._sleep = clock, sleep
        self._approval = approval
        self.answer: Answer | None = None
        self._canary, self._stable = params["canary"], params["stable"]
        self._end = params["at"]
        self._past, self._warm_up = float(params["window"]), float(params["warm_up"])
        self._enough = self._warm_up + float(params["watch"])
        if self._end is None:  # the present is part of what is judged
            self._enough = max(self._enough, self._past)
        self._deadline = self._limit(params)
        if approval is not None:
            self._enough = self._deadline
        self._interval = self._pace(params["interval"] or source.interval)
        self.started = clock() - self._past if self._end is None else self._end - self._past
        self._tallies = {self._canary: Tally(0, 0), self._stable: Tally(0, 0)}
        self._times: dict[str, Counter[float]] = {self._canary: Counter(), self._stable: Counter()}
        self._before_first_error: float | None = None
        self._failed_at: float | None = None
        self._blind = ""  # why the last look told nothing
        self._counted = self.started  # the end of what was counted
        self._told_at, self._told_errors = self.started, (0, 0)
        self.verdict = observation.verdict()
        self._failures = self.looks = self._everyones = 0
        self.seconds = 0.0
        self.timeline: list[dict[str, t.Any]] = []
        self.notes: list[str] = []

    def _limit(self, params: Mapping[str, t.Any]) -> float:
        if self._end is not None:
            return self._past
        given = params["deadline"]
        deadline = float(given) if given is not None else self._warm_up + AFTER_WATCH * float(params["watch"])
        return max(deadline, self._past)

    def _pace(self, interval: float) -> float:
        return max(interval, self._past / MOST_LOOKS_BACK)

    @property
    def harmed(self) -> int:
        """Return the requests the canary failed, and those it leaves waiting."""
        return self._failures + self._observation.unanswered()

    @property
    def reaction_seconds(self) -> float | None:
        """Return the seconds from before the first error to the verdict fail."""
        if self._before_first_error is None or self._failed_at is None:
            return None
        return round(self._failed_at - self._before_first_error, 3)

    def until_decided(self) -> None:
        """Look until there is a verdict, or an answer.

        Raises CanaryError if the very first reading or a query is not possible; while a person is asked it is noted.
        """
        try:
            self._source.begin(self._moment(self.started))
        except CanaryError as error:
            if self._approval is None:
                raise
            self._note(f"A look told nothing: {error.msg}")
        for ask in self._askers.values():
            self._try(ask, self._moment(self.started))
        at = self.started
        while True:
            before, at = at, min(at + self._interval, self.started + self._deadline)
            self._wait_for(at)
            if self.answer is not None:
                at = self._clock()
            at = max(at, self._clock()) if self._moment(at) is None else at
            self._look(before, at)
            self.seconds = at - self.started
            if self._decided(at):
                return
            if stopping.asked():
                self.verdict = replace(self.verdict, outcome="inconclusive", reasons=(stopping.NOTE,))
                return
            self._tell(at)

    def numbers(self) -> dict[str, t.Any]:
        """Return requests, errors and response times of both versions, and the canary's share of all versions'."""
        total = self._everyones
        sides = {"canary": self._canary, "stable": self._stable}
        told = {side: self._side(version) for side, version in sides.items()}
        share = 100.0 * self._tallies[self._canary].requests / total if total else None
        return {**told, "share": None if share is None else round(share, 3)}

    def _side(self, version: str) -> dict[str, t.Any]:
        tally = self._tallies[version]
        percent = round(100.0 * tally.rate, 4) if tally.requests else None
        times = quantiles(self._times[version])
        return {"requests": tally.requests, "errors": tally.errors, "error_percent": percent, **times}

    def _moment(self, at: float) -> float | None:
        """Return the moment to ask the source for, None for now."""
        past = self._end is not None or (self._past and at < self._clock() - self._interval / 2)
        return at if past else None

    def _wait_for(self, at: float) -> None:
        """Wait until `at`, or until somebody answers; each look comes after a reading of the answer."""
        if self._end is not None:
            return
        while not self._answered() and (left := at - self._clock()) > 0:
            self._sleep(left if self._approval is None else min(left, ASK_EVERY))

    def _answered(self) -> bool:
        if self._approval is not None and self.answer is None:
            try:
                self.answer = self._approval()
            except CanaryError as error:
                self._note(f"The answer was not read, and is read again: {error.msg}")
        return self.answer is not None

    def _look(self, before: float, at: float) -> None:
        moment = self._moment(at)
        try:
            increment = self._source.look(moment)
        except CanaryError as error:
            self._blind = error.msg
            self._note(f"A look told nothing: {error.msg}")
            return
        self._blind = ""
        self.looks += 1
        seconds, self._counted = 0.0 if increment.begins else at - self._counted, at
        self._count(increment, before, at)
        # What was looked at does not come again: a question of one's own that fails must not lose it.
        values = {name: self._value(name, ask, moment) for name, ask in self._askers.items()}
        if at - self.started > self._warm_up:
            self._observation.add(increment, values, seconds=seconds)

    def _value(self, name: str, ask: Ask, moment: float | None) -> Pair | None:
        try:
            return ask(moment)
        except CanaryError as error:
            self._note(f"{name} had no answer: {error.msg}")
            return None

    @staticmethod
    def _try(ask: Ask, moment: float | None) -> None:
        """Ask once before watching: a wrong query stays wrong, anything else may come right."""
        try:
            ask(moment)
        except MetricsError as error:
            if error.details.get("reason") in ("query", "unexpected"):
                raise
        except CanaryError:
            pass

    def _count(self, increment: Increment, before: float, at: float) -> None:
        canary, stable = increment.tally(self._canary), increment.tally(self._stable)
        if canary.errors and self._before_first_error is None:
            self._before_first_error = before
        self._failures += canary.errors
        self._everyones += sum(one.requests for one in increment.tallies.values())
        for version, came in ((self._canary, canary), (self._stable, stable)):
            self._tallies[version] += came
            self._times[version].update(increment.times.get(version, {}))
        sides = (("canary", canary), ("stable", stable))
        told = {side: {"requests": one.requests, "errors": one.errors} for side, one in sides}
        self.timeline.append({"at": round(at, 3), **told})
        if len(self.timeline) > TIMELINE:
            self.timeline = _halved(self.timeline)

    def _decided(self, at: float) -> bool:
        alarm = self._observation.alarm()
        if alarm is not None:
            self._settle(alarm, at)
            return True
        over = self.seconds >= self._deadline - MILLISECOND
        if self._approval is not None:
            return self._waited(at, over)
        if self.seconds < self._enough - MILLISECOND and not over:
            return False
        verdict = self._observation.verdict()
        doubt = f"all was well until {self._blind}" if self._blind else ""
        if self.seconds < self._enough - MILLISECOND:
            doubt = f"all was well, but for {self.seconds:.0f} s of {self._enough:.0f} s only"
        if doubt and verdict.outcome == "pass":
            verdict = replace(verdict, outcome="inconclusive", reasons=(doubt,))
        self._settle(verdict, at)
        return over or verdict.outcome != "inconclusive"

    def _waited(self, at: float, over: bool) -> bool:
        """Return whether the person has answered, or the time is up; the tests of the end are not made."""
        if self.answer is None and not over:
            return False
        told = f"{self.answer or 'not answered'} after {self.seconds:.0f} s, without an alarm until then"
        told += f"; the last look told nothing: {self._blind}" if self._blind else ""
        self._settle(Verdict("inconclusive", (told,), (), None), at)
        return True

    def _settle(self, verdict: Verdict, at: float) -> None:
        self.verdict = verdict
        if verdict.outcome == "fail":
            self._failed_at = at if self._end is not None else self._clock()

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)
            self._log(sentence)

    def _tell(self, at: float) -> None:
        """Log what was counted so far, for whoever waits; the past is judged too fast to be waited for."""
        tallies = [self._tallies[version] for version in (self._canary, self._stable)]
        errors = (tallies[0].errors, tallies[1].errors)
        if self._end is not None or (errors == self._told_errors and at - self._told_at < TELL_EVERY):
            return
        self._told_at, self._told_errors = at, errors
        sides = (f"{self._canary}: {failed_of(tallies[0])}", f"{self._stable}: {failed_of(tallies[1])}")
        until = self._enough if self.seconds < self._enough else self._deadline
        self._log(" | ".join((*sides, f"{self.seconds:.0f} s of {until:.0f} s")))


def failed_of(tally: Tally) -> str:
    """Return the requests that failed, in words."""
    percent = f" ({100.0 * tally.rate:.3g}%)" if tally.requests else ""
    return f"{tally.errors} of {tally.requests} failed{percent}"


def _halved(timeline: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return the timeline with each two neighbours joined; an odd last one stays as it is."""
    joined = []
    for first, second in zip(timeline[::2], timeline[1::2], strict=False):
        sums = {
            side: {key: first[side][key] + second[side][key] for key in ("requests", "errors")}
            for side in ("canary", "stable")
        }
        joined.append({"at": second["at"], **sums})
    return joined + timeline[len(joined) * 2 :]
