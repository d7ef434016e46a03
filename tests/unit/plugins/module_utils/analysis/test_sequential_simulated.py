# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the judge promises, held against many simulated canaries: few false alarms, faults found in time."""

from __future__ import annotations

import itertools
import math
import typing as t
from collections import Counter

import pytest
import scipy.stats
from ansible_collections.meshops.canary.plugins.module_utils.analysis.counter_deltas import Increment
from ansible_collections.meshops.canary.plugins.module_utils.analysis.error_rates import RequestCount
from ansible_collections.meshops.canary.plugins.module_utils.analysis.intervals import MetricSpec
from ansible_collections.meshops.canary.plugins.module_utils.analysis.kinds import DEFAULT_METRICS
from ansible_collections.meshops.canary.plugins.module_utils.analysis.metrics import Metric
from ansible_collections.meshops.canary.plugins.module_utils.analysis.sequential import Observation
from support.effort import rounds

if t.TYPE_CHECKING:
    from collections.abc import Iterator

ERRORS = MetricSpec(Metric("errors", critical=True), "errors")
ISTIO = (0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0, math.inf)
SIGMA = 0.5


def failed(requests: int, rate: float, size: int, seed: int) -> Iterator[RequestCount]:
    counts = scipy.stats.binom.rvs(requests, rate, size=size, random_state=seed)
    return (RequestCount(requests, errors) for errors in counts.tolist())


def took(requests: int, median: float, size: int, seed: int) -> Iterator[Counter[float]]:
    """Lognormal response times, in the buckets of Istio's histograms, empty ones too, as a proxy has them."""
    below = [0.0, *(scipy.stats.lognorm.cdf(bound, SIGMA, scale=median) for bound in ISTIO)]
    shares = [after - before for before, after in itertools.pairwise(below)]
    drawn = scipy.stats.multinomial.rvs(requests, shares, size=size, random_state=seed)
    return (Counter(dict(zip(ISTIO, row, strict=True))) for row in drawn.tolist())


def alarmed(observation: Observation, measurements: Iterator[Increment], most: int) -> int | None:
    """Return after how many looks there was an alarm, None for none within `most`."""
    for number, increment in enumerate(itertools.islice(measurements, most), 1):
        observation.add(increment, seconds=1.0)
        if observation.alarm():
            return number
    return None


@pytest.mark.parametrize("rate", [0.0001, 0.001, 0.01, 0.05])
def test_the_default_judge_raises_few_false_alarms_however_often_it_looks(rate: float) -> None:
    """10,000 comparisons of a version with itself in a soak run: 20 looks at 100 requests a second, 10 % canary.

    Times come every five seconds, as Envoy sums them up. alpha is 0.01 for each of the two metrics.
    """
    runs = rounds(500, 2500)
    canary, stable = failed(10, rate, 20 * runs, 1), failed(90, rate, 20 * runs, 2)
    mine, theirs = took(50, 20.0, 4 * runs, 3), took(450, 20.0, 4 * runs, 4)

    def alarm_after() -> Iterator[Increment]:
        times = itertools.chain.from_iterable(
            (*(({},) * 4), {"v2": m, "v1": s}) for m, s in zip(mine, theirs, strict=True)
        )
        for one, other, when in zip(canary, stable, times, strict=True):
            yield Increment({"v2": one, "v1": other}, when)

    wrong, answered = 0, alarm_after()
    for _run in range(runs):
        observation = Observation(DEFAULT_METRICS, "v2", "v1")
        increments = list(itertools.islice(answered, 20))
        wrong += bool(alarmed(observation, iter(increments), 20)) or observation.verdict().outcome == "fail"
    assert wrong <= 0.02 * runs


@pytest.mark.parametrize("rate", [0.001, 0.02])
def test_a_canary_that_has_all_requests_raises_few_false_alarms(rate: float) -> None:
    """What stable did in 1,000 requests of the step before says only so much about its rate."""
    runs = 1000
    before, now = failed(1000, rate, runs, 5), failed(100, rate, 20 * runs, 6)
    measurements = (Increment({"v2": one}) for one in now)
    wrong = 0
    for stable in before:
        remembered = {"errors.stable": [float(stable.requests), float(stable.errors)]}
        observation = Observation([ERRORS], "v2", "v1", remembered)
        increments = list(itertools.islice(measurements, 20))
        wrong += bool(alarmed(observation, iter(increments), 20)) or observation.verdict().outcome == "fail"
    assert wrong <= 0.02 * runs


def test_repeated_final_tests_raise_few_false_alarms() -> None:
    """A metric that stays undecided until the deadline lets 270 looks follow the 30 after which all could have ended.

    20 requests a second beside 180, 2 % of which fail. A test of the end at each of those looks was wrong in 3.3 %.
    """
    runs, measurements, over = rounds(100, 300), 300, 30
    idle = MetricSpec(Metric("queue", limit=1.0, critical=True), "value")
    canary, stable = failed(20, 0.02, runs * measurements, 21), failed(180, 0.02, runs * measurements, 22)
    wrong = 0
    for _run in range(runs):
        observation = Observation([ERRORS, idle], "v2", "v1")
        ended = False
        pairs = zip(itertools.islice(canary, measurements), itertools.islice(stable, measurements), strict=True)
        for number, (mine, theirs) in enumerate(pairs, 1):
            observation.add(Increment({"v2": mine, "v1": theirs}), seconds=1.0)
            ended = ended or (number >= over and observation.verdict().outcome == "fail")
        wrong += ended
    assert wrong <= 0.01 * runs


@pytest.mark.parametrize("rate", [0.0005, 0.01])
def test_an_hour_at_a_manual_gate_raises_few_false_alarms(rate: float) -> None:
    """A version beside itself, a look a second: a step of 20 s, then 3,600 looks at the gate with what it had seen.

    20 requests a second, a fifth of them the canary's. Only alarms count at the gate, and none was raised in the step.
    """
    runs, measurements = rounds(30, 100), 3620
    canary, stable = failed(4, rate, runs * measurements, 11), failed(16, rate, runs * measurements, 12)
    pairs = zip(took(20, 20.0, runs * measurements // 5, 13), took(80, 20.0, runs * measurements // 5, 14), strict=True)

    def answered() -> Iterator[Increment]:
        for number, (one, other) in enumerate(zip(canary, stable, strict=True)):
            times = {} if number % 5 else dict(zip(("v2", "v1"), next(pairs, ()), strict=True))
            yield Increment({"v2": one, "v1": other}, times)

    wrong, increments = 0, answered()
    for _run in range(runs):
        step = Observation(DEFAULT_METRICS, "v2", "v1")
        before = alarmed(step, increments, 20)
        gate = Observation(DEFAULT_METRICS, "v2", "v1", step.evidence())
        wrong += bool(before) or alarmed(gate, increments, 3600) is not None
    assert wrong <= 0.02 * runs


@pytest.mark.parametrize(("good", "rate"), [(600, 0.001), (600, 0.01), (1800, 0.001), (1800, 0.01)])
@pytest.mark.parametrize(("bad", "within"), [(0.5, 3), (0.05, 60)])
def test_a_fault_that_begins_late_is_found_as_fast_as_an_early_one(
    good: int, rate: float, bad: float, within: int
) -> None:
    """10 % of 200 requests a second. A good half hour once made 5 % errors take 147 s, and 50 % errors 10 s."""
    for run in range(10):
        observation = Observation([ERRORS], "v2", "v1")
        canary, stable = failed(20, rate, good, 2 * run), failed(180, rate, good + within, 2 * run + 1)
        sound = (Increment({"v2": mine, "v1": theirs}) for mine, theirs in zip(canary, stable, strict=False))
        assert alarmed(observation, sound, good) is None
        broken = (Increment({"v2": one, "v1": next(stable)}) for one in failed(20, bad, within, 100 + run))
        assert alarmed(observation, broken, within), observation.evidence()


def test_a_canary_that_becomes_slow_after_an_hour_is_found_within_minutes() -> None:
    """10 requests a second beside 90: an hour of good ones would outnumber the slow ones for another hour."""
    for seed in range(3):
        observation = Observation(DEFAULT_METRICS, "v2", "v1")
        good, theirs = took(50, 60.0, 720, 20 + seed), took(450, 60.0, 760, 30 + seed)
        slow = took(50, 120.0, 40, 40 + seed)

        def alarm_after(
            mine: Iterator[Counter[float]], beside: Iterator[Counter[float]] = theirs
        ) -> Iterator[Increment]:
            for times, others in zip(mine, beside, strict=False):
                yield from (
                    Increment(),
                    Increment(),
                    Increment(),
                    Increment(),
                    Increment({}, {"v2": times, "v1": others}),
                )

        assert alarmed(observation, alarm_after(good), 3600) is None
        found = alarmed(observation, alarm_after(slow), 200)
        assert found
        assert found <= 120


@pytest.mark.parametrize("median", [20.0, 60.0, 130.0, 480.0, 900.0])
def test_doubled_response_times_are_found_by_fifty_requests_of_each(median: float) -> None:
    """By the default judge, in Istio's buckets, at the end of a watch: at least 95 of 100."""
    runs = 400
    found = 0
    for mine, theirs in zip(took(50, 2 * median, runs, 7), took(50, median, runs, 8), strict=True):
        observation = Observation(DEFAULT_METRICS, "v2", "v1")
        observation.add(Increment({"v2": RequestCount(50, 0), "v1": RequestCount(50, 0)}, {"v2": mine, "v1": theirs}))
        (latency,) = (one for one in observation.verdict().judgements if one.metric == "latency")
        found += latency.outcome == "fail"
    assert found >= 0.95 * runs
