# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evaluator of requests in flight: does the canary leave its callers without an answer? Pure.

A stalled request ends late or never, so no counter of answers has it. Two things show it earlier. The requests in
flight beyond all those sent within `limit` have waited for longer than `limit`, whatever the order of the answers. And
callers with a timeout of their own cancel requests.
"""

from __future__ import annotations

import typing as t
from collections import deque
from dataclasses import replace

from . import binomial
from .error_rates import RequestCount, SequentialRate, worse_p_value
from .in_flight import InFlight

if t.TYPE_CHECKING:
    from .intervals import Evidence, Interval, MetricSpec
    from .verdict import Judgement

DEFAULT_LIMIT: t.Final = 2.0
"""Seconds after which a request without an answer counts as stalled, where no limit is given."""


class _InFlightHistory:
    """The requests of one proxy or endpoint since the first measurement, the last few seconds one by one."""

    def __init__(self, before: InFlight, at: float) -> None:
        self._waiting_from_before, self._sent_at = before.waiting, deque([(at, 0.0)])
        self.sent = self.waiting = 0.0

    def add(self, before: InFlight, now: InFlight, at: float, limit: float) -> None:
        """Add the requests at second `at`; before: those at the last measurement."""
        if now.sent < before.sent:  # the counters were reset, and no request waits there any more
            self._waiting_from_before, self.sent = 0.0, 0.0
            self._sent_at = deque([(self._sent_at[-1][0], 0.0)])
            before = InFlight()
        self.sent += now.sent - before.sent
        self.waiting = now.waiting
        self._waiting_from_before = min(self._waiting_from_before, now.waiting)  # at most so many: they only end
        self._sent_at.append((at, self.sent))
        while len(self._sent_at) > 1 and self._sent_at[1][0] <= at - limit:
            self._sent_at.popleft()

    def overdue(self, at: float, limit: float) -> float:
        """Return the requests that have certainly waited for longer than `limit`, of those sent since the start."""
        then, sent = self._sent_at[0]
        recent = self.sent - (sent if then <= at - limit else 0.0)
        return max(0.0, self.waiting - self._waiting_from_before - recent)


class StalledEvaluator:
    """Requests without an answer, the canary compared with stable; it can only raise an alarm.

    Both tests may be evaluated at every measurement. Of all requests sent since the start, the fewest that are overdue
    on the canary are compared with the most on stable, by Fisher's exact test: the k-th time at
    alpha / 2 / (k (k + 1)), which sums to alpha / 2 (Bonferroni). That is valid for any distribution of response times,
    streams and long polls too, since the version of a request does not depend on it. Canceled requests are judged by
    the martingale of failed requests for the other half.
    """

    def __init__(self, spec: MetricSpec, evidence: Evidence) -> None:
        metric = spec.metric
        self._metric, self._half_alpha = metric, metric.alpha / 2
        self._limit = metric.limit if metric.limit is not None else DEFAULT_LIMIT
        self._histories: tuple[dict[str, _InFlightHistory], dict[str, _InFlightHistory]] = ({}, {})
        self._canceled_rate = SequentialRate(1.0, evidence.get(f"{metric.name}.rate"))
        self._ended = [RequestCount(0, 0), RequestCount(0, 0)]
        (tests,) = evidence.get(f"{metric.name}.tests") or (0.0,)
        self._tests, self._seconds, self._most_waiting, self._known = int(tests), 0.0, 0.0, False
        before = evidence.get(f"{metric.name}.stable")
        self._previous_stable = (float(before[0]), float(before[1])) if before else None
        self._sent, self._overdue = (0, 0), 0
        self._failed: Judgement | None = None

    def add(self, interval: Interval) -> None:
        start, self._seconds = self._seconds, self._seconds + interval.seconds
        self._ended = [before + new for before, new in zip(self._ended, interval.ended, strict=True)]
        self._canceled_rate.add(*interval.ended)
        if not any(interval.in_flight):
            return
        self._known = True
        for histories, in_flight in zip(self._histories, interval.in_flight, strict=True):
            for source, (before, now) in in_flight.items():
                history = histories.setdefault(source, _InFlightHistory(before, start))
                history.add(before, now, self._seconds, self._limit)
        canary, stable = (
            [history for source, history in histories.items() if source in in_flight]
            for histories, in_flight in zip(self._histories, interval.in_flight, strict=True)
        )
        self._most_waiting = max(self._most_waiting, sum(history.waiting for history in stable))
        self._test(canary, stable)

    def _test(self, canary: list[_InFlightHistory], stable: list[_InFlightHistory]) -> None:
        """Compare the proxies and endpoints that were read now."""
        self._tests += 1
        sent, stable_sent = (int(sum(history.sent for history in histories)) for histories in (canary, stable))
        overdue = min(sent, int(sum(history.overdue(self._seconds, self._limit) for history in canary)))
        waiting = min(stable_sent, int(sum(history.waiting for history in stable)))
        self._sent, self._overdue = (sent, stable_sent), overdue
        if self._failed or not overdue:
            return
        alpha = self._half_alpha / (self._tests * (self._tests + 1))
        base = f"at most {waiting} of stable's {stable_sent}"
        p_value = worse_p_value(RequestCount(sent, overdue), RequestCount(stable_sent, waiting))
        if stable_sent < self._metric.min_requests and self._previous_stable and self._seconds > 0:
            rate, most = self._previous_stable
            share = sent / self._seconds / (sent / self._seconds + rate)
            p_value = binomial.upper_tail(overdue, overdue + int(most), share)
            base = f"at most {most:.0f} of stable's {rate:.3g} per second in the previous step"
        if p_value < alpha:
            reason = (
                f"at least {overdue} of {sent} canary requests have waited more than {self._limit:g} s for an answer"
            )
            self._failed = self._metric.judgement("fail", f"{reason}, and {base}", alpha / max(p_value, 1e-300))

    @property
    def overdue(self) -> int:
        """Return the canary's requests that had certainly waited too long at the last measurement."""
        return self._overdue

    def alarm(self) -> Judgement | None:
        if self._failed is None and self._canceled_rate.rejects(self._half_alpha):
            canary, stable = self._ended
            self._failed = self._metric.judgement(
                "fail",
                f"{canary.errors} of {canary.requests} canary requests were canceled by their callers, more than "
                f"stable's {stable.errors} of {stable.requests}; "
                f"statistically significant (p = {1.0 / self._canceled_rate.evidence:.2g})",
                self._canceled_rate.evidence * self._half_alpha,
            )
        return self._failed

    def judgement(self) -> Judgement:
        """Return the alarm, or what was measured, with weight 0: a request that waits may still be answered."""
        failed = self.alarm()
        if failed is not None:
            return failed
        sent, _stable_sent = self._sent
        reason = (
            f"{self._overdue} of {sent} canary requests have waited more than {self._limit:g} s for an answer, "
            f"{self._ended[0].errors} were canceled by their callers"
        )
        if not self._known:
            reason = "the requests in flight are not known; only proxies count them"
        enough = self._known and sent >= self._metric.min_requests
        return replace(self._metric.judgement("pass" if enough else "inconclusive", reason), weight=0.0, critical=False)

    def evidence(self) -> dict[str, list[float]]:
        name, stable_sent = self._metric.name, self._sent[1]
        stable = self._previous_stable
        if stable_sent >= self._metric.min_requests and self._seconds > 0:
            stable = (stable_sent / self._seconds, self._most_waiting)
        return {
            f"{name}.rate": self._canceled_rate.state(),
            f"{name}.tests": [float(self._tests)],
            **({f"{name}.stable": list(stable)} if stable else {}),
        }
