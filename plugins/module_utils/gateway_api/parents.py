# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parents of an HTTPRoute: Services, for the mesh, and Gateways. Pure."""

from __future__ import annotations

import typing as t

from ..objects.metadata import identity
from . import route_matches

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object


def parent_services(http_route: Object) -> set[str]:
    """Return `name.namespace` of the Services the route is attached to."""
    own, _name = identity(http_route)
    refs = (http_route.get("spec") or {}).get("parentRefs") or ()
    return {
        f"{ref.get('name')}.{ref.get('namespace') or own}"
        for ref in refs
        if ref.get("kind") == "Service" and not ref.get("group")
    }


def is_attached_to(http_route: Object, service: ServiceRef) -> bool:
    """Return whether the service itself is a parent of the route."""
    return not service.is_outside and short_host(service.fqdn) in parent_services(http_route)


def parent_gateways(http_route: Object) -> list[str]:
    """Return `namespace/name` of the Gateways the route is attached to."""
    own, _name = identity(http_route)
    refs = (http_route.get("spec") or {}).get("parentRefs") or ()
    return [
        f"{ref.get('namespace') or own}/{ref.get('name')}" for ref in refs if ref.get("kind", "Gateway") == "Gateway"
    ]


def claims_the_same(one: Object, other: Object) -> bool:
    """Return whether two routes of different kinds claim the same host at a Service or a Gateway.

    istiod joins both and sorts their rules as one list: the rule of an HTTPRoute for all paths comes before those of a
    GRPCRoute that name no service. Of two with the same name it drops the GRPCRoute (seen on Istio 1.31). Ports and
    listeners (`sectionName`) keep them apart where both name one.
    """
    if one.get("kind") == other.get("kind"):
        return False
    hosts, theirs = (set((route.get("spec") or {}).get("hostnames") or ()) for route in (one, other))
    same_namespace, same_hosts = identity(one)[0] == identity(other)[0], not hosts or not theirs or bool(hosts & theirs)
    return any(
        (same_namespace if kind == "Service" else same_hosts) and _may_be_equal(places, wanted)
        for kind, parent, *places in _claims(one)
        for their_kind, their_parent, *wanted in _claims(other)
        if (kind, parent) == (their_kind, their_parent)
    )


def _claims(route: Object) -> Iterator[tuple[str, str, t.Any, t.Any]]:
    """Yield kind, `namespace/name`, listener and port of each parent; None for all listeners and ports."""
    own, _name = identity(route)
    for ref in (route.get("spec") or {}).get("parentRefs") or ():
        parent = f"{ref.get('namespace') or own}/{ref.get('name')}"
        yield str(ref.get("kind") or "Gateway"), parent, ref.get("sectionName"), ref.get("port")


def _may_be_equal(one: Iterable[t.Any], other: Iterable[t.Any]) -> bool:
    return all(None in pair or pair[0] == pair[1] for pair in zip(one, other, strict=True))


def short_host(fqdn: str) -> str:
    """Return `name.namespace`."""
    return ".".join(fqdn.split(".")[:2])


def versions_on(http_route: Object, service: ServiceRef, named: frozenset[str]) -> frozenset[str]:
    """Return the Services that are the service's versions on an HTTPRoute attached to it.

    named: those that a command names or named, and the service itself. The rule for all requests tells the others: it
    is the service's own, so its backends are versions, unless it sends to none of the named ones and another rule does.
    Backends of other rules are versions by their name alone: `/admin` may well belong to another Service.
    """
    every, general = [], []
    for rule in (http_route.get("spec") or {}).get("rules") or ():
        backends = _services_in(rule, identity(http_route)[0], service.namespace)
        every.append(backends)
        if not all(route_matches.of(http_route).to_blocks(rule.get("matches")) or [{}]):
            general.append(backends)
    has_named = any(backends & named for backends in every)
    known = named.union(*(backends for backends in general if backends & named or not has_named))
    everything = frozenset[str]().union(*every)
    if not general and not has_named and (len(everything) == 1 or named <= {service.name}):
        return known | everything  # the only backend, or no version is named: all are shown
    return known


def _services_in(rule: Mapping[str, t.Any], own: str, namespace: str) -> frozenset[str]:
    """Return the Services of one namespace among the rule's backends."""
    return frozenset(
        str(ref.get("name"))
        for ref in rule.get("backendRefs") or ()
        if not ref.get("group") and (ref.get("kind") or "Service") == "Service"
        if (ref.get("namespace") or own) == namespace
    )


def versions_of(http_routes: Iterable[Object], service: ServiceRef, named: frozenset[str]) -> frozenset[str]:
    """Return the versions on all HTTPRoutes attached to the service; they are its versions in other routes too."""
    seeds = named | {service.name}
    return named.union(*(versions_on(one, service, seeds) for one in http_routes if is_attached_to(one, service)))
