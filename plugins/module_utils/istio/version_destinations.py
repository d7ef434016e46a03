# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a version's Service, or the host of a ServiceEntry, can get the requests of a destination. Pure."""

from __future__ import annotations

import typing as t

from ..errors import UnknownSubset
from ..findings import Finding
from ..objects import endpoints, service_entries
from ..objects.hosts import is_host_of_service, is_outside
from ..objects.metadata import full_name, identity
from ..objects.patch import canonical_json
from .route_keys import PROTOCOLS
from .service_versions import destinations_of, mirrors_of, services_in

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot


def refuse_full_names(service: ServiceRef, hosts: Iterable[str]) -> None:
    """Raise UnknownSubset for the full name of a Service: versions are Services of the service's own namespace."""
    for one in sorted(filter(is_host_of_service, hosts)):
        name, _dot, rest = one.partition(".")
        namespace = rest.partition(".")[0]
        there = (
            f"write {name}"
            if namespace == service.namespace
            else f"Services of other namespaces are no versions. Create a Service in {service.namespace} for its pods, "
            "or a ServiceEntry with a host of its own and their addresses"
        )
        reason = f"{one} is the full name of a Service of namespace {namespace}: {there}."
        raise UnknownSubset(f"{service.name}: {reason}", [Finding("SUBSET_UNKNOWN", f"Host {one}", reason)], known=[])


def require_services(
    snapshot: Snapshot, service: ServiceRef, names: frozenset[str], before: Object, after: Object
) -> None:
    """Raise UnknownSubset if a version that newly gets requests is not a Service, or has no such port."""
    old = {canonical_json(one) for one in _live(before)}
    for name, one in live_destinations_of(after, service, names):
        if name not in names or canonical_json(one) in old:
            continue
        where = f"{full_name(after)}: version {name}"
        reason = problem_of(snapshot, service, name, one)
        if reason and is_outside(name):
            code = (
                "VERSION_PORT_UNKNOWN"
                if service_entries.entries_of(snapshot, service.sibling(name))
                else "SUBSET_UNKNOWN"
            )
            raise UnknownSubset(f"{where}: {reason}", [Finding(code, where, reason)], known=[])
        if reason:
            exists = endpoints.service_object(snapshot, service.sibling(name)) is not None
            there = sorted(
                identity(other)[1] for other in snapshot.need("services") if identity(other)[0] == service.namespace
            )
            raise UnknownSubset(
                f"{where}: {reason} Requests sent there would be answered 503. Services there: "
                f"{', '.join(there) or 'none'}.",
                [Finding("VERSION_PORT_UNKNOWN" if exists else "SUBSET_UNKNOWN", where, reason)],
                known=there,
            )


def problem_of(snapshot: Snapshot, service: ServiceRef, name: str, destination: dict[str, t.Any]) -> str:
    """Return why a Service cannot get the requests of a destination; empty if it can. Raises NotRead.

    Without a port in the destination istiod takes the only port of the Service, else the one that the caller used
    (pilot/pkg/networking/core/route/route.go, GetDestinationCluster).
    """
    snapshot.need("services")
    if service.is_outside or is_outside(name):
        snapshot.need("service_entries")
    ports = _ports(snapshot, service.sibling(name))
    if ports is None:
        return _no_such_host(service, name)
    wanted, kind = (destination.get("port") or {}).get("number"), "Host" if is_outside(name) else "Service"
    if wanted is not None:
        return "" if wanted in ports else f"{kind} {name} has no port {wanted}, only {_text(ports)}."
    if len(ports) == 1:
        return ""
    lacking = [port for port in _ports(snapshot, service) or () if port not in ports]
    if not lacking:
        return ""
    return (
        f"{kind} {name} has the ports {_text(ports)} and the destination names none, so requests to port "
        f"{lacking[0]} of {service.name} find no such port there. Give the destination a port, or {name} this port."
    )


def _no_such_host(service: ServiceRef, name: str) -> str:
    if not is_outside(name):
        return f"There is no Service {service.namespace}/{name}."
    return (
        f"No ServiceEntry has the host {name}, so requests sent there would be answered 502 or 503. Create the "
        "ServiceEntry first."
    )


def _ports(snapshot: Snapshot, service: ServiceRef) -> list[int] | None:
    """Return the ports of a Service, or of the host of a ServiceEntry; None if there is no such thing."""
    if service.is_outside:
        listed = service_entries.ports_of(snapshot, service) if service_entries.entries_of(snapshot, service) else None
    else:
        own = endpoints.service_object(snapshot, service)
        listed = None if own is None else (own.get("spec") or {}).get("ports") or []
    return None if listed is None else [int(one["port"]) for one in listed if one.get("port")]


def _text(ports: Sequence[int]) -> str:
    return ", ".join(map(str, ports)) or "none"


def live_destinations_of(
    virtual_service: Object, service: ServiceRef, names: frozenset[str]
) -> Iterator[tuple[str, dict[str, t.Any]]]:
    """Yield (name, destination) of the Services of the service's namespace that get requests, or copies of them.

    names: hosts that are versions too.
    """
    for one in _live(virtual_service):
        for name in services_in([one], service, identity(virtual_service)[0], names):
            yield name, one


def _live(virtual_service: Object) -> list[dict[str, t.Any]]:
    """Return the destinations that get requests or copies of them."""
    spec = virtual_service.get("spec") or {}
    found = []
    for route in (one for protocol in PROTOCOLS for one in spec.get(protocol) or ()):
        entries = route.get("route") or []
        live = [one for one in entries if one.get("weight") or len(entries) == 1]
        found += [*destinations_of({"route": live}), *mirrors_of(route)]
    return found
