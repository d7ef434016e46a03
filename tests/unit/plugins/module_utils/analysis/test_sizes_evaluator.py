# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A canary with empty answers, or larger ones than stable's, answers 200 in time all the same."""

from __future__ import annotations

import json
import math
import typing as t
from collections import Counter

import numpy
import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis import counter_deltas, sizes_evaluator
from ansible_collections.meshops.canary.plugins.module_utils.analysis.counter_deltas import Increment
from ansible_collections.meshops.canary.plugins.module_utils.analysis.error_rates import RequestCount
from ansible_collections.meshops.canary.plugins.module_utils.analysis.intervals import MetricSpec
from ansible_collections.meshops.canary.plugins.module_utils.analysis.kinds import DEFAULT_METRICS
from ansible_collections.meshops.canary.plugins.module_utils.analysis.metrics import Metric
from ansible_collections.meshops.canary.plugins.module_utils.analysis.sequential import Observation, stable_evidence
from ansible_collections.meshops.canary.plugins.module_utils.analysis.traffic import Names
from support.effort import rounds

if t.TYPE_CHECKING:
    from collections.abc import Mapping

HOST = "reviews.shop.svc.cluster.local"
NAMES = Names({HOST: None}, {"v1": "v1", "v2": "v2"})
SIZES = MetricSpec(Metric("sizes"), "sizes")
PAGES = {500.0: 20, 1000.0: 140, 2500.0: 20}


def increment(canary: Mapping[float, int], stable: Mapping[float, int]) -> Increment:
    """One second of both versions' answers by size, all with status 200 and in 10 ms."""
    sides = {"v2": Counter(canary), "v1": Counter(stable)}
    return Increment(
        {version: RequestCount(sizes.total(), 0) for version, sizes in sides.items()},
        {version: Counter({10.0: sizes.total()}) for version, sizes in sides.items()},
        codes={version: Counter({"200": sizes.total()}) for version, sizes in sides.items()},
        sizes=sides,
    )


def observed(
    canary: Mapping[float, int],
    stable: Mapping[float, int] | None = None,
    specs: t.Sequence[MetricSpec] = (*DEFAULT_METRICS, SIZES),
    seconds: int = 30,
) -> Observation:
    observation = Observation(specs, "v2", "v1")
    for _second in range(seconds):
        observation.add(increment(canary, PAGES if stable is None else stable), seconds=1.0)
    return observation


@pytest.mark.parametrize("size", [1.0, 5000.0, math.inf], ids=["empty", "larger", "above all bounds"])
def test_answers_of_another_size_fail(size: float) -> None:
    observation = observed({size: 20}, specs=[SIZES], seconds=3)
    verdict = observation.alarm()
    assert verdict
    assert verdict.outcome == "fail"
    (reason,) = verdict.reasons
    assert reason.startswith("sizes: the canary answers ")
    assert "60 of 60 (100%), stable's 0 of 540 (0%)" in reason
    assert "raise max_ratio or leave the metric of kind sizes out" in reason


def test_a_part_of_the_answers_is_enough_and_the_size_is_named() -> None:
    (reason,) = observed({1.0: 4, 500.0: 2, 1000.0: 12, 2500.0: 2}, specs=[SIZES]).alarm().reasons
    assert "the canary answers up to 1 bytes more often than stable: up to 1 bytes " in reason
    assert "up to 1,000 bytes" not in reason


def test_sizes_like_those_of_stable_pass() -> None:
    observation = observed({500.0: 2, 1000.0: 14, 2500.0: 2})
    assert not observation.alarm()
    assert observation.verdict().outcome == "pass"


def test_without_the_metric_sizes_are_not_judged() -> None:
    assert observed({1.0: 20}, specs=DEFAULT_METRICS).verdict().outcome == "pass"


def test_where_no_proxy_counts_sizes_there_is_no_verdict_on_them() -> None:
    observation = Observation([SIZES], "v2", "v1")
    for _second in range(60):
        observation.add(Increment({"v2": RequestCount(20, 0), "v1": RequestCount(180, 0)}), seconds=1.0)
    verdict = observation.verdict()
    assert verdict.outcome == "inconclusive"
    assert "0 canary requests and 0 of stable; 100 of each are needed to compare sizes" in verdict.reasons[0]


def test_max_ratio_tolerates_and_the_verdict_can_be_inconclusive() -> None:
    tolerant = MetricSpec(Metric("sizes", max_ratio=8.0), "sizes")
    more = {500.0: 6, 1000.0: 10, 2500.0: 2}
    assert observed(more, specs=[SIZES]).alarm()
    assert not observed(more, specs=[tolerant]).alarm()
    held = observed({1.0: 20}, specs=[MetricSpec(Metric("sizes"), "sizes", verdict="inconclusive")])
    assert not held.alarm()
    assert held.verdict().outcome == "inconclusive"


def test_at_all_requests_stable_before_is_what_counts() -> None:
    first = observed({500.0: 2, 1000.0: 14, 2500.0: 2}, specs=[SIZES])
    kept = json.loads(json.dumps(stable_evidence(first.evidence())))
    for canary, outcome in (({1.0: 200}, "fail"), ({500.0: 20, 1000.0: 140, 2500.0: 20}, "pass")):
        later = Observation([SIZES], "v2", "v1", kept)
        for _second in range(5):
            later.add(increment(canary, {}), seconds=1.0)
        assert later.verdict().outcome == outcome, canary


def test_any_number_of_buckets_is_judged_with_a_bounded_number_of_tests() -> None:
    many = {float(bound): 1 for bound in range(1, 200)}
    observation = observed(many, {**many, math.inf: 1}, specs=[SIZES], seconds=20)
    assert observation.verdict().outcome == "pass"
    groups = {key.split(".")[1] for key in observation.evidence() if key.endswith(".rate") and key.startswith("sizes.")}
    assert 1 < len(groups) <= sizes_evaluator.MAX_BUCKETS


def test_a_version_beside_itself_seldom_differs() -> None:
    random = numpy.random.default_rng(20261201)
    bounds, shares = (1.0, 500.0, 1000.0, 2500.0, 5000.0), (0.02, 0.3, 0.5, 0.17, 0.01)
    different = 0
    for _minute in range(total := rounds(300, 4000)):
        observation = Observation([SIZES], "v2", "v1")
        for _second in range(20):
            sides = [dict(zip(bounds, map(int, random.multinomial(n, shares)), strict=True)) for n in (20, 180)]
            observation.add(increment(*sides), seconds=1.0)
        different += observation.verdict().outcome == "fail"
    assert different <= 0.02 * total


@pytest.mark.parametrize("reporter", ["source", "destination"])
def test_the_sizes_are_read_from_the_proxies_counters(reporter: str) -> None:
    def sample(bound: str, value: float) -> tuple[str, dict[str, str], float]:
        labels = {"reporter": reporter, "destination_service": HOST, "destination_version": "v2", "le": bound}
        return counter_deltas.ISTIO_SIZE, labels, value

    def read(*held: tuple[str, float]) -> counter_deltas.Reading:
        samples = [sample(*one) for one in held]
        if reporter == "source":
            return counter_deltas.client_reading("page", samples, NAMES)
        return counter_deltas.server_reading("page", samples, "v2")

    before, after = read(("1", 3), ("500", 10), ("+Inf", 10)), read(("1", 5), ("500", 30), ("+Inf", 31))
    increment = counter_deltas.grown(before, after)
    assert +increment.sizes["v2"] == {1.0: 2, 500.0: 18, math.inf: 1}
    assert increment.times == {}, "sizes are no response times"
