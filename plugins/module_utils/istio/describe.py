# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which version gets which share, read from the routing objects. Pure."""

from __future__ import annotations

import typing as t
from fractions import Fraction

from ..objects import managed_state
from ..objects.hosts import expand, gateways_of, is_outside
from ..objects.matches import match_text
from ..objects.metadata import full_name, identity
from ..objects.weights import HUNDRED, natural_key, rounded_percent, weights_text
from . import mirrors
from .destinations import entry_shares, sends_to, shares_of
from .find import Scope, destination_rules, find_route_objects, mesh_claimants, subsets
from .route_keys import COHORT_PREFIX, PROTOCOLS, STICKY_PREFIX, cohort_of, is_for_all_callers, is_managed, route_keys

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot
    from ..objects.weights import Percent
    from .route_keys import Route


def describe(snapshot: Snapshot, service: ServiceRef, scope: Scope | None = None) -> dict[str, t.Any]:
    """Return which version gets which share of the service's requests.

    Keys: service, namespace, host, route_api; weights (version -> percent, of the routes for all
    callers; empty if nothing routes the service), weights_differ (those routes have different weights; see routes);
    routes (list: object, protocol, route, match, weights, foreign, mirrors, general, gateways);
    cohorts (name -> match, weights, order, routes: how many routes it has); sticky (None or cookie, max_age, path);
    mirrors (version -> percent); subsets (name -> labels); services (the versions that are Services of their own);
    objects (list: api_version, kind, namespace, name).
    Where two objects claim the host, the routes of both are listed; preflight finds the conflict.
    """
    objects = find_route_objects(snapshot, service, scope or Scope(), strict=False)
    routes = [route for obj in objects for route in _routes(obj, service)]
    general = [route for route in routes if route["general"]] or [route for route in routes if not route["inserted"]]
    weights = general_weights(general)
    return {
        "service": service.name,
        "namespace": service.namespace,
        "host": service.fqdn,
        "route_api": "istio",
        "weights": weights,
        "weights_differ": any(_live(route["weights"]) != _live(weights) for route in general),
        "routes": [route for route in routes if not route["inserted"]],
        "cohorts": _cohorts(objects, routes, service),
        "sticky": next((state["sticky"] for state in _states(objects, service) if "sticky" in state), None),
        "mirrors": {version: percent for route in general for version, percent in route["mirrors"].items()},
        "subsets": subsets(snapshot, service) if snapshot.destination_rules is not None else {},
        "services": [],
        "objects": [
            reference(obj)
            for obj in [
                *(destination_rules(snapshot, service) if snapshot.destination_rules is not None else []),
                *objects,
            ]
        ],
        "claimed": bool(mesh_claimants(objects, service)),
    }


def with_services(
    description: dict[str, t.Any],
    services: Iterable[str],
    snapshot: Snapshot,
    service: ServiceRef,
    versions: Iterable[str],
) -> dict[str, t.Any]:
    """Return the description with those of the services that are versions in it.

    versions: that a command names; they need no route, if there are such Services.
    """
    there = None if snapshot.services is None else {identity(one) for one in snapshot.services}
    named = (one for one in versions if there is None or is_outside(one) or (service.namespace, one) in there)
    shares = (one["weights"] for one in (*description["routes"], *description["cohorts"].values()))
    versions = {*description["weights"], *description["mirrors"], *named}.union(*shares)
    return {**description, "services": sorted(versions & set(services))}


def _live(weights: Mapping[str, Percent]) -> dict[str, Percent]:
    return {version: percent for version, percent in weights.items() if percent}


def reference(obj: Object) -> dict[str, str]:
    """Return the reference to the object that results have."""
    namespace, name = identity(obj)
    return {
        "api_version": str(obj.get("apiVersion")),
        "kind": str(obj.get("kind")),
        "namespace": namespace,
        "name": name,
    }


def general_weights(general: list[dict[str, t.Any]]) -> dict[str, Percent]:
    """Return the weights to show for the service: those of the mesh's last route, else of the last one."""
    mesh = [route for route in general if "mesh" in route["gateways"]]
    for route in reversed(mesh or general):
        return dict(route["weights"])
    return {}


def _states(objects: list[Object], service: ServiceRef) -> list[dict[str, t.Any]]:
    return [managed_state.read(obj)["services"].get(service.fqdn, {}) for obj in objects]


def _routes(obj: Object, service: ServiceRef) -> list[dict[str, t.Any]]:
    namespace, _name = identity(obj)
    spec = obj.get("spec") or {}
    keys = {id(route): key for key, _protocol, route in route_keys(spec)}
    return [
        _route(obj, protocol, route, keys.get(id(route), f"{protocol}/{route.get('name')}"), service)
        for protocol in PROTOCOLS
        for route in spec.get(protocol) or ()
        if sends_to(route, service, namespace)
    ]


def _route(obj: Object, protocol: str, route: Route, key: str, service: ServiceRef) -> dict[str, t.Any]:
    namespace, _name = identity(obj)
    own, foreign = shares_of(route.get("route") or [], service, namespace, f"{full_name(obj)} route {key}")
    mirrored = {
        str(destination.get("subset") or ""): percent
        for destination, percent in mirrors.mirrors_of(route)
        if service.is_host(str(destination.get("host") or ""), namespace)
    }
    return {
        "object": full_name(obj),
        "protocol": protocol,
        "route": key,
        "match": match_text(route.get("match") or []),
        "weights": as_percents(own),
        "foreign": as_percents(foreign),
        "mirrors": {version: rounded_percent(Fraction(percent)) for version, percent in mirrored.items()},
        "general": is_for_all_callers(route) and not is_managed(route),
        "inserted": is_managed(route),
        "gateways": gateways_of(obj) if (obj.get("spec") or {}).get("hosts") else ["delegated"],
    }


def as_percents(shares: Mapping[str, Fraction]) -> dict[str, Percent]:
    """Return name -> percent in natural order."""
    return {name: rounded_percent(shares[name] * HUNDRED) for name in sorted(shares, key=natural_key)}


def _cohorts(objects: list[Object], routes: list[dict[str, t.Any]], service: ServiceRef) -> dict[str, t.Any]:
    cohorts: dict[str, t.Any] = {}
    for state in _states(objects, service):
        for name, cohort in state.get("cohorts", {}).items():
            cohorts[name] = {
                "match": match_text(cohort["match"]),
                "weights": as_percents(
                    {version: Fraction(percent) / HUNDRED for version, percent in cohort["weights"].items()}
                ),
                "order": cohort["order"],
                "routes": 0,
            }
    for route in routes:
        name = route["route"].split("/", 1)[1]
        cohort = cohort_of({"name": name}) if name.startswith(COHORT_PREFIX) else None
        if cohort is not None:
            entry = cohorts.setdefault(
                cohort, {"match": route["match"], "weights": route["weights"], "order": None, "routes": 0}
            )
            entry["routes"] += 1
            entry["weights"] = route["weights"]
    return {name: cohorts[name] for name in sorted(cohorts, key=lambda one: (cohorts[one]["order"] or 0, one))}


def live_destinations(virtual_service: Object, domain: str) -> Iterator[tuple[str, str]]:
    """Yield (host, subset) of the destinations that get requests, or copies of them; subset '' for all pods."""
    namespace, _name = identity(virtual_service)
    for protocol in PROTOCOLS:
        for route in virtual_service["spec"].get(protocol) or ():
            entries = route.get("route") or []
            live = zip(entries, entry_shares(entries, full_name(virtual_service)), strict=True)
            destinations = [entry.get("destination") or {} for entry, share in live if share]
            for one in [*destinations, *(copied for copied, _percent in mirrors.mirrors_of(route))]:
                yield expand(str(one.get("host") or ""), namespace, domain), str(one.get("subset") or "")


def routes_text(snapshot: Snapshot, service: ServiceRef, scope: Scope | None = None) -> str:
    """Return the routes as lines a manager can read, for the diff."""
    lines: list[str] = []
    for obj in find_route_objects(snapshot, service, scope or Scope(), strict=False):
        lines.append(full_name(obj))
        for route in _routes(obj, service):
            lines += [f"  {line}" for line in _lines(route, service)]
        kept = (managed_state.read(obj)["services"].get(service.fqdn) or {}).get("sticky")
        if kept:
            lines.append(f"  users keep their version for {kept['max_age']} s by cookie {kept['cookie']}")
    return "".join(f"{line}\n" for line in lines)


def _lines(route: dict[str, t.Any], service: ServiceRef) -> list[str]:
    name = route["route"].split("/", 1)[1]
    protocol = "" if route["protocol"] == "http" else f" ({route['protocol']})"
    if name.startswith(COHORT_PREFIX):
        title = f"cohort {cohort_of({'name': name})}: {route['match']}"
    elif name.startswith(STICKY_PREFIX):
        title = f"sticky: {route['match']}"
    else:
        title = f"{service.name}{protocol}: {route['match']}"
    others = "".join(f", {host} {percent}% of the route" for host, percent in route["foreign"].items())
    lines = [f"{title}: {weights_text(route['weights'])}{others}"]
    lines += [
        f"  mirror: {percent}% of them copied to {version or 'all pods'}"
        for version, percent in route["mirrors"].items()
    ]
    return lines


def weight_change(service: ServiceRef, before: Mapping[str, Percent], after: Mapping[str, Percent]) -> str | None:
    """Return `reviews: v1 90% -> 75%, v2 10% -> 25%`, None if nothing differs."""
    changes = []
    for version in sorted({*before, *after}, key=natural_key):
        old, new = before.get(version, 0), after.get(version, 0)
        if old != new:
            changes.append(f"{version or 'all pods'} {old}% -> {new}%")
    return f"{service.name}: {', '.join(changes)}" if changes else None
