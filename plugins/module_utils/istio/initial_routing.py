# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first routing of a service: a subset for every version, and a VirtualService pinned to stable. Pure."""

from __future__ import annotations

import copy
import re
import typing as t

from ..errors import InvalidInput, NoRoutes, Refused
from ..objects.change import Change, Plan, creation
from ..objects.endpoints import service_object
from ..objects.hosts import expand, gateways_of, resolve_gateway
from ..objects.metadata import creation_order, full_name, identity
from ..objects.ports import route_protocol
from .created_objects import create_object, free_name, is_ours, is_unchanged, remove_virtual_service
from .describe import describe, routes_text
from .destination_rules import add_subsets, remove_subsets, rules_text
from .find import (
    Scope,
    claims_by_wildcard,
    destination_rules,
    find_route_objects,
    has_routes_to,
    mesh_claimants,
    refuse_two_claims,
)
from .route_keys import PROTOCOLS
from .strip_managed import strip_managed

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..objects.hosts import ServiceRef
    from ..objects.intents import InstallRouting, UninstallRouting
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot

_SUBSET_NAME: t.Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def plan_install(snapshot: Snapshot, service: ServiceRef, intent: InstallRouting) -> Plan:
    """Plan subsets and first routes, in the order they must be written; see `InstallRouting`."""
    _check(intent.versions, intent.stable)
    changes = [add_subsets(snapshot, service, intent.versions, intent.api_version)]
    claimants = mesh_claimants(sorted(snapshot.need("virtual_services"), key=creation_order), service)
    refuse_two_claims(claimants, service)
    if claimants and not find_route_objects(snapshot, service, Scope(), strict=False):
        raise NoRoutes(
            f"{full_name(claimants[0])} has the host {service.fqdn} and no route to it; another VirtualService would "
            "be a second one for the host.",
            "Send its routes to the service, or remove it. Versions that are Services need no subsets: set their "
            "weights with canary_weight.",
        )
    if not claimants:
        changes.append(creation(_first_virtual_service(snapshot, service, intent)))
    changes += [_ingress_change(snapshot, service, intent, one) for one in intent.ingress]
    return _finish(snapshot, service, [change for change in changes if change])


def _check(versions: Mapping[str, Mapping[str, str]], stable: str) -> None:
    if stable not in versions:
        raise InvalidInput(
            f"stable is {stable!r}, which is not one of the versions: {', '.join(versions) or 'none given'}."
        )
    for version, labels in versions.items():
        if not _SUBSET_NAME.fullmatch(version):
            raise InvalidInput(
                f"versions: {version!r} cannot name a subset; use lower-case letters, digits and hyphens, at most 63."
            )
        if not labels:
            raise InvalidInput(f"versions.{version} has no labels, so it would mean the pods of all versions.")


def _first_virtual_service(snapshot: Snapshot, service: ServiceRef, intent: InstallRouting) -> Object:
    stable, port = intent.stable, intent.port
    name = free_name(snapshot, "VirtualService", service)
    hidden = _widest_claim(snapshot, service)
    if hidden is not None:
        spec = _spec_for_one_host(hidden, service, stable)
        return create_object(intent.api_version, "VirtualService", service, name, spec)
    spec = {"hosts": [service.fqdn]}
    declared = [one for one in _ports(snapshot, service) if port in (None, one.get("port"))]
    ports = [one for one in declared if route_protocol(one)]
    if declared and not ports:
        listed = ", ".join(f"{one.get('port')}/{one.get('protocol')}" for one in declared)
        raise Refused(
            f"Service {service.namespace}/{service.name} has only ports that Istio does not route ({listed}): requests "
            "and connections need a port with protocol: TCP."
        )
    if len(ports) <= 1 and port is None:
        protocol = str(route_protocol(ports[0])) if ports else "http"
        spec[protocol] = [{"route": [_destination(service, stable, ports[0]["port"] if len(declared) > 1 else None)]}]
    else:
        for one in ports or [{"port": port}]:
            protocol = str(route_protocol(one))
            spec.setdefault(protocol, []).append(
                {"match": [{"port": one["port"]}], "route": [_destination(service, stable, one["port"])]}
            )
    return create_object(intent.api_version, "VirtualService", service, name, spec)


def _widest_claim(snapshot: Snapshot, service: ServiceRef) -> Object | None:
    """Return the VirtualService that routes the service by a wildcard; proxies use that of the longest."""
    found = claims_by_wildcard(sorted(snapshot.need("virtual_services"), key=creation_order), service)
    return max(found, key=lambda one: len(one[1]))[0] if found else None


def _spec_for_one_host(wildcard: Object, service: ServiceRef, stable: str) -> Object:
    """Return the wildcard's routes for the service's host alone, those to the service without a version on stable.

    A VirtualService for the exact host takes the place of the wildcard's as a whole, so it must have its routes.
    """
    namespace, _name = identity(wildcard)
    if not has_routes_to(wildcard, service):
        raise Refused(
            f"{full_name(wildcard)} routes {service.fqdn} by a wildcard host and sends no request to it. Create a "
            f"VirtualService with the host {service.fqdn} by hand: it takes the place of the wildcard's."
        )
    spec = copy.deepcopy(wildcard["spec"])
    spec["hosts"] = [service.fqdn]
    spec.pop("gateways", None)  # gateways keep the wildcard's routes
    if "exportTo" in spec:
        spec["exportTo"] = [namespace if one == "." else one for one in spec["exportTo"]]
    for protocol in PROTOCOLS:
        for route in spec.get(protocol) or ():
            for destination in _all_destinations(route):
                host = expand(str(destination.get("host") or ""), namespace, service.domain)
                destination["host"] = host
                if host == service.fqdn:
                    destination.setdefault("subset", stable)
    return t.cast("Object", spec)


def _all_destinations(route: Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """Return the destinations of a route and of its mirrors, to be edited."""
    entries = [entry.get("destination") for entry in (*(route.get("route") or ()), *(route.get("mirrors") or ()))]
    return [one for one in (*entries, route.get("mirror")) if one]


def _destination(service: ServiceRef, version: str, port: int | None) -> dict[str, t.Any]:
    destination: dict[str, t.Any] = {"host": service.fqdn, "subset": version}
    if port is not None:
        destination["port"] = {"number": port}
    return {"destination": destination}


def _ports(snapshot: Snapshot, service: ServiceRef) -> list[dict[str, t.Any]]:
    own = service_object(snapshot, service)
    return [] if own is None else list(own["spec"].get("ports") or ())


def _ingress_change(
    snapshot: Snapshot, service: ServiceRef, intent: InstallRouting, wanted: Mapping[str, t.Any]
) -> Change | None:
    gateway = str(wanted.get("gateway") or "")
    hosts = [str(host) for host in wanted.get("hosts") or ()]
    if not gateway or not hosts:
        raise InvalidInput("ingress needs gateway (NAMESPACE/NAME or NAME) and hosts for each entry.")
    full = resolve_gateway(gateway, service.namespace)
    for one in snapshot.need("virtual_services"):
        if (
            full in gateways_of(one)
            and set(hosts) & set(one["spec"].get("hosts") or ())
            and has_routes_to(one, service)
        ):
            return None
    route: Object = {"route": [_destination(service, intent.stable, intent.port)]}
    paths = [{"uri": path if isinstance(path, dict) else {"prefix": str(path)}} for path in wanted.get("paths") or ()]
    if paths:
        route = {"match": paths, **route}
    spec = {"hosts": hosts, "gateways": [gateway], "http": [route]}
    name = free_name(snapshot, "VirtualService", service, f"{service.name}-{full.split('/')[1]}")
    return creation(create_object(intent.api_version, "VirtualService", service, name, spec))


def plan_uninstall(snapshot: Snapshot, service: ServiceRef, intent: UninstallRouting) -> Plan:
    """Plan the removal of what `plan_install` created, routes first; see `UninstallRouting`."""
    changes: list[Change] = []
    if not intent.versions:
        for one in sorted(snapshot.need("virtual_services"), key=creation_order):
            if is_ours(one) and identity(one)[0] == service.namespace and has_routes_to(one, service):
                if not is_unchanged(strip_managed(one).obj, service):
                    _refuse_shared(one, service)
                changes.append(remove_virtual_service(one, service))
    later = snapshot.after(changes)
    for rule in destination_rules(snapshot, service):
        change = remove_subsets(later, service, rule, intent.versions)
        if change:
            changes.append(change)
    return _finish(snapshot, service, changes)


def _refuse_shared(virtual_service: Object, service: ServiceRef) -> None:
    namespace, _name = identity(virtual_service)
    others = sorted(
        {
            str(entry["destination"].get("host"))
            for protocol in PROTOCOLS
            for route in virtual_service["spec"].get(protocol) or ()
            for entry in route.get("route") or ()
            if not service.is_host(str(entry["destination"].get("host")), namespace)
        }
    )
    if others:
        raise Refused(
            f"{full_name(virtual_service)} was created for {service.name}, but now also routes to {', '.join(others)}. "
            "Remove the routes to the service by hand, so that the others stay."
        )


def _finish(snapshot: Snapshot, service: ServiceRef, changes: Sequence[Change]) -> Plan:
    later = snapshot.after(changes)
    before, after = describe(snapshot, service), describe(later, service)
    written = {(change.kind, change.namespace, change.name) for change in changes}
    known = {(one["kind"], one["namespace"], one["name"]): one for one in [*before["objects"], *after["objects"]]}
    return Plan(
        changes=tuple(changes),
        weights_before=before["weights"],
        weights_after=after["weights"],
        summary=tuple(line for change in changes for line in change.summary),
        diff_before=rules_text(snapshot, service) + routes_text(snapshot, service, Scope()),
        diff_after=rules_text(later, service) + routes_text(later, service, Scope()),
        host=service.fqdn,
        cohorts=after["cohorts"],
        objects=tuple({**one, "changed": key in written} for key, one in known.items()),
    )
