# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Preflight: is the Service's port one whose requests Istio can split? Pure.

Istio takes a port's protocol from appProtocol, else from the port's name up to the first dash. Without either it
looks at the first bytes; a port of another protocol has connections, not requests.
"""

from __future__ import annotations

import typing as t

from ..findings import Finding
from . import find
from .destinations import version_of
from .snapshot import identity, label

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from .hosts import ServiceRef
    from .snapshot import Object, Snapshot

_HTTP: t.Final = frozenset({"http", "http2", "grpc", "grpc-web", "kubernetes.io/h2c", "kubernetes.io/ws"})
_OTHER: t.Final = frozenset({"https", "tls", "tcp", "udp", "mongo", "mysql", "redis", "kubernetes.io/wss"})


def ports(snapshot: Snapshot, service: ServiceRef) -> Iterator[Finding]:
    """Yield a finding for each port that http routes of the service use and that is not declared as HTTP."""
    own = next((one for one in snapshot.services or () if identity(one) == (service.namespace, service.name)), None)
    used = _ports_of_http_routes(snapshot, service)
    if own is None or not used:
        return
    declared = [one for one in (own.get("spec") or {}).get("ports") or () if None in used or one.get("port") in used]
    told = [(one, protocol_of(one)) for one in declared]
    if any(protocol in _HTTP for _port, protocol in told) and None in used:
        return  # several ports, and the routes mean the one that is HTTP
    for port, protocol in told:
        named = f"Port {port.get('port')} ({port.get('name') or 'without a name'})"
        path = f"kubectl -n {service.namespace} edit service {service.name}"
        if protocol in _OTHER:
            reason = f"{named} is declared as {protocol}, so its http routes have no effect."
            yield Finding("PORT_NOT_HTTP", label(own), reason, f"If it speaks HTTP, set appProtocol: http: {path}.")
        elif protocol not in _HTTP:
            reason = f"{named} declares no protocol, so Istio guesses it from the first bytes of each connection."
            yield Finding("PORT_PROTOCOL_GUESSED", label(own), reason, f"Set appProtocol: http: {path}.")


def grpc_ports(snapshot: Snapshot, service: ServiceRef, hosts: Collection[str]) -> frozenset[str]:
    """Return the numbers of the ports of these hosts' Services that are declared as gRPC."""
    return frozenset(
        str(port.get("port"))
        for one in snapshot.services or ()
        if "{1}.{0}.svc.{2}".format(*identity(one), service.domain) in hosts
        for port in (one.get("spec") or {}).get("ports") or ()
        if protocol_of(port).startswith("grpc")
    )


def protocol_of(port: Object) -> str:
    """Return the protocol a port declares, in lower case; empty if it declares none that Istio knows."""
    declared = str(port.get("appProtocol") or "").lower()
    if declared in _HTTP | _OTHER:
        return declared
    if port.get("protocol") == "UDP":
        return "udp"
    name = str(port.get("name") or "").lower()
    if name == "grpc-web" or name.startswith("grpc-web-"):
        return "grpc-web"
    prefix = name.partition("-")[0]
    return prefix if prefix in _HTTP | _OTHER else ""


def _ports_of_http_routes(snapshot: Snapshot, service: ServiceRef) -> set[int | None]:
    """Return the ports that http routes send to; None stands for a route that names no port."""
    used: set[int | None] = set()
    for one in snapshot.virtual_services or ():
        namespace, _name = identity(one)
        if not find.has_routes_to(one, service):
            continue
        for route in (one.get("spec") or {}).get("http") or ():
            for entry in route.get("route") or ():
                if version_of(entry, service, namespace) is not None:
                    used.add(((entry.get("destination") or {}).get("port") or {}).get("number"))
    return used
