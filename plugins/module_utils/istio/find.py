# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finding the routing objects and subsets of a service. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..errors import InvalidInput, NoRoutes, Refused, UnknownSubset
from ..findings import Finding
from ..objects import managed_state
from ..objects.hosts import covers, expand, exported_to, exports_overlap, is_for_mesh
from ..objects.metadata import REVISION, creation_order, full_name, identity
from ..objects.pods import labels_of
from .destinations import sends_to
from .route_keys import PROTOCOLS, route_keys

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot


@dataclass(frozen=True)
class Scope:
    """The objects and routes that a command is limited to. Empty means all of the service.

    objects: names of VirtualServices, `name` (in the service's namespace) or `namespace/name`.
    routes: names of routes in them. kind: that of the objects named, where a list has several.
    """

    objects: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    kind: str = ""

    def names(self, obj: Object, service: ServiceRef) -> bool:
        """Return whether the object is one of those named."""
        namespace, name = identity(obj)
        if self.kind and obj.get("kind") != self.kind:
            return False
        return f"{namespace}/{name}" in {one if "/" in one else f"{service.namespace}/{one}" for one in self.objects}


def claims(virtual_service: Object, service: ServiceRef) -> bool:
    """Return whether the VirtualService's hosts name the service itself."""
    namespace, _name = identity(virtual_service)
    return any(service.is_host(str(host), namespace) for host in (virtual_service.get("spec") or {}).get("hosts") or ())


def has_routes_to(virtual_service: Object, service: ServiceRef) -> bool:
    """Return whether a route of it has the service as a destination."""
    namespace, _name = identity(virtual_service)
    spec = virtual_service.get("spec") or {}
    return any(sends_to(route, service, namespace) for protocol in PROTOCOLS for route in spec.get(protocol) or ())


def routes_service(virtual_service: Object, service: ServiceRef, _versions: Iterable[str] = ()) -> bool:
    """Return whether the VirtualService routes the service, by its own host or another."""
    return claims(virtual_service, service) or has_routes_to(virtual_service, service)


def delegates_of(virtual_service: Object) -> set[tuple[str, str]]:
    """Return (namespace, name) of the VirtualServices its routes delegate to."""
    own, _name = identity(virtual_service)
    routes = (virtual_service.get("spec") or {}).get("http") or ()
    found = (route.get("delegate") or {} for route in routes)
    return {(str(one.get("namespace") or own), str(one["name"])) for one in found if one.get("name")}


def roots_of(delegate: Object, snapshot: Snapshot) -> list[Object]:
    """Return the VirtualServices that delegate to this one."""
    return [one for one in snapshot.need("virtual_services") if identity(delegate) in delegates_of(one)]


def find_route_objects(snapshot: Snapshot, service: ServiceRef, scope: Scope, *, strict: bool = True) -> list[Object]:
    """Return the VirtualServices that have the service's routes, in a fixed order.

    These are the one whose host is the service (for sidecars), those of gateways with a route to it, the delegates
    of both, and all that an earlier command wrote to. With names given, exactly the named ones.
    strict: raise Refused (HOST_CLAIMED_TWICE) if two claim the host for one sidecar; else both are returned.
    Raises InvalidInput for an unknown name.
    """
    everything = sorted(snapshot.need("virtual_services"), key=creation_order)
    if scope.objects:
        return _named(everything, service, scope, snapshot.ignored)
    mesh = mesh_claimants(everything, service)
    if strict:
        refuse_two_claims(mesh, service)
    roots = [one for one in everything if one in mesh or (_is_on_gateway(one) and exported_to(one))]
    delegated = set().union(*(delegates_of(one) for one in roots)) if roots else set()
    chosen = [
        one
        for one in everything
        if (one in roots and (one in mesh or has_routes_to(one, service)))
        or (identity(one) in delegated and not (one.get("spec") or {}).get("hosts") and has_routes_to(one, service))
        or managed_state.has_state_for(one, service.fqdn)
    ]
    return [one for one in chosen if has_routes_to(one, service) or managed_state.has_state_for(one, service.fqdn)]


def _named(everything: Sequence[Object], service: ServiceRef, scope: Scope, ignored: Sequence[Object]) -> list[Object]:
    for one in ignored:
        if one.get("kind") == "VirtualService" and scope.names(one, service):
            revision = labels_of(one).get(REVISION)
            raise InvalidInput(
                f"virtual_services: {full_name(one)} is labeled {REVISION}={revision}, a revision that no istiod "
                "here has, so no proxy gets it."
            )
    chosen = [one for one in everything if scope.names(one, service)]
    known = {"/".join(identity(one)) for one in chosen}
    for name in scope.objects:
        full = name if "/" in name else f"{service.namespace}/{name}"
        if full not in known:
            raise InvalidInput(f"virtual_services: there is no VirtualService {full}.", virtual_service=full)
    for one in chosen:
        if not has_routes_to(one, service) and not managed_state.has_state_for(one, service.fqdn):
            raise InvalidInput(f"virtual_services: {full_name(one)} has no route to {service.fqdn}.")
    return chosen


def _is_on_gateway(virtual_service: Object) -> bool:
    return any(gateway != "mesh" for gateway in (virtual_service.get("spec") or {}).get("gateways") or ())


def gateway_routes(objects: Iterable[Object], service: ServiceRef) -> list[Object]:
    """Return the VirtualServices of gateways with a route to the service."""
    return [one for one in objects if _is_on_gateway(one) and exported_to(one) and has_routes_to(one, service)]


def mesh_claimants(objects: Iterable[Object], service: ServiceRef) -> list[Object]:
    """Return the VirtualServices that sidecars may apply for the service's own host."""
    return [one for one in objects if is_for_mesh(one) and claims(one, service)]


def refuse_two_claims(claimants: Sequence[Object], service: ServiceRef) -> None:
    """Raise Refused if two of them are visible to one namespace."""
    for index, one in enumerate(claimants):
        for other in claimants[index + 1 :]:
            if not exports_overlap(one, other):
                continue
            names = f"{full_name(one)} and {full_name(other)}"
            reason = f"Both claim {service.fqdn} for the mesh, and proxies that see both apply only one."
            raise Refused(
                f"{names} both claim {service.fqdn} for the mesh. A sidecar applies only one of them, "
                "so the split would be wrong for some callers. Merge them into one, or select one "
                "with virtual_services.",
                [
                    Finding("HOST_CLAIMED_TWICE", full_name(one), reason),
                    Finding("HOST_CLAIMED_TWICE", full_name(other), reason),
                ],
            )


def claims_by_wildcard(objects: Iterable[Object], service: ServiceRef) -> list[tuple[Object, str]]:
    """Return the VirtualServices whose wildcard covers the service for sidecars, each with the wildcard."""
    return [
        (one, str(host))
        for one in objects
        if is_for_mesh(one)
        for host in (one.get("spec") or {}).get("hosts") or ()
        if str(host).startswith("*") and covers(str(host), service.fqdn)
    ]


def no_routes(service: ServiceRef) -> NoRoutes:
    """Return the error for a service that no VirtualService routes by its own host."""
    return NoRoutes(
        f"No VirtualService routes {service.fqdn}: neither one with that host nor one of a gateway with a route to it.",
        "Create the first one with the role meshops.canary.routing, or check service and namespace.",
    )


def destination_rules(snapshot: Snapshot, service: ServiceRef) -> list[Object]:
    """Return the DestinationRules that define the service's subsets, oldest first.

    Istio looks in the client's namespace, then the service's, then the root namespace, and takes the first with
    a matching host whole; within one namespace the most specific host. Here: the service's, else the root one.
    Rules with a workloadSelector are for some callers only, see `rules_of_some_callers`.
    """
    for namespace in (service.namespace, service.root_namespace):
        found: dict[str, list[Object]] = {}
        for rule in sorted(snapshot.need("destination_rules"), key=creation_order):
            if identity(rule)[0] == namespace and rule_covers(rule, service) and not workloads_of(rule):
                host = expand(str((rule.get("spec") or {}).get("host") or ""), namespace, service.domain)
                found.setdefault(host, []).append(rule)
        if found:
            # A host without wildcard is the most specific, then the longest wildcard.
            return found[max(found, key=lambda host: (not host.startswith("*"), len(host)))]
    return []


def rule_covers(rule: Object, service: ServiceRef) -> bool:
    """Return whether the DestinationRule's host is the service, or a wildcard over it."""
    return service.covered_by(str((rule.get("spec") or {}).get("host") or ""), identity(rule)[0])


def workloads_of(rule: Object) -> dict[str, str]:
    """Return the labels of the callers that the DestinationRule is limited to; {} for all callers."""
    return ((rule.get("spec") or {}).get("workloadSelector") or {}).get("matchLabels") or {}


def callers_of(rule: Object) -> str:
    """Return the callers that use the DestinationRule, if they are not all: `callers with app=batch in shop`."""
    selected = ",".join(f"{key}={value}" for key, value in sorted(workloads_of(rule).items()))
    return f"callers {f'with {selected} ' if selected else ''}in {identity(rule)[0]}"


def rules_of_some_callers(snapshot: Snapshot, service: ServiceRef) -> list[Object]:
    """Return the DestinationRules that only some callers use, and those then use no other.

    They lie in the namespace of the callers, or select their workloads (pilot/pkg/model/sidecar.go, DestinationRule).
    """
    common = (service.namespace, service.root_namespace)
    return [
        rule
        for rule in sorted(snapshot.need("destination_rules"), key=creation_order)
        if rule_covers(rule, service) and (workloads_of(rule) or identity(rule)[0] not in common)
    ]


def known_to_some_callers(snapshot: Snapshot, service: ServiceRef, versions: Iterable[str]) -> str:
    """Return a sentence for each rule that has one of the subsets for some callers only, or looks like the service's.

    Empty if there is none.
    """
    sentences = []
    for rule in rules_of_some_callers(snapshot, service):
        names = {str(one.get("name")) for one in (rule.get("spec") or {}).get("subsets") or ()}
        there = ", ".join(version for version in versions if version in names)
        if there:
            sentences.append(f" {full_name(rule)} has {there}, but only {callers_of(rule)} use it.")
    for rule in snapshot.need("destination_rules"):
        host = str((rule.get("spec") or {}).get("host") or "")
        if service.is_literal_host(host):
            sentences.append(f" {full_name(rule)} has the host {host}, which Istio does not complete: {service.fqdn}.")
    return "".join(sentences)


def subsets(snapshot: Snapshot, service: ServiceRef) -> dict[str, dict[str, str]]:
    """Return subset -> pod labels. Several rules of one host are merged; of equal names the oldest counts."""
    merged: dict[str, dict[str, str]] = {}
    for rule in destination_rules(snapshot, service):
        for subset in (rule.get("spec") or {}).get("subsets") or ():
            merged.setdefault(str(subset.get("name")), dict(subset.get("labels") or {}))
    return merged


def require_subsets(snapshot: Snapshot, service: ServiceRef, versions: Iterable[str]) -> None:
    """Raise UnknownSubset if one of the versions, which are to get requests, has no subset."""
    known = subsets(snapshot, service)
    missing = [version for version in versions if version and version not in known]
    if not missing:
        return
    listed = ", ".join(sorted(known)) or "none"
    rules = (
        ", ".join(full_name(rule) for rule in destination_rules(snapshot, service))
        or f"no DestinationRule for {service.fqdn}"
    )
    raise UnknownSubset(
        f"{service.name} has no subset {', '.join(missing)}; there are: {listed} ({rules})."
        f"{known_to_some_callers(snapshot, service, missing)} "
        "Requests sent there would be answered 503. Add the subset first, for example with the role "
        "meshops.canary.routing. To use a Service of its own as a version, add it to the route as a destination at "
        "weight 0.",
        [
            Finding(
                "SUBSET_UNKNOWN",
                f"DestinationRule of {service.fqdn}",
                f"There is no subset {one}; there are: {listed}.{known_to_some_callers(snapshot, service, [one])}",
            )
            for one in missing
        ],
        known=sorted(known),
    )


def routes_to(virtual_service: Object, service: ServiceRef, names: Sequence[str]) -> list[tuple[str, str, Object]]:
    """Return (key, protocol, route) of the routes to the service, all or those named."""
    namespace, _name = identity(virtual_service)
    ours = [one for one in route_keys(virtual_service.get("spec") or {}) if sends_to(one[2], service, namespace)]
    return [one for one in ours if not names or str(one[2].get("name") or "") in names or one[0] in names]
