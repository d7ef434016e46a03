# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Preflight: what only some callers see, and what hides the service's own routes and subsets from them. Pure."""

from __future__ import annotations

import typing as t

from ..findings import Finding
from . import find
from .gateway_parents import parents, short
from .hosts import covers, expand, exports
from .snapshot import identity, label

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .hosts import ServiceRef
    from .snapshot import Snapshot


def inspect(
    before: Snapshot, after: Snapshot, service: ServiceRef, versions: Mapping[str, float], api: str | None
) -> Iterator[Finding]:
    """Yield what callers of certain namespaces see otherwise.

    before, after: the objects without and with the change. versions: version -> percent to be judged.
    """
    yield from _wildcards(before, service)
    if after.destination_rules is not None:
        yield from _shadowed(after, service, versions)
        if api != "gateway":
            yield from _private_rules(after, service)
    yield from _consumer_routes(after, service)


def _wildcards(snapshot: Snapshot, service: ServiceRef) -> Iterator[Finding]:
    """A VirtualService of the host itself wins over every wildcard, whole."""
    objects = snapshot.virtual_services or ()
    if find.mesh_claimants(objects, service):
        return
    for one, host in find.by_wildcard(objects, service):
        reason = f"Its host {host} covers {service.fqdn}, which has no VirtualService of its own for the mesh."
        yield Finding("HOST_BY_WILDCARD", label(one), reason)


def _shadowed(snapshot: Snapshot, service: ServiceRef, versions: Mapping[str, float]) -> Iterator[Finding]:
    """A rule in the client's namespace wins whole over the one in the service's namespace, for those clients."""
    effective = find.destination_rules(snapshot, service)
    if not effective:
        return
    home = identity(effective[0])[0]
    for rule in snapshot.destination_rules or ():
        namespace, _name = identity(rule)
        host = expand(str((rule.get("spec") or {}).get("host") or ""), namespace, service.domain)
        if namespace in (home, service.namespace, service.root) or not covers(host, service.fqdn):
            continue
        own = {str(one.get("name")) for one in (rule.get("spec") or {}).get("subsets") or ()}
        missing = sorted(set(versions) - own)
        hidden = f"For callers in {namespace} it hides {label(effective[0])}"
        if missing:
            yield Finding(
                "DESTINATION_RULE_SHADOWED",
                label(rule),
                f"{hidden} and has no subset {', '.join(missing)}: their requests to it would be answered 503.",
                f"Remove it or give it these subsets: kubectl -n {namespace} edit destinationrule {identity(rule)[1]}.",
            )
        else:
            yield Finding("DESTINATION_RULE_ELSEWHERE", label(rule), f"{hidden}, with its own policies and labels.")


def _private_rules(snapshot: Snapshot, service: ServiceRef) -> Iterator[Finding]:
    """Who sees a route to a subset and not the rule that defines it is answered 503."""
    rules = find.destination_rules(snapshot, service)
    seen = frozenset[str]().union(*(exports(one) for one in rules))
    if not rules or "*" in seen:
        return
    for one in find.mesh_claimants(snapshot.virtual_services or (), service):
        blind = exports(one) - seen
        if blind:
            who = "all namespaces" if "*" in blind else ", ".join(sorted(blind))
            yield Finding(
                "DESTINATION_RULE_PRIVATE",
                label(rules[0]),
                f"It is exported to {', '.join(sorted(seen)) or 'nobody'}, but {label(one)} to {who}: callers who see "
                "only the route are answered 503.",
            )


def _consumer_routes(snapshot: Snapshot, service: ServiceRef) -> Iterator[Finding]:
    """An HTTPRoute in another namespace than its Service is for the callers there, and comes first."""
    if find.mesh_claimants(snapshot.virtual_services or (), service):
        return  # two APIs for one service: an error of its own
    for one in snapshot.http_routes or ():
        namespace, _name = identity(one)
        if namespace != service.namespace and short(service.fqdn) in parents(one):
            reason = f"For callers in {namespace} it takes the place of the routes in {service.namespace}."
            yield Finding("HTTP_ROUTE_ELSEWHERE", label(one), reason)
