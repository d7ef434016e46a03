# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Endpoints of Services without selector, and labels that istiod adds to endpoints."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.objects import endpoints, pods
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.metadata import identity
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.preflight import inspection
from support import preflight_defects as defects
from support import reviews
from support.reviews import NAMESPACE, obj

MACHINE = ServiceRef("reviews-vm", NAMESPACE)


def endpoint(address: str, *, ready: bool | None = True, pod: str = "") -> dict[str, t.Any]:
    target = {"targetRef": {"kind": "Pod", "name": pod}} if pod else {}
    return {"addresses": [address], "conditions": {} if ready is None else {"ready": ready}, **target}


def lists_with(*found: dict[str, t.Any], **spec: t.Any) -> dict[str, t.Any]:
    """Return the lists of a service with the version reviews-vm, a Service without selector, at 50 %."""
    lists: dict[str, t.Any] = reviews.healthy()
    lists["virtual_services"] = []
    frame = obj("v1", "Service", "reviews-vm", NAMESPACE)
    lists["services"].append({**frame, "spec": {"ports": [{"name": "http", "port": 9080}], **spec}})
    labels = {endpoints.SERVICE_NAME: "reviews-vm"}
    slice_frame = obj("discovery.k8s.io/v1", "EndpointSlice", "reviews-vm-1", NAMESPACE, labels=labels)
    lists["endpoint_slices"] = [{**slice_frame, "endpoints": list(found)}]
    route = obj("gateway.networking.k8s.io/v1", "HTTPRoute", "reviews", NAMESPACE)
    parent = {"group": "", "kind": "Service", "name": "reviews", "port": 9080}
    lists["http_routes"] = [
        {**route, "spec": {"parentRefs": [parent], "rules": [{"backendRefs": [{"name": "reviews-vm", "port": 9080}]}]}}
    ]
    return lists


@pytest.mark.parametrize(
    ("found", "ready"),
    [
        ([endpoint("10.0.0.9")], 1),
        ([endpoint("10.0.0.9", ready=None)], 1),
        ([endpoint("10.0.0.9"), endpoint("10.0.0.9"), endpoint("10.0.0.8")], 2),
        ([endpoint("10.0.0.9", ready=False)], 0),
        ([], 0),
    ],
)
def test_a_version_without_selector_is_judged_by_its_endpoint_slices(found: list[t.Any], ready: int) -> None:
    lists = lists_with(*found)
    assert endpoints.count_ready_endpoints(Snapshot(**lists), MACHINE) == ready
    codes = defects.codes(defects.inspect(lists))
    assert codes == ([] if ready else ["SUBSET_NOT_READY"])


def test_what_was_not_read_is_not_judged() -> None:
    lists = lists_with()
    del lists["endpoint_slices"]
    assert inspection.further_lists(Snapshot(**lists), defects.SERVICE) == ["endpoint_slices"]
    assert defects.codes(defects.inspect(lists)) == []


def test_a_dns_name_has_no_endpoints_to_judge() -> None:
    lists = lists_with(type="ExternalName", externalName="reviews.example.com")
    assert inspection.further_lists(Snapshot(**lists), defects.SERVICE) == []
    assert defects.codes(defects.inspect(lists)) == []


def test_pods_of_a_service_without_selector_are_those_of_its_slices() -> None:
    snapshot = Snapshot(
        **lists_with(endpoint("10.0.0.1", pod="reviews-v1-a"), endpoint("10.0.0.2", pod="reviews-v2-a"))
    )
    assert [identity(one)[1] for one in pods.of_service(snapshot, MACHINE, {}) or ()] == [
        "reviews-v1-a",
        "reviews-v2-a",
    ]
    assert [identity(one)[1] for one in pods.of_service(snapshot, MACHINE, {"version": "v2"}) or ()] == ["reviews-v2-a"]


def test_lists_that_few_services_need_are_not_read_for_the_others() -> None:
    assert inspection.further_lists(Snapshot(**reviews.healthy()), defects.SERVICE) == []
    without = {**reviews.healthy(), "services": []}
    assert inspection.further_lists(Snapshot(**without), defects.SERVICE) == ["service_entries"]
    shop: dict[str, t.Any] = reviews.healthy()
    defects.shop_of_the_ingress_team("reviews-v1")(shop)
    assert inspection.further_lists(Snapshot(**shop), defects.SERVICE) == ["reference_grants"]


@pytest.mark.parametrize(
    ("labels", "codes"),
    [
        ({"topology.istio.io/cluster": "Kubernetes"}, []),
        ({"topology.kubernetes.io/zone": "a", "version": "v2"}, []),
        ({"kubernetes.io/hostname": "node-1"}, []),
        ({"topology.istio.io/cluster": "Kubernetes", "version": "v9"}, ["SUBSET_NOT_READY"]),
        ({"topology.example.com/cluster": "a"}, ["SUBSET_NOT_READY"]),
    ],
)
def test_labels_that_istiod_adds_are_no_reason_to_refuse(labels: dict[str, str], codes: list[str]) -> None:
    lists: dict[str, t.Any] = reviews.healthy()
    lists["destination_rules"][0]["spec"]["subsets"].append({"name": "here", "labels": labels})
    assert defects.codes(defects.inspect_weights(lists, {"v1": 50, "here": 50})) == codes


def test_a_pod_that_carries_such_a_label_is_compared_by_it() -> None:
    labels = {"app": "reviews", "version": "v1", "topology.istio.io/network": "east"}
    lists: dict[str, t.Any] = {**reviews.healthy(), "pods": [reviews.pod("one", labels)]}
    snapshot = Snapshot(**lists)
    assert pods.of_service(snapshot, defects.SERVICE, {"topology.istio.io/network": "west"}) == []
    assert len(pods.of_service(snapshot, defects.SERVICE, {"topology.istio.io/network": "east"}) or ()) == 1
