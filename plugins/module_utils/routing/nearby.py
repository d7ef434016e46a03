# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects that look as if they routed a service, and why they do not. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ..gateway_api import route_matches
from ..gateway_api.grants import routes_of_namespace
from ..gateway_api.parents import is_attached_to
from ..istio import find
from ..istio.route_keys import PROTOCOLS
from ..objects.hosts import expand, is_for_mesh
from ..objects.metadata import REVISION, full_name, identity
from ..objects.pods import labels_of, selector_of

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot


def nearby(snapshot: Snapshot, service: ServiceRef) -> list[str]:
    """Return a sentence for each object: what it is, why it does not route the service, and what to do."""
    return [
        *_of_other_services(snapshot, service),
        *_of_a_literal_host(snapshot, service),
        *_ignored(snapshot, service),
        *_wildcards(snapshot, service),
        *_http_routes(snapshot, service),
    ]


def _of_other_services(snapshot: Snapshot, service: ServiceRef) -> Iterator[str]:
    for one in find.mesh_claimants(snapshot.virtual_services or (), service):
        hosts = sorted(_hosts_of(one, service.domain))
        literal = [host for host in hosts if service.is_literal_host(host)]
        if literal and not find.has_routes_to(one, service):
            yield (
                f"{full_name(one)} has this host and sends to {literal[0]}, which Istio does not complete: no Service "
                f"has that name. Write {service.fqdn} instead."
            )
        elif hosts and not find.has_routes_to(one, service):
            yield (
                f"{full_name(one)} has this host and sends to {', '.join(hosts)}, which are other Services, and none "
                f"of them is a version of {service.name}: versions are named in weights, and are subsets of it or "
                f"Services of namespace {service.namespace}."
            )


def _hosts_of(virtual_service: Object, domain: str) -> set[str]:
    namespace, _name = identity(virtual_service)
    spec = virtual_service.get("spec") or {}
    routes = (route for protocol in PROTOCOLS for route in spec.get(protocol) or ())
    entries = (entry.get("destination") or {} for route in routes for entry in route.get("route") or ())
    return {expand(str(one.get("host") or ""), namespace, domain) for one in entries}


def _of_a_literal_host(snapshot: Snapshot, service: ServiceRef) -> Iterator[str]:
    for one, host in literal_hosts(snapshot, service):
        yield (
            f"{full_name(one)} has the host {host}, which Istio does not complete: it applies on port 80 only, for "
            f"callers that use this very name. Write {service.fqdn} instead."
        )


def literal_hosts(snapshot: Snapshot, service: ServiceRef) -> list[tuple[Object, str]]:
    """Return the VirtualServices of the mesh with a host such as SERVICE.NAMESPACE, each with the host."""
    return [
        (one, str(host))
        for one in snapshot.virtual_services or ()
        if is_for_mesh(one) and not find.claims(one, service)
        for host in (one.get("spec") or {}).get("hosts") or ()
        if service.is_literal_host(str(host))
    ]


def ignored_objects(snapshot: Snapshot, service: ServiceRef) -> list[tuple[Object, str]]:
    """Return the objects of the service that no istiod reads, each with the revision it is labeled for."""
    found = []
    for one in snapshot.ignored:
        kind = str(one.get("kind"))
        affected = (
            (kind == "VirtualService" and find.routes_service(one, service))
            or (kind == "DestinationRule" and find.rule_covers(one, service))
            or (kind in route_matches.KINDS and is_attached_to(one, service))
        )
        if affected:
            found.append((one, labels_of(one)[REVISION]))
    return found


def _ignored(snapshot: Snapshot, service: ServiceRef) -> Iterator[str]:
    for one, revision in ignored_objects(snapshot, service):
        yield (
            f"{full_name(one)} is labeled {REVISION}={revision}, a revision that no istiod here has, so no proxy gets "
            "it. Remove the label, or set it to the revision of istiod."
        )


def _wildcards(snapshot: Snapshot, service: ServiceRef) -> Iterator[str]:
    for one, host in find.claims_by_wildcard(snapshot.virtual_services or (), service):
        yield (
            f"{full_name(one)} covers it with the wildcard {host}, but routes other hosts too and is not edited. "
            "The role meshops.canary.routing creates one for this host alone, with the same routes."
        )


def _http_routes(snapshot: Snapshot, service: ServiceRef) -> Iterator[str]:
    for one in snapshot.http_routes or ():
        names = sorted(related_backends(snapshot, one, service))
        if names:
            weights = ", ".join(f"{name}: 0" for name in names)
            yield (
                f"{full_name(one)} sends to {', '.join(names)}. Versions are known by their names: those that are "
                f"versions of {service.name} must be in weights, also where they are to get nothing ({weights})."
            )


def related_backends(snapshot: Snapshot, http_route: Object, service: ServiceRef) -> set[str]:
    """Return the route's backends that may be versions: where it is the service's own, or which have the same pods."""
    names = routes_of_namespace(http_route, service.namespace)
    if is_attached_to(http_route, service):
        return names
    selector = (selector_of(snapshot, service) or {}).items()
    found = set()
    for name in names:
        own = selector_of(snapshot, replace(service, name=name))
        same_pods = bool(selector and own) and selector <= (own or {}).items()
        if same_pods or name.startswith(f"{service.name}-"):
            found.add(name)
    return found
