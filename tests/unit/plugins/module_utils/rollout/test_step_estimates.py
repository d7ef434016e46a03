# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Too little traffic is said before the start: the length of each step, and the steps that cannot be judged."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis.metrics import Metric
from ansible_collections.meshops.canary.plugins.module_utils.evidence import analysis_options
from ansible_collections.meshops.canary.plugins.module_utils.rollout import step_estimates
from ansible_collections.meshops.canary.plugins.module_utils.rollout.steps import Rollout, Step

TESTERS = ({"headers": {"end-user": {"exact": "testuser"}}},)


def plan(*steps: Step) -> Rollout:
    return Rollout("reviews", "shop", "v1", "v2", steps)


def step(weight: float, **given: t.Any) -> Step:
    return Step(weight, **{"pause": 60.0, "deadline": 600.0, **given})


PLAN = plan(step(1.0), step(25.0), step(100.0))


def test_the_length_of_each_step_follows_from_the_load() -> None:
    lines = step_estimates.estimate_lines(PLAN, 40.0, 100)
    assert lines == [
        "load now (estimate): 40 requests/s; a verdict needs 100 requests of v2",
        "step 1 (estimate): about 5 min instead of 60 s at 1%",
    ]
    assert step_estimates.too_few(PLAN, 40.0, 100) is None
    assert step_estimates.estimate_lines(PLAN, 4000.0, 100)[1:] == []


@pytest.mark.parametrize(
    ("per_second", "object_name", "advice"),
    [
        (2.0, "Step 1 of reviews", "Begin with at least 9%"),
        (0.1, "Step 1 of reviews (and 2 more)", "Wait for more traffic"),
        (0.0, "Step 1 of reviews (and 2 more)", "Wait for more traffic"),
    ],
)
def test_a_step_without_a_verdict_before_its_deadline_is_found(
    per_second: float, object_name: str, advice: str
) -> None:
    found = step_estimates.too_few(PLAN, per_second, 100)
    assert found
    assert (found.code, found.severity, found.object) == ("NOT_ENOUGH_REQUESTS", "warning", object_name)
    assert found.remedy.startswith(advice)
    assert "over its deadline of 600 s" in step_estimates.estimate_lines(PLAN, per_second, 100)[1]


@pytest.mark.parametrize(
    "one",
    [step(1.0, analysis=False), step(0.0, cohort=TESTERS), step(1.0, cohort=TESTERS)],
    ids=["no analysis", "cohort only", "cohort"],
)
def test_what_cannot_be_estimated_is_not(one: Step) -> None:
    assert step_estimates.too_few(plan(one, step(100.0)), 1.0, 100) is None
    assert step_estimates.too_few(PLAN, 0.1, 0) is None, "no metric counts requests"


def test_the_warm_up_counts() -> None:
    assert step_estimates.too_few(PLAN, 17.0, 100) is None
    assert step_estimates.too_few(PLAN, 17.0, 100, warm_up=60.0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (99, "99 s"), (130, "3 min"), (5990, "100 min"), (7200, "2 h")]
)
def test_durations_are_said_as_people_do(seconds: float, text: str) -> None:
    assert step_estimates.duration(seconds) == text


def test_how_many_requests_a_verdict_needs() -> None:
    def spec(kind: str, **given: t.Any) -> t.Any:
        return analysis_options.MetricSpec(Metric(kind, **given), kind)

    needed = analysis_options.requests_needed
    assert needed(analysis_options.kinds.DEFAULT_METRICS) == 100
    assert needed([spec("errors", min_requests=30, critical=True), spec("latency", min_requests=500)]) == 30
    assert needed([spec("errors", min_requests=30), spec("latency", min_requests=500)]) == 500
    assert needed([spec("value", limit=1.0)]) == 0
