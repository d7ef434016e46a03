# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Putting the wanted state on a VirtualService. Pure.

`bare.bare` and `dressed` are inverse: every command takes all of it off, changes the wanted state and puts all of it
on again. So the order of commands does not matter, edits by others flow through, and nothing is left behind.
"""

from __future__ import annotations

import copy
import typing as t
from fractions import Fraction

from . import mirror, state, sticky
from .destinations import cohort_entries, sends_to, split
from .hosts import ServiceRef
from .keys import COHORT_PREFIX, route_keys, shadow
from .patch import same
from .product import product
from .snapshot import identity, label

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .keys import Route
    from .snapshot import Object
    from .state import State

FIELDS: t.Final = ("route", *mirror.FIELDS)


def dressed(obj: Object, book: State) -> Object:
    """Return the bare object with everything the book wants put on, and the book written on it."""
    after = copy.deepcopy(obj)
    spec = after.get("spec") or {}
    namespace, _name = identity(after)
    services = [(ServiceRef.of(fqdn), book["services"][fqdn]) for fqdn in sorted(book["services"])]
    routes: dict[str, t.Any] = {}
    inserted: list[tuple[Route, list[Route]]] = []
    originals = {key: route for key, _protocol, route in route_keys(obj.get("spec") or {})}
    for key, protocol, route in route_keys(spec):
        original = originals[key]
        where = f"{label(obj)} route {key}"
        for service, wanted in services:
            _put_on(route, service, namespace, wanted, key, where)
            if protocol == "http" and _is_meant(wanted.get("sticky"), key) and sends_to(route, service, namespace):
                route["route"] = sticky.with_cookies(route["route"], service, namespace, wanted["sticky"], where)
        if protocol == "http":
            copies = [
                (service, wanted["mirror"][key]) for service, wanted in services if key in wanted.get("mirror", {})
            ]
            mirror.put_on(route, copies, namespace, where)
        _record(routes, key, original, route)
        if protocol == "http":
            before = _inserts(original, route, services, namespace, key, where)
            inserted.append((route, before))
    if any(before for _route, before in inserted):
        spec["http"] = list(_interleave(spec["http"], inserted))
    state.write(
        after, {"services": {fqdn: wanted for fqdn, wanted in book["services"].items() if wanted}, "routes": routes}
    )
    return after


def _put_on(route: Route, service: ServiceRef, namespace: str, wanted: State, key: str, where: str) -> None:
    percents = wanted.get("weights", {}).get(key)
    if percents is not None:
        exact = {version: Fraction(percent) for version, percent in percents.items()}
        route["route"] = split(route["route"], service, namespace, exact, where)


def _record(routes: dict[str, t.Any], key: str, original: Route, route: Route) -> None:
    changed = [field for field in FIELDS if not same(original.get(field), route.get(field))]
    if changed:
        routes[key] = {
            "before": {field: copy.deepcopy(original[field]) for field in changed if field in original},
            "set": {field: copy.deepcopy(route[field]) for field in changed if field in route},
        }


def _inserts(
    original: Route, route: Route, services: list[tuple[ServiceRef, State]], namespace: str, key: str, where: str
) -> list[Route]:
    """Return the routes to stand before `route`: cohorts in their order, then sticky ones."""
    inserts: list[Route] = []
    for service, wanted in services:
        if not sends_to(original, service, namespace):
            continue
        cohorts = wanted.get("cohorts", {})
        for name in sorted(cohorts, key=lambda one: (cohorts[one]["order"], one)):
            if _is_meant(cohorts[name], key):
                inserts += _cohort_route(name, cohorts[name], original, route, service, namespace, where)
        if _is_meant(wanted.get("sticky"), key):
            inserts += sticky.routes(original, route, service, namespace, wanted["sticky"], where)
    return inserts


def _is_meant(wish: State | None, key: str) -> bool:
    """Return whether what is wanted is wanted of this route, where it may be limited to some by name or key."""
    if wish is None:
        return False
    return not wish.get("routes") or bool({key, key.split("/", 1)[1]} & set(wish["routes"]))


def _cohort_route(
    name: str, cohort: State, original: Route, route: Route, service: ServiceRef, namespace: str, where: str
) -> list[Route]:
    rewritten = bool((route.get("rewrite") or {}).get("uri"))
    blocks = product(original.get("match") or [], cohort["match"], rewritten=rewritten, where=where)
    if not blocks:
        return []
    percents = {version: Fraction(percent) for version, percent in cohort["weights"].items()}
    entries = cohort_entries(original["route"], service, namespace, percents, where)
    return [shadow(route, f"{COHORT_PREFIX}{name}", blocks, entries)]


def _interleave(routes: list[Route], inserted: list[tuple[Route, list[Route]]]) -> Iterator[Route]:
    numbers: dict[str, int] = {}
    for route in routes:
        for before in next((new for known, new in inserted if known is route), []):
            name = before["name"]
            numbers[name] = numbers.get(name, 0) + 1
            yield before if numbers[name] == 1 else {**before, "name": f"{name}.{numbers[name]}"}
        yield route
