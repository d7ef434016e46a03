# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Preflight of versions that are Services: a healthy service with one thing broken gives exactly its findings."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.preflight import inspection
from support import reviews
from support.preflight_defects import SERVICE, Lists, codes, inspect, inspect_weights
from support.reviews import changed, healthy


def of_services(weights: t.Mapping[str, int]) -> Lists:
    """Return a healthy reviews whose versions are the Services reviews-v1 and reviews-v2."""
    lists: Lists = healthy()
    entries = [{"destination": {"host": host}, "weight": weight} for host, weight in weights.items()]
    lists["virtual_services"] = [changed(reviews.virtual_service(), spec={"http": [{"route": entries}]})]
    lists["destination_rules"] = []
    lists["services"] += [version_service(version) for version in ("v1", "v2")]
    return lists


def version_service(version: str, **spec: t.Any) -> dict[str, t.Any]:
    selector = {"app": "reviews", "version": version}
    return changed(reviews.service(), metadata={"name": f"reviews-{version}"}, spec={"selector": selector, **spec})


SPLIT = {"reviews-v1": 90, "reviews-v2": 10}


def replaced(lists: Lists, version: str, **spec: t.Any) -> None:
    lists["services"][1 if version == "v1" else 2] = version_service(version, **spec)


def without_the_service(lists: Lists) -> None:
    del lists["services"][2]


def without_pods(lists: Lists) -> None:
    replaced(lists, "v2", selector={"app": "other"})


def with_the_same_pods(lists: Lists) -> None:
    replaced(lists, "v2", selector={"app": "reviews"})


def headless(lists: Lists) -> None:
    replaced(lists, "v2", clusterIP="None")


def with_other_ports(lists: Lists) -> None:
    replaced(lists, "v2", ports=[{"port": 81, "name": "http"}, {"port": 82, "name": "http-admin"}])


def port_is_tcp(lists: Lists) -> None:
    lists["services"][0] = reviews.service(name="tcp", appProtocol="tcp")


def passed_through(lists: Lists) -> None:
    rule = reviews.destination_rule(versions=(), name="reviews-v2", host="reviews-v2")
    policy = {"loadBalancer": {"simple": "PASSTHROUGH"}}
    lists["destination_rules"] = [changed(rule, spec={"trafficPolicy": policy})]


def test_a_healthy_service_has_no_findings() -> None:
    assert inspect(of_services(SPLIT)) == []
    assert inspect(of_services({"reviews-v1": 100, "reviews-v2": 0})) == []


@pytest.mark.parametrize(
    ("break_it", "code", "named"),
    [
        (without_the_service, "SUBSET_UNKNOWN", "Service bookinfo/reviews-v2"),
        (without_pods, "SUBSET_NOT_READY", "Service bookinfo/reviews-v2"),
        (with_the_same_pods, "PODS_OF_TWO_VERSIONS", "Service bookinfo/reviews-v1"),
        (headless, "ENDPOINT_CHOSEN_BY_CALLER", "Service bookinfo/reviews-v2"),
        (with_other_ports, "VERSION_PORT_UNKNOWN", "VirtualService bookinfo/reviews"),
        (port_is_tcp, "PORT_NOT_HTTP", "Service bookinfo/reviews"),
        (passed_through, "ENDPOINT_CHOSEN_BY_CALLER", "DestinationRule bookinfo/reviews-v2"),
    ],
)
def test_each_broken_thing_is_named_and_nothing_else(
    break_it: t.Callable[[Lists], None], code: str, named: str
) -> None:
    lists = of_services(SPLIT)
    break_it(lists)
    found = inspect(lists)
    assert [(one.code, one.object) for one in found] == [(code, named)]
    assert all(one.reason.endswith(".") for one in found)


def test_what_gets_no_request_is_not_judged() -> None:
    lists = of_services({"reviews-v1": 100, "reviews-v2": 0})
    with_the_same_pods(lists)
    assert inspect(lists) == []
    assert codes(inspect_weights(lists, SPLIT)) == ["PODS_OF_TWO_VERSIONS"]


def test_a_service_that_selects_all_pods_is_no_version_beside_its_canary() -> None:
    lists = of_services({"reviews": 90, "reviews-v2": 10})
    (found,) = inspect(lists)
    assert (found.code, found.object) == ("PODS_OF_TWO_VERSIONS", "Service bookinfo/reviews")
    assert "both select reviews-v2-a, so requests" in found.reason


def test_capacity_is_that_of_the_pods_of_the_versions_service() -> None:
    found = inspect_weights(of_services(SPLIT), {"reviews-v2": 100})
    assert codes(found) == ["CAPACITY_NOT_YET"]
    assert found[0].object == "Version reviews-v2 of reviews"


def test_endpoints_of_a_version_without_selector_are_read() -> None:
    lists = of_services(SPLIT)
    replaced(lists, "v2", selector=None)
    assert inspection.further_lists(Snapshot(**lists), SERVICE) == ["endpoint_slices"]
    metadata = {"name": "reviews-v2-x", "namespace": "bookinfo", "labels": {"kubernetes.io/service-name": "reviews-v2"}}
    addresses = [{"addresses": ["10.0.0.9"], "conditions": {"ready": False}}]
    lists["endpoint_slices"] = [{"kind": "EndpointSlice", "metadata": metadata, "endpoints": addresses}]
    assert codes(inspect(lists)) == ["SUBSET_NOT_READY"]


def test_versions_of_both_forms_are_judged_each_in_its_own_way() -> None:
    lists = of_services({"reviews-v2": 10})
    lists["destination_rules"] = [reviews.destination_rule()]
    route = lists["virtual_services"][0]["spec"]["http"][0]["route"]
    route.append({"destination": {"host": "reviews", "subset": "v1"}, "weight": 90})
    assert inspect_weights(lists, {"v1": 80, "reviews-v2": 20}) == []
    without_pods(lists)
    assert codes(inspect_weights(lists, {"v1": 80, "reviews-v2": 20})) == ["SUBSET_NOT_READY"]


@pytest.mark.parametrize(("version", "wanted"), [("v1", ["GATEWAY_NOT_COVERED"]), ("v2", [])])
def test_a_gateway_that_sends_to_the_largest_version_alone_is_not_split(version: str, wanted: list[str]) -> None:
    lists = of_services(SPLIT)
    entries = [{"destination": {"host": f"reviews-{version}"}}]
    spec = {"hosts": ["shop.example.com"], "gateways": ["infra/public"], "http": [{"route": entries}]}
    lists["virtual_services"].append(changed(reviews.virtual_service(name="front"), spec=spec))
    found = inspect(lists)
    assert codes(found) == wanted
    assert all(one.object == "VirtualService bookinfo/front" for one in found)
