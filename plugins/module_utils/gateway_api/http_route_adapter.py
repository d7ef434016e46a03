# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Converts an HTTPRoute or a GRPCRoute to the equivalent VirtualService, and back. Pure.

Both have rules with matches, destinations and weights, so one planner serves both. A backendRef that is a version of a
service becomes a destination with the version as its subset, matches become match blocks, RequestMirror filters become
mirrors; the records in the managed state likewise. Everything else is carried unchanged. The kinds differ in their
matches alone (see `route_matches`).

Not every release of the API keeps names of rules, so inserted ones are recognized by fingerprints in the managed state.
"""

from __future__ import annotations

import copy
import typing as t
from dataclasses import dataclass

from ..errors import ForeignDestination
from ..istio.route_keys import COHORT_PREFIX, cohort_of, is_managed
from ..objects import managed_state
from ..objects.hosts import ServiceRef
from ..objects.metadata import full_name, identity
from ..objects.patch import canonical_json
from . import route_matches
from .mirror_filters import filters_with, mirrors_in, to_filter, to_mirror
from .parents import parent_gateways, parent_services, short_host, versions_on
from .rule_fingerprints import cohort_fingerprints, match_cohorts

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..istio.route_keys import Route
    from ..objects.managed_state import State
    from ..objects.metadata import Object
    from .route_matches import RouteMatches

Ref = dict[str, t.Any]
Rule = dict[str, t.Any]

MAX_WEIGHT: t.Final = 1_000_000
_LOCATION_FIELDS: t.Final = ("group", "kind", "namespace", "port")


@dataclass(frozen=True)
class HTTPRouteAdapter:
    """Which backends of one HTTPRoute are versions of which service.

    owners: host -> names of its versions' Services, hosts that the route is attached to last.
    """

    namespace: str
    owners: Mapping[str, frozenset[str]]

    @classmethod
    def on(cls, http_route: Object, service: ServiceRef, named: frozenset[str]) -> HTTPRouteAdapter:
        """Return the adapter for a command about `service` that names these versions."""
        state = managed_state.read(http_route)["services"]
        known = {fqdn: versions_in(service_state) | {fqdn.split(".")[0]} for fqdn, service_state in state.items()}
        known[service.fqdn] = known.get(service.fqdn, frozenset()) | named | {service.name}
        attached = parent_services(http_route)
        owners = {fqdn: names for fqdn, names in sorted(known.items()) if short_host(fqdn) not in attached}
        for fqdn, names in sorted(known.items()):
            if short_host(fqdn) in attached:
                owners[fqdn] = versions_on(http_route, ServiceRef.from_fqdn(fqdn), names)
        return cls(identity(http_route)[0], owners)

    def destination(self, ref: Ref) -> dict[str, t.Any]:
        """Return the destination of a backendRef: host and version, or a foreign backend; `ref`: the rest."""
        namespace, name = ref.get("namespace") or self.namespace, str(ref.get("name"))
        location: Ref = {key: ref[key] for key in _LOCATION_FIELDS if key in ref}
        if not ref.get("group") and ref.get("kind", "Service") == "Service":
            for fqdn, versions in self.owners.items():
                service, home = fqdn.split(".")[:2]
                if home == namespace and name in versions:
                    if name == service and "filters" in ref:
                        # Filters of the whole service are inherited by new versions.
                        location["filters"] = ref["filters"]
                    return {"host": fqdn, "subset": name, "ref": location}
        return {"host": f"{name}.{namespace}", "ref": {**location, "name": name}}

    def entry(self, ref: Ref) -> dict[str, t.Any]:
        """Return a backendRef as an entry of a route."""
        destination = self.destination(ref)
        taken = {"name", "weight", *destination["ref"]}
        weight = ref.get("weight")
        rest = {key: copy.deepcopy(value) for key, value in ref.items() if key not in taken}
        return {"destination": copy.deepcopy(destination), "weight": 1 if weight is None else int(weight), **rest}


def to_backend_ref(entry: dict[str, t.Any]) -> Ref:
    """Return the backendRef of an entry: the inverse of `HTTPRouteAdapter.entry`, with the weight written out."""
    destination = entry["destination"]
    named = {"name": destination["subset"]} if "subset" in destination else {}
    rest = {key: copy.deepcopy(value) for key, value in entry.items() if key not in ("destination", "weight")}
    return {**copy.deepcopy(destination["ref"]), **named, **rest, "weight": entry.get("weight", 1)}


def versions_in(service_state: State) -> frozenset[str]:
    """Return the versions that a service's part of the managed state names."""
    found = set(service_state.get("versions") or ())
    for percents in (service_state.get("weights") or {}).values():
        found |= set(percents)
    for cohort in (service_state.get("cohorts") or {}).values():
        found |= set(cohort["weights"])
    return frozenset(found | {one["version"] for one in (service_state.get("mirror") or {}).values()})


def to_virtual_service(http_route: Object, adapter: HTTPRouteAdapter, domain: str) -> Object:
    """Return the route as a VirtualService (of its own kind, for messages)."""
    state = managed_state.read(http_route)
    spec = http_route.get("spec") or {}
    kind = route_matches.of(http_route)
    attached = sorted(parent_services(http_route))
    hosts = [f"{one}.svc.{domain}" for one in attached] + list(spec.get("hostnames") or ())
    metadata = copy.deepcopy(http_route["metadata"])
    result = {
        **{key: value for key, value in http_route.items() if key != "status"},
        "metadata": metadata,
        "spec": {
            "hosts": hosts or ["*"],
            "gateways": [*(["mesh"] if attached else []), *parent_gateways(http_route)] or ["mesh"],
            "http": [
                _read_rule(rule, adapter, cohort, kind)
                for rule, cohort in match_cohorts(spec.get("rules") or (), state, kind)
            ],
        },
    }
    if managed_state.ANNOTATION in (metadata.get("annotations") or {}):
        routes = {
            key: {side: _read_side(one, adapter) for side, one in record.items()}
            for key, record in state["routes"].items()
        }
        managed_state.write(result, {"services": state["services"], "routes": routes})
    return result


def _read_rule(rule: Rule, adapter: HTTPRouteAdapter, cohort: str | None, kind: RouteMatches) -> Route:
    rest = {key: copy.deepcopy(value) for key, value in rule.items() if key != "backendRefs"}
    route: Route = {
        "rule": rest,
        "match": kind.to_blocks(rule.get("matches")),
        "mirrors": mirrors_in(rule, adapter.destination),
    }
    if rule.get("name"):
        route["name"] = rule["name"]
    if cohort is not None:
        route["name"] = f"{COHORT_PREFIX}{cohort}"
    if "backendRefs" in rule:
        route["route"] = [adapter.entry(ref) for ref in rule["backendRefs"] or ()]
    if any(_replaces_prefix(one) for one in rule.get("filters") or ()):
        route["rewrite"] = {"uri": "/"}
    return route


def matches_of(route: Route, kind: RouteMatches) -> list[dict[str, t.Any]]:
    """Return the matches of a route as it will be written; at least one."""
    matches = kind.to_matches(route["match"]) if is_managed(route) else route["rule"].get("matches")
    return list(matches or [{}])


def _replaces_prefix(one: dict[str, t.Any]) -> bool:
    change = one.get("urlRewrite") or one.get("requestRedirect") or {}
    return (change.get("path") or {}).get("type") == "ReplacePrefixMatch"


def to_http_route(http_route: Object, virtual_service: Object, adapter: HTTPRouteAdapter) -> Object:
    """Return the HTTPRoute with the changes made in `virtual_service`, which `to_virtual_service` returned for it.

    Raises ForeignDestination for weights above the API's limit.
    """
    kind = route_matches.of(http_route)
    rules = [_write_rule(route, full_name(http_route), kind) for route in virtual_service["spec"]["http"]]
    fingerprints = cohort_fingerprints(
        [(rule, cohort_of(route)) for rule, route in zip(rules, virtual_service["spec"]["http"], strict=True)],
        kind,
    )
    after = {**copy.deepcopy(http_route), "metadata": copy.deepcopy(virtual_service["metadata"])}
    if "rules" in after["spec"]:
        after["spec"]["rules"] = rules
    if managed_state.ANNOTATION in (after["metadata"].get("annotations") or {}):
        state = managed_state.read(after)
        services = {
            fqdn: _managed_state_to_keep(service_state, adapter.owners.get(fqdn), fingerprints)
            for fqdn, service_state in state["services"].items()
        }
        routes = {
            key: {side: _write_side(one) for side, one in record.items()} for key, record in state["routes"].items()
        }
        managed_state.write(after, {"services": services, "routes": routes})
    return after


def _managed_state_to_keep(
    service_state: State, versions: frozenset[str] | None, fingerprints: dict[str, list[str]]
) -> State:
    """Return the state with what is needed to read the route again; {} for an empty state."""
    kept = {key: value for key, value in service_state.items() if key != "versions"}
    if "cohorts" in kept:
        kept["cohorts"] = {name: {**one, "rules": fingerprints.pop(name, [])} for name, one in kept["cohorts"].items()}
    if kept and versions is not None:
        kept["versions"] = sorted(versions)
    return kept


def equal_except_versions(before: Object, after: Object) -> bool:
    """Return whether at most the recorded names of versions differ, which alone is no reason to write."""
    return canonical_json(_without_versions(before)) == canonical_json(_without_versions(after))


def _without_versions(http_route: Object) -> Object:
    state = managed_state.read(http_route)
    services = {
        fqdn: {key: value for key, value in service_state.items() if key != "versions"}
        for fqdn, service_state in state["services"].items()
    }
    copied = {**http_route, "metadata": copy.deepcopy(http_route["metadata"])}
    managed_state.write(copied, {**state, "services": services})
    return copied


def _write_rule(route: Route, where: str, kind: RouteMatches) -> dict[str, t.Any]:
    rule: dict[str, t.Any] = copy.deepcopy(route["rule"])
    if is_managed(route):
        # Names are unique within a route, so a copy goes without.
        rule.pop("name", None)
        rule["matches"] = kind.to_matches(route["match"])
    filters = filters_with(rule.get("filters") or [], route["mirrors"])
    if filters:
        rule["filters"] = filters
    elif rule.get("filters"):
        del rule["filters"]
    if "route" in route:
        rule["backendRefs"] = [to_backend_ref(entry) for entry in route["route"]]
        heaviest = max((ref["weight"] for ref in rule["backendRefs"]), default=0)
        if heaviest > MAX_WEIGHT:
            raise ForeignDestination(
                f"{where}: exact shares would need the weight {heaviest}, but the Gateway API allows {MAX_WEIGHT}. "
                "Round the weights of the other backends, or use weights with fewer decimals."
            )
    return rule


def _read_side(fields: dict[str, t.Any], adapter: HTTPRouteAdapter) -> dict[str, t.Any]:
    side: dict[str, t.Any] = {}
    if "backendRefs" in fields:
        side["route"] = [adapter.entry(ref) for ref in fields["backendRefs"]]
    if "mirrors" in fields:
        side["mirrors"] = [to_mirror(one, adapter.destination) for one in fields["mirrors"]]
    return side


def _write_side(fields: dict[str, t.Any]) -> dict[str, t.Any]:
    side: dict[str, t.Any] = {}
    if "route" in fields:
        side["backendRefs"] = [to_backend_ref(entry) for entry in fields["route"]]
    if "mirrors" in fields:
        side["mirrors"] = [to_filter(one) for one in fields["mirrors"]]
    return side


def live_refs(http_route: Object) -> list[Ref]:
    """Return the backendRefs that get requests or copies of them."""
    found = []
    for rule in (http_route.get("spec") or {}).get("rules") or ():
        found += [ref for ref in rule.get("backendRefs") or () if ref.get("weight", 1)]
        for one in rule.get("filters") or ():
            if one.get("type") == "RequestMirror":
                found.append((one.get("requestMirror") or {}).get("backendRef") or {})
    return found


def live_destinations(http_route: Object, domain: str) -> Iterator[tuple[str, str]]:
    """Yield (host, subset) of the Services that get requests, or copies of them; subset is always ''."""
    namespace, _name = identity(http_route)
    for ref in live_refs(http_route):
        if ref.get("kind", "Service") == "Service":
            yield f"{ref.get('name')}.{ref.get('namespace') or namespace}.svc.{domain}", ""
