# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking everything of ours off a VirtualService. Pure. `render.dressed` puts it on again."""

from __future__ import annotations

import copy
import itertools
import re
import typing as t

from . import mirror, state
from .destinations import version_of
from .hosts import ServiceRef
from .keys import STICKY_PREFIX, cohort_of, is_general, route_keys
from .patch import canonical, same
from .snapshot import identity, label
from .sticky import without_cookie
from .threeway import give_back, taken_over

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from .destinations import Entry
    from .keys import Route
    from .snapshot import Object
    from .state import State

    Keyed = Sequence[tuple[str, str, Route]]
    Record = Mapping[str, t.Any]

_PER_ROUTE: t.Final = ("weights", "mirror")
_NUMBER: t.Final = re.compile(r"#\d+$")


class Bare(t.NamedTuple):
    """An object without us, its book without the give-back part, and what could not be given back."""

    obj: Object
    book: State
    notes: list[str]


def bare(virtual_service: Object, forget: tuple[str, ...] = ()) -> Bare:
    """Return a copy of the object as it would be had we never come.

    forget: cohorts whose inserted routes go although the book does not know them (an earlier annotation was lost).
    What keeps users at their version goes by its look, for there it is in nobody's way. A weight or mirror that
    somebody changed since is theirs: it stays, and is no longer in the book.
    """
    obj = copy.deepcopy(virtual_service)
    book = state.read(obj)
    known = {name for wanted in book["services"].values() for name in wanted.get("cohorts", {})} | set(forget)
    spec = obj.get("spec") or {}
    if spec.get("http"):
        spec["http"] = [_without_cookies(route) for route in spec["http"] if not _is_inserted(route, known)]
    keyed = route_keys(spec)
    found = _recognised(keyed, book["routes"])
    routes = {key: route for key, _protocol, route in keyed}
    where = label(virtual_service)
    notes = [note for gone in sorted(book["routes"].keys() - found.keys()) for note in _lost(book, gone, where)]
    notes += [
        f"{where}: the route {key} is taken for the one that was {old}: it has the destinations and weights set there."
        for old, key in sorted(found.items())
        if _mark(old) != _mark(key)
    ]
    _rename(book, found)
    for old, key in found.items():
        _take_off(routes[key], book["routes"][old], key, book, identity(obj)[0])
    book["routes"] = {}
    state.write(obj, book=state.EMPTY)
    return Bare(obj, book, notes)


def _is_inserted(route: Route, cohorts: set[str]) -> bool:
    return cohort_of(route) in cohorts or str(route.get("name") or "").startswith(STICKY_PREFIX)


def _without_cookies(route: Route) -> Route:
    return {**route, "route": [without_cookie(entry) for entry in route["route"]]} if route.get("route") else route


def _recognised(keyed: Keyed, records: Mapping[str, Record]) -> dict[str, str]:
    """Return a record's key -> the key its route has now; records of which no route can be told are not in it.

    A key changes when somebody renames the route, edits its match, or puts one before it that has the same. Then the
    route is known by its destinations and weights, if they are as we set them and no other route could be meant.
    """
    found: dict[str, str] = {}

    def claim(fits: Callable[[str, str, Route], bool], *, alone: bool = False) -> None:
        for key in [one for one in records if one not in found]:
            twins = [one for one in records if one not in found and same(records[one], records[key])]
            there = [now for now, _protocol, route in keyed if now not in found.values() and fits(key, now, route)]
            if there and not (alone and len(there) > len(twins)):
                found[key] = there[0]

    claim(lambda key, now, route: _mark(key) == _mark(now) and _is_as_set(route, records[key]))
    claim(lambda key, now, route: key == now and _is_akin(route, records[key]))
    claim(lambda key, now, route: _may_be_moved(key, now, route) and _is_as_set(route, records[key]), alone=True)
    return found


def _mark(key: str) -> str:
    return _NUMBER.sub("", key)


def _may_be_moved(key: str, now: str, route: Route) -> bool:
    """Return whether it is a route commands change by themselves, of the same protocol."""
    return key.split("/")[0] == now.split("/")[0] and is_general(route)


def _is_as_set(route: Route, record: Record) -> bool:
    ours = record["set"]
    if "route" in ours:
        return _weights(route) == _weights(ours)
    return all(same(route.get(field), ours.get(field)) for field in _mirrors(record))


def _mirrors(record: Record) -> list[str]:
    """Return the fields of mirrors that we set; those we left as they were are not in the record."""
    return [field for field in mirror.FIELDS if field in record["set"] or field in record["before"]]


def _is_akin(route: Route, record: Record) -> bool:
    """Return whether a route of the same key can be the one: something else may have taken its name."""
    ours = {place for place, _weight in _weights(record["set"])}
    return bool(route.get("route")) and (not ours or any(place in ours for place, _weight in _weights(route)))


def _weights(route: Route) -> list[tuple[str, int]]:
    entries = route.get("route") or ()
    return sorted((canonical(entry.get("destination")), int(entry.get("weight") or 0)) for entry in entries)


def _lost(book: State, key: str, where: str) -> Iterator[str]:
    """Take what was wanted of the route out of the book, and say so."""
    owners = [
        one for one, wanted in book["services"].items() if any(key in wanted.get(what, {}) for what in _PER_ROUTE)
    ]
    for fqdn, what in itertools.product(owners, _PER_ROUTE):
        _disown(book, key, what, fqdn)
    if owners:
        yield (
            f"{where}: the route {key}, changed for {', '.join(owners)}, cannot be found any more: it was removed, or "
            "renamed and edited. Nothing was given back there. If it still exists, give it back by hand; it had "
            f"{canonical(book['routes'][key]['before'])}."
        )


def _rename(book: State, found: Mapping[str, str]) -> None:
    """Let the book call the routes what they are called now."""
    names = {old.split("/", 1)[1]: now.split("/", 1)[1] for old, now in found.items()} | dict(found)
    for wanted in book["services"].values():
        for what in _PER_ROUTE:
            if what in wanted:
                wanted[what] = {found.get(key, key): wish for key, wish in wanted[what].items()}
        for wish in (*wanted.get("cohorts", {}).values(), wanted.get("sticky", {})):
            if "routes" in wish:
                wish["routes"] = sorted({names.get(name, name) for name in wish["routes"]})


def _take_off(route: Route, record: Record, key: str, book: State, namespace: str) -> None:
    before, ours = record["before"], record["set"]
    if "route" in ours:
        services = [
            ServiceRef.of(fqdn) for fqdn, wanted in book["services"].items() if key in wanted.get("weights", {})
        ]

        def owner(entry: Entry) -> str:
            return next((one.fqdn for one in services if version_of(entry, one, namespace) is not None), "")

        written = _without_cookies({"route": ours["route"]})["route"]
        current = route["route"]
        route["route"] = give_back(before["route"], written, current, owner)
        for fqdn in taken_over(written, current, owner):
            _disown(book, key, "weights", fqdn)
    mirrors = _mirrors(record)
    if not mirrors:
        return
    if all(same(route.get(field), ours.get(field)) for field in mirrors):
        for field in mirrors:
            route.pop(field, None)
            if field in before:
                route[field] = copy.deepcopy(before[field])
        return
    for fqdn, wanted in book["services"].items():
        wish = wanted.get("mirror", {}).get(key)
        if wish and not mirror.is_there(route, ours, wish["version"], ServiceRef.of(fqdn), namespace):
            _disown(book, key, "mirror", fqdn)
    mirror.take_out(route, before, ours)


def _disown(book: State, key: str, what: str, fqdn: str) -> None:
    wanted = book["services"].get(fqdn, {})
    if key in wanted.get(what, {}):
        del wanted[what][key]
        if not wanted[what]:
            del wanted[what]
