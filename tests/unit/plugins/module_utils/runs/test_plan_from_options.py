# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Impossible plans and analyses that are refused before anything is read."""

from __future__ import annotations

import typing as t

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.meshops.canary.plugins.module_utils.commands import rollout
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.runs.plan_from_options import (
    DEFAULT_STEPS,
    plan_from_options,
)

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.rollout.steps import Rollout

URL = "http://prometheus.monitoring:9090"
METRIC = {"name": "queue", "kind": "value", "query": "queue", "limit": 5}
STALLED = {"name": "stuck", "kind": "stalled"}


def plan(**options: t.Any) -> Rollout:
    given = {"service": "reviews", "namespace": "shop", "state": "promoted", "stable": "v1", "canary": "v2", **options}
    checked = ArgumentSpecValidator(rollout.SPEC.options, **rollout.SPEC.rules()).validate(given)
    assert not checked.error_messages, checked.error_messages
    return plan_from_options(ServiceRef("reviews", "shop"), checked.validated_parameters)


def by_pods(**options: t.Any) -> Rollout:
    return plan(route_api="replicas", stable="shop", canary="shop-canary", image="shop:2", steps=[10], **options)


@pytest.mark.parametrize(
    "judged_by",
    [
        {},
        {"interval": "2.5", "warm_up": "30"},
        {"prometheus_url": URL, "metrics": [METRIC]},
        {"source": "proxies", "prometheus_url": URL, "metrics": [STALLED]},
    ],
)
def test_valid_analysis_options_are_accepted(judged_by: dict[str, t.Any]) -> None:
    assert [step.weight for step in plan(steps=[50], **judged_by).steps] == [50, 100]


@pytest.mark.parametrize(
    ("judged_by", "words"),
    [
        ({"metrics": [METRIC]}, "queue has a query, which needs prometheus_url"),
        ({"metrics": [{**METRIC, "limit": None}], "prometheus_url": URL}, "set limit, floor or max_ratio"),
        ({"source": "prometheus"}, "source is prometheus, so prometheus_url is required"),
        ({"prometheus_url": "prometheus:9090"}, "prometheus_url: 'prometheus:9090' is not an address"),
        ({"interval": 0.01}, "interval must be between 0.1 and 604800"),
        ({"grpc_failures": ["503"]}, "grpc_failures: '503' is no status code of gRPC"),
        ({"warm_up": -1}, "warm_up must be between 0 and 604800"),
        ({"warm_up": 540}, r"steps\[0\] is judged for 60 s after a warm_up of 540 s, and ends at 600 s. Make deadline"),
    ],
)
def test_an_impossible_analysis_is_refused_before_the_first_step(judged_by: dict[str, t.Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        plan(steps=[50], pause=60, **judged_by)
    assert plan(steps=[50], pause=60, analysis=False, **judged_by), "without an analysis"


def test_warm_up_counts_only_for_steps_with_an_analysis() -> None:
    steps = [{"weight": 10, "pause": 300, "deadline": 301, "analysis": False}, 50]
    assert plan(steps=steps, warm_up=60)


def test_by_pods_the_analysis_needs_prometheus() -> None:
    for judged_by in ({}, {"source": "proxies", "prometheus_url": URL}):
        with pytest.raises(InvalidInput, match=r"a canary by pods has no proxies .* of reviews"):
            by_pods(**judged_by)
    assert by_pods(prometheus_url=URL, metrics=[METRIC])
    assert by_pods(analysis=False)


def test_without_steps_the_plan_has_the_default_ones() -> None:
    assert [step.weight for step in plan().steps] == list(DEFAULT_STEPS)
    assert [step.weight for step in plan(steps=[]).steps] == list(DEFAULT_STEPS)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": [10], "by": 3}, "by have no effect together with steps"),
        ({"steps": [10], "start": 5, "by": 50}, "start and by have no effect together with steps"),
        ({"steps": [80, 90, 100], "keep": {"v3": 20}}, r"steps\[0\].weight is 80, but keep leaves 80 percent for v2"),
        ({"steps": [50, 90], "keep": {"v3": 20}}, r"steps\[1\].weight is 90, .*below 80, or leave it out"),
    ],
)
def test_options_without_effect_are_refused(options: dict[str, t.Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        plan(**options)


def test_the_last_step_gets_all_that_keep_leaves() -> None:
    found = plan(steps=[50], keep={"v3": 20})
    assert [found.weights(step.weight)["v2"] for step in found.steps] == [50, 80]
    assert [step.weight for step in plan(shape="linear", start=20, by=40).steps] == [20, 60, 100]
