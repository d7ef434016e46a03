# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans for VirtualServices: each intent is one edit of the managed state. Pure.

`strip_managed` removes everything of ours from an object, the intent's edit changes the managed state, and
`apply_desired` writes everything again.
"""

from __future__ import annotations

import re
import typing as t

from ..errors import InvalidInput, Refused
from ..objects import intents
from ..objects.matches import to_istio_blocks
from ..objects.metadata import full_name, identity
from ..objects.weights import parse_percent, parse_weights, rounded_percent
from . import initial_routing, sticky_routes
from .apply_desired import apply_desired
from .delegation import refuse_conflicts
from .destinations import sends_to, shares_of, split
from .find import find_route_objects, no_routes, require_subsets, routes_to
from .mirrors import mirrors_of
from .plan_summary import make_plan
from .route_keys import cohort_of, is_for_all_callers
from .strip_managed import strip_managed

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..objects.change import Plan
    from ..objects.hosts import ServiceRef
    from ..objects.intents import Intent
    from ..objects.managed_state import State
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot
    from .find import Scope

    Edit = Callable[[Object, State], bool]
    """Edits the managed state of one stripped object; returns whether the object has a route to edit."""
    MakeEdit = Callable[[t.Any, ServiceRef, Scope], Edit]

_COHORT_NAME: t.Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?")


def plan(snapshot: Snapshot, service: ServiceRef, intent: Intent, scope: Scope) -> Plan:
    """Plan the intent; see `routing.plan.plan`."""
    if isinstance(intent, intents.InstallRouting):
        return initial_routing.plan_install(snapshot, service, intent)
    if isinstance(intent, intents.UninstallRouting):
        return initial_routing.plan_uninstall(snapshot, service, intent)
    edit = _EDITS[type(intent)](intent, service, scope)
    removed = _removed_cohorts(intent)
    objects = find_route_objects(snapshot, service, scope)
    if intent.needs_route and not objects:
        raise no_routes(service)
    edited: list[tuple[Object, Object]] = []
    applied = False
    notes: list[str] = []
    for obj in objects:
        stripped, state, lost_notes = strip_managed(obj, removed)
        notes += lost_notes
        applied = edit(stripped, state) or applied
        edited.append((obj, apply_desired(stripped, state)))
    if intent.needs_route and not applied:
        raise _nothing_selected(service, objects, scope, _NOUNS[type(intent)])
    if isinstance(intent, intents.SetCohort):
        _refuse_empty_cohort(intent, service, edited)
    for before, after in edited:
        refuse_conflicts(before, after, snapshot)
    _require_new_subsets(snapshot, service, edited)
    return make_plan(snapshot, service, scope, edited, notes)


def _set_weights(intent: intents.SetWeights, service: ServiceRef, scope: Scope) -> Edit:
    percents = parse_weights(intent.weights)
    wanted = _as_state(percents)
    for name in intent.end_cohorts:
        _check_cohort_name(name)

    def edit(obj: Object, state: State) -> bool:
        routes = [one for one in routes_to(obj, service, scope.routes) if scope.routes or is_for_all_callers(one[2])]
        service_state = state["services"].setdefault(service.fqdn, {})
        _remove_cohorts(service_state, intent.end_cohorts)
        for key, _protocol, route in routes:
            where = f"{full_name(obj)} route {key}"
            namespace, _name = identity(obj)
            service_state.get("weights", {}).pop(key, None)
            entries = split(route["route"], service, namespace, percents, where)
            if intent.finalize:
                own = shares_of(entries, service, namespace, where)[0]
                unused = [version for version, share in own.items() if not share]
                route["route"] = [one for one in entries if not _is_version(one, service, namespace, unused)]
            elif entries != route["route"]:
                service_state.setdefault("weights", {})[key] = wanted
        if not service_state.get("weights", True):
            del service_state["weights"]
        return bool(routes)

    return edit


def _as_state(percents: Mapping[str, t.Any]) -> dict[str, str]:
    """Return the weights as the managed state keeps them: without zeros, as exact decimal text."""
    return {version: str(rounded_percent(percent)) for version, percent in percents.items() if percent}


def _is_version(entry: dict[str, t.Any], service: ServiceRef, namespace: str, versions: Sequence[str]) -> bool:
    destination = entry.get("destination") or {}
    return service.is_host(str(destination.get("host")), namespace) and str(destination.get("subset") or "") in versions


def _restore_weights(_intent: intents.RestoreWeights, service: ServiceRef, scope: Scope) -> Edit:
    return _remove_per_route("weights", service, scope)


def _remove_per_route(field: str, service: ServiceRef, scope: Scope) -> Edit:
    """Return the edit that removes noun is kept for each route under `field`, of the routes in scope."""

    def edit(obj: Object, state: State) -> bool:
        service_state = state["services"].get(service.fqdn, {})
        for key, _protocol, _route in routes_to(obj, service, scope.routes):
            service_state.get(field, {}).pop(key, None)
        if not scope.routes or not service_state.get(field, True):
            service_state.pop(field, None)
        return True

    return edit


def _set_cohort(intent: intents.SetCohort, service: ServiceRef, scope: Scope) -> Edit:
    _check_cohort_name(intent.name)
    cohort: dict[str, t.Any] = {
        "match": to_istio_blocks(intent.match),
        "weights": _as_state(parse_weights(intent.weights)),
        "order": intent.order,
    }
    if scope.routes:
        cohort["routes"] = sorted(scope.routes)

    def edit(obj: Object, state: State) -> bool:
        routes = [one for one in routes_to(obj, service, scope.routes) if one[1] == "http"]
        if routes:
            state["services"].setdefault(service.fqdn, {}).setdefault("cohorts", {})[intent.name] = cohort
        return bool(routes)

    return edit


def _remove_cohort(intent: intents.RemoveCohort, service: ServiceRef, _scope: Scope) -> Edit:
    _check_cohort_name(intent.name)

    def edit(_obj: Object, state: State) -> bool:
        _remove_cohorts(state["services"].get(service.fqdn, {}), (intent.name,))
        return True

    return edit


def _remove_cohorts(service_state: State, names: Sequence[str]) -> None:
    for name in names:
        service_state.get("cohorts", {}).pop(name, None)
    if not service_state.get("cohorts", True):
        del service_state["cohorts"]


def _check_cohort_name(name: str) -> None:
    if not _COHORT_NAME.fullmatch(name):
        raise InvalidInput(f"cohort {name!r}: use up to 42 lower-case letters, digits and hyphens.")


def _removed_cohorts(intent: Intent) -> tuple[str, ...]:
    """Return the cohorts whose inserted routes are replaced or removed, known to the managed state or not."""
    if isinstance(intent, intents.SetWeights):
        return tuple(intent.end_cohorts)
    return (intent.name,) if isinstance(intent, (intents.SetCohort, intents.RemoveCohort)) else ()


def _refuse_empty_cohort(
    intent: intents.SetCohort, service: ServiceRef, edited: Sequence[tuple[Object, Object]]
) -> None:
    if not any(intent.name in map(cohort_of, (after["spec"].get("http") or ())) for _obj, after in edited):
        raise Refused(
            f"Cohort {intent.name}: every route to {service.name} selects requests that can never belong to the "
            "cohort, so it would get none. Compare its match with the routes' own."
        )


def _set_mirror(intent: intents.SetMirror, service: ServiceRef, scope: Scope) -> Edit:
    exact = parse_percent(intent.percent, "percent")
    if not exact:
        raise InvalidInput("percent is 0: nothing would be copied. Use state: absent to end the mirror.")
    mirror = {"version": intent.version, "percent": str(rounded_percent(exact))}

    def edit(obj: Object, state: State) -> bool:
        routes = [
            one
            for one in routes_to(obj, service, scope.routes)
            if one[1] == "http" and (scope.routes or is_for_all_callers(one[2]))
        ]
        service_state = state["services"].setdefault(service.fqdn, {})
        for key, _protocol, _route in routes:
            service_state.setdefault("mirror", {})[key] = mirror
        return bool(routes)

    return edit


def _remove_mirror(_intent: intents.RemoveMirror, service: ServiceRef, scope: Scope) -> Edit:
    return _remove_per_route("mirror", service, scope)


def _set_sticky(intent: intents.SetSticky, service: ServiceRef, scope: Scope) -> Edit:
    sticky = sticky_routes.desired_sticky(intent.cookie_for(service), intent.max_age, intent.path, scope.routes)

    def edit(obj: Object, state: State) -> bool:
        routes = [one for one in routes_to(obj, service, scope.routes) if one[1] == "http"]
        if routes:
            state["services"].setdefault(service.fqdn, {})["sticky"] = sticky
        return bool(routes)

    return edit


def _remove_sticky(_intent: intents.RemoveSticky, service: ServiceRef, _scope: Scope) -> Edit:
    def edit(_obj: Object, state: State) -> bool:
        state["services"].get(service.fqdn, {}).pop("sticky", None)
        return True

    return edit


_EDITS: t.Final[Mapping[type[Intent], MakeEdit]] = {
    intents.SetWeights: _set_weights,
    intents.RestoreWeights: _restore_weights,
    intents.SetCohort: _set_cohort,
    intents.RemoveCohort: _remove_cohort,
    intents.SetMirror: _set_mirror,
    intents.RemoveMirror: _remove_mirror,
    intents.SetSticky: _set_sticky,
    intents.RemoveSticky: _remove_sticky,
}
_NOUNS: t.Final[Mapping[type[Intent], str]] = {
    intents.SetWeights: "weights",
    intents.SetCohort: "cohort",
    intents.SetMirror: "mirror",
    intents.SetSticky: "sticky",
}


def _nothing_selected(service: ServiceRef, objects: Sequence[Object], scope: Scope, noun: str) -> Refused:
    existing = [f"{full_name(obj)}: {key}" for obj in objects for key, _protocol, _route in routes_to(obj, service, ())]
    listed = "; ".join(existing) or "none"
    if scope.routes:
        return Refused(f"routes: {', '.join(scope.routes)} name no route to {service.fqdn}. There are: {listed}.")
    return Refused(
        f"No route to {service.fqdn} is edited for {noun} unless it is named: each selects certain callers, or is not "
        f"HTTP. Select routes with the option routes. There are: {listed}."
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
                own, _foreign = shares_of(route["route"], service, namespace, full_name(obj))
                live |= {version for version, share in own.items() if share}
            live |= {
                str(destination.get("subset") or "")
                for destination, _percent in mirrors_of(route)
                if service.is_host(str(destination.get("host") or ""), namespace)
            }
    return live - {""}
