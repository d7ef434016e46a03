# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Preflight: Istio's ambient mode, where a waypoint applies the routes, or nothing does. Pure."""

from __future__ import annotations

import typing as t

from ..findings import Finding
from ..gateway_api import route_matches
from ..gateway_api.parents import parent_services, short_host
from ..istio import find, waypoints
from ..objects.endpoints import service_object
from ..objects.hosts import MESH, exported_to
from ..objects.metadata import full_name, identity

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot

    Description = Mapping[str, t.Any]

_DELEGATED: t.Final = "delegated"


def inspect(
    snapshot: Snapshot, service: ServiceRef, description: Description | None, *, adds_requests: bool
) -> Iterator[Finding]:
    """Yield what is wrong with the service's waypoint, and which routes it does not apply as they are written.

    description: what `plan.describe` says. adds_requests: whether the routes as they are are judged, or a change by
    which some version gets more requests; to take requests off a version is never refused.
    """
    own = service_object(snapshot, service)
    if own is None:
        return
    trouble = waypoints.trouble(snapshot, service)
    if trouble is None:
        waypoint = waypoints.named_by(snapshot, service)
        if waypoint is not None:
            ignored = _ignored(snapshot, service, waypoint, description)
            yield from (one for one in ignored if adds_requests or one.severity != "error")
            yield from _gateways(snapshot, service, waypoint, description)
    elif waypoints.is_ambient(snapshot, service):
        if adds_requests and _has_mesh_routes(description):
            yield Finding(
                "AMBIENT_WITHOUT_WAYPOINT",
                full_name(own),
                f"The service is in ambient mode and {trouble.what}. ztunnel knows no weights and no headers, so "
                "requests of callers in ambient mode reach all versions by pod count.",
                trouble.remedy,
            )
    elif waypoints.named_by(snapshot, service) is not None:
        yield Finding(
            "WAYPOINT_NOT_WORKING",
            full_name(own),
            f"The service {trouble.what}. Requests of callers in ambient mode reach all versions by pod count; "
            "sidecars apply the routes themselves.",
            trouble.remedy,
        )


def _has_mesh_routes(description: Description | None) -> bool:
    """Return whether the routes are for callers in the mesh; routes of gateways alone need no waypoint."""
    routes = (description or {}).get("routes") or ()
    return not routes or any(set(route["gateways"]) & {MESH, _DELEGATED} for route in routes)


def _ignored(
    snapshot: Snapshot, service: ServiceRef, waypoint: waypoints.Waypoint, description: Description | None
) -> Iterator[Finding]:
    """Yield which of the service's routes sidecars apply, and the waypoint does not, or not as they are written."""
    routes = snapshot.select((description or {}).get("objects") or (), ("VirtualService", *route_matches.KINDS))
    host = short_host(service.fqdn)
    for one in routes:
        if host not in parent_services(one) and one not in find.mesh_claimants(routes, service):
            continue  # of gateways alone, or a delegate
        if waypoints.may_apply(one, service, waypoint.namespace):
            yield from _ignored_matches(one, waypoint)
        elif exported_to(one):
            namespace, _name = identity(one)
            near = namespace in (service.namespace, waypoint.namespace)
            where = f"is not exported to {waypoint.namespace}" if near else f"lies in {namespace}"
            yield Finding(
                "WAYPOINT_IGNORES_ROUTE",
                full_name(one),
                f"It {where}, so the waypoint {waypoint} does not apply it. Only sidecars do.",
                f"Keep the routes of {service.name} in {service.namespace}, visible to {waypoint.namespace}.",
            )


def _ignored_matches(obj: Object, waypoint: waypoints.Waypoint) -> Iterator[Finding]:
    blocks = [block or {} for route in (obj.get("spec") or {}).get("http") or () for block in route.get("match") or ()]
    if any(block.get("sourceLabels") for block in blocks):
        reason = f"The waypoint {waypoint} drops every match with sourceLabels: no request of ambient callers has it."
        yield Finding("WAYPOINT_IGNORES_MATCH", full_name(obj), reason)
    named = sorted({str(block["sourceNamespace"]) for block in blocks if block.get("sourceNamespace")})
    if named:
        reason = (
            f"It matches sourceNamespace {', '.join(named)}. The waypoint {waypoint} compares that with its own "
            f"namespace, {waypoint.namespace}, and not with the caller's."
        )
        yield Finding("WAYPOINT_IGNORES_MATCH", full_name(obj), reason)


def _gateways(
    snapshot: Snapshot, service: ServiceRef, waypoint: waypoints.Waypoint, description: Description | None
) -> Iterator[Finding]:
    """Subsets that a gateway chooses have no effect if it sends the requests to the waypoint."""
    if not waypoints.is_used_by_gateways(snapshot, service) or not (description or {}).get("subsets"):
        return
    for one in snapshot.virtual_services or ():
        if not find.has_routes_to(one, service) or set((one.get("spec") or {}).get("gateways") or ()) <= {MESH}:
            continue
        reason = (
            f"Gateways send requests for {service.name} to the waypoint {waypoint} "
            f"({waypoints.INGRESS_USE_WAYPOINT}), which chooses the version anew. Subsets and weights that a gateway "
            "applies have no effect."
        )
        yield Finding("GATEWAY_ROUTES_AT_WAYPOINT", full_name(one), reason)
