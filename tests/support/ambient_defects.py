# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Defects of a service in ambient mode, as in preflight_defects: each function adds one to the lists it is given."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef

from support import reviews
from support.reviews import NAMESPACE, changed, obj

Lists = dict[str, t.Any]
SERVICE = ServiceRef("reviews", NAMESPACE)


def ambient_without_waypoint(lists: Lists) -> None:
    lists["namespaces"][0]["metadata"]["labels"] = {"istio.io/dataplane-mode": "ambient"}


def ambient_with_a_waypoints_name(lists: Lists) -> None:
    ambient_without_waypoint(lists)
    lists["services"] = [changed(reviews.service(), metadata={"labels": {"istio.io/use-waypoint": "waypoint"}})]


def ambient_with_waypoint(lists: Lists) -> None:
    ambient_with_a_waypoints_name(lists)
    waypoint = obj("gateway.networking.k8s.io/v1", "Gateway", "waypoint", NAMESPACE)
    waypoint["status"] = {"addresses": [{"type": "Hostname", "value": "waypoint.bookinfo.svc.cluster.local"}]}
    lists["gateways"].append(waypoint)


def ambient_with_a_waypoint_that_does_not_run(lists: Lists) -> None:
    ambient_with_waypoint(lists)
    lists["gateways"][0]["status"] = {"conditions": [{"type": "Programmed", "status": "False"}]}


def ambient_with_a_waypoint_without_address(lists: Lists) -> None:
    ambient_with_waypoint(lists)
    del lists["gateways"][0]["status"]


def ambient_with_a_waypoint_nobody_may_read(lists: Lists) -> None:
    ambient_with_a_waypoints_name(lists)
    lists["services"][0]["metadata"]["labels"]["istio.io/use-waypoint-namespace"] = "infra"


def ambient_with_a_waypoint_for_workloads(lists: Lists) -> None:
    ambient_with_waypoint(lists)
    lists["gateways"][0]["metadata"]["labels"] = {"istio.io/waypoint-for": "workload"}


def ambient_without_the_namespaces_waypoint(lists: Lists) -> None:
    """The Service has opted out of the waypoint that its namespace names."""
    ambient_with_waypoint(lists)
    lists["namespaces"][0]["metadata"]["labels"]["istio.io/use-waypoint"] = "waypoint"
    lists["services"][0]["metadata"]["labels"]["istio.io/use-waypoint"] = "none"


def ambient_with_the_namespaces_waypoint(lists: Lists) -> None:
    ambient_without_the_namespaces_waypoint(lists)
    del lists["services"][0]["metadata"]["labels"]["istio.io/use-waypoint"]


def ambient_with_a_waypoint_that_does_not_admit(lists: Lists) -> None:
    ambient_with_a_waypoint_nobody_may_read(lists)
    waypoint = obj("gateway.networking.k8s.io/v1", "Gateway", "waypoint", "infra")
    waypoint["status"] = {"addresses": [{"type": "IPAddress", "value": "10.1.2.3"}]}
    waypoint["spec"] = {"listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}]}
    lists["gateways"].append(waypoint)


def ambient_with_a_waypoint_that_admits_all(lists: Lists) -> None:
    ambient_with_a_waypoint_that_does_not_admit(lists)
    lists["gateways"][0]["spec"]["listeners"][0]["allowedRoutes"] = {"namespaces": {"from": "All"}}


def ambient_with_a_waypoint_that_selects_another(lists: Lists) -> None:
    ambient_with_a_waypoint_that_does_not_admit(lists)
    selected = {"from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}
    lists["gateways"][0]["spec"]["listeners"][0]["allowedRoutes"] = {"namespaces": selected}


def ambient_with_a_headless_service(lists: Lists) -> None:
    ambient_with_waypoint(lists)
    lists["services"][0]["spec"]["clusterIP"] = "None"


def ambient_without_binding(lists: Lists) -> None:
    ambient_with_waypoint(lists)
    said = {"type": "istio.io/WaypointBound", "status": "False", "message": "the waypoint is not ready"}
    lists["services"][0]["status"] = {"conditions": [said]}


def ambient_with_routes_of_gateways_alone(lists: Lists) -> None:
    ambient_without_waypoint(lists)
    lists["virtual_services"][0]["spec"]["gateways"] = ["bookinfo/public"]


def ambient_with_a_route_elsewhere(lists: Lists) -> None:
    ambient_with_waypoint(lists)
    route = lists["virtual_services"][0]
    route["metadata"]["namespace"] = "routes"
    route["spec"]["hosts"] = [SERVICE.fqdn]
    for one in route["spec"]["http"][0]["route"]:
        one["destination"]["host"] = SERVICE.fqdn


def ambient_with_matches_of_callers(lists: Lists) -> None:
    ambient_with_waypoint(lists)
    match = [{"sourceLabels": {"app": "page"}}, {"sourceNamespace": "shop"}]
    lists["virtual_services"][0]["spec"]["http"][0]["match"] = match


def waypoint_missing_outside_ambient(lists: Lists) -> None:
    ambient_with_a_waypoints_name(lists)
    lists["namespaces"][0]["metadata"]["labels"] = {"istio-injection": "enabled"}


def ambient_gateways_through_the_waypoint(lists: Lists) -> None:
    ambient_with_waypoint(lists)
    lists["services"][0]["metadata"]["labels"]["istio.io/ingress-use-waypoint"] = "true"
    lists["virtual_services"][0]["spec"]["gateways"] = ["mesh", "bookinfo/public"]


def ambient_caller_of_a_service_without_waypoint(lists: Lists) -> None:
    caller = reviews.pod("cart-a", {"app": "cart"}, sidecar=False)
    caller["metadata"]["annotations"] = {"ambient.istio.io/redirection": "enabled"}
    lists["pods"].append(caller)


TABLE: tuple[tuple[t.Callable[[Lists], None], list[str]], ...] = (
    (ambient_without_waypoint, ["AMBIENT_WITHOUT_WAYPOINT"]),
    (ambient_with_waypoint, []),
    (ambient_with_a_waypoints_name, ["AMBIENT_WITHOUT_WAYPOINT"]),
    (ambient_with_a_waypoint_that_does_not_run, ["AMBIENT_WITHOUT_WAYPOINT"]),
    (ambient_with_a_waypoint_without_address, ["AMBIENT_WITHOUT_WAYPOINT"]),
    (ambient_with_a_waypoint_nobody_may_read, []),
    (ambient_with_a_waypoint_for_workloads, ["AMBIENT_WITHOUT_WAYPOINT"]),
    (ambient_without_the_namespaces_waypoint, ["AMBIENT_WITHOUT_WAYPOINT"]),
    (ambient_with_the_namespaces_waypoint, []),
    (ambient_with_a_waypoint_that_does_not_admit, ["AMBIENT_WITHOUT_WAYPOINT"]),
    (ambient_with_a_waypoint_that_admits_all, []),
    (ambient_with_a_waypoint_that_selects_another, ["AMBIENT_WITHOUT_WAYPOINT"]),
    (ambient_with_a_headless_service, ["ENDPOINT_CHOSEN_BY_CALLER", "AMBIENT_WITHOUT_WAYPOINT"]),
    (ambient_without_binding, ["AMBIENT_WITHOUT_WAYPOINT"]),
    (ambient_with_routes_of_gateways_alone, []),
    (ambient_with_a_route_elsewhere, ["WAYPOINT_IGNORES_ROUTE"]),
    (ambient_with_matches_of_callers, ["WAYPOINT_IGNORES_MATCH", "WAYPOINT_IGNORES_MATCH"]),
    (waypoint_missing_outside_ambient, ["WAYPOINT_NOT_WORKING"]),
    (ambient_gateways_through_the_waypoint, ["GATEWAY_ROUTES_AT_WAYPOINT"]),
    (ambient_caller_of_a_service_without_waypoint, ["PODS_OUTSIDE_MESH"]),
)
