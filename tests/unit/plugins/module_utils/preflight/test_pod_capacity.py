# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Preflight of capacity, and of services whose versions are Services themselves."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.preflight import inspection
from support import reviews
from support.preflight_defects import Lists, codes, inspect, inspect_weights, unready_version
from support.reviews import NAMESPACE, healthy, obj

if t.TYPE_CHECKING:
    from collections.abc import Mapping


def capacity(lists: Lists, cpu: int | None, maximum: int = 10) -> None:
    lists["hpas"] = [reviews.hpa("reviews-v1", cpu=cpu), reviews.hpa("reviews-v2", cpu=cpu, maximum=maximum)]


@pytest.mark.parametrize(
    ("cpu", "maximum", "percent", "wanted"),
    [
        (20, 10, 50, []),  # 3 pods * 20/50 for 90 %: 0.67 pods for 50 %
        (50, 10, 50, ["CAPACITY_NOT_YET"]),  # 1.67 pods, 1 is ready
        (50, 1, 50, ["CAPACITY_BELOW_SHARE"]),
        (None, 10, 50, []),  # 50 % on a pod, 30 % is proven
        (None, 10, 100, ["CAPACITY_NOT_YET"]),  # 100 % on a pod
        (None, 1, 100, ["CAPACITY_BELOW_SHARE"]),
        (None, 1, 5, []),  # less than now
    ],
)
def test_capacity(cpu: int | None, maximum: int, percent: int, wanted: list[str]) -> None:
    lists = healthy()
    capacity(lists, cpu, maximum)
    assert codes(inspect_weights(lists, {"v1": 100 - percent, "v2": percent})) == wanted


def test_a_cohort_is_of_unknown_size_so_its_share_is_only_warned_of() -> None:
    lists, later = healthy(), healthy()
    capacity(lists, None, 1)
    cohort = {"name": "canary-cohort.testers", "match": [{"headers": {"end-user": {"exact": "testuser"}}}]}
    later["virtual_services"][0]["spec"]["http"].insert(0, {**cohort, "route": [reviews.destination("v2")]})
    (finding,) = inspect(lists, planned=Snapshot(**{**lists, "virtual_services": later["virtual_services"]}))
    assert (finding.code, finding.severity) == ("CAPACITY_OF_COHORT", "warning")
    assert finding.reason.startswith("It gets 100% of cohort testers; how many requests that is, is not known.")


def of_services(v1: int, v2: int, weights: Mapping[str, int]) -> Lists:
    """Return the lists of `reviews` with an HTTPRoute to a Service for each version, and so many pods."""
    lists = healthy()
    lists.update(virtual_services=[], destination_rules=[], deployments=[], hpas=[])
    for version, number in (("v1", v1), ("v2", v2)):
        selector = {"app": "reviews", "version": version}
        name = {"name": f"reviews-{version}"}
        lists["services"].append(reviews.changed(reviews.service(), metadata=name, spec={"selector": selector}))
        lists["pods"] += [reviews.pod(f"more-{version}-{one}", selector) for one in range(number)]
    lists["pods"] = [one for one in lists["pods"] if one["metadata"]["name"].startswith("more-")]
    lists["http_routes"] = [http_route(weights)]
    return lists


def http_route(weights: Mapping[str, int]) -> dict[str, t.Any]:
    frame = obj("gateway.networking.k8s.io/v1", "HTTPRoute", "reviews", NAMESPACE)
    parent = {"group": "", "kind": "Service", "name": "reviews", "port": 9080}
    backends = [{"name": name, "port": 9080, "weight": weight} for name, weight in weights.items()]
    return {**frame, "spec": {"parentRefs": [parent], "rules": [{"backendRefs": backends}]}}


@pytest.mark.parametrize(("pods", "wanted"), [(1, ["CAPACITY_BELOW_SHARE"]), (10, [])])
def test_capacity_where_each_version_is_a_service(pods: int, wanted: list[str]) -> None:
    now = of_services(10, pods, {"reviews-v1": 100, "reviews-v2": 0})
    later = {**now, "http_routes": [http_route({"reviews-v1": 10, "reviews-v2": 90})]}
    findings = inspect(now, planned=Snapshot(**later))
    assert codes(findings) == wanted
    assert all(one.object == "Version reviews-v2 of reviews" for one in findings)


def gateway_description(weights: dict[str, float]) -> dict[str, t.Any]:
    route = {"object": "HTTPRoute bookinfo/reviews", "route": "http/0", "weights": weights, "gateways": ["mesh"]}
    services: dict[str, t.Any] = {"services": list(weights), "subsets": {}, "objects": []}
    return {"route_api": "gateway", "weights": weights, "routes": [route], "cohorts": {}, "mirrors": {}, **services}


def test_with_the_gateway_api_each_version_is_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = healthy()
    lists["virtual_services"] = []
    v2 = reviews.changed(
        reviews.service(), metadata={"name": "reviews-v2"}, spec={"selector": {"app": "reviews", "version": "v2"}}
    )
    lists["services"].append(v2)
    result = gateway_description({"reviews-v2": 90.0, "reviews-v3": 10.0})
    monkeypatch.setattr(inspection, "described", lambda *_given: result)
    (finding,) = inspect(lists)
    assert (finding.code, finding.object) == ("SUBSET_UNKNOWN", "Service bookinfo/reviews-v3")
    unready_version(lists)
    assert codes(inspect(lists)) == ["SUBSET_NOT_READY", "SUBSET_UNKNOWN"]


def of_a_large_version(ready: int, lost: int, evicted: int, ending: int) -> Lists:
    """Return the lists with so many pods of v1: ready, of a silent node, evicted, and with an end in sight."""
    lists = healthy()
    labels = {"app": "reviews", "version": "v1"}
    numbers = {"ready": ready, "lost": lost, "evicted": evicted, "ending": ending}
    pods = {
        kind: [reviews.pod(f"reviews-v1-{kind}-{one}", labels, ready=kind != "lost") for one in range(number)]
        for kind, number in numbers.items()
    }
    for one in pods["evicted"]:
        one["status"].update(phase="Failed", reason="Evicted")
    for one in pods["ending"]:
        one["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    others = [one for one in lists["pods"] if one["metadata"]["labels"] != labels]
    lists["pods"] = [*others, *(one for kind in pods.values() for one in kind)]
    lists["deployments"][0]["spec"]["replicas"] = sum(numbers.values())
    return lists


def test_of_three_hundred_pods_those_count_that_can_serve() -> None:
    """By CPU 90 % on 150 ready pods at 40 of 50 % are 134 pods for 100 %; by 300 pods they would be 267."""
    lists = of_a_large_version(ready=150, lost=100, evicted=30, ending=20)
    capacity(lists, 40)
    lists["hpas"][1]["spec"]["maxReplicas"] = 400
    (finding,) = [one for one in inspect_weights(lists, {"v1": 0, "v2": 100}) if one.code.startswith("CAPACITY")]
    assert finding.code == "CAPACITY_NOT_YET"
    assert "100% of requests need 134 pods at 50% CPU" in finding.reason
    assert "SUBSET_NOT_READY" not in codes(inspect(lists))


def test_a_version_whose_pods_are_all_lost_gets_no_request() -> None:
    lists = of_a_large_version(ready=0, lost=280, evicted=10, ending=10)
    lists["virtual_services"] = [reviews.virtual_service(weights={"v1": 0, "v2": 100})]
    (finding,) = [one for one in inspect_weights(lists, {"v1": 50, "v2": 50}) if one.code == "SUBSET_NOT_READY"]
    assert "would get 50% of requests and has 280 pods, none ready" in finding.reason
