# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Preflight: what only some callers see, and what hides the service's own routes and subsets from them. Pure."""

from __future__ import annotations

import typing as t

from ..findings import Finding
from ..gateway_api.parents import parent_services, short_host
from ..istio import find, waypoints
from ..istio.endpoint_choice import chosen_by_caller, consistent_hash
from ..objects.hosts import MESH, exported_to
from ..objects.metadata import full_name, identity

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from ..objects.hosts import ServiceRef
    from ..objects.snapshot import Snapshot


def inspect(
    before: Snapshot,
    after: Snapshot,
    service: ServiceRef,
    versions: Mapping[str, float],
    services: Collection[str],
) -> Iterator[Finding]:
    """Yield what callers of certain namespaces see otherwise.

    before, after: the objects without and with the change. versions: version -> percent to be judged. services: the
    versions that are Services and have no subset.
    """
    yield from _wildcards(before, service)
    if after.destination_rules is not None:
        subsets = {version: percent for version, percent in versions.items() if version not in services}
        yield from _shadowed(after, service, subsets)
        if subsets or not services:
            yield from _private_rules(after, service)
    yield from _consumer_routes(after, service)


def endpoint_choice(
    snapshot: Snapshot, service: ServiceRef, versions: Mapping[str, float], description: Mapping[str, t.Any] | None
) -> Iterator[Finding]:
    """Yield where proxies hold the routes and send each request to the address of the caller all the same.

    versions: version -> percent to be judged. description: what `plan.describe` says.
    """
    if description is None or not versions:
        return
    of_sidecars = any(set(route["gateways"]) & {MESH, "delegated"} for route in description["routes"])
    own = [version for version in versions if version not in description["services"]]
    wanted = [(service, own)] if own else []
    wanted += [(service.sibling(version), [""]) for version in versions if version in description["services"]]
    hashed = None if snapshot.destination_rules is None else consistent_hash(snapshot, service)
    if hashed is not None and description["sticky"] is None and any(0 < one < 100 for one in versions.values()):
        reason = (
            "Its consistentHash keeps a caller at one pod of a version; which version a request goes to, the weights "
            "decide anew each time."
        )
        yield Finding("HASH_WITHIN_VERSION", full_name(hashed), reason)
    for owner, names in wanted:
        for one in chosen_by_caller(snapshot, owner, names):
            if one.gateways or of_sidecars:
                reason = f"{one.reason} Weights and subsets have no effect."
                yield Finding("ENDPOINT_CHOSEN_BY_CALLER", one.object, reason, one.remedy)


def _wildcards(snapshot: Snapshot, service: ServiceRef) -> Iterator[Finding]:
    """A VirtualService of the host itself wins over every wildcard, whole."""
    objects = snapshot.virtual_services or ()
    if find.mesh_claimants(objects, service):
        return
    for one, host in find.claims_by_wildcard(objects, service):
        reason = f"Its host {host} covers {service.fqdn}, which has no VirtualService of its own for the mesh."
        yield Finding("HOST_BY_WILDCARD", full_name(one), reason)


def _shadowed(snapshot: Snapshot, service: ServiceRef, versions: Mapping[str, float]) -> Iterator[Finding]:
    """A rule in the client's namespace, or for the client's workload, wins whole over the one of the service."""
    effective = find.destination_rules(snapshot, service)
    if not effective:
        return
    for rule in find.rules_of_some_callers(snapshot, service):
        namespace, _name = identity(rule)
        own = {str(one.get("name")) for one in (rule.get("spec") or {}).get("subsets") or ()}
        missing = sorted(set(versions) - own)
        hidden = f"For {find.callers_of(rule)} it hides {full_name(effective[0])}"
        if missing:
            yield Finding(
                "DESTINATION_RULE_SHADOWED",
                full_name(rule),
                f"{hidden} and has no subset {', '.join(missing)}: their requests to it would fail with 503.",
                f"Remove it or give it these subsets: kubectl -n {namespace} edit destinationrule {identity(rule)[1]}.",
            )
        else:
            yield Finding("DESTINATION_RULE_ELSEWHERE", full_name(rule), f"{hidden}, with its own policies and labels.")


def _private_rules(snapshot: Snapshot, service: ServiceRef) -> Iterator[Finding]:
    """Who sees a route to a subset and not the rule that defines it is answered 503."""
    rules = find.destination_rules(snapshot, service)
    seen = frozenset[str]().union(*(exported_to(one) for one in rules))
    if not rules or "*" in seen:
        return
    where = ", ".join(sorted(seen)) or "no namespace"
    for one in find.mesh_claimants(snapshot.virtual_services or (), service):
        blind = exported_to(one) - seen
        if blind:
            who = "all namespaces" if "*" in blind else ", ".join(sorted(blind))
            yield Finding(
                "DESTINATION_RULE_PRIVATE",
                full_name(rules[0]),
                f"It is exported to {where}, but {full_name(one)} to {who}: requests of callers who see only the route "
                "fail with 503.",
            )
    for one in find.gateway_routes(snapshot.virtual_services or (), service):
        gateways = ", ".join(gateway for gateway in one["spec"]["gateways"] if gateway != MESH)
        yield Finding(
            "DESTINATION_RULE_PRIVATE",
            full_name(rules[0]),
            f"It is exported to {where}, but {full_name(one)} routes through {gateways}: unless the pods of that "
            "gateway run there, they do not know the subsets, and the requests fail with 503.",
        )


def _consumer_routes(snapshot: Snapshot, service: ServiceRef) -> Iterator[Finding]:
    """An HTTPRoute in another namespace than its Service is for the callers there, and comes first."""
    if find.mesh_claimants(snapshot.virtual_services or (), service):
        return  # two APIs for one service: an error of its own
    for one in snapshot.http_routes or ():
        namespace, _name = identity(one)
        if namespace != service.namespace and short_host(service.fqdn) in parent_services(one):
            sidecars = " with a sidecar" if waypoints.working(snapshot, service) else ""
            reason = f"For callers{sidecars} in {namespace} it replaces the routes in {service.namespace}."
            yield Finding("HTTP_ROUTE_ELSEWHERE", full_name(one), reason)
