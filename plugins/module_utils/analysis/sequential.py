# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judges a canary over many intervals: an alarm at any time, a verdict at the end, few false ones of both. Pure."""

from __future__ import annotations

import copy
import math
import typing as t
from collections import Counter
from dataclasses import replace

from . import histogram
from .codes_evaluator import CodesEvaluator
from .counter_deltas import cumulative
from .error_rates import RequestCount
from .evaluators import ErrorEvaluator
from .intervals import Interval, MetricSpec
from .kinds import KINDS
from .metrics import Metric
from .stalled_evaluator import StalledEvaluator
from .traffic import NO_VERSION
from .verdict import Verdict, combine

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .counter_deltas import Increment
    from .in_flight import InFlight
    from .intervals import Evaluator, Evidence, ValuePair

CANCELED: t.Final = "canceled"
"""Name of the check of canceled requests, which is made also where no metric of kind stalled is named."""
CODES: t.Final = "response codes"
"""Name of the check of response codes, which is made also where no metric of kind codes is named."""


class Observation:
    """A canary compared with stable over many intervals.

    canary, stable: the versions' names. evidence: what `evidence` returned of an earlier analysis; with it the
    sequential tests continue, and a canary that has all requests is compared with stable before.
    seen: version -> requests that were answered, of all versions. unattributed: requests that failed or were canceled
    and have no version.

    Three checks keep it from passing without being metrics. Callers canceled requests to the canary, or its response
    codes differ from stable's, and no metric judges that. Or requests failed and have no version: then a second set of
    evaluators counts all of those as the canary's, and a canary that fails by it does not pass.
    Raises ValueError for evidence of another set of metrics.
    """

    def __init__(
        self, metric_specs: Sequence[MetricSpec], canary: str, stable: str, evidence: Evidence | None = None
    ) -> None:
        self._canary, self._stable = canary, stable
        self._evaluators = {one.metric.name: KINDS[one.kind].evaluator(one, evidence or {}) for one in metric_specs}
        self._cancellation_check: dict[str, Evaluator] = {}
        if not any(KINDS[one.kind].in_flight for one in metric_specs):
            spec = MetricSpec(Metric(CANCELED, critical=True), "stalled")
            self._cancellation_check[CANCELED] = StalledEvaluator(spec, evidence or {})
        self._codes_check: CodesEvaluator | None = None
        if not any(one.kind == "codes" for one in metric_specs):
            self._codes_check = CodesEvaluator(MetricSpec(Metric(CODES, critical=True), "codes"), evidence or {})
        self._worst_case: dict[str, Evaluator] = {}
        self.unattributed = 0
        self.seen: Counter[str] = Counter()

    def add(
        self, increment: Increment, values: Mapping[str, ValuePair | None] | None = None, *, seconds: float = 0.0
    ) -> None:
        """Add the requests since the last measurement, `seconds` ago.

        values: metric -> (the canary's number, stable's), each None where there is none; None for no answer.
        """
        versions = (self._canary, self._stable)
        canary, stable = (increment.count_of(version) for version in versions)
        interval = Interval(
            canary,
            stable,
            seconds,
            times=(increment.times.get(self._canary, Counter()), increment.times.get(self._stable, Counter())),
            ended=(_ended(increment, self._canary), _ended(increment, self._stable)),
            in_flight=(_in_flight(increment, self._canary), _in_flight(increment, self._stable)),
            codes=(increment.codes.get(self._canary, Counter()), increment.codes.get(self._stable, Counter())),
            sizes=(increment.sizes.get(self._canary, Counter()), increment.sizes.get(self._stable, Counter())),
        )
        self._add_to_worst_case(increment, interval)
        for name, evaluator in self._evaluators.items():
            evaluator.add(replace(interval, value=(values or {}).get(name, (None, None))))
        for evaluator in self._cancellation_check.values():
            evaluator.add(replace(interval, in_flight=({}, {})))
        if self._codes_check:
            self._codes_check.add(interval)
        self.seen.update({version: count.requests for version, count in increment.counts.items()})

    def _add_to_worst_case(self, increment: Increment, interval: Interval) -> None:
        """Count all failures without a version as the canary's; called before the evaluators get the interval."""
        failed = increment.count_of(NO_VERSION).errors
        canceled = _ended(increment, NO_VERSION).errors
        self.unattributed += failed + canceled
        if self.unattributed and not self._worst_case:
            evaluators = {**self._evaluators, **self._cancellation_check}
            self._worst_case = {
                name: copy.deepcopy(evaluator)
                for name, evaluator in evaluators.items()
                if isinstance(evaluator, (ErrorEvaluator, StalledEvaluator))
            }
        canary, stable = interval.ended
        worst = replace(
            interval,
            canary=interval.canary + RequestCount(failed, failed),
            ended=(canary + RequestCount(canceled, canceled), stable),
        )
        for name, evaluator in self._worst_case.items():
            evaluator.add(replace(worst, in_flight=({}, {})) if name in self._cancellation_check else worst)

    def alarm(self) -> Verdict | None:
        """Return the verdict `fail` as soon as no judgement of the other metrics could change it."""
        alarms = {name: evaluator.alarm() for name, evaluator in self._evaluators.items()}
        if not any(alarms.values()):
            return None
        others = {name: one.judgement() for name, one in self._evaluators.items() if not alarms[name]}
        at_best = [alarm or replace(others[name], outcome="pass") for name, alarm in alarms.items()]
        if combine(at_best).outcome != "fail":
            return None
        return combine([alarm or others[name] for name, alarm in alarms.items()])

    def verdict(self) -> Verdict:
        """Return the verdict on all intervals so far."""
        verdict = combine([evaluator.judgement() for evaluator in self._evaluators.values()])
        doubts = self._cancellation_doubts() + self._codes_doubts()
        if verdict.outcome == "inconclusive":
            return replace(verdict, reasons=(*verdict.reasons, *doubts))
        if verdict.outcome == "pass" and (doubts := doubts or self._worst_case_doubts()):
            return replace(verdict, outcome="inconclusive", reasons=doubts)
        return verdict

    def _cancellation_doubts(self) -> tuple[str, ...]:
        """Return that callers cancel requests to the canary, where no metric judges it."""
        alarms = [evaluator.alarm() for evaluator in self._cancellation_check.values()]
        return tuple(f"{alarm.reason}. Add a metric of kind stalled to have it judged." for alarm in alarms if alarm)

    def _codes_doubts(self) -> tuple[str, ...]:
        """Return how the canary's response codes differ from stable's, where no metric judges them."""
        difference = self._codes_check.difference() if self._codes_check else None
        if difference is None:
            return ()
        return (f"{difference.reason}. No metric of kind codes is named, so this holds the canary and fails nothing.",)

    def _worst_case_doubts(self) -> tuple[str, ...]:
        """Return that the canary would fail if all failures without a version were its own; empty if it would not."""
        evaluators = {**self._evaluators, **{n: one for n, one in self._worst_case.items() if n in self._evaluators}}
        worst = combine([one.alarm() or one.judgement() for one in evaluators.values()])
        reasons = list(worst.reasons) if worst.outcome == "fail" else []
        alarms = (self._worst_case[name].alarm() for name in self._cancellation_check if name in self._worst_case)
        reasons += [alarm.reason for alarm in alarms if alarm]
        if not reasons:
            return ()
        return (
            f"{self.unattributed} requests failed or were canceled, and the counters name no version for them. If all "
            f"of them were the canary's, it would fail ({'; '.join(reasons)}). Their response_flags in "
            "istio_requests_total say why they failed. With source: proxies the version is known where the callers' "
            "pods show Envoy's own counters (annotation sidecar.istio.io/statsInclusionPrefixes: cluster.outbound).",
        )

    def overdue(self) -> int:
        """Return the canary's requests that have waited too long by now, as far as a metric counts them."""
        counts = (one.overdue for one in self._evaluators.values() if isinstance(one, StalledEvaluator))
        return max(counts, default=0)

    def evidence(self) -> dict[str, list[float]]:
        """Return the state of the sequential tests and stable's numbers, for the next analysis."""
        evaluators = [*self._evaluators.values(), *self._cancellation_check.values()]
        evaluators += [self._codes_check] if self._codes_check else []
        return {key: state for evaluator in evaluators for key, state in evaluator.evidence().items()}


def _ended(increment: Increment, version: str) -> RequestCount:
    return increment.ended.get(version, RequestCount(0, 0))


def _in_flight(increment: Increment, version: str) -> dict[str, tuple[InFlight, InFlight]]:
    return {source: pair for (source, sent_to), pair in increment.in_flight.items() if sent_to == version}


def stable_evidence(evidence: Evidence) -> dict[str, list[float]]:
    """Return stable's numbers without the state of the tests, for a canary that is judged anew."""
    return {key: list(state) for key, state in evidence.items() if key.endswith(".stable")}


def quantiles(times: Mapping[float, int], shares: Sequence[float] = (0.5, 0.95, 0.99)) -> dict[str, float | None]:
    """Return p50, p95 and p99 in milliseconds for results; None without requests."""
    histogram_of_all = cumulative(times)
    found = {f"p{share * 100:g}": histogram.quantile(histogram_of_all, share) for share in shares}
    return {name: None if math.isnan(value) else round(value, 2) for name, value in found.items()}
