# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ground a canary stands on: a subset for every version, and the first VirtualService, pinned to stable. Pure."""

from __future__ import annotations

import copy
import json
import re
import typing as t

from ..errors import InvalidInput, Refused
from ..findings import Finding
from . import state
from .change import Change, Plan, creation, deletion, edit
from .describe import describe, text
from .find import Scope, destination_rules, has_routes_to, mesh_claimants, refuse_two_claims
from .hosts import expand, is_for_mesh
from .keys import PROTOCOLS
from .mirror import mirrors_of
from .patch import canonical
from .snapshot import age_order, identity, label

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .hosts import ServiceRef
    from .snapshot import Object, Snapshot

MANAGED_BY: t.Final = "app.kubernetes.io/managed-by"
OURS: t.Final = "meshops.canary"
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
    ingress: list of {gateway, hosts, paths}: routes from a gateway; paths are {exact|prefix|regex: TEXT} or TEXT for prefix.
    Raises Refused SUBSET_LABELS_DIFFER, HOST_CLAIMED_TWICE.
    """
    _check(versions, stable)
    changes = [_rule_change(snapshot, service, versions, api_version)]
    claimants = mesh_claimants(sorted(snapshot.need("virtual_services"), key=age_order), service)
    refuse_two_claims(claimants, service)
    if not claimants:
        _refuse_wildcard(snapshot, service)
        changes.append(creation(_first_virtual_service(snapshot, service, stable, api_version, port)))
    changes += [_ingress_change(snapshot, service, stable, api_version, port, one) for one in ingress]
    return _finish(snapshot, service, [change for change in changes if change])


def _check(versions: Mapping[str, Mapping[str, str]], stable: str) -> None:
    if stable not in versions:
        raise InvalidInput(f"stable is {stable!r}, which is not one of the versions: {', '.join(versions) or 'none given'}.")
    for version, labels in versions.items():
        if not _SUBSET_NAME.fullmatch(version):
            raise InvalidInput(f"versions: {version!r} cannot name a subset; use lower-case letters, digits and hyphens, at most 63.")
        if not labels:
            raise InvalidInput(f"versions.{version} has no labels, so it would mean the pods of all versions.")


def _rule_change(
    snapshot: Snapshot, service: ServiceRef, versions: Mapping[str, Mapping[str, str]], api_version: str
) -> Change | None:
    rules = destination_rules(snapshot, service)
    own = [rule for rule in rules if service.is_host(str(rule["spec"].get("host")), identity(rule)[0]) and identity(rule)[0] == service.namespace]
    missing = _missing_subsets(own, versions)
    if not own:
        return creation(_first_rule(service, missing, rules, api_version))
    if not missing:
        return None
    before = next((rule for rule in own if not rule["spec"].get("workloadSelector")), own[0])
    after = copy.deepcopy(before)
    after["spec"]["subsets"] = [*(after["spec"].get("subsets") or ()), *missing]
    if not is_ours(before):
        _note_subsets(after, sorted({*noted_subsets(before), *(subset["name"] for subset in missing)}))
    return edit(before, after, [f"{label(before)}: add subset {', '.join(subset['name'] for subset in missing)}"])


def _missing_subsets(rules: Sequence[Object], versions: Mapping[str, Mapping[str, str]]) -> list[dict[str, t.Any]]:
    there: dict[str, tuple[Object, dict[str, str]]] = {}
    for rule in rules:
        for subset in rule["spec"].get("subsets") or ():
            there.setdefault(subset["name"], (rule, dict(subset.get("labels") or {})))
    missing = []
    for version, labels in versions.items():
        if version not in there:
            missing.append({"name": version, "labels": dict(labels)})
            continue
        rule, known = there[version]
        if known != dict(labels):
            reason = f"Subset {version} selects {_shown(known)}, not {_shown(labels)}."
            raise Refused(f"{label(rule)}: {reason}", [Finding("SUBSET_LABELS_DIFFER", label(rule), reason)])
    return missing


def _shown(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "all pods"


def _first_rule(service: ServiceRef, subsets: list[dict[str, t.Any]], hidden: Sequence[Object], api_version: str) -> Object:
    spec: Object = {"host": service.fqdn}
    policy = next((rule["spec"]["trafficPolicy"] for rule in hidden if rule["spec"].get("trafficPolicy")), None)
    if policy is not None:
        # The new rule hides the wildcard's for this host, so what that said must be said here too.
        spec["trafficPolicy"] = copy.deepcopy(policy)
    spec["subsets"] = subsets
    return _object(api_version, "DestinationRule", service.namespace, service.name, spec)


def _object(api_version: str, kind: str, namespace: str, name: str, spec: Object) -> Object:
    metadata = {"name": name, "namespace": namespace, "labels": {MANAGED_BY: OURS}}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}


def is_ours(obj: Object) -> bool:
    """Return whether the object was created by this collection."""
    return ((obj.get("metadata") or {}).get("labels") or {}).get(MANAGED_BY) == OURS


def _refuse_wildcard(snapshot: Snapshot, service: ServiceRef) -> None:
    for one in snapshot.need("virtual_services"):
        namespace, _name = identity(one)
        if is_for_mesh(one) and any(service.covered_by(str(host), namespace) for host in one["spec"].get("hosts") or ()):
            raise Refused(
                f"{label(one)} routes {service.fqdn} by a wildcard host. A VirtualService for the exact host would take its "
                f"place without its rules. Add the host {service.fqdn} to it, or create the exact one by hand."
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
            spec.setdefault(protocol, []).append({"match": [{"port": one["port"]}], "route": [_to(service, stable, one["port"])]})
    return _object(api_version, "VirtualService", service.namespace, service.name, spec)


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
    protocol = str(port.get("appProtocol") or port.get("name") or "").lower().split("-")[0]
    return protocol in _PLAIN_TCP


def _ingress_change(
    snapshot: Snapshot, service: ServiceRef, stable: str, api_version: str, port: int | None, wanted: Mapping[str, t.Any]
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
    return creation(_object(api_version, "VirtualService", service.namespace, f"{service.name}-{full.split('/')[1]}", spec))


def noted_subsets(rule: Object) -> list[str]:
    """Return the subsets we added to somebody's DestinationRule."""
    text_ = ((rule.get("metadata") or {}).get("annotations") or {}).get(state.ANNOTATION)
    try:
        return [str(name) for name in json.loads(text_)["subsets"]] if text_ else []
    except (ValueError, KeyError, TypeError):
        return []


def _note_subsets(rule: Object, names: Sequence[str]) -> None:
    metadata = rule["metadata"]
    annotations = dict(metadata.get("annotations") or {})
    annotations.pop(state.ANNOTATION, None)
    if names:
        annotations[state.ANNOTATION] = canonical({"subsets": list(names)})
    if annotations:
        metadata["annotations"] = annotations
    else:
        metadata.pop("annotations", None)


def plan_routing_absent(snapshot: Snapshot, service: ServiceRef, versions: Sequence[str] = ()) -> Plan:
    """Plan to take away what `plan_routing` created, routes first.

    versions: only these subsets; empty for everything. Objects and subsets of others stay.
    Raises Refused (SUBSET_IN_USE) if a route that stays names a subset that would go.
    """
    changes: list[Change] = []
    if not versions:
        for one in sorted(snapshot.need("virtual_services"), key=age_order):
            if is_ours(one) and identity(one)[0] == service.namespace and has_routes_to(one, service):
                _refuse_shared(one, service)
                changes.append(deletion(one))
    later = snapshot.after(changes)
    for rule in destination_rules(snapshot, service):
        change = _fewer_subsets(later, service, rule, versions)
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


def _fewer_subsets(snapshot: Snapshot, service: ServiceRef, rule: Object, versions: Sequence[str]) -> Change | None:
    there = [subset["name"] for subset in rule["spec"].get("subsets") or ()]
    ours = there if is_ours(rule) else [name for name in noted_subsets(rule) if name in there]
    going = [name for name in ours if not versions or name in versions]
    if not going:
        return None
    for name in going:
        users = [label(one) for one in snapshot.need("virtual_services") if name in _named_subsets(one, service)]
        if users:
            reason = f"Subset {name} is still a destination in {', '.join(users)}."
            raise Refused(f"{label(rule)}: {reason}", [Finding("SUBSET_IN_USE", label(rule), reason)])
    if is_ours(rule) and len(going) == len(there):
        return deletion(rule)
    after = copy.deepcopy(rule)
    after["spec"]["subsets"] = [subset for subset in after["spec"]["subsets"] if subset["name"] not in going]
    if not after["spec"]["subsets"]:
        del after["spec"]["subsets"]
    if not is_ours(rule):
        _note_subsets(after, [name for name in noted_subsets(rule) if name not in going])
    return edit(rule, after, [f"{label(rule)}: remove subset {', '.join(going)}"])


def _named_subsets(virtual_service: Object, service: ServiceRef) -> set[str]:
    namespace, _name = identity(virtual_service)
    return {
        str(destination.get("subset"))
        for destination in _destinations(virtual_service["spec"])
        if expand(str(destination.get("host")), namespace, service.domain) == service.fqdn
    }


def _destinations(spec: Object) -> Iterator[dict[str, t.Any]]:
    for protocol in PROTOCOLS:
        for route in spec.get(protocol) or ():
            yield from (entry.get("destination") or {} for entry in route.get("route") or ())
            yield from (destination for destination, _percent in mirrors_of(route))


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
        diff_before=_rules_text(snapshot, service) + text(snapshot, service, Scope()),
        diff_after=_rules_text(later, service) + text(later, service, Scope()),
        host=service.fqdn,
        cohorts=now["cohorts"],
        objects=tuple({**one, "changed": key in written} for key, one in known.items()),
    )


def _rules_text(snapshot: Snapshot, service: ServiceRef) -> str:
    lines = []
    for rule in destination_rules(snapshot, service):
        lines.append(label(rule))
        lines += [f"  subset {one['name']}: pods with {_shown(one.get('labels') or {})}" for one in rule["spec"].get("subsets") or ()]
    return "".join(f"{line}\n" for line in lines)
