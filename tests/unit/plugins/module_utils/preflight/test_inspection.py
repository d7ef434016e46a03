# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Preflight by table: a healthy service with one thing broken gives exactly the findings of that thing."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import Refused
from ansible_collections.meshops.canary.plugins.module_utils.findings import CATALOGUE
from ansible_collections.meshops.canary.plugins.module_utils.istio.find import Scope
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.preflight import inspection
from ansible_collections.meshops.canary.plugins.module_utils.preflight.inspection import Evidence
from ansible_collections.meshops.canary.plugins.module_utils.preflight.permissions import Right
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from support import ambient_defects, reviews
from support import preflight_defects as defects
from support.preflight_defects import (
    SERVICE,
    TABLE,
    Lists,
    codes,
    hpa_that_cannot_scale,
    inspect,
    inspect_weights,
    second_claim,
    unnamed_port,
    unready_version,
)
from support.reviews import NAMESPACE, healthy, obj

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def test_a_healthy_service_has_no_findings() -> None:
    assert inspect(healthy()) == []


@pytest.mark.parametrize(("break_it", "wanted"), TABLE)
def test_each_broken_thing_is_named_and_nothing_else(break_it: Callable[[Lists], None], wanted: list[str]) -> None:
    lists = healthy()
    break_it(lists)
    findings = inspect(lists)
    assert codes(findings) == wanted
    for finding in findings:
        result = finding.as_dict()
        assert result["object"]
        assert result["reason"].endswith(".")
        assert result["remedy"]


def test_without_a_waypoint_requests_are_still_taken_off_a_version() -> None:
    lists = healthy()
    ambient_defects.ambient_without_waypoint(lists)
    assert "AMBIENT_WITHOUT_WAYPOINT" in codes(defects.inspect_weights(lists, {"v1": 0, "v2": 100}))
    lists["virtual_services"] = [reviews.virtual_service(weights={"v1": 60, "v2": 40})]
    same = Snapshot(**lists)
    assert codes(inspect(lists, planned=same)) == []


def test_the_reason_says_what_was_seen_and_the_remedy_can_be_copied() -> None:
    lists = healthy()
    unready_version(lists)
    (finding,) = inspect(lists)
    assert finding.object == "DestinationRule bookinfo/reviews"
    assert "v2 (version=v2) would get 10% of requests and has 1 pods, none ready" in finding.reason
    assert "(Pod bookinfo/reviews-v2-a, container app: CrashLoopBackOff)" in finding.reason
    assert "kubectl -n bookinfo get pods -l version=v2" in finding.remedy


def test_a_share_for_a_version_without_pods_says_what_its_deployment_says() -> None:
    """In canary_weight too, and in the words of the conditions."""
    for spec, status, words in (
        ({"replicas": 0}, {}, "has no pod (Deployment bookinfo/reviews-v2 has 0 replicas): they fail with 503."),
        ({"paused": True}, {}, "has no pod (Deployment reviews-v2 is paused, so it makes no pods of its new template."),
        (
            {},
            {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods=3"}]},
            "has no pod (Deployment reviews-v2 cannot create pods: exceeded quota: pods=3): they fail with 503.",
        ),
    ):
        lists = healthy()
        lists["pods"] = [one for one in lists["pods"] if one["metadata"]["labels"].get("version") != "v2"]
        for one in lists["deployments"]:
            if one["metadata"]["name"] == "reviews-v2":
                one["spec"].update(spec)
                one.setdefault("status", {}).update(status)
        assert words in next(one for one in inspect(lists) if one.code == "SUBSET_NOT_READY").reason


def test_a_share_for_a_pod_that_waits_for_its_readiness_gate_says_so() -> None:
    lists = healthy()
    for one in lists["pods"]:
        if one["metadata"]["labels"].get("version") == "v2":
            one["spec"]["readinessGates"] = [{"conditionType": "example.com/ready"}]
            conditions = {"ContainersReady": "True", "Ready": "False"}
            one["status"]["conditions"] = [{"type": name, "status": value} for name, value in conditions.items()]
    (finding,) = inspect(lists)
    assert "waits for its readiness gates: example.com/ready (nobody has set it yet)" in finding.reason


def test_two_claimants_are_both_named_with_the_command_that_removes_one() -> None:
    lists = healthy()
    second_claim(lists)
    findings = inspect(lists)
    assert {finding.object for finding in findings} == {
        "VirtualService bookinfo/reviews",
        "VirtualService bookinfo/revews",
    }
    assert "kubectl -n bookinfo delete virtualservice " in findings[0].remedy


def test_a_wildcard_is_what_the_error_of_a_change_names() -> None:
    lists = healthy()
    defects.routed_by_wildcard(lists)
    lists["virtual_services"][0]["spec"]["http"] = [{"route": [reviews.destination(None, host="front")]}]
    with pytest.raises(Refused) as caught:
        plan.plan(Snapshot(**lists), SERVICE, intents.SetWeights({"v1": 100}))
    assert "VirtualService bookinfo/all covers it with the wildcard *.bookinfo.svc.cluster.local" in caught.value.msg


def test_the_first_route_of_its_own_takes_the_place_of_the_wildcards() -> None:
    lists = healthy()
    defects.routed_by_wildcard(lists)
    later = {**lists, "virtual_services": [*lists["virtual_services"], reviews.virtual_service()]}
    assert "HOST_BY_WILDCARD" in codes(inspect(lists, planned=Snapshot(**later)))


def test_the_root_namespace_is_where_istio_is() -> None:
    lists = healthy()
    lists["destination_rules"] = [reviews.destination_rule("mesh", host="*.local")]
    service = replace(SERVICE, root_namespace="mesh")
    assert codes(inspection.inspect(Snapshot(**lists), service)) == []
    assert codes(inspect(lists))[:1] == ["SUBSET_UNKNOWN"]


def test_who_names_one_of_two_claimants_has_chosen_and_hears_whom_callers_obey() -> None:
    lists = healthy()
    second_claim(lists)
    (finding,) = inspect(lists, scope=Scope(objects=("reviews",)))
    assert (finding.code, finding.object) == ("HOST_CLAIM_CONTESTED", "VirtualService bookinfo/reviews")
    assert finding.reason.startswith("VirtualService bookinfo/revews claims reviews.bookinfo.svc.cluster.local too;")
    assert finding.reason.endswith("callers in bookinfo use VirtualService bookinfo/revews.")
    assert inspect(lists, scope=Scope(objects=("reviews", "revews"))) == []


def test_a_name_that_claims_nothing_chooses_nothing() -> None:
    lists = healthy()
    second_claim(lists)
    assert codes(inspect(lists, scope=Scope(objects=("page",)))) == ["HOST_CLAIMED_TWICE", "HOST_CLAIMED_TWICE"]


@pytest.mark.parametrize(
    ("weights", "wanted"),
    [
        ({"v1": 80, "v2": 20}, ["SUBSET_NOT_READY"]),
        ({"v1": 90, "v2": 10}, []),
        ({"v1": 95, "v2": 5}, []),
        ({"v1": 100}, []),
    ],
)
def test_only_versions_that_get_more_are_judged(weights: Mapping[str, float], wanted: list[str]) -> None:
    lists = healthy()
    unready_version(lists)
    assert codes(inspect_weights(lists, weights)) == wanted


def test_a_planned_cohort_is_judged_too() -> None:
    lists, later = healthy(), healthy()
    unready_version(lists)
    unready_version(later)
    cohort = {"name": "canary-cohort.testers", "match": [{"headers": {"end-user": {"exact": "testuser"}}}]}
    routes = later["virtual_services"][0]["spec"]["http"]
    routes.insert(0, {**cohort, "route": [reviews.destination("v2")]})
    findings = inspect(lists, planned=Snapshot(**later))
    assert codes(findings) == ["SUBSET_NOT_READY"]
    assert "would get 100% of requests" in findings[0].reason
    assert inspect(lists, planned=Snapshot(**lists)) == []


def webhook(policy: str = "Fail") -> dict[str, t.Any]:
    rule = {"apiGroups": ["networking.istio.io"], "resources": ["*"]}
    frame = obj("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "istio-validator", "")
    return {**frame, "webhooks": [{"name": "rev.validation.istio.io", "failurePolicy": policy, "rules": [rule]}]}


def test_webhook_and_rights() -> None:
    weight = Right("patch", "networking.istio.io", "virtualservices", NAMESPACE, purpose="set weights")
    forward = Right("create", "", "pods", NAMESPACE, "portforward", optional=True, purpose="read the proxies")
    rights = {weight: True, forward: True}
    assert inspect(healthy(), evidence=Evidence(rights, [webhook()])) == []
    off = inspect(healthy(), evidence=Evidence(rights, []))
    open_ = inspect(healthy(), evidence=Evidence(rights, [webhook("Ignore")]))
    assert codes(off) == codes(open_) == ["VALIDATION_WEBHOOK_OFF"]
    findings = inspect(healthy(), evidence=Evidence({weight: False, forward: False}, [webhook()]))
    assert codes(findings) == ["RIGHT_MISSING", "RIGHT_MISSING_OPTIONAL"]
    assert findings[0].object == "patch virtualservices.networking.istio.io"
    assert "needed to set weights" in findings[0].reason
    assert "kubectl auth can-i patch virtualservices.networking.istio.io -n bookinfo" in findings[0].remedy
    assert findings[1].object == "create pods/portforward"


def test_missing_verbs_of_one_resource_and_purpose_are_one_finding() -> None:
    record = [Right(verb, "", "configmaps", NAMESPACE, purpose="keep the record") for verb in ("get", "patch")]
    evidence = Evidence({**dict.fromkeys(record, False), record[0]._replace(namespace=""): False}, [webhook()])
    first, second = inspect(healthy(), evidence=evidence)
    assert first.object == "get, patch configmaps"
    assert "no right to get and patch configmaps in namespace bookinfo" in first.reason
    assert "--verb=get,patch --resource=configmaps -n bookinfo" in first.remedy
    assert second.object == "get configmaps"


@pytest.mark.parametrize(
    "plural", ["virtual_services", "destination_rules", "services", "pods", "deployments", "hpas", "namespaces"]
)
def test_what_was_not_read_is_said_and_not_guessed(plural: str) -> None:
    lists = healthy()
    del lists[plural]
    findings = inspect(lists)
    assert codes(findings) == ["NOT_CHECKED"]
    assert findings[0].severity == "note"


def test_an_empty_list_is_not_an_unread_one() -> None:
    lists = healthy()
    lists["pods"] = []
    assert codes(inspect(lists)) == ["SUBSET_NOT_READY", "SUBSET_NOT_READY"]


def test_asked_for_evidence_that_could_not_be_had_is_said() -> None:
    assert [finding.object for finding in inspect(healthy(), evidence=Evidence())] == [
        "SelfSubjectAccessReview",
        "ValidatingWebhookConfiguration",
    ]


def test_errors_come_first() -> None:
    lists = healthy()
    for break_it in (unnamed_port, second_claim, hpa_that_cannot_scale, unready_version):
        break_it(lists)
    severities = [finding.severity for finding in inspect(lists)]
    assert severities == sorted(severities)
    assert severities[0] == "error"
    assert severities[-1] == "warning"


def test_each_finding_has_a_severity_a_title_and_a_remedy() -> None:
    for code, kind in CATALOGUE.items():
        assert code == code.upper()
        assert kind.severity in ("error", "warning", "note")
        assert kind.title[0].isupper()
        assert not kind.title.endswith(".")
        assert kind.remedy.endswith(".")


def test_how_pods_end_is_said_once_when_a_version_gets_its_first_requests() -> None:
    """Not again at each step of a rollout, and of the version that serves already by preflight alone."""
    lists = healthy()
    for one in lists["deployments"]:
        one["spec"]["template"]["spec"]["containers"][0]["lifecycle"] = {}
    assert codes(inspect(lists)) == ["PRESTOP_MISSING"] * 2
    assert "PRESTOP_MISSING" not in codes(inspect_weights(lists, {"v1": 85, "v2": 15}))
    lists["virtual_services"] = [reviews.virtual_service(weights={"v1": 100, "v2": 0})]
    found = [one for one in inspect_weights(lists, {"v1": 90, "v2": 10}) if one.code == "PRESTOP_MISSING"]
    assert [one.object for one in found] == ["Deployment bookinfo/reviews-v2"]


def test_of_several_containers_those_that_serve_a_port_of_the_service_are_judged() -> None:
    lists = healthy()
    pod = lists["deployments"][0]["spec"]["template"]["spec"]
    served = lists["services"][0]["spec"]["ports"][0]
    pod["containers"].append({"name": "agent", "resources": {"requests": {"cpu": "1m"}}})
    assert inspect(lists) == []
    front = {"containerPort": served.get("targetPort") or served["port"]}
    pod["containers"].append({"name": "web", "ports": [front], "resources": {"requests": {"cpu": "1m"}}})
    (finding,) = inspect(lists)
    assert (finding.code, finding.object) == ("PRESTOP_MISSING", "Deployment bookinfo/reviews-v1")
    assert finding.reason.startswith("Container web has no preStop")
