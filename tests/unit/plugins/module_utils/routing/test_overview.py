# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One service at a glance: each version with its pods, autoscaling and measured requests, whatever API routes it."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import overview, plan, version_labels
from support import reviews

SERVICE = ServiceRef("reviews", reviews.NAMESPACE)


def versions(lists: dict[str, t.Any], measured: dict[str, t.Any] | None = None) -> dict[str, dict[str, t.Any]]:
    snapshot = Snapshot(**lists)
    entries = overview.versions(snapshot, SERVICE, plan.describe(snapshot, SERVICE), measured)
    return {entry["version"]: entry for entry in entries}


def test_pods_deployments_and_autoscaler_of_each_version() -> None:
    lists = reviews.healthy()
    lists["pods"][0] = reviews.pod("reviews-v1-a", {"app": "reviews", "version": "v1"}, ready=False)
    found = versions(lists)["v1"]
    assert {key: found[key] for key in ("weight", "ready", "pods", "desired", "deployments")} == {
        "weight": 90,
        "ready": 2,
        "pods": 3,
        "desired": 3,
        "deployments": ["reviews-v1"],
    }
    assert found["hpa"]["cpu"] == 20
    assert found["hpa"]["maximum"] == 10


def test_pods_of_another_app_with_the_same_version_do_not_count() -> None:
    assert versions(reviews.healthy())["v1"]["pods"] == 3  # productpage has a v1 too


def test_a_subset_without_route_has_weight_zero_and_no_pods() -> None:
    lists = reviews.healthy()
    lists["destination_rules"] = [reviews.destination_rule(versions=("v1", "v2", "v3"))]
    found = versions(lists)["v3"]
    assert (found["weight"], found["ready"], found["desired"], found["hpa"]) == (0, 0, 0, None)


def test_unmeasured_is_none_and_no_requests_have_no_share() -> None:
    nobody = {"requests": 0, "by_version": {}}
    assert versions(reviews.healthy())["v1"]["measured"] is None
    assert versions(reviews.healthy(), nobody)["v1"]["measured"] == {"requests": 0, "errors": 0, "share": None}


def test_istios_version_label_is_the_pods_label_not_the_subsets_name() -> None:
    lists = reviews.healthy()
    lists["destination_rules"][0]["spec"]["subsets"][1]["labels"] = {"version": "1.16.1"}
    snapshot = Snapshot(**lists)
    names = version_labels.names(snapshot, SERVICE, plan.describe(snapshot, SERVICE))
    assert names.version_of({"destination_service": SERVICE.fqdn, "destination_version": "1.16.1"}) == "v2"
    assert names.version_of({"destination_service": SERVICE.fqdn, "destination_version": "unknown"}) == ""
    assert names.version_of_cluster(f"outbound|9080|v2|{SERVICE.fqdn}") == "v2"
    assert names.version_of_cluster(f"outbound|9080||{SERVICE.fqdn};") == ""
    assert names.version_of_cluster("outbound|9080|v2|ratings.bookinfo.svc.cluster.local") is None
    assert names.version_of_cluster("inbound|9080||") is None


def test_with_the_gateway_api_versions_are_services() -> None:
    description: dict[str, t.Any] = {
        "route_api": "gateway",
        "weights": {"reviews-v1": 90, "reviews-v2": 10},
        "cohorts": {},
        "mirrors": {},
        "subsets": {},
        "services": ["reviews-v1", "reviews-v2"],
    }
    lists = reviews.healthy()
    for version in ("v1", "v2"):
        metadata, spec = {"name": f"reviews-{version}"}, {"selector": {"app": "reviews", "version": version}}
        lists["services"].append(reviews.changed(reviews.service(), metadata=metadata, spec=spec))
    snapshot = Snapshot(**lists)
    first, second = overview.versions(snapshot, SERVICE, description, None)
    assert (first["version"], first["ready"], first["deployments"]) == ("reviews-v1", 3, ["reviews-v1"])
    assert (second["version"], second["ready"], second["hpa"]["name"]) == ("reviews-v2", 1, "reviews-v2")
    names = version_labels.names(snapshot, SERVICE, description)
    assert names.version_of_cluster("outbound|9080||reviews-v2.bookinfo.svc.cluster.local") == "reviews-v2"
    assert names.version_of({"destination_service": "reviews-v1.bookinfo.svc.cluster.local"}) == "reviews-v1"


def test_a_service_with_a_route_or_subset_is_routed() -> None:
    snapshot = Snapshot(**reviews.healthy())
    assert overview.is_routed(snapshot, SERVICE)
    assert not overview.is_routed(snapshot, ServiceRef("ratings", reviews.NAMESPACE))


def test_contradicting_routes_leave_the_other_keys() -> None:
    lists = reviews.healthy()
    snapshot = Snapshot(**lists)
    result = overview.unknown_description(snapshot, SERVICE)
    (first, _second) = overview.versions(snapshot, SERVICE, result, None)
    assert (first["weight"], first["ready"]) == (None, 3)


def of_services(*weights: int) -> dict[str, t.Any]:
    """Return the lists of a healthy reviews whose VirtualService sends to the Services reviews-v1 and reviews-v2."""
    lists: dict[str, t.Any] = reviews.healthy()
    entries = [reviews.destination(None, weight, f"reviews-v{n}") for n, weight in enumerate(weights, 1)]
    lists["virtual_services"] = [reviews.changed(reviews.virtual_service(), spec={"http": [{"route": entries}]})]
    lists["destination_rules"] = []
    for version in ("v1", "v2"):
        metadata, spec = {"name": f"reviews-{version}"}, {"selector": {"app": "reviews", "version": version}}
        lists["services"].append(reviews.changed(reviews.service(), metadata=metadata, spec=spec))
    return lists


def test_versions_of_a_virtual_service_may_be_services() -> None:
    lists = of_services(90, 10)
    found = versions(lists)
    assert [(one, found[one]["weight"], found[one]["ready"]) for one in found] == [
        ("reviews-v1", 90, 3),
        ("reviews-v2", 10, 1),
    ]
    assert found["reviews-v2"]["hpa"]["name"] == "reviews-v2"
    snapshot = Snapshot(**lists)
    names = version_labels.names(snapshot, SERVICE, plan.describe(snapshot, SERVICE))
    assert names.version_of_cluster("outbound|9080||reviews-v2.bookinfo.svc.cluster.local") == "reviews-v2"
    assert names.version_of_cluster("outbound|9080||ratings.bookinfo.svc.cluster.local") is None


def test_a_service_that_is_named_is_a_version_before_a_route_sends_to_it() -> None:
    snapshot = Snapshot(**of_services(100))
    assert plan.describe(snapshot, SERVICE)["services"] == ["reviews-v1"]
    known = plan.describe(snapshot, SERVICE, versions=["reviews-v1", "reviews-v2", "reviews-v9"])
    assert (known["services"], known["weights"]) == (["reviews-v1", "reviews-v2"], {"reviews-v1": 100})
    second = overview.versions(snapshot, SERVICE, known, None)[1]
    assert (second["version"], second["weight"], second["deployments"]) == ("reviews-v2", 0, ["reviews-v2"])


def test_a_subset_that_is_named_stays_one() -> None:
    snapshot = Snapshot(**reviews.healthy())
    known = plan.describe(snapshot, SERVICE, versions=["v1", "v2"])
    assert known == plan.describe(snapshot, SERVICE)
    assert known["services"] == []


def test_pods_are_those_of_subsets_and_of_the_versions_services() -> None:
    lists = of_services(50, 50)
    lists["destination_rules"] = [reviews.destination_rule(versions=("v1",))]
    snapshot = Snapshot(**lists)
    found = overview.places(SERVICE, plan.describe(snapshot, SERVICE))
    assert {version: (owner.name, labels) for version, (owner, labels) in found.items()} == {
        "v1": ("reviews", {"version": "v1"}),
        "reviews-v1": ("reviews-v1", {}),
        "reviews-v2": ("reviews-v2", {}),
    }
