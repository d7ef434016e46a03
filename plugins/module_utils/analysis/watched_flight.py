# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Does the canary leave its callers without an answer? What is remembered of the requests under way. Pure.

A request that hangs ends late or never, so it is in no count of answers. Two things show it while it lasts. At least so
many requests have waited for longer than `limit` as are under way beyond those that were sent within `limit`: whatever
the order in which they are answered. And callers that do not want to wait give up.
"""

from __future__ import annotations

import typing as t
from collections import deque
from dataclasses import replace

from . import binomial
from .flight import Flight
from .rates import SequentialRate, Tally, worse_p_value

if t.TYPE_CHECKING:
    from .looks import Came, Evidence, Question
    from .verdict import Judgement

PATIENCE: t.Final = 2.0
"""Seconds after which a request without an answer counts as hanging, where no limit is given."""


class _Line:
    """One place's requests since it is watched, at most a few seconds of it look by look."""

    def __init__(self, before: Flight, at: float) -> None:
        self._older, self._sent = before.waiting, deque([(at, 0.0)])
        self.sent = self.waiting = 0.0

    def add(self, before: Flight, now: Flight, at: float, limit: float) -> None:
        """Take in what the place shows at second `at`; before: what it showed at the look before."""
        if now.sent < before.sent:  # it began anew, and whoever waited there does so no more
            self._older, self._sent, self.sent = 0.0, deque([(self._sent[-1][0], 0.0)]), 0.0
            before = Flight()
        self.sent += now.sent - before.sent
        self.waiting = now.waiting
        self._older = min(self._older, now.waiting)  # of those from before at most so many are left, for they only end
        self._sent.append((at, self.sent))
        while len(self._sent) > 1 and self._sent[1][0] <= at - limit:
            self._sent.popleft()

    def overdue(self, at: float, limit: float) -> float:
        """Return the requests that have surely waited for longer than `limit`, of those sent while it is watched."""
        then, sent = self._sent[0]
        lately = self.sent - (sent if then <= at - limit else 0.0)
        return max(0.0, self.waiting - self._older - lately)


class Hanging:
    """Requests without an answer, of the canary beside stable's; only ever an alarm.

    Both tests may be looked at at every look. Of all requests sent while watching the canary's overdue ones, at least,
    are compared with stable's, at most, by Fisher's exact test: the k-th time at alpha / 2 / (k (k + 1)), which sums to
    alpha / 2 (Bonferroni). That is valid for whatever time requests take, streams and long polls too, since which
    version a request was dealt to does not depend on it. Those given up are judged by the martingale of failed requests
    for the other half.
    """

    def __init__(self, question: Question, evidence: Evidence) -> None:
        metric = question.metric
        self._metric, self._half = metric, metric.alpha / 2
        self._limit = metric.limit if metric.limit is not None else PATIENCE
        self._lines: tuple[dict[str, _Line], dict[str, _Line]] = ({}, {})
        self._given_up = SequentialRate(1.0, evidence.get(f"{metric.name}.rate"))
        self._gone = [Tally(0, 0), Tally(0, 0)]
        (looks,) = evidence.get(f"{metric.name}.looks") or (0.0,)
        self._looks, self._seconds, self._most, self._known = int(looks), 0.0, 0.0, False
        before = evidence.get(f"{metric.name}.stable")
        self._remembered = (float(before[0]), float(before[1])) if before else None
        self._sent, self._overdue = (0, 0), 0
        self._failed: Judgement | None = None

    def add(self, came: Came) -> None:
        began, self._seconds = self._seconds, self._seconds + came.seconds
        self._gone = [had + new for had, new in zip(self._gone, came.ended, strict=True)]
        self._given_up.add(*came.ended)
        if not any(came.flights):
            return
        self._known = True
        for lines, flights in zip(self._lines, came.flights, strict=True):
            for place, (before, now) in flights.items():
                lines.setdefault(place, _Line(before, began)).add(before, now, self._seconds, self._limit)
        mine, theirs = (
            [line for place, line in lines.items() if place in flights]
            for lines, flights in zip(self._lines, came.flights, strict=True)
        )
        self._most = max(self._most, sum(line.waiting for line in theirs))
        self._look(mine, theirs)

    def _look(self, mine: list[_Line], theirs: list[_Line]) -> None:
        """Compare the places that were read now."""
        self._looks += 1
        sent, base = (int(sum(line.sent for line in lines)) for lines in (mine, theirs))
        overdue = min(sent, int(sum(line.overdue(self._seconds, self._limit) for line in mine)))
        waiting = min(base, int(sum(line.waiting for line in theirs)))
        self._sent, self._overdue = (sent, base), overdue
        if self._failed or not overdue:
            return
        alpha = self._half / (self._looks * (self._looks + 1))
        had = f"stable's {base} at most {waiting}"
        p_value = worse_p_value(Tally(sent, overdue), Tally(base, waiting))
        if base < self._metric.min_requests and self._remembered and self._seconds > 0:
            rate, most = self._remembered
            share = sent / self._seconds / (sent / self._seconds + rate)
            p_value = binomial.upper_tail(overdue, overdue + int(most), share)
            had = f"stable's {rate:.3g} in a second at most {most:.0f}, in the step before"
        if p_value < alpha:
            told = f"at least {overdue} of {sent} canary requests have waited more than {self._limit:g} s for an answer"
            self._failed = self._metric.says("fail", f"{told}, of {had}", alpha / max(p_value, 1e-300))

    @property
    def overdue(self) -> int:
        """Return the canary's requests that had surely waited too long at the last look; no answer counts them."""
        return self._overdue

    def alarm(self) -> Judgement | None:
        if self._failed is None and self._given_up.rejects(self._half):
            mine, theirs = self._gone
            told = f"{mine.errors} of {mine.requests} canary requests were given up by their callers"
            self._failed = self._metric.says(
                "fail",
                f"{told}, more than stable's {theirs.errors} of {theirs.requests}; no chance explains that",
                self._given_up.evidence * self._half,
            )
        return self._failed

    def judgement(self) -> Judgement:
        """Return the alarm, or what was seen: that counts for nothing, for whoever waits may still be answered."""
        failed = self.alarm()
        if failed is not None:
            return failed
        mine, (sent, _base) = self._gone[0], self._sent
        told = f"{self._overdue} of {sent} canary requests have waited more than {self._limit:g} s for an answer"
        told += f", {mine.errors} were given up by their callers"
        if not self._known:
            told = "the requests under way were not told; only proxies know them"
        enough = self._known and sent >= self._metric.min_requests
        return replace(self._metric.says("pass" if enough else "inconclusive", told), weight=0.0, critical=False)

    def evidence(self) -> dict[str, list[float]]:
        name, base = self._metric.name, self._sent[1]
        stable = self._remembered
        if base >= self._metric.min_requests and self._seconds > 0:
            stable = (base / self._seconds, self._most)
        return {
            f"{name}.rate": self._given_up.state(),
            f"{name}.looks": [float(self._looks)],
            **({f"{name}.stable": list(stable)} if stable else {}),
        }
