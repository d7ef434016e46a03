# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judging at every look: quick when it is certain, silent when nothing is wrong, and never content without evidence."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis.counter_deltas import Increment
from ansible_collections.meshops.canary.plugins.module_utils.analysis.error_rates import RequestCount
from ansible_collections.meshops.canary.plugins.module_utils.analysis.intervals import MetricSpec
from ansible_collections.meshops.canary.plugins.module_utils.analysis.metrics import Metric
from ansible_collections.meshops.canary.plugins.module_utils.analysis.sequential import (
    Observation,
    quantiles,
    stable_evidence,
)

ERRORS = MetricSpec(Metric("errors", critical=True), "errors")
LATENCY = MetricSpec(Metric("latency"), "latency")
BUCKETS = (1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, math.inf)


def answered(canary: tuple[int, int] = (0, 0), stable: tuple[int, int] = (0, 0), **times: Counter[float]) -> Increment:
    return Increment({"v2": RequestCount(*canary), "v1": RequestCount(*stable)}, dict(times))


def alarm_after(observation: Observation, increments: list[Increment]) -> int | None:
    """Return after how many looks there was an alarm, None for none."""
    for number, increment in enumerate(increments, 1):
        observation.add(increment)
        if observation.alarm():
            return number
    return None


def failures(draw: random.Random, requests: int, rate: float) -> int:
    return sum(draw.random() < rate for _request in range(requests))


def second(draw: random.Random, bad: float, good: float = 0.0, requests: int = 10) -> Increment:
    return answered((requests, failures(draw, requests, bad)), (9 * requests, failures(draw, 9 * requests, good)))


def test_half_of_the_requests_failing_is_an_alarm_within_three_measurements() -> None:
    """10 % of 100 requests a second, one look a second: 200 canaries, all of them caught."""
    draw = random.Random(1)
    after = [
        alarm_after(Observation([ERRORS], "v2", "v1"), [second(draw, 0.5) for _measurement in range(30)])
        for _run in range(200)
    ]
    assert None not in after
    assert max(number for number in after if number) <= 3


def test_one_in_twenty_failing_is_an_alarm_within_half_a_minute() -> None:
    """10 % of 200 requests a second, as the issue of reaction time asks; at least 95 of 100 canaries."""
    draw = random.Random(2)
    after = [
        alarm_after(Observation([ERRORS], "v2", "v1"), [second(draw, 0.05, requests=20) for _measurement in range(30)])
        for _run in range(100)
    ]
    assert sum(number is not None for number in after) >= 95


def test_a_good_canary_passes_and_an_idle_one_does_not() -> None:
    observation = Observation([ERRORS], "v2", "v1")
    observation.add(answered((99, 0), (900, 1)))
    assert observation.verdict().outcome == "inconclusive"
    observation.add(answered((1, 0), (9, 0)))
    assert observation.verdict().outcome == "pass"
    idle = Observation([ERRORS, LATENCY], "v2", "v1")
    idle.add(answered(stable=(10_000, 0)))
    assert idle.verdict().outcome == "inconclusive"
    assert "0 of 0 canary requests failed" in idle.verdict().reasons[0]


def test_nothing_at_all_is_inconclusive() -> None:
    assert Observation([ERRORS, LATENCY], "v2", "v1").verdict().outcome == "inconclusive"


def test_an_uncritical_alarm_waits_for_what_could_outvote_it() -> None:
    light = MetricSpec(Metric("light", weight=1.0), "errors")
    observation = Observation(
        [light, MetricSpec(Metric("heavy", weight=9.0, limit=90, compare=False), "errors")], "v2", "v1"
    )
    observation.add(answered((400, 200), (3600, 0)))
    assert observation.alarm() is None
    verdict = observation.verdict()
    assert verdict.outcome == "inconclusive"
    assert verdict.score == 90.0


def test_a_limit_of_zero_forbids_the_first_error() -> None:
    observation = Observation(
        [MetricSpec(Metric("errors", limit=0, compare=False, critical=True), "errors")], "v2", "v1"
    )
    observation.add(answered((50, 0)))
    assert observation.alarm() is None
    observation.add(answered((1, 1)))
    assert observation.alarm() is not None


def test_max_ratio_is_tolerated() -> None:
    tolerant = MetricSpec(Metric("errors", max_ratio=3.0, critical=True), "errors")
    increments = [answered((100, 4), (900, 18))] * 20  # 4 % beside 2 %
    assert alarm_after(Observation([tolerant], "v2", "v1"), increments) is None
    observation = Observation([tolerant], "v2", "v1")
    alarm_after(observation, increments)
    assert observation.verdict().outcome == "pass"
    assert alarm_after(Observation([ERRORS], "v2", "v1"), increments) is not None


def test_evidence_continues_in_the_next_analysis() -> None:
    """Two watches of which neither would be certain alone."""
    half = [answered((10, 2), (90, 0))]
    first = Observation([ERRORS], "v2", "v1")
    assert alarm_after(first, half) is None
    assert alarm_after(Observation([ERRORS], "v2", "v1"), half) is None
    assert alarm_after(Observation([ERRORS], "v2", "v1", first.evidence()), half) == 1


def times(draw: random.Random, requests: int, median: float) -> Counter[float]:
    spread = (median * math.exp(draw.gauss(0, 0.5)) for _request in range(requests))
    return Counter(next(bound for bound in BUCKETS if value <= bound) for value in spread)


def test_a_canary_with_all_requests_is_compared_with_stable_before() -> None:
    draw = random.Random(4)
    metric_specs = [ERRORS, LATENCY]
    before = Observation(metric_specs, "v2", "v1")
    before.add(answered((500, 0), (500, 0), v1=times(draw, 500, 20), v2=times(draw, 500, 20)))
    remembered = before.evidence()
    good = Observation(metric_specs, "v2", "v1", remembered)
    good.add(answered((900, 0), v2=times(draw, 900, 20)))
    assert good.verdict().outcome == "pass"
    assert "those of the previous step count too" in good.verdict().judgements[0].reason
    assert alarm_after(Observation(metric_specs, "v2", "v1", remembered), [answered((100, 5))] * 10) is not None
    slow = Observation(metric_specs, "v2", "v1", remembered)
    assert alarm_after(slow, [answered((200, 0), v2=times(draw, 200, 60))]) == 1


def test_the_last_requests_of_stable_do_not_replace_its_previous_evidence() -> None:
    """Thirteen stragglers on stable once held a step at 100 % until its deadline, and so took a good canary back."""
    draw = random.Random(6)
    metric_specs = [ERRORS, LATENCY]
    before = Observation(metric_specs, "v2", "v1")
    before.add(answered((500, 0), (500, 0), v1=times(draw, 500, 20), v2=times(draw, 500, 20)))
    alone = Observation(metric_specs, "v2", "v1", before.evidence())
    alone.add(answered((900, 0), (13, 0), v1=times(draw, 13, 20), v2=times(draw, 900, 20)))
    assert alone.verdict().outcome == "pass", alone.verdict()
    broken = Observation([ERRORS], "v2", "v1", before.evidence())
    broken.add(answered((0, 0), (13, 0)))
    assert alarm_after(broken, [answered((100, 5))] * 10) is not None


def test_a_fresh_start_keeps_only_the_evidence_of_stable() -> None:
    observation = Observation([ERRORS], "v2", "v1")
    observation.add(answered((100, 50), (900, 1)))
    assert stable_evidence(observation.evidence()) == {
        "errors.stable": [900.0, 1.0],
        "response codes.stable": [899.0],
    }


def test_double_the_time_is_noticed_before_the_end_and_the_same_time_is_not() -> None:
    draw = random.Random(5)
    slow = [answered((50, 0), (450, 0), v1=times(draw, 450, 20), v2=times(draw, 50, 40)) for _measurement in range(10)]
    assert alarm_after(Observation([LATENCY], "v2", "v1"), slow) == 2
    wrong = 0
    for _run in range(200):
        same = [
            answered((50, 0), (450, 0), v1=times(draw, 450, 20), v2=times(draw, 50, 20)) for _measurement in range(4)
        ]
        observation = Observation([LATENCY], "v2", "v1")
        wrong += alarm_after(observation, same) is not None or observation.verdict().outcome != "pass"
    assert wrong <= 4


def test_slack_lets_a_version_take_its_time() -> None:
    draw = random.Random(6)
    slower = answered((300, 0), (300, 0), v1=times(draw, 300, 5), v2=times(draw, 300, 20))
    outcomes = {}
    for slack in (0.0, 10.0, 100.0):
        observation = Observation([MetricSpec(Metric("latency", slack=slack), "latency")], "v2", "v1")
        observation.add(slower)
        outcomes[slack] = (bool(observation.alarm()), observation.verdict().outcome)
    assert outcomes == {0.0: (True, "fail"), 10.0: (True, "fail"), 100.0: (False, "pass")}


def test_a_latency_limit_is_an_alarm_only_if_significant() -> None:
    spec = MetricSpec(Metric("latency", limit=100, compare=False, critical=True), "latency")
    near, far = Observation([spec], "v2", "v1"), Observation([spec], "v2", "v1")
    near.add(answered((100, 0), v2=Counter({100.0: 94, 250.0: 6})))
    assert near.alarm() is None
    assert near.verdict().outcome == "fail"
    far.add(answered((100, 0), v2=Counter({100.0: 60, 250.0: 40})))
    alarm = far.alarm()
    assert alarm is not None
    assert "40 of 100 canary requests took longer than 100 ms" in alarm.reasons[0]


def test_a_value_fails_only_several_times_in_a_row() -> None:
    spec = MetricSpec(Metric("queue", limit=10, critical=True), "value", consecutive=2)
    observation = Observation([spec], "v2", "v1")
    for value, alarm, outcome in (
        (None, False, "inconclusive"),
        (math.nan, False, "inconclusive"),
        (11.0, False, "inconclusive"),
        (9.0, False, "pass"),
        (11.0, False, "inconclusive"),
        (12.0, True, "fail"),
    ):
        observation.add(Increment(), {"queue": (value, None)})
        assert bool(observation.alarm()) == alarm
        assert observation.verdict().outcome == outcome


def test_no_number_neither_confirms_nor_clears_the_failures_before() -> None:
    observation = Observation(
        [MetricSpec(Metric("queue", limit=10, critical=True), "value", consecutive=2)], "v2", "v1"
    )
    for value in (11.0, math.nan, None):
        observation.add(Increment(), {"queue": (value, None)})
        assert observation.alarm() is None
    observation.add(Increment(), {"queue": None})
    observation.add(Increment(), {"queue": (12.0, None)})
    assert observation.alarm() is not None


def test_failures_missing_answers_and_missing_numbers_have_separate_tolerances() -> None:
    spec = MetricSpec(Metric("queue", limit=10, critical=True), "value", consecutive=9, missing=1, unanswered=2)
    observation = Observation([spec], "v2", "v1")
    for value, outcome in (
        ((9.0, None), "pass"),
        (None, "pass"),
        (None, "pass"),
        (None, "inconclusive"),
        ((None, None), "pass"),
        ((math.nan, None), "inconclusive"),
        ((9.0, None), "pass"),
        ((11.0, None), "inconclusive"),
    ):
        observation.add(Increment(), {"queue": value})
        assert observation.verdict().outcome == outcome, value
    assert "at 1 of 9 measurements in a row" in observation.verdict().reasons[0]


def test_a_failed_http_check_has_a_reason() -> None:
    observation = Observation([MetricSpec(Metric("page", critical=True), "http", consecutive=2)], "v2", "v1")
    observation.add(Increment(), {"page": (1.0, None)})
    assert observation.verdict().outcome == "pass"
    for _measurement in range(2):
        observation.add(Increment(), {"page": (0.0, None)})
    alarm = observation.alarm()
    assert alarm is not None
    assert alarm.reasons == ("page: the check failed",)


def test_empty_buckets_bound_those_above_them() -> None:
    """Stable's p95 once was 95 instead of 97.5: without the empty bucket up to 50 the next one seemed to begin at 0."""
    before = Observation([LATENCY], "v2", "v1")
    before.add(answered((200, 0), (200, 0), v1=Counter({50.0: 0, 100.0: 200}), v2=Counter({50.0: 0, 100.0: 200})))
    alone = Observation([LATENCY], "v2", "v1", before.evidence())
    alone.add(answered((200, 0), (5, 0), v1=Counter({50.0: 0, 100.0: 5}), v2=Counter({50.0: 0, 100.0: 200})))
    (judged,) = alone.verdict().judgements
    assert judged.numbers["stable"]["p95"] == judged.numbers["canary"]["p95"] == 97.5


def test_a_baseline_may_stand_in_for_stable() -> None:
    """A third version, as old and as large as the canary, beside a stable one whose requests then count for nothing."""
    observation = Observation([ERRORS], "v2", "baseline")
    three = {"v1": RequestCount(9000, 900), "baseline": RequestCount(500, 0), "v2": RequestCount(500, 40)}
    observation.add(Increment(three))
    alarm = observation.alarm()
    assert alarm is not None
    assert "40 of 500 canary requests failed, more than stable's 0 of 500" in alarm.reasons[0]


def test_a_ratio_of_times_is_allowed_and_beyond_it_is_a_failure() -> None:
    draw = random.Random(8)
    for median, ratio, outcome in ((30, 2.0, "pass"), (60, 2.0, "fail"), (30, None, "fail")):
        spec = MetricSpec(Metric("latency", max_ratio=ratio), "latency")
        observation = Observation([spec], "v2", "v1")
        observation.add(answered(v1=times(draw, 400, 20), v2=times(draw, 400, median)))
        assert bool(observation.alarm()) == (outcome == "fail")
        assert observation.verdict().outcome == outcome


@pytest.mark.parametrize("evidence", [{"errors.rate": [1.0]}, {"latency.stable": [1.0, 2.0, 3.0]}])
def test_evidence_of_other_metrics_is_refused(evidence: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match=r"state must hold|zip"):
        Observation([ERRORS, LATENCY], "v2", "v1", evidence)


def test_quantiles_of_nothing_are_none() -> None:
    assert quantiles(Counter()) == {"p50": None, "p95": None, "p99": None}
    assert quantiles(Counter({10.0: 100}))["p50"] == 5.0
