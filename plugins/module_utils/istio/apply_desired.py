# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the desired state into a VirtualService. Pure.

`strip_managed` and `apply_desired` are inverse: every command removes everything of ours, changes the desired state and
writes everything again. So the order of commands does not matter, edits by others are kept, and nothing is left over.
"""

from __future__ import annotations

import copy
import typing as t
from fractions import Fraction

from ..objects import managed_state
from ..objects.hosts import ServiceRef
from ..objects.match_intersection import intersect_matches
from ..objects.metadata import full_name, identity
from ..objects.patch import json_equal
from . import mirrors, sticky_routes
from .destinations import cohort_entries, sends_to, split
from .route_keys import COHORT_PREFIX, copy_for, route_keys

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..objects.managed_state import State
    from ..objects.metadata import Object
    from .route_keys import Route

FIELDS: t.Final = ("route", *mirrors.FIELDS)


def apply_desired(obj: Object, state: State) -> Object:
    """Return the stripped object with everything that the state wants, and the state in its annotation."""
    after = copy.deepcopy(obj)
    spec = after.get("spec") or {}
    namespace, _name = identity(after)
    services = [(ServiceRef.from_fqdn(fqdn), state["services"][fqdn]) for fqdn in sorted(state["services"])]
    routes: dict[str, t.Any] = {}
    inserted: list[tuple[Route, list[Route]]] = []
    originals = {key: route for key, _protocol, route in route_keys(obj.get("spec") or {})}
    for key, protocol, route in route_keys(spec):
        original = originals[key]
        where = f"{full_name(obj)} route {key}"
        for service, desired in services:
            _apply_weights(route, service, namespace, desired, key, where)
            if protocol == "http" and _in_scope(desired.get("sticky"), key) and sends_to(route, service, namespace):
                route["route"] = sticky_routes.add_cookies(route["route"], service, namespace, desired["sticky"], where)
        if protocol == "http":
            copies = [
                (service, desired["mirror"][key]) for service, desired in services if key in desired.get("mirror", {})
            ]
            mirrors.apply_mirrors(route, copies, namespace, where)
        _record_changes(routes, key, original, route)
        if protocol == "http":
            before = _inserted_routes(original, route, services, namespace, key, where)
            inserted.append((route, before))
    if any(before for _route, before in inserted):
        spec["http"] = list(_interleave(spec["http"], inserted))
    managed_state.write(
        after, {"services": {fqdn: desired for fqdn, desired in state["services"].items() if desired}, "routes": routes}
    )
    return after


def _apply_weights(route: Route, service: ServiceRef, namespace: str, desired: State, key: str, where: str) -> None:
    percents = desired.get("weights", {}).get(key)
    if percents is not None:
        exact = {version: Fraction(percent) for version, percent in percents.items()}
        route["route"] = split(route["route"], service, namespace, exact, where)


def _record_changes(routes: dict[str, t.Any], key: str, original: Route, route: Route) -> None:
    changed = [field for field in FIELDS if not json_equal(original.get(field), route.get(field))]
    if changed:
        routes[key] = {
            "before": {field: copy.deepcopy(original[field]) for field in changed if field in original},
            "set": {field: copy.deepcopy(route[field]) for field in changed if field in route},
        }


def _inserted_routes(
    original: Route, route: Route, services: list[tuple[ServiceRef, State]], namespace: str, key: str, where: str
) -> list[Route]:
    """Return the routes to insert before `route`: cohorts in their order, then sticky ones."""
    inserts: list[Route] = []
    for service, desired in services:
        if not sends_to(original, service, namespace):
            continue
        cohorts = desired.get("cohorts", {})
        for name in sorted(cohorts, key=lambda one: (cohorts[one]["order"], one)):
            if _in_scope(cohorts[name], key):
                inserts += _cohort_routes(name, cohorts[name], original, route, service, namespace, where)
        if _in_scope(desired.get("sticky"), key):
            inserts += sticky_routes.sticky_routes(original, route, service, namespace, desired["sticky"], where)
    return inserts


def _in_scope(desired: State | None, key: str) -> bool:
    """Return whether a cohort or sticky applies to this route; it may be limited to some by name or key."""
    if desired is None:
        return False
    return not desired.get("routes") or bool({key, key.split("/", 1)[1]} & set(desired["routes"]))


def _cohort_routes(
    name: str, cohort: State, original: Route, route: Route, service: ServiceRef, namespace: str, where: str
) -> list[Route]:
    rewritten = bool((route.get("rewrite") or {}).get("uri"))
    blocks = intersect_matches(original.get("match") or [], cohort["match"], rewritten=rewritten, where=where)
    if not blocks:
        return []
    percents = {version: Fraction(percent) for version, percent in cohort["weights"].items()}
    entries = cohort_entries(original["route"], service, namespace, percents, where)
    return [copy_for(route, f"{COHORT_PREFIX}{name}", blocks, entries)]


def _interleave(routes: list[Route], inserted: list[tuple[Route, list[Route]]]) -> Iterator[Route]:
    numbers: dict[str, int] = {}
    for route in routes:
        for before in next((new for known, new in inserted if known is route), []):
            name = before["name"]
            numbers[name] = numbers.get(name, 0) + 1
            yield before if numbers[name] == 1 else {**before, "name": f"{name}.{numbers[name]}"}
        yield route
