# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ground a canary stands on: a subset for every version, and the first VirtualService, pinned to stable. Pure."""

from __future__ import annotations

import re
import typing as t

from ..errors import InvalidInput, Refused
from .change import Change, Plan, creation
from .created import is_ours, new_object, taken_down
from .describe import describe, text
from .find import Scope, destination_rules, has_routes_to, mesh_claimants, refuse_two_claims
from .hosts import is_for_mesh
from .keys import PROTOCOLS
from .rules import rules_text, with_subsets, without_subsets
from .snapshot import age_order, identity, label

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .hosts import ServiceRef
    from .snapshot import Object, Snapshot

_SUBSET_NAME: t.Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_PLAIN_TCP: t.Final = ("tcp", "tls", "https", "mongo", "mysql", "redis", "udp")


def plan_routing(
    snapshot: Snapshot,
    service: ServiceRef,
    versions: Mapping[str, Mapping[str, str]],
    stable: str,
    *,
    api_version: str,
    ingress: Sequence[Mapping[str, t.Any]] = (),
    port: int | None = None,
) -> Plan:
    """Plan subsets and first routes, in the order they must be written.

    versions: subset -> pod labels. Missing subsets are added to the DestinationRule of the service, or one is created
    (with the traffic policy of the wildcard rule it takes the place of); others' subsets are never touched.
    stable: the version that gets every request in VirtualServices that do not exist yet; an existing one
    is left exactly as it is, weights included. port: of the service, where it has several and only one is meant.
    ingress: list of {gateway, hosts, paths}: routes from a gateway; a path is {exact|prefix|regex: TEXT}, or TEXT for
    a prefix.
    Raises Refused SUBSET_LABELS_DIFFER, HOST_CLAIMED_TWICE.
    """
    _check(versions, stable)
    changes = [with_subsets(snapshot, service, versions, api_version)]
    claimants = mesh_claimants(sorted(snapshot.need("virtual_services"), key=age_order), service)
    refuse_two_claims(claimants, service)
    if not claimants:
        _refuse_wildcard(snapshot, service)
        changes.append(creation(_first_virtual_service(snapshot, service, stable, api_version, port)))
    changes += [_ingress_change(snapshot, service, stable, api_version, port, one) for one in ingress]
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


def _refuse_wildcard(snapshot: Snapshot, service: ServiceRef) -> None:
    for one in snapshot.need("virtual_services"):
        namespace, _name = identity(one)
        if is_for_mesh(one) and any(
            service.covered_by(str(host), namespace) for host in one["spec"].get("hosts") or ()
        ):
            raise Refused(
                f"{label(one)} routes {service.fqdn} by a wildcard host. A VirtualService for the exact host would "
                f"take its place without its rules. Add the host {service.fqdn} to it, or create the exact one by hand."
            )


def _first_virtual_service(
    snapshot: Snapshot, service: ServiceRef, stable: str, api_version: str, port: int | None
) -> Object:
    spec: Object = {"hosts": [service.fqdn]}
    ports = [one for one in _ports(snapshot, service) if port in (None, one.get("port"))]
    if len(ports) <= 1 and port is None:
        protocol = "tcp" if ports and _is_tcp(ports[0]) else "http"
        spec[protocol] = [{"route": [_to(service, stable, None)]}]
    else:
        for one in ports or [{"port": port}]:
            protocol = "tcp" if _is_tcp(one) else "http"
            spec.setdefault(protocol, []).append(
                {"match": [{"port": one["port"]}], "route": [_to(service, stable, one["port"])]}
            )
    return new_object(api_version, "VirtualService", service, service.name, spec)


def _to(service: ServiceRef, version: str, port: int | None) -> dict[str, t.Any]:
    destination: dict[str, t.Any] = {"host": service.fqdn, "subset": version}
    if port is not None:
        destination["port"] = {"number": port}
    return {"destination": destination}


def _ports(snapshot: Snapshot, service: ServiceRef) -> list[dict[str, t.Any]]:
    for one in snapshot.services or ():
        if identity(one) == (service.namespace, service.name):
            return list(one["spec"].get("ports") or ())
    return []


def _is_tcp(port: Mapping[str, t.Any]) -> bool:
    protocol = str(port.get("appProtocol") or port.get("name") or "").lower().partition("-")[0]
    return protocol in _PLAIN_TCP


def _ingress_change(
    snapshot: Snapshot,
    service: ServiceRef,
    stable: str,
    api_version: str,
    port: int | None,
    wanted: Mapping[str, t.Any],
) -> Change | None:
    gateway = str(wanted.get("gateway") or "")
    hosts = [str(host) for host in wanted.get("hosts") or ()]
    if not gateway or not hosts:
        raise InvalidInput("ingress needs gateway (NAMESPACE/NAME or NAME) and hosts for each entry.")
    full = gateway if "/" in gateway else f"{service.namespace}/{gateway}"
    for one in snapshot.need("virtual_services"):
        own, _name = identity(one)
        listed = [name if "/" in name else f"{own}/{name}" for name in one["spec"].get("gateways") or ()]
        if full in listed and set(hosts) & set(one["spec"].get("hosts") or ()) and has_routes_to(one, service):
            return None
    route: Object = {"route": [_to(service, stable, port)]}
    paths = [{"uri": path if isinstance(path, dict) else {"prefix": str(path)}} for path in wanted.get("paths") or ()]
    if paths:
        route = {"match": paths, **route}
    spec = {"hosts": hosts, "gateways": [gateway], "http": [route]}
    return creation(new_object(api_version, "VirtualService", service, f"{service.name}-{full.split('/')[1]}", spec))


def plan_routing_absent(snapshot: Snapshot, service: ServiceRef, versions: Sequence[str] = ()) -> Plan:
    """Plan to take away what `plan_routing` created, routes first.

    versions: only these subsets; empty for everything. Objects and subsets of others stay, and of what we created
    whatever others added to.
    Raises Refused (SUBSET_IN_USE) if a route that stays names a subset that would go.
    """
    changes: list[Change] = []
    if not versions:
        for one in sorted(snapshot.need("virtual_services"), key=age_order):
            if is_ours(one) and identity(one)[0] == service.namespace and has_routes_to(one, service):
                _refuse_shared(one, service)
                changes.append(taken_down(one, service))
    later = snapshot.after(changes)
    for rule in destination_rules(snapshot, service):
        change = without_subsets(later, service, rule, versions)
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
            f"{label(virtual_service)} was created for {service.name}, but now also routes to {', '.join(others)}. "
            "Remove the routes to the service by hand, so that the others stay."
        )


def _finish(snapshot: Snapshot, service: ServiceRef, changes: Sequence[Change]) -> Plan:
    later = snapshot.after(changes)
    was, now = describe(snapshot, service), describe(later, service)
    written = {(change.kind, change.namespace, change.name) for change in changes}
    known = {(one["kind"], one["namespace"], one["name"]): one for one in [*was["objects"], *now["objects"]]}
    return Plan(
        changes=tuple(changes),
        weights_before=was["weights"],
        weights_after=now["weights"],
        summary=tuple(line for change in changes for line in change.summary),
        diff_before=rules_text(snapshot, service) + text(snapshot, service, Scope()),
        diff_after=rules_text(later, service) + text(later, service, Scope()),
        host=service.fqdn,
        cohorts=now["cohorts"],
        objects=tuple({**one, "changed": key in written} for key, one in known.items()),
    )
