# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans for VirtualServices: every command is one edit of the wanted state (see `bare`, `render`). Pure."""

from __future__ import annotations

import re
import typing as t

from ..errors import InvalidInput, Refused
from . import sticky
from .bare import bare
from .delegation import refuse_conflicts
from .describe import describe as describe_routes
from .destinations import sends_to, shares_of, split
from .find import Scope, no_routes, require_subsets, selected, targets
from .keys import cohort_of, is_general
from .matches import istio_blocks
from .mirror import mirrors_of
from .outcome import finish
from .render import dressed
from .snapshot import identity, label
from .weights import closed_set, number, one_percent

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .change import Plan
    from .hosts import ServiceRef
    from .snapshot import Object, Snapshot
    from .state import State

    Operation = Callable[[Object, State], bool]

_COHORT_NAME: t.Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?")


def describe(snapshot: Snapshot, service: ServiceRef, scope: Scope | None = None) -> dict[str, t.Any]:
    """Say who gets which share; see `describe.describe`."""
    return describe_routes(snapshot, service, scope)


def plan_weights(
    snapshot: Snapshot,
    service: ServiceRef,
    weights: Mapping[str, t.Any],
    scope: Scope,
    *,
    settle: bool = False,
    end_cohorts: Sequence[str] = (),
) -> Plan:
    """Plan the service's weights; see `plan.plan_weights`."""
    percents = closed_set(weights)
    wanted = {version: str(number(percent)) for version, percent in percents.items() if percent}
    for name in end_cohorts:
        _check_cohort_name(name)

    def operation(obj: Object, book: State) -> bool:
        routes = [one for one in selected(obj, service, scope.routes) if scope.routes or is_general(one[2])]
        mine = book["services"].setdefault(service.fqdn, {})
        _forget(mine, end_cohorts)
        for key, _protocol, route in routes:
            where = f"{label(obj)} route {key}"
            namespace, _name = identity(obj)
            mine.get("weights", {}).pop(key, None)
            dealt = split(route["route"], service, namespace, percents, where)
            if settle:
                own = shares_of(dealt, service, namespace, where)[0]
                gone = [version for version, share in own.items() if not share]
                route["route"] = [one for one in dealt if not _is_version(one, service, namespace, gone)]
            elif dealt != route["route"]:
                mine.setdefault("weights", {})[key] = wanted
        if not mine.get("weights", True):
            del mine["weights"]
        return bool(routes)

    return _plan(snapshot, service, scope, operation, "weights", needs_route=True, forget=end_cohorts)


def _forget(mine: State, cohorts: Sequence[str]) -> None:
    for name in cohorts:
        mine.get("cohorts", {}).pop(name, None)
    if not mine.get("cohorts", True):
        del mine["cohorts"]


def _is_version(entry: dict[str, t.Any], service: ServiceRef, namespace: str, versions: Sequence[str]) -> bool:
    destination = entry.get("destination") or {}
    return service.is_host(str(destination.get("host")), namespace) and str(destination.get("subset") or "") in versions


def plan_weights_absent(snapshot: Snapshot, service: ServiceRef, scope: Scope) -> Plan:
    """Plan to give the weights back; see `plan.plan_weights_absent`."""

    def operation(obj: Object, book: State) -> bool:
        mine = book["services"].get(service.fqdn, {})
        for key, _protocol, _route in selected(obj, service, scope.routes):
            mine.get("weights", {}).pop(key, None)
        if not scope.routes or not mine.get("weights", True):
            mine.pop("weights", None)
        return True

    return _plan(snapshot, service, scope, operation, "weights")


def plan_cohort(
    snapshot: Snapshot,
    service: ServiceRef,
    name: str,
    match: Mapping[str, t.Any] | Sequence[Mapping[str, t.Any]],
    weights: Mapping[str, t.Any],
    scope: Scope,
    *,
    order: int = 100,
) -> Plan:
    """Plan a cohort; see `plan.plan_cohort`."""
    _check_cohort_name(name)
    blocks = istio_blocks(match)
    percents = closed_set(weights)
    cohort: dict[str, t.Any] = {
        "match": blocks,
        "weights": {version: str(number(percent)) for version, percent in percents.items() if percent},
        "order": order,
    }
    if scope.routes:
        cohort["routes"] = sorted(scope.routes)

    def operation(obj: Object, book: State) -> bool:
        routes = [one for one in selected(obj, service, scope.routes) if one[1] == "http"]
        if routes:
            book["services"].setdefault(service.fqdn, {}).setdefault("cohorts", {})[name] = cohort
        return bool(routes)

    return _plan(snapshot, service, scope, operation, "cohort", needs_route=True, cohort=name)


def plan_cohort_absent(snapshot: Snapshot, service: ServiceRef, name: str, scope: Scope) -> Plan:
    """Plan a cohort's end; see `plan.plan_cohort_absent`."""
    _check_cohort_name(name)

    def operation(_obj: Object, book: State) -> bool:
        _forget(book["services"].get(service.fqdn, {}), (name,))
        return True

    return _plan(snapshot, service, scope, operation, "cohort", forget=(name,))


def _check_cohort_name(name: str) -> None:
    if not _COHORT_NAME.fullmatch(name):
        raise InvalidInput(f"cohort {name!r}: use up to 42 lower-case letters, digits and hyphens.")


def plan_mirror(snapshot: Snapshot, service: ServiceRef, version: str, percent: t.Any, scope: Scope) -> Plan:
    """Plan a mirror; see `plan.plan_mirror`."""
    exact = one_percent(percent, "percent")
    if not exact:
        raise InvalidInput("percent is 0: nothing would be copied. Use state: absent to end the mirror.")
    wish = {"version": version, "percent": str(number(exact))}

    def operation(obj: Object, book: State) -> bool:
        routes = [
            one
            for one in selected(obj, service, scope.routes)
            if one[1] == "http" and (scope.routes or is_general(one[2]))
        ]
        mine = book["services"].setdefault(service.fqdn, {})
        for key, _protocol, _route in routes:
            mine.setdefault("mirror", {})[key] = wish
        return bool(routes)

    return _plan(snapshot, service, scope, operation, "mirror", needs_route=True)


def plan_mirror_absent(snapshot: Snapshot, service: ServiceRef, scope: Scope) -> Plan:
    """Plan a mirror's end; see `plan.plan_mirror_absent`."""

    def operation(obj: Object, book: State) -> bool:
        mine = book["services"].get(service.fqdn, {})
        for key, _protocol, _route in selected(obj, service, scope.routes):
            mine.get("mirror", {}).pop(key, None)
        if not scope.routes or not mine.get("mirror", True):
            mine.pop("mirror", None)
        return True

    return _plan(snapshot, service, scope, operation, "mirror")


def plan_sticky(snapshot: Snapshot, service: ServiceRef, scope: Scope, *, cookie: str, max_age: int, path: str) -> Plan:
    """Plan a sticky cohort; see `plan.plan_sticky`."""
    wish = sticky.wish(cookie, max_age, path, scope.routes)

    def operation(obj: Object, book: State) -> bool:
        routes = [one for one in selected(obj, service, scope.routes) if one[1] == "http"]
        if routes:
            book["services"].setdefault(service.fqdn, {})["sticky"] = wish
        return bool(routes)

    return _plan(snapshot, service, scope, operation, "sticky", needs_route=True)


def plan_sticky_absent(snapshot: Snapshot, service: ServiceRef, scope: Scope) -> Plan:
    """Plan a sticky cohort's end; see `plan.plan_sticky_absent`."""

    def operation(_obj: Object, book: State) -> bool:
        book["services"].get(service.fqdn, {}).pop("sticky", None)
        return True

    return _plan(snapshot, service, scope, operation, "sticky")


def _plan(
    snapshot: Snapshot,
    service: ServiceRef,
    scope: Scope,
    operation: Operation,
    what: str,
    *,
    needs_route: bool = False,
    cohort: str = "",
    forget: Sequence[str] = (),
) -> Plan:
    objects = targets(snapshot, service, scope)
    if needs_route and not objects:
        raise no_routes(service, snapshot)
    edited: list[tuple[Object, Object]] = []
    applied = False
    notes: list[str] = []
    for obj in objects:
        base, book, lost = bare(obj, forget=(cohort,) if cohort else tuple(forget))
        notes += lost
        applied = operation(base, book) or applied
        edited.append((obj, dressed(base, book)))
    if needs_route and not applied:
        raise _nothing_selected(service, objects, scope, what)
    if (
        needs_route
        and cohort
        and not any(cohort in map(cohort_of, (after["spec"].get("http") or ())) for _obj, after in edited)
    ):
        raise Refused(
            f"Cohort {cohort}: every route to {service.name} selects requests that can never belong to the cohort, "
            "so it would get none. Compare its match with the routes' own."
        )
    for before, after in edited:
        refuse_conflicts(before, after, snapshot)
    _require_new_subsets(snapshot, service, edited)
    return finish(snapshot, service, scope, edited, notes)


def _nothing_selected(service: ServiceRef, objects: Sequence[Object], scope: Scope, what: str) -> Refused:
    there = [f"{label(obj)}: {key}" for obj in objects for key, _protocol, _route in selected(obj, service, ())]
    listed = "; ".join(there) or "none"
    if scope.routes:
        return Refused(f"routes: {', '.join(scope.routes)} name no route to {service.fqdn}. There are: {listed}.")
    return Refused(
        f"No route to {service.fqdn} can take a {what} by itself: each is made for certain callers, or is not HTTP. "
        f"Name those you mean with routes. There are: {listed}."
    )


def _require_new_subsets(snapshot: Snapshot, service: ServiceRef, edited: Sequence[tuple[Object, Object]]) -> None:
    needed: set[str] = set()
    for before, after in edited:
        if before != after:
            needed |= _live_versions(after, service) - _live_versions(before, service)
    if needed:
        require_subsets(snapshot, service, sorted(needed))


def _live_versions(obj: Object, service: ServiceRef) -> set[str]:
    """Return the versions that get requests, or copies of them, from the object's routes."""
    namespace, _name = identity(obj)
    spec = obj.get("spec") or {}
    live: set[str] = set()
    for protocol in ("http", "tls", "tcp"):
        for route in spec.get(protocol) or ():
            if sends_to(route, service, namespace):
                own, _foreign = shares_of(route["route"], service, namespace, label(obj))
                live |= {version for version, share in own.items() if share}
            live |= {
                str(destination.get("subset") or "")
                for destination, _percent in mirrors_of(route)
                if service.is_host(str(destination.get("host") or ""), namespace)
            }
    return live - {""}
