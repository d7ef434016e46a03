# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Istio's ambient mode: which waypoint handles the requests to a service, and whether it can. Pure.

ztunnel knows neither weights nor headers. A waypoint splits the requests to a service, if the service or else its
namespace names it by label (pilot/pkg/serviceregistry/ambient/waypoints.go).
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..objects import pods
from ..objects.endpoints import service_object
from ..objects.hosts import visible_in
from ..objects.metadata import identity

if t.TYPE_CHECKING:
    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot

USE_WAYPOINT: t.Final = "istio.io/use-waypoint"
USE_WAYPOINT_NAMESPACE: t.Final = "istio.io/use-waypoint-namespace"
INGRESS_USE_WAYPOINT: t.Final = "istio.io/ingress-use-waypoint"
WAYPOINT_FOR: t.Final = "istio.io/waypoint-for"
DATAPLANE_MODE: t.Final = "istio.io/dataplane-mode"
NONE: t.Final = "none"
_BINDING: t.Final = "ambient.istio.io/waypoint-inbound-binding"
_HBONE_PORT: t.Final = 15008
_TRUE: t.Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
"""What Go's strconv.ParseBool takes for true."""


@dataclass(frozen=True)
class Waypoint:
    """The waypoint that a service names. gateway: its Gateway, None if that was not found or could not be read."""

    namespace: str
    name: str
    gateway: Object | None = None

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Trouble:
    """Why no waypoint handles the requests to a service. what: after `the service ...`. remedy: what to do."""

    what: str
    remedy: str


def namespace_object(snapshot: Snapshot, name: str) -> Object | None:
    """Return the Namespace, None if it was not read."""
    return next((one for one in snapshot.namespaces or () if identity(one)[1] == name), None)


def is_ambient_namespace(snapshot: Snapshot, name: str) -> bool:
    """Return whether the pods of the namespace are to be in ambient mode, unless they opt out."""
    return pods.labels_of(namespace_object(snapshot, name) or {}).get(DATAPLANE_MODE) == "ambient"


def is_ambient(snapshot: Snapshot, service: ServiceRef) -> bool:
    """Return whether the service is in ambient mode: its namespace, or one of its pods."""
    selected = pods.of_service(snapshot, service, {}) or ()
    return is_ambient_namespace(snapshot, service.namespace) or any(map(pods.is_ambient, selected))


def named_by(snapshot: Snapshot, service: ServiceRef) -> Waypoint | None:
    """Return the waypoint that the service names, else the one its namespace names; None if neither does.

    The label of a pod is for requests to the address of the pod, which follow no routes.
    """
    own, home = _labels(snapshot, service)
    labels = own if USE_WAYPOINT in own else home
    name = labels.get(USE_WAYPOINT, NONE)
    if name == NONE or service_object(snapshot, service) is None:
        return None
    namespace = labels.get(USE_WAYPOINT_NAMESPACE, service.namespace)
    found = (one for one in snapshot.gateways or () if identity(one) == (namespace, name) and _is_gateway_api(one))
    return Waypoint(namespace, name, next(found, None))


def working(snapshot: Snapshot, service: ServiceRef) -> Waypoint | None:
    """Return the waypoint that the service names, if nothing is known to be wrong with it."""
    return named_by(snapshot, service) if trouble(snapshot, service) is None else None


def is_used_by_gateways(snapshot: Snapshot, service: ServiceRef) -> bool:
    """Return whether gateways send the service's requests to its waypoint; by default they do not."""
    own, home = _labels(snapshot, service)
    said = own.get(INGRESS_USE_WAYPOINT, home.get(INGRESS_USE_WAYPOINT, "false"))
    return said in _TRUE and working(snapshot, service) is not None


def may_apply(obj: Object, service: ServiceRef, namespace: str) -> bool:
    """Return whether a waypoint in `namespace` looks at a route: it lies there or beside the service, and is visible.

    obj: a VirtualService, an HTTPRoute or a GRPCRoute (pilot/pkg/networking/core/listener_waypoint.go,
    getVirtualServiceForWaypoint).
    """
    return identity(obj)[0] in (service.namespace, namespace) and visible_in(obj, namespace)


def trouble(snapshot: Snapshot, service: ServiceRef) -> Trouble | None:
    """Return why no waypoint handles the requests to the service; None if one does, or if that is not known."""
    own = service_object(snapshot, service)
    if own is None or snapshot.namespaces is None:
        return None
    waypoint = named_by(snapshot, service)
    if waypoint is None:
        return _no_waypoint(snapshot, service)
    if (own.get("spec") or {}).get("clusterIP") == "None":
        return Trouble(
            "has no address of its own (clusterIP: None), so ztunnel sends its requests past the waypoint to the pods",
            "Create a Service with a cluster IP for these pods, and let callers use it.",
        )
    unbound = _unbound(own)
    if unbound:
        return Trouble(f"is not bound to its waypoint: {unbound}", f"See: {_describe(waypoint)}.")
    if snapshot.gateways is None:
        return None
    if waypoint.gateway is None:
        # Gateways of other namespaces are seen only with the right to list them there.
        elsewhere = {identity(one)[0] for one in snapshot.gateways}
        if waypoint.namespace != service.namespace and waypoint.namespace not in elsewhere:
            return None
        return Trouble(
            f"names a waypoint, Gateway {waypoint}, that does not exist",
            f"Create it: istioctl waypoint apply -n {waypoint.namespace} --name {waypoint.name} --wait.",
        )
    return _gateway_trouble(snapshot, service, waypoint, waypoint.gateway)


def _no_waypoint(snapshot: Snapshot, service: ServiceRef) -> Trouble:
    own, _home = _labels(snapshot, service)
    if own.get(USE_WAYPOINT) == NONE:
        return Trouble(
            f"has opted out of waypoints ({USE_WAYPOINT}: {NONE})",
            f"Name its waypoint: kubectl -n {service.namespace} label service {service.name} {USE_WAYPOINT}=NAME "
            "--overwrite.",
        )
    return Trouble(
        "has no waypoint", f"Create one: istioctl waypoint apply -n {service.namespace} --enroll-namespace --wait."
    )


def _gateway_trouble(snapshot: Snapshot, service: ServiceRef, waypoint: Waypoint, gateway: Object) -> Trouble | None:
    traffic = pods.labels_of(gateway).get(WAYPOINT_FOR)
    if traffic is not None and traffic not in ("service", "all"):
        return Trouble(
            f"names a waypoint, Gateway {waypoint}, for {traffic} traffic ({WAYPOINT_FOR})",
            f"kubectl -n {waypoint.namespace} label gateways.gateway.networking.k8s.io {waypoint.name} "
            f"{WAYPOINT_FOR}=service --overwrite.",
        )
    status = gateway.get("status") or {}
    conditions = status.get("conditions") or ()
    failed = [one for one in conditions if (one.get("type"), one.get("status")) == ("Programmed", "False")]
    if failed or not status.get("addresses"):
        said = f": {failed[0].get('message')}" if failed and failed[0].get("message") else ""
        return Trouble(
            f"names a waypoint, Gateway {waypoint}, that is not programmed{said}",
            f"See: {_describe(waypoint)}. Continue when one of its pods is ready.",
        )
    if _admits(snapshot, service, waypoint, gateway) is False:
        return Trouble(
            f"names a waypoint, Gateway {waypoint}, that does not admit namespace {service.namespace}",
            "Admit it in allowedRoutes.namespaces of the listener for HBONE (port 15008) of that Gateway.",
        )
    return None


def _admits(snapshot: Snapshot, service: ServiceRef, waypoint: Waypoint, gateway: Object) -> bool | None:
    """Return whether services of the namespace may use the waypoint, None if that is not known."""
    if _BINDING in pods.annotations_of(gateway):
        return None  # another listener than the one for HBONE decides
    listeners = (gateway.get("spec") or {}).get("listeners") or ()
    nothing: Object = {}
    hbone = (one for one in listeners if one.get("protocol") == "HBONE" and one.get("port") == _HBONE_PORT)
    namespaces = (next(hbone, nothing).get("allowedRoutes") or {}).get("namespaces") or {}
    origin = namespaces.get("from") or "Same"
    if origin == "All":
        return True
    if origin != "Selector":
        return waypoint.namespace == service.namespace
    selector = namespaces.get("selector") or {}
    if selector.get("matchExpressions"):
        return None
    labels = {
        "kubernetes.io/metadata.name": service.namespace,
        **pods.labels_of(namespace_object(snapshot, service.namespace) or {}),
    }
    return pods.matches(labels, selector.get("matchLabels") or {})


def _unbound(own: Object) -> str:
    """Return what istiod says on the Service if it did not bind it to its waypoint."""
    for one in (own.get("status") or {}).get("conditions") or ():
        if (one.get("type"), one.get("status")) == ("istio.io/WaypointBound", "False"):
            return str(one.get("message") or one.get("reason") or "")
    return ""


def _labels(snapshot: Snapshot, service: ServiceRef) -> tuple[dict[str, str], dict[str, str]]:
    """Return the labels of the Service and of its namespace."""
    own = pods.labels_of(service_object(snapshot, service) or {})
    return own, pods.labels_of(namespace_object(snapshot, service.namespace) or {})


def _describe(waypoint: Waypoint) -> str:
    return f"kubectl -n {waypoint.namespace} describe gateways.gateway.networking.k8s.io {waypoint.name}"


def _is_gateway_api(gateway: Object) -> bool:
    return str(gateway.get("apiVersion") or "").startswith("gateway.networking.k8s.io/")
