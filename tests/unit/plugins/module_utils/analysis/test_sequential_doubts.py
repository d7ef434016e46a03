# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps a canary from passing although every metric is content: failures of nobody, and callers that give up."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis.counter_deltas import Increment
from ansible_collections.meshops.canary.plugins.module_utils.analysis.error_rates import RequestCount
from ansible_collections.meshops.canary.plugins.module_utils.analysis.intervals import MetricSpec
from ansible_collections.meshops.canary.plugins.module_utils.analysis.metrics import Metric
from ansible_collections.meshops.canary.plugins.module_utils.analysis.sequential import Observation

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.analysis.verdict import Verdict

ERRORS = MetricSpec(Metric("errors", critical=True), "errors")
STALLED = MetricSpec(Metric("stalled", critical=True), "stalled")
RATE = MetricSpec(Metric("rate", floor=1.0, critical=True), "rate")


def seen(
    *metric_specs: MetricSpec,
    measurements: int = 30,
    failed: int = 0,
    gone: int = 0,
    canceled: int = 0,
    answered: int = 20,
) -> Observation:
    """Watch a canary that fails nothing. failed, gone: requests a look without a version that failed, or that were
    given up. given_up: the canary's own. answered: by the canary."""
    observation = Observation(metric_specs, "v2", "v1")
    ended = {
        "v2": RequestCount(answered + canceled, canceled),
        "v1": RequestCount(180, 0),
        "": RequestCount(failed + gone, gone),
    }
    one = Increment(
        {"v2": RequestCount(answered, 0), "v1": RequestCount(180, 0), "": RequestCount(failed, failed)}, ended=ended
    )
    for _measurement in range(measurements):
        observation.add(one, seconds=1.0)
        assert not observation.alarm()
    return observation


def verdict(*metric_specs: MetricSpec, **numbers: int) -> Verdict:
    return seen(*metric_specs, **numbers).verdict()


def test_failures_without_a_version_that_would_fail_the_canary_are_no_pass() -> None:
    said = verdict(ERRORS, failed=3)
    (reason,) = said.reasons
    assert said.outcome == "inconclusive"
    assert reason.startswith("90 requests failed or were canceled, and the counters name no version for them.")
    assert "it would fail (errors: 90 of 690 canary requests failed, more than stable's 0 of 5400" in reason
    assert "statsInclusionPrefixes" in reason
    assert said.as_dict()["metrics"][0]["verdict"] == "pass", "what the metric says stays as it is"


def test_few_failures_without_a_version_have_no_effect() -> None:
    observation = seen(ERRORS)
    observation.add(
        Increment({"": RequestCount(1, 1), "v2": RequestCount(20, 0), "v1": RequestCount(180, 0)}), seconds=1.0
    )
    assert observation.verdict().outcome == "pass"
    assert observation.unattributed == 1


def test_failures_without_a_version_are_held_against_a_limit_too() -> None:
    limit = MetricSpec(Metric("errors", limit=5.0, compare=False, critical=True), "errors")
    assert verdict(limit, failed=3).outcome == "inconclusive"
    zero = MetricSpec(Metric("errors", limit=0.0, compare=False, critical=True), "errors")
    assert verdict(zero, failed=1).outcome == "inconclusive"


def test_requests_without_a_version_that_were_answered_are_nobodys_failure() -> None:
    observation = Observation([ERRORS], "v2", "v1")
    for _measurement in range(30):
        observation.add(
            Increment({"v2": RequestCount(20, 0), "v1": RequestCount(180, 0), "": RequestCount(100, 0)}), seconds=1.0
        )
    assert (observation.verdict().outcome, observation.unattributed) == ("pass", 0)
    assert observation.seen == {"v2": 600, "v1": 5400, "": 3000}


@pytest.mark.parametrize("metric_specs", [(ERRORS,), (ERRORS, STALLED), (ERRORS, RATE)])
def test_canceled_requests_without_a_version_may_be_the_canarys(metric_specs: tuple[MetricSpec, ...]) -> None:
    said = verdict(*metric_specs, gone=3)
    assert said.outcome == "inconclusive"
    assert "90 of 690 canary requests were canceled by their callers, more than stable's 0 of 5400" in said.reasons[0]


@pytest.mark.parametrize("metric_specs", [(ERRORS,), (ERRORS, RATE)])
def test_canceled_requests_to_the_canary_prevent_a_pass_without_a_stalled_metric(
    metric_specs: tuple[MetricSpec, ...],
) -> None:
    said = verdict(*metric_specs, canceled=5)
    assert said.outcome == "inconclusive"
    assert said.reasons == (
        "150 of 750 canary requests were canceled by their callers, more than stable's 0 of 5400; "
        "statistically significant (p = 7.2e-141). Add a metric of kind stalled to have it judged.",
    )
    assert [one.metric for one in said.judgements] == [one.metric.name for one in metric_specs]


def test_canceled_requests_are_a_reason_if_too_few_are_answered() -> None:
    said = verdict(ERRORS, canceled=20, answered=0)
    assert said.outcome == "inconclusive"
    assert [reason.split(" canary")[0] for reason in said.reasons] == ["errors: 0 of 0", "600 of 600"]


def test_who_asks_for_hanging_has_it_judged_and_weighs_it() -> None:
    light = MetricSpec(Metric("stalled", weight=0.01), "stalled")
    observation = Observation([ERRORS, light], "v2", "v1")
    canceled = Increment(
        {"v2": RequestCount(20, 0), "v1": RequestCount(180, 0)},
        ended={"v2": RequestCount(25, 5), "v1": RequestCount(180, 0)},
    )
    for _measurement in range(30):
        observation.add(canceled, seconds=1.0)
    assert observation.verdict().outcome == "pass"


def test_that_callers_give_up_is_remembered_from_step_to_step() -> None:
    evidence = seen(ERRORS, measurements=2, canceled=2).evidence()
    after = Observation([ERRORS], "v2", "v1", evidence)
    assert after.evidence()["canceled.rate"] == evidence["canceled.rate"]
    assert seen(ERRORS, STALLED, measurements=2).evidence().keys().isdisjoint({"canceled.rate"})
