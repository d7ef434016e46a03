# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.migration import manifests
from support.foreign_manifests import argo, autoscaler, lost_fields, measured, plan, template, uses

Json = dict[str, t.Any]
HEADER = {"headerName": "end-user", "headerValue": {"exact": "testuser"}}


def translated(*steps: Json, **canary: t.Any) -> Json:
    return manifests.argo(argo(list(steps), **canary), stable="v1", canary="v2")


def steps_of(*steps: Json, **canary: t.Any) -> list[Json]:
    result = translated(*steps, **canary)
    plan(result)
    return [
        {name: value for name, value in step.items() if name != "analysis"} for step in result["variables"]["steps"]
    ]


def listed(result: Json) -> dict[str, str]:
    """Return field -> what to do instead, without the object's name."""
    return {one["field"].partition(": ")[2]: one["instead"] for one in result["no_counterpart"]}


END = {"weight": 100, "pause": 0}
GATE = {"gate": "manual", "gate_seconds": 604800, "gate_default": "rollback"}


def weight(percent: int) -> Json:
    return {"setWeight": percent}


def pause(duration: t.Any = None) -> Json:
    return {"pause": {} if duration is None else {"duration": duration}}


SCALED = [weight(20), pause(5), {"setCanaryScale": {"matchTrafficWeight": True}}, weight(50), pause(5)]
SECONDS = [weight(20), pause("1m30s"), weight(100), pause(10)]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (SECONDS, [{"weight": 20, "pause": 90}, {"weight": 100, "pause": 10}]),
        ([weight(20), pause()], [{"weight": 20, "pause": 0, **GATE}, END]),
        ([weight(20), pause("10"), pause(5)], [{"weight": 20, "pause": 15}, END]),
        ([weight(20), weight(40)], [{"weight": 20, "pause": 0}, {"weight": 40, "pause": 0}, END]),
        ([weight(20), pause(5), weight(20), pause(5)], [{"weight": 20, "pause": 10}, END]),
        ([weight(20), pause(700)], [{"weight": 20, "pause": 700, "deadline": 1300}, END]),
        ([], [END]),
        (
            [{"setCanaryScale": {"replicas": 3}}, *SCALED],
            [{"weight": 20, "pause": 5, "replicas": 3}, {"weight": 50, "pause": 5}, END],
        ),
        (
            [{"setCanaryScale": {"weight": 30}}, weight(20), pause(5)],
            [{"weight": 20, "pause": 5, "replicas": 2}, END],
        ),
    ],
)
def test_instructions_become_steps(given: list[Json], wanted: list[Json]) -> None:
    assert steps_of(*given) == wanted


def test_testers_come_before_everybody_and_leave_again() -> None:
    route, removed = {"name": "testers", "match": [HEADER]}, {"name": "testers"}
    found = steps_of({"setHeaderRoute": route}, pause(), weight(10), {"setHeaderRoute": removed}, pause(5))
    testers = {"headers": {"end-user": {"exact": "testuser"}}}
    assert found == [
        {"weight": 0, "pause": 0, "cohort": testers, **GATE},
        {"weight": 10, "pause": 5, "cohort": {}},
        END,
    ]


def test_headers_are_alternatives_and_a_cookie_is_named() -> None:
    cookie = {"headerName": "Cookie", "headerValue": {"regex": "^(.*?;)?(beta=yes)(;.*)?$"}}
    (first, _end) = steps_of({"setHeaderRoute": {"name": "a", "match": [HEADER, cookie]}}, pause(5))
    headers = {"headers": {"end-user": {"exact": "testuser"}}}
    assert first["cohort"] == {"match": [headers, {"cookies": {"beta": {"exact": "yes"}}}]}


def test_a_match_that_cannot_be_said_is_listed_and_not_widened() -> None:
    odd = {"headerName": "Cookie", "headerValue": {"exact": "a=b; c=d"}}
    result = translated({"setHeaderRoute": {"name": "a", "match": [odd]}}, pause(5), weight(5), pause(5))
    assert "cohort" not in result["variables"]["steps"][0]
    assert "spec.strategy.canary.steps[0].setHeaderRoute.match[0]" in listed(result)
    assert not result["ready"]


@pytest.mark.parametrize(
    ("steps", "field"),
    [
        ([weight(50), pause(5), weight(20), pause(5)], "steps[2].setWeight"),
        ([pause(5), weight(20)], "steps[0].pause"),
        ([weight(20), {"setMirrorRoute": {"name": "m", "percentage": 5}}], "steps[1].setMirrorRoute"),
        ([weight(20), {"plugin": {"name": "x/y"}}], "steps[1].plugin"),
        ([weight(20), {"experiment": {"templates": [{"name": "b", "specRef": "stable"}]}}], "steps[1].experiment"),
        ([weight(20), pause(), pause()], "steps[2].pause"),
        ([weight(20), pause("200h")], "steps[1].pause.duration"),
    ],
)
def test_what_has_no_counterpart_is_listed(steps: list[Json], field: str) -> None:
    result = translated(*steps)
    plan(result)
    assert listed(result)[f"spec.strategy.canary.{field}"]


def test_an_experiment_with_stable_names_the_baseline() -> None:
    result = translated(weight(20), {"experiment": {"templates": [{"name": "b", "specRef": "stable"}]}})
    assert "rollout_baseline" in listed(result)["spec.strategy.canary.steps[1].experiment"]


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([{"setWeight": 101}], "Rollout checkout: spec.strategy.canary.steps[0].setWeight must be between 0 and 100"),
        ([{"setWeight": "x"}], "steps[0].setWeight must be a number"),
        ([{"setWeight": 20.5}], "steps[0].setWeight must be a whole number, not 20.5"),
        ([{"setWeight": True}], "steps[0].setWeight must be a number"),
        ([{"pause": {"duration": "soon"}}, weight(5)], ""),
        ([weight(5), {"pause": {"duration": "soon"}}], "steps[1].pause.duration must be a duration"),
        ([{}], "steps[0] must have exactly one of"),
        ([{"setweight": 5}], "steps[0] must have exactly one of"),
        ([{"setWeight": 5, "pause": {}}], "steps[0] must have exactly one of"),
        ([5], "steps[0] must be a mapping"),
        ([{"setHeaderRoute": {"name": 5}}], "setHeaderRoute.name must be text"),
        ([weight(1)] * 2000, "has more than 1000 steps"),
    ],
)
def test_a_value_that_the_api_does_not_permit_is_an_error_with_its_field(steps: list[t.Any], words: str) -> None:
    if not words:  # before the first request nothing is read, but listed
        assert "spec.strategy.canary.steps[0].pause" in listed(translated(*steps))
        return
    with pytest.raises(InvalidInput, match=re.escape(words)):
        translated(*steps)


def test_weights_count_of_the_maximum() -> None:
    routing = {"maxTrafficWeight": 1000, "plugins": {"argoproj-labs/x": {}}}
    found = translated(weight(25), pause(5), trafficRouting=routing)
    assert found["variables"]["steps"][0]["weight"] == 2.5
    assert "spec.strategy.canary.trafficRouting.plugins" in listed(found)


@pytest.mark.parametrize(("kind", "ready"), [("httpRoute", True), ("grpcRoute", True), ("tcpRoutes", False)])
def test_a_route_of_the_gateway_api_can_be_kept(kind: str, ready: bool) -> None:
    routing = {"plugins": {"argoproj-labs/gatewayAPI": {kind: "checkout", "namespace": "shop"}}}
    assert translated(weight(5), trafficRouting=routing)["ready"] is ready


def test_without_traffic_routing_pods_make_the_share() -> None:
    result = translated(weight(20), pause(5), weight(100), pause(), trafficRouting=None)
    assert result["variables"]["rollout_route_api"] == "replicas"
    assert [one["variable"] for one in result["to_set"]] == ["rollout_image"]
    (step,) = plan(result).steps
    assert (step.weight, step.gate) == (20.0, "manual")
    with pytest.raises(InvalidInput, match="Use the playbook rolling_update"):
        translated(pause(5), trafficRouting=None)


def test_blue_green_is_one_step_that_is_judged_afterwards() -> None:
    given = argo()
    judged = uses("quality")
    services = {"activeService": "checkout", "previewService": "preview"}
    blue_green = {**services, "postPromotionAnalysis": judged, "scaleDownDelaySeconds": 9}
    given["spec"]["strategy"] = {"blueGreen": blue_green}
    metric = measured(successCondition="result[0] >= 0.95", interval="10s", count=4)
    result = manifests.argo(given, [template(metric, args=[{"name": "service", "value": "x"}])], "v1", "v2")
    variables = result["variables"]
    assert variables["steps"] == [{"weight": 100, "pause": 30, "analysis": True}]
    assert (variables["rollout_retire_after"], variables["service"]) == (9, "checkout")
    assert "spec.strategy.blueGreen.previewService" in listed(result)
    plan(result)


def test_the_service_is_the_host_of_the_virtual_service() -> None:
    hosts = ["checkout.shop.svc.cluster.local", "shop.example.com"]
    route = {"kind": "VirtualService", "metadata": {"name": "r"}, "spec": {"hosts": hosts}}
    objects = [
        route,
        {"kind": "Service", "metadata": {"name": "checkout"}},
        {"kind": "ConfigMap", "metadata": {"name": "c"}},
    ]
    result = manifests.argo(argo([weight(5)], stableService="checkout-stable", canaryService="c"), objects)
    assert result["variables"]["service"] == "checkout"
    assert result["unused"] == ["ConfigMap c"]
    assert [one["variable"] for one in result["to_set"]] == ["stable", "canary"]
    assert not result["ready"]


def test_the_autoscaler_becomes_that_of_each_version() -> None:
    scaler = autoscaler("Rollout", "checkout", behavior={"scaleUp": {}})
    result = manifests.argo(argo([weight(5)]), [scaler, autoscaler("Deployment", "other")])
    assert result["autoscale"] == {"autoscale_min": 2, "autoscale_max": 8, "autoscale_cpu_percent": 70}
    assert result["unused"] == ["HorizontalPodAutoscaler other"]
    assert "spec.behavior" in listed(result)


FULL = argo(
    [
        {"setHeaderRoute": {"name": "testers", "match": [HEADER, {"headerName": "x", "headerValue": {"regex": "a+"}}]}},
        pause("5m"),
        {"setHeaderRoute": {"name": "testers"}},
        {"setCanaryScale": {"replicas": 2}},
        weight(10),
        pause(60),
        {"analysis": uses("quality", args=[{"name": "service", "value": "checkout"}])},
        {"setMirrorRoute": {"name": "m", "percentage": 5, "match": [{"path": {"prefix": "/x"}}]}},
        {"experiment": {"duration": "5m", "templates": [{"name": "b", "specRef": "stable", "weight": 5}]}},
        {"plugin": {"name": "x/y", "config": {"a": 1}}},
        weight(50),
        pause(),
    ],
    canaryService="checkout-canary",
    trafficRouting={
        "managedRoutes": [{"name": "testers"}],
        "istio": {
            "virtualServices": [{"name": "checkout", "routes": ["primary"], "tcpRoutes": [{"port": 5}]}],
            "destinationRule": {"name": "d", "canarySubsetName": "canary", "stableSubsetName": "stable"},
        },
    },
    **dict.fromkeys(("scaleDownDelaySeconds", "abortScaleDownDelaySeconds", "minPodsPerReplicaSet", "maxSurge"), 5),
    dynamicStableScale=True,
    antiAffinity={"preferredDuringSchedulingIgnoredDuringExecution": {"weight": 5}},
    canaryMetadata={"labels": {"role": "canary"}},
    xFuture={"deep": [1]},
)
FULL["spec"] |= {
    "selector": {"matchLabels": {"app": "checkout"}},
    "template": {"spec": {"containers": [{"name": "app", "image": "x:1"}]}},
    "progressDeadlineSeconds": 700,
    "revisionHistoryLimit": 3,
    "paused": True,
    "rollbackWindow": {"revisions": 3},
}
FULL_TEMPLATE = template(
    measured(successCondition="result[0] >= 0.95", failureLimit=3, interval="20s", count=3, initialDelay="30s"),
    measured(
        "slow", "sum(rate(x[1m]))", failureCondition="result[0] > 5", inconclusiveLimit=2, consecutiveErrorLimit=1
    ),
    {"name": "job", "provider": {"job": {"spec": {"template": {}}}}},
    args=[{"name": "service"}, {"name": "token", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
    measurementRetention=[{"metricName": "rate", "limit": 5}],
    dryRun=[{"metricName": "other"}],
)


def test_a_background_analysis_that_begins_after_the_last_step_blocks() -> None:
    found = manifests.argo(argo([weight(20), pause(5)], analysis=uses("quality", startingStep=2)), [FULL_TEMPLATE])
    assert "smaller startingStep" in listed(found)["spec.strategy.canary.analysis.startingStep"]
    found = manifests.argo(argo([weight(20), pause(5)], analysis=uses("quality", startingStep=1)), [FULL_TEMPLATE])
    assert "spec.strategy.canary.analysis.startingStep" not in listed(found)


RATIO = (
    'sum(rate(istio_requests_total{{destination_service_name="{0}",response_code!~"5.*"}}[1m])) '
    '/ sum(rate(istio_requests_total{{destination_service_name="{0}"}}[1m]))'
)


@pytest.mark.parametrize(
    ("service", "condition", "kind"),
    [
        ("checkout", "result[0] >= 0.95", "errors"),
        ("checkout", "result[0] >= 0.95 && result[0] <= 1", "errors"),
        ("payment", "result[0] >= 0.95", "value"),
        ("checkout-admin", "result[0] >= 0.95", None),
        ("checkout", "result[0] >= 0.95 && result[0] <= 0.99", None),
        ("checkout", "result[0] >= 95", None),
    ],
)
def test_a_query_is_of_the_canary_or_runs_as_it_is_or_blocks(service: str, condition: str, kind: str | None) -> None:
    metric = measured(query=RATIO.format(service), successCondition=condition, count=1)
    found = manifests.argo(argo([weight(20), {"analysis": uses("quality")}]), [template(metric)], "v1", "v2")
    assert [one["kind"] for one in found["variables"].get("rollout_metrics", [])] == ([kind] if kind else [])
    assert found["ready"] is bool(kind)
    assert any("runs as it is" in note["text"] for note in found["notes"]) is (kind == "value")


def test_no_field_is_dropped_in_silence() -> None:
    def with_rollout(given: Json) -> Json:
        return manifests.argo(given, [FULL_TEMPLATE], "v1", "v2")

    def with_template(given: Json) -> Json:
        return manifests.argo(FULL, [given], "v1", "v2")

    assert lost_fields(FULL, with_rollout) == []
    assert lost_fields(FULL_TEMPLATE, with_template) == []


def test_an_unknown_field_is_listed() -> None:
    assert "spec.strategy.canary.xFuture.deep[0]" in listed(manifests.argo(FULL, [FULL_TEMPLATE]))
