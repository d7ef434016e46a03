# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.migration import manifests
from support.foreign_manifests import PROMETHEUS, autoscaler, flagger, lost_fields, metric_template, plan

Json = dict[str, t.Any]
SUCCESS = {"name": "request-success-rate", "thresholdRange": {"min": 99.5}, "interval": "1m"}
DURATION = {"name": "request-duration", "thresholdRange": {"max": 500}}
QUEUE = {"name": "queue", "templateRef": {"name": "errors"}, "thresholdRange": {"max": 5}, "interval": "2m"}
END = {"weight": 100, "pause": 0, "analysis": False}
GATE = {"gate": "manual", "gate_seconds": 604800, "gate_default": "rollback"}


def translated(canary: Json, *objects: Json) -> Json:
    result = manifests.flagger(canary, list(objects), "v1", "v2")
    plan(result)
    return result


def listed(result: Json) -> dict[str, str]:
    return {one["field"].partition(": ")[2]: one["instead"] for one in result["no_counterpart"]}


@pytest.mark.parametrize(
    ("analysis", "weights"),
    [
        ({"stepWeight": 20, "maxWeight": 60}, [20, 40, 60, 100]),
        ({"stepWeight": 20, "maxWeight": 50}, [20, 40, 60, 100]),
        ({"stepWeight": 50}, [50, 100]),
        ({"stepWeights": [1, 10, 80], "maxWeight": 80}, [1, 10, 80, 100]),
        ({"stepWeights": [1, 10, 80], "maxWeight": 10}, [1, 10, 100]),
        ({"stepWeights": [1, 10]}, [1, 10, 100]),
    ],
)
def test_the_shares_are_those_that_flagger_goes_through(analysis: Json, weights: list[int]) -> None:
    steps = translated(flagger(SUCCESS, **analysis))["variables"]["steps"]
    assert [step["weight"] for step in steps] == weights
    assert {step["pause"] for step in steps[:-1]} == {30}


def test_its_own_metrics_are_counted_here() -> None:
    result = translated(flagger(SUCCESS, DURATION))
    variables = result["variables"]
    assert variables["rollout_metrics"] == [
        {"name": "request-success-rate", "critical": True, "kind": "errors", "compare": False, "limit": 0.5},
        {
            "name": "request-duration",
            "critical": True,
            "kind": "latency",
            "compare": False,
            "quantile": 0.99,
            "limit": 500.0,
        },
    ]
    assert "rollout_prometheus_url" not in variables
    assert result["ready"]


def test_the_old_threshold_is_a_minimum_of_the_rate_and_a_maximum_of_the_rest() -> None:
    old = [{"name": "request-success-rate", "threshold": 99}, {"name": "q", "query": "queue", "threshold": 3}]
    rate, queue = manifests.flagger(flagger(*old))["variables"]["rollout_metrics"]
    assert (rate["limit"], queue["limit"]) == (1.0, 3.0)


def test_a_template_becomes_a_query_of_the_canary() -> None:
    query = 'sum(rate(x{ns="{{ namespace }}",app="{{target}}",d="{{ variables.direction }}",e=~"a$"}[{{ interval }}]))'
    metric = {**QUEUE, "templateVariables": {"direction": "in$bound"}}
    (found,) = translated(flagger(metric), metric_template(query))["variables"]["rollout_metrics"]
    assert found["query"] == ('sum(rate(x{ns="$namespace",app="$service-$version",d="in$$bound",e=~"a$$"}[2m]))')
    assert (found["kind"], found["limit"], found["consecutive"]) == ("value", 5.0, 5)


@pytest.mark.parametrize(
    ("between", "limit", "ready"),
    [
        ({"min": 99, "max": 100}, 1.0, True),
        ({"min": 99, "max": 99.5}, None, False),
        ({"min": 150}, None, False),
        ({"max": 50}, None, False),
        ({}, None, True),
    ],
)
def test_a_bound_of_the_success_rate_is_kept_or_blocks(between: Json, limit: float | None, ready: bool) -> None:
    found = translated(flagger({**SUCCESS, "thresholdRange": between}))
    assert [one["limit"] for one in found["variables"].get("rollout_metrics", [])] == ([limit] if limit else [])
    assert found["ready"] is ready


def test_the_prometheus_of_the_template_is_that_of_the_rollout() -> None:
    result = translated(flagger(QUEUE), metric_template("queue"))
    assert result["variables"]["rollout_prometheus_url"] == PROMETHEUS
    assert result["variables"]["rollout_interval"] == 30
    own = flagger({"name": "q", "query": "queue", "thresholdRange": {"max": 3}})
    found = manifests.flagger(own)
    assert "rollout_prometheus_url" in [one["variable"] for one in found["to_set"]]


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ([], "was not given"),
        ([metric_template("queue", "datadog")], "measured by datadog"),
        ([metric_template("queue{a=\"{{ ingress }}\"}")], "ingress"),
        ([metric_template("queue{a=\"{{ if x }}\"}")], "template"),
        ([metric_template("")], "empty"),
    ],
)  # fmt: skip
def test_a_metric_that_cannot_be_translated_is_listed_and_nothing_is_judged(objects: list[Json], words: str) -> None:
    result = translated(flagger(QUEUE), *objects)
    assert [one for one in result["no_counterpart"] if words in one["reason"] and one["blocking"]]
    assert result["variables"]["rollout_analysis"] is False
    assert not result["ready"]


def test_a_match_with_iterations_is_a_cohort() -> None:
    cookie = {"headers": {"cookie": {"regex": "^(.*?;)?(type=insider)(;.*)?$"}}}
    agent = {"headers": {"user-agent": {"suffix": "x.y"}}, "sourceLabels": {"app": "shop"}}
    result = translated(flagger(SUCCESS, match=[cookie, agent], iterations=10))
    first, last = result["variables"]["steps"]
    assert last == END
    assert first == {
        "weight": 0,
        "cohort": {
            "match": [
                {"cookies": {"type": {"exact": "insider"}}},
                {"headers": {"user-agent": {"regex": r".*x\.y"}}, "source_labels": {"app": "shop"}},
            ]
        },
        "pause": 300,
        "analysis": True,
    }


@pytest.mark.parametrize(
    "match",
    [
        {"authority": {"exact": "x"}},
        {"headers": {"a": {"exact": "{{ b }}"}}},
        {"headers": {"cookie": {"exact": "a=b"}}},
        {"gateways": ["mesh"]},
    ],
)
def test_a_condition_that_cannot_be_said_loses_its_alternative(match: Json) -> None:
    whole = {"headers": {"end-user": {"exact": "testuser"}}}
    result = translated(
        flagger(SUCCESS, match=[{**whole, **match} if "headers" not in match else match, whole], iterations=2)
    )
    assert result["variables"]["steps"][0]["cohort"] == whole
    assert "spec.analysis.match[0]" in listed(result)
    assert not result["ready"]


def test_iterations_without_a_match_shift_everything_at_once() -> None:
    result = translated(flagger(SUCCESS, iterations=10, stepWeight=5))
    assert result["variables"]["steps"] == [{"weight": 100, "pause": 300, "analysis": True}]
    assert "spec.analysis.stepWeight" in listed(result)


def test_webhooks_that_confirm_are_gates() -> None:
    hooks = [
        {"name": "a", "type": "confirm-promotion", "url": "http://x"},
        {"name": "b", "type": "rollout", "url": "http://x"},
    ]
    result = translated(flagger(SUCCESS, webhooks=hooks))
    steps = result["variables"]["steps"]
    assert [step.get("gate") for step in steps] == [None, None, "manual", None]
    assert GATE.items() <= steps[2].items()
    assert "rollout_after_step" in listed(result)["spec.analysis.webhooks[1]"]
    every = [{"name": "a", "type": "confirm-traffic-increase", "url": "http://x"}]
    steps = translated(flagger(SUCCESS, webhooks=every))["variables"]["steps"]
    assert [step.get("gate") for step in steps] == ["manual"] * 3 + [None]


def test_sticky_users_name_the_options_of_the_module() -> None:
    result = translated(flagger(SUCCESS, sessionAffinity={"cookieName": "flagger", "maxAge": 60}))
    assert "canary_sticky (cookie: flagger, max_age: 60)" in listed(result)["spec.analysis.sessionAffinity"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"targetRef": None}, "spec.targetRef is missing"),
        ({"analysis": {"interval": "soon", "stepWeight": 5}}, "spec.analysis.interval must be a duration"),
        ({"analysis": {"interval": "1m"}}, "spec.analysis.stepWeight is missing"),
        ({"analysis": {"stepWeights": [5, 5]}}, "spec.analysis.stepWeights[1] must be above the one before"),
        ({"analysis": {"stepWeights": ["5"]}}, "spec.analysis.stepWeights[0] must be a number"),
        ({"analysis": {"stepWeight": 0.5}}, "spec.analysis.stepWeight makes more than 100 steps"),
        ({"analysis": {"stepWeight": 5, "metrics": [{"name": 5}]}}, "spec.analysis.metrics[0].name must be text"),
        ({"analysis": {"stepWeight": 5, "match": {}}}, "spec.analysis.match must be a list"),
        ({"provider": "kubernetes"}, ""),
    ],
)
def test_a_value_that_the_api_does_not_permit_is_an_error_with_its_field(change: Json, words: str) -> None:
    given = flagger(SUCCESS)
    given["spec"].update(change)
    if not words:
        result = manifests.flagger(given, (), "a", "b")
        assert result["variables"]["rollout_route_api"] == "replicas"
        assert not result["variables"]["rollout_analysis"]
        given["spec"]["analysis"] = {"iterations": 5}
        words = "spec.provider is kubernetes"
    with pytest.raises(InvalidInput, match=re.escape(f"Canary checkout: {words}")):
        manifests.flagger(given)


def test_another_router_blocks() -> None:
    given = flagger(SUCCESS)
    given["spec"] |= {"provider": "nginx", "ingressRef": {"kind": "Ingress", "name": "x"}}
    result = translated(given)
    assert {"spec.provider", "spec.ingressRef"} <= set(listed(result))
    assert not result["ready"]


FULL = flagger(
    SUCCESS,
    DURATION,
    QUEUE,
    {"name": "own", "query": "own", "threshold": 3},
    stepWeights=[1, 2],
    stepWeight=20,
    maxWeight=50,
    mirror=True,
    mirrorWeight=50,
    stepWeightPromotion=10,
    primaryReadyThreshold=50,
    canaryReadyThreshold=50,
    alerts=[{"name": "a", "providerRef": {"name": "slack"}}],
    webhooks=[{"name": "load", "url": "http://x", "timeout": "5s", "metadata": {"cmd": "hey"}}],
    sessionAffinity={"cookieName": "c", "secure": True},
    match=[{"headers": {"a": {"exact": "b"}}}],
    xFuture=5,
)
FULL["spec"] |= {
    "provider": "istio",
    "metricsServer": "http://prometheus:9090",
    "progressDeadlineSeconds": 60,
    "autoscalerRef": {
        "kind": "HorizontalPodAutoscaler",
        "name": "checkout",
        "primaryScalerReplicas": {"minReplicas": 2},
    },
    "skipAnalysis": True,
    "revertOnDeletion": True,
    "service": {"name": "shop", "port": 80, "retries": {"attempts": 3}, "gateways": ["mesh"], "meshName": "x"},
}
TEMPLATE = metric_template("queue", secretRef={"name": "s"}, insecureSkipVerify=True, headers={"X": ["y"]})


def test_no_field_is_dropped_in_silence() -> None:
    def with_canary(given: Json) -> Json:
        return manifests.flagger(given, [TEMPLATE], "v1", "v2")

    def with_template(given: Json) -> Json:
        return manifests.flagger(FULL, [given], "v1", "v2")

    assert lost_fields(FULL, with_canary) == []
    assert lost_fields(TEMPLATE, with_template) == []


def test_the_autoscaler_of_the_target_becomes_that_of_each_version() -> None:
    result = translated(flagger(SUCCESS), autoscaler("Deployment", "checkout", minReplicas=3))
    assert result["autoscale"] == {"autoscale_min": 3, "autoscale_max": 8, "autoscale_cpu_percent": 70}
