# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Preflight: who claims the host, which subsets exist for whom, which paths a split does not cover. Pure."""

from __future__ import annotations

import typing as t

from ..errors import Refused
from ..findings import Finding
from ..gateway_api.parents import claims_the_same, is_attached_to, parent_services, short_host
from ..istio import find
from ..istio.route_keys import PROTOCOLS
from ..istio.service_version_planner import with_subsets
from ..istio.version_destinations import live_destinations_of
from ..objects.hosts import MESH, by_precedence, exports_overlap, gateways_of, legacy_gateway_names, resolve_gateway
from ..objects.metadata import creation_order, full_name, identity
from ..routing.nearby import ignored_objects, literal_hosts
from .service_ports import ports, ports_without_route

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot

    Description = Mapping[str, t.Any]


def inspect(
    snapshot: Snapshot,
    service: ServiceRef,
    description: Description | None,
    versions: Mapping[str, float],
    scope: find.Scope,
) -> Iterator[Finding]:
    """Yield what is wrong with the routing objects.

    description: what `plan.describe` says, None if it cannot. versions: version -> percent to be judged.
    """
    yield from _claimed_twice(snapshot, service, scope)
    yield from _two_apis(snapshot, service)
    if snapshot.destination_rules is not None:
        services = (description or {}).get("services") or ()
        subsets = {version: percent for version, percent in versions.items() if version not in services}
        yield from _unknown_subsets(snapshot, service, subsets)
    as_subsets = with_subsets(snapshot, service) if snapshot.virtual_services is not None else snapshot
    yield from _single_zero(as_subsets, service)
    yield from ports(as_subsets, service)
    yield from ports_without_route(snapshot, service)
    yield from _names(snapshot, service)
    if description is not None:
        yield from _gateway_not_covered(snapshot, service, description)


def _claimed_twice(snapshot: Snapshot, service: ServiceRef, scope: find.Scope) -> Iterator[Finding]:
    claimants = find.mesh_claimants(snapshot.virtual_services or (), service)
    named = [one for one in claimants if scope.names(one, service)]
    if named:
        yield from _contested(named, claimants, service)
        return
    try:
        find.refuse_two_claims(sorted(claimants, key=creation_order), service)
    except Refused as refusal:
        first, second = refusal.findings[:2]
        remedy = (
            f"Move the routes of {second.object} into {first.object}, then remove it: "
            f"{_delete(second.object)}. Or select one with virtual_services."
        )
        for finding in (first, second):
            yield Finding(finding.code, finding.object, finding.reason, remedy)


def _contested(named: Sequence[Object], claimants: Sequence[Object], service: ServiceRef) -> Iterator[Finding]:
    """Whoever names a claimant has chosen; whether callers obey it is still worth a word."""
    for one in named:
        for other in claimants:
            if other in named or not exports_overlap(one, other):
                continue
            first = by_precedence((one, other), service.namespace)[:1] or [one]
            yield Finding(
                "HOST_CLAIM_CONTESTED",
                full_name(one),
                f"{full_name(other)} claims {service.fqdn} too; callers in {service.namespace} use "
                f"{full_name(first[0])}.",
            )


def _delete(named: str) -> str:
    kind, _space, name = named.partition(" ")
    namespace, _slash, short = name.partition("/")
    return f"kubectl -n {namespace} delete {kind.lower()} {short}"


def _two_apis(snapshot: Snapshot, service: ServiceRef) -> Iterator[Finding]:
    """istiod sorts an HTTPRoute of the client's namespace before every VirtualService of its group."""
    claimants = find.mesh_claimants(snapshot.virtual_services or (), service)
    for route in snapshot.http_routes or ():
        if claimants and short_host(service.fqdn) in parent_services(route):
            yield Finding(
                "ROUTE_APIS_MIXED",
                full_name(route),
                f"It routes {service.fqdn} for the mesh, and so does {full_name(claimants[0])}; callers use only one.",
            )
        others = [one for one in snapshot.http_routes or () if claims_the_same(route, one)]
        if others and route["kind"] == "GRPCRoute" and is_attached_to(route, service):
            reason = f"It routes {service.fqdn}, and so does {full_name(others[0])}, which may take its calls."
            yield Finding("ROUTE_APIS_MIXED", full_name(route), reason)


def _unknown_subsets(snapshot: Snapshot, service: ServiceRef, versions: Mapping[str, float]) -> Iterator[Finding]:
    if not find.mesh_claimants(snapshot.virtual_services or (), service) and not find.destination_rules(
        snapshot, service
    ):
        return
    known = find.subsets(snapshot, service)
    rules = ", ".join(full_name(rule) for rule in find.destination_rules(snapshot, service))
    for version, percent in versions.items():
        if version not in known:
            yield Finding(
                "SUBSET_UNKNOWN",
                rules or f"DestinationRule of {service.fqdn}",
                f"{version} would get {percent:g}% of requests, but there is no such subset. Existing subsets: "
                f"{', '.join(sorted(known)) or 'none'}.{find.known_to_some_callers(snapshot, service, [version])}",
            )


def _names(snapshot: Snapshot, service: ServiceRef) -> Iterator[Finding]:
    """Yield names that Istio reads otherwise than they look, and objects that no istiod reads."""
    for one, host in literal_hosts(snapshot, service):
        reason = f"Istio does not complete its host {host}: on port 80 it applies to callers that use this very name."
        yield Finding("HOST_NOT_COMPLETED", full_name(one), reason, f"Write {service.fqdn}, or {service.name} there.")
    for one in snapshot.virtual_services or ():
        old = legacy_gateway_names(one) if find.routes_service(one, service) else []
        if old:
            namespace, _name = identity(one)
            wanted = ", ".join(resolve_gateway(name, namespace) for name in old)
            reason = f"It names its gateway {', '.join(old)}, a form that istiod warns of."
            yield Finding("GATEWAY_NAME_OBSOLETE", full_name(one), reason, f"Write {wanted}.")
    for one, revision in ignored_objects(snapshot, service):
        reason = f"It is labeled istio.io/rev={revision}, and no istiod of that revision runs: no proxy gets it."
        yield Finding("REVISION_NOT_RUNNING", full_name(one), reason)


def _single_zero(snapshot: Snapshot, service: ServiceRef) -> Iterator[Finding]:
    for one in snapshot.virtual_services or ():
        namespace, _name = identity(one)
        for protocol in PROTOCOLS:
            for route in (one.get("spec") or {}).get(protocol) or ():
                entries = list(route.get("route") or ())
                if len(entries) != 1 or entries[0].get("weight") != 0:
                    continue
                if service.is_host(str((entries[0].get("destination") or {}).get("host") or ""), namespace):
                    yield Finding(
                        "SINGLE_DESTINATION_AT_ZERO",
                        full_name(one),
                        f"Route {route.get('name') or protocol} has one destination at weight 0, which receives all "
                        "requests.",
                    )


def _gateway_not_covered(snapshot: Snapshot, service: ServiceRef, description: Description) -> Iterator[Finding]:
    """Requests that come in by a gateway follow the gateway's rules only (istioctl analyze: IST0140)."""
    routes = description["routes"]
    in_mesh = [route for route in routes if MESH in route["gateways"] and set(route["weights"]) - {""}]
    if not in_mesh:
        return
    reason = f"sends to {service.name} without a version, so its requests ignore the weights of {in_mesh[0]['object']}."
    for route in routes:
        if MESH not in route["gateways"] and "delegated" not in route["gateways"] and set(route["weights"]) == {""}:
            gateways = ", ".join(route["gateways"])
            yield Finding("GATEWAY_NOT_COVERED", route["object"], f"Its route for gateway {gateways} {reason}")
    for http_route in snapshot.http_routes or ():
        if _sends_from_gateway(http_route, service):
            yield Finding("GATEWAY_NOT_COVERED", full_name(http_route), f"It {reason}")
    yield from _gateway_with_one_version(snapshot, service, description, in_mesh[0]["object"])


def _gateway_with_one_version(
    snapshot: Snapshot, service: ServiceRef, description: Description, owner: str
) -> Iterator[Finding]:
    """Yield gateways' VirtualServices that send to the largest version alone: no preview, and not split."""
    weights = {name: share for name, share in description["weights"].items() if name in description["services"]}
    largest = max(weights, key=lambda name: weights[name], default="")
    split = {route["object"] for route in description["routes"]}
    for one in snapshot.virtual_services or ():
        if not largest or full_name(one) in split or not any(gateway != MESH for gateway in gateways_of(one)):
            continue
        if any(
            name == largest
            for name, _destination in live_destinations_of(one, service, frozenset(description["services"]))
        ):
            reason = f"It sends requests of a gateway to {largest} alone, so they ignore the weights of {owner}."
            remedy = "Add the other versions as destinations at weight 0, or select the object with virtual_services."
            yield Finding("GATEWAY_NOT_COVERED", full_name(one), reason, remedy)


def _sends_from_gateway(route: Object, service: ServiceRef) -> bool:
    namespace, _name = identity(route)
    spec = route.get("spec") or {}
    if not any((parent.get("kind") or "Gateway") == "Gateway" for parent in spec.get("parentRefs") or ()):
        return False
    return any(
        (backend.get("kind") or "Service") == "Service"
        and (backend.get("namespace") or namespace, backend.get("name")) == (service.namespace, service.name)
        for rule in spec.get("rules") or ()
        for backend in rule.get("backendRefs") or ()
    )
