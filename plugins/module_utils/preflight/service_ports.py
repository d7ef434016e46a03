# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Preflight: is the Service's port one whose requests Istio can split? Pure.

What counts is the port that requests come in by. For sidecars that is a port of the Service; for gateways it is a port
of the Gateway, whatever the port speaks that the gateway sends them to.
"""

from __future__ import annotations

import typing as t

from ..findings import Finding
from ..istio import find
from ..istio.destinations import version_of
from ..objects import service_entries
from ..objects.endpoints import service_object
from ..objects.hosts import is_for_mesh, is_host_of_service
from ..objects.metadata import full_name, identity
from ..objects.ports import HTTP, OTHER, protocol_of, route_protocol

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot


def ports(snapshot: Snapshot, service: ServiceRef) -> Iterator[Finding]:
    """Yield a finding for each port that http routes of the service use and that is not declared as HTTP."""
    own = service_object(snapshot, service)
    used = _ports_of_http_routes(snapshot, service)
    if own is None or not used:
        return
    declared = [
        one
        for one in (own.get("spec") or {}).get("ports") or ()
        if one.get("port") in used or (None in used and route_protocol(one))
    ]
    result = [(one, protocol_of(one)) for one in declared]
    if any(protocol in HTTP for _port, protocol in result) and None in used:
        return  # several ports, and the routes mean the one that is HTTP
    for port, protocol in result:
        named = f"Port {port.get('port')} ({port.get('name') or 'without a name'})"
        path = f"kubectl -n {service.namespace} edit service {service.name}"
        if protocol in OTHER:
            reason = f"{named} is declared as {protocol}, so its http routes have no effect."
            yield Finding("PORT_NOT_HTTP", full_name(own), reason, f"If it speaks HTTP, set appProtocol: http: {path}.")
        elif protocol not in HTTP:
            reason = f"{named} declares no protocol, so Istio guesses it from the first bytes of each connection."
            yield Finding("PORT_PROTOCOL_GUESSED", full_name(own), reason, f"Set appProtocol: http: {path}.")


def ports_without_route(snapshot: Snapshot, service: ServiceRef) -> Iterator[Finding]:
    """Yield a finding for each HTTP port that no route of the mesh takes, where the routes name others.

    istiod routes such a port as if there were no VirtualService: to all endpoints of the Service
    (pilot/pkg/networking/core/route/route.go, BuildSidecarVirtualHostWrapper).
    """
    own = service_object(snapshot, service)
    routed = find.mesh_claimants(snapshot.virtual_services or (), service)
    routes = [route for one in routed for route in (one.get("spec") or {}).get("http") or ()]
    named: set[t.Any] = {(block or {}).get("port") for route in routes for block in route.get("match") or [{}]}
    if own is None or not named or None in named:
        return
    for port in (own.get("spec") or {}).get("ports") or ():
        if route_protocol(port) == "http" and port.get("port") not in named:
            listed = ", ".join(str(one) for one in sorted(named))
            reason = (
                f"Its http routes are for port {listed} only, so requests to port {port.get('port')} of "
                f"{full_name(own)} reach all versions by pod count."
            )
            yield Finding("PORT_NOT_SPLIT", full_name(routed[0]), reason)


def grpc_ports(snapshot: Snapshot, service: ServiceRef, hosts: Collection[str]) -> frozenset[str]:
    """Return the numbers of the ports of these hosts' Services that are declared as gRPC."""
    return frozenset(
        str(port.get("port")) for port in _ports_of(snapshot, service, hosts) if protocol_of(port).startswith("grpc")
    )


def serves_only_grpc(snapshot: Snapshot, service: ServiceRef, hosts: Collection[str]) -> bool:
    """Return whether these hosts' Services have ports, all of which are declared as gRPC."""
    protocols = {protocol_of(port) for port in _ports_of(snapshot, service, hosts)}
    return bool(protocols) and all(one.startswith("grpc") for one in protocols)


def _ports_of(snapshot: Snapshot, service: ServiceRef, hosts: Collection[str]) -> Iterator[Object]:
    for host in sorted(hosts):
        if not is_host_of_service(host):
            yield from service_entries.ports_of(snapshot, service.sibling(host)) or ()
    for one in snapshot.services or ():
        if "{1}.{0}.svc.{2}".format(*identity(one), service.domain) in hosts:
            yield from (one.get("spec") or {}).get("ports") or ()


def _ports_of_http_routes(snapshot: Snapshot, service: ServiceRef) -> set[int | None]:
    """Return the ports that requests of http routes come in by; None stands for a route that takes those of any."""
    used: set[int | None] = set()
    for one in snapshot.virtual_services or ():
        namespace, _name = identity(one)
        if not is_for_mesh(one) or not find.has_routes_to(one, service):
            continue
        for route in (one.get("spec") or {}).get("http") or ():
            if not any(version_of(entry, service, namespace) is not None for entry in route.get("route") or ()):
                continue
            if find.claims(one, service):
                used.update((block or {}).get("port") for block in route.get("match") or [{}])
            else:
                used.update(_destination_ports(route, service, namespace))
    return used


def _destination_ports(route: Object, service: ServiceRef, namespace: str) -> Iterator[int | None]:
    """Yield the ports that a delegate, or the route of another host, sends to: its requests come in elsewhere."""
    for entry in route.get("route") or ():
        if version_of(entry, service, namespace) is not None:
            yield ((entry.get("destination") or {}).get("port") or {}).get("number")
