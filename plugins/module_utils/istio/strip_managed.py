# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removes everything of ours from a VirtualService. Pure. `apply_desired` writes it again."""

from __future__ import annotations

import copy
import itertools
import re
import typing as t

from ..objects import managed_state
from ..objects.hosts import ServiceRef
from ..objects.metadata import full_name, identity
from ..objects.patch import canonical_json, json_equal
from . import mirrors as mirror
from .destinations import version_of
from .route_keys import STICKY_PREFIX, cohort_of, is_for_all_callers, route_keys
from .sticky_routes import remove_cookie
from .three_way_merge import externally_changed, restore

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ..objects.managed_state import State
    from ..objects.metadata import Object
    from .destinations import Entry
    from .route_keys import Route

    Keyed = Sequence[tuple[str, str, Route]]
    Record = Mapping[str, t.Any]

_PER_ROUTE: t.Final = ("weights", "mirror")
_NUMBER: t.Final = re.compile(r"#\d+$")


class Stripped(t.NamedTuple):
    """A stripped object, its state without the record of the original routes, and what could not be restored."""

    obj: Object
    state: State
    notes: list[str]


def strip_managed(virtual_service: Object, remove_cohorts: tuple[str, ...] = ()) -> Stripped:
    """Return a copy of the object as it would be without any edit of ours.

    remove_cohorts: cohorts whose inserted routes go although the state does not know them (its annotation was lost).
    Sticky routes and cookies are recognized by their form, with or without a state. A weight or mirror that somebody
    changed since belongs to them: it stays, and leaves the state.
    """
    obj = copy.deepcopy(virtual_service)
    state = managed_state.read(obj)
    known = {name for service_state in state["services"].values() for name in service_state.get("cohorts", {})} | set(
        remove_cohorts
    )
    spec = obj.get("spec") or {}
    if spec.get("http"):
        spec["http"] = [_without_cookies(route) for route in spec["http"] if not _is_inserted(route, known)]
    keyed = route_keys(spec)
    found = _find_recorded_routes(keyed, state["routes"])
    routes = {key: route for key, _protocol, route in keyed}
    where = full_name(virtual_service)
    notes = [
        note
        for lost_key in sorted(state["routes"].keys() - found.keys())
        for note in _drop_lost_route(state, lost_key, where)
    ]
    notes += [
        f"{where}: the route {key} is treated as the former route {old} by its destinations and weights."
        for old, key in sorted(found.items())
        if _base_key(old) != _base_key(key)
    ]
    _rename_routes(state, found)
    for old, key in found.items():
        _restore_route(routes[key], state["routes"][old], key, state, identity(obj)[0])
    state["routes"] = {}
    managed_state.write(obj, managed_state.EMPTY)
    return Stripped(obj, state, notes)


def _is_inserted(route: Route, cohorts: set[str]) -> bool:
    return cohort_of(route) in cohorts or str(route.get("name") or "").startswith(STICKY_PREFIX)


def _without_cookies(route: Route) -> Route:
    return {**route, "route": [remove_cookie(entry) for entry in route["route"]]} if route.get("route") else route


def _find_recorded_routes(keyed: Keyed, records: Mapping[str, Record]) -> dict[str, str]:
    """Return a record's key -> the key its route has now; records without a recognizable route are left out.

    A key changes when somebody renames the route, edits its match, or inserts one with the same match before it. Then
    the route is recognized by its destinations and weights, if they are as we wrote them and no other route has them.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    routes = {now: route for now, _protocol, route in keyed}
    of_base: dict[str, list[str]] = {}
    for now in routes:
        of_base.setdefault(_base_key(now), []).append(now)

    def assign(key: str, candidates: Iterable[str], matches: Callable[[Route, Record], bool]) -> None:
        now = next((one for one in candidates if one not in taken and matches(routes[one], records[key])), None)
        if now is not None:
            found[key] = now
            taken.add(now)

    for key in records:
        assign(key, of_base.get(_base_key(key), ()), _is_as_written)
    for key in records.keys() - found.keys():
        assign(key, [key] if key in routes else [], _shares_destination)
    for key in sorted(records.keys() - found.keys()):
        left = [one for one in records if one not in found and json_equal(records[one], records[key])]
        there = [
            now
            for now, route in routes.items()
            if now not in taken and _may_have_new_key(key, now, route) and _is_as_written(route, records[key])
        ]
        if len(there) <= len(left):
            assign(key, there, _is_as_written)
    return found


def _base_key(key: str) -> str:
    return _NUMBER.sub("", key)


def _may_have_new_key(key: str, now: str, route: Route) -> bool:
    """Return whether a route of another key may be the one: of the same protocol, and edited without being named."""
    return key.split("/")[0] == now.split("/")[0] and is_for_all_callers(route)


def _is_as_written(route: Route, record: Record) -> bool:
    ours = record["set"]
    if "route" in ours:
        return _weights(route) == _weights(ours)
    return all(json_equal(route.get(field), ours.get(field)) for field in _mirror_fields(record))


def _mirror_fields(record: Record) -> list[str]:
    """Return the mirror fields that we set; unchanged ones are not in the record."""
    return [field for field in mirror.FIELDS if field in record["set"] or field in record["before"]]


def _shares_destination(route: Route, record: Record) -> bool:
    """Return whether a route of the same key is the one: another route may have its name now."""
    ours = {place for place, _weight in _weights(record["set"])}
    return bool(route.get("route")) and (not ours or any(place in ours for place, _weight in _weights(route)))


def _weights(route: Route) -> list[tuple[str, int]]:
    entries = route.get("route") or ()
    return sorted((canonical_json(entry.get("destination")), int(entry.get("weight") or 0)) for entry in entries)


def _drop_lost_route(state: State, key: str, where: str) -> Iterator[str]:
    """Remove the lost route from the state, and yield a note about it."""
    owners = [
        one
        for one, service_state in state["services"].items()
        if any(key in service_state.get(what, {}) for what in _PER_ROUTE)
    ]
    for fqdn, what in itertools.product(owners, _PER_ROUTE):
        _drop_desired(state, key, what, fqdn)
    if owners:
        yield (
            f"{where}: the route {key}, changed for {', '.join(owners)}, cannot be found: it was removed, or renamed "
            "and edited. Nothing was restored there. If it still exists, restore it by hand; before, it had "
            f"{canonical_json(state['routes'][key]['before'])}."
        )


def _rename_routes(state: State, found: Mapping[str, str]) -> None:
    """Replace the routes' former keys and names in the state by the present ones."""
    names = {old.split("/", 1)[1]: now.split("/", 1)[1] for old, now in found.items()} | dict(found)
    for service_state in state["services"].values():
        for what in _PER_ROUTE:
            if what in service_state:
                service_state[what] = {found.get(key, key): desired for key, desired in service_state[what].items()}
        for desired in (*service_state.get("cohorts", {}).values(), service_state.get("sticky", {})):
            if "routes" in desired:
                desired["routes"] = sorted({names.get(name, name) for name in desired["routes"]})


def _restore_route(route: Route, record: Record, key: str, state: State, namespace: str) -> None:
    before, ours = record["before"], record["set"]
    if "route" in ours:
        services = [
            ServiceRef.from_fqdn(fqdn)
            for fqdn, service_state in state["services"].items()
            if key in service_state.get("weights", {})
        ]

        def owner(entry: Entry) -> str:
            return next((one.fqdn for one in services if version_of(entry, one, namespace) is not None), "")

        written = _without_cookies({"route": ours["route"]})["route"]
        current = route["route"]
        route["route"] = restore(before["route"], written, current, owner)
        for fqdn in externally_changed(written, current, owner):
            _drop_desired(state, key, "weights", fqdn)
    mirrors = _mirror_fields(record)
    if not mirrors:
        return
    if all(json_equal(route.get(field), ours.get(field)) for field in mirrors):
        for field in mirrors:
            route.pop(field, None)
            if field in before:
                route[field] = copy.deepcopy(before[field])
        return
    for fqdn, service_state in state["services"].items():
        desired = service_state.get("mirror", {}).get(key)
        if desired and not mirror.is_unchanged(route, ours, desired["version"], ServiceRef.from_fqdn(fqdn), namespace):
            _drop_desired(state, key, "mirror", fqdn)
    mirror.remove_written(route, before, ours)


def _drop_desired(state: State, key: str, what: str, fqdn: str) -> None:
    service_state = state["services"].get(fqdn, {})
    if key in service_state.get(what, {}):
        del service_state[what][key]
        if not service_state[what]:
            del service_state[what]
