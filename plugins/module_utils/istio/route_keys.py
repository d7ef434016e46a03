# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys for the routes of a VirtualService that stay the same when the list changes. Pure."""

from __future__ import annotations

import copy
import hashlib
import typing as t

from ..objects.patch import canonical_json

if t.TYPE_CHECKING:
    from ..objects.metadata import Object

Route = dict[str, t.Any]

PROTOCOLS: t.Final = ("http", "tls", "tcp")
COHORT_PREFIX: t.Final = "canary-cohort."
STICKY_PREFIX: t.Final = "canary-sticky."
_CALLER_FIELDS: t.Final = ("headers", "withoutHeaders", "queryParams", "sourceLabels", "sourceNamespace")


def is_managed(route: Route) -> bool:
    """Return whether the route was inserted by this collection."""
    return str(route.get("name") or "").startswith((COHORT_PREFIX, STICKY_PREFIX))


def cohort_of(route: Route) -> str | None:
    """Return the cohort an inserted route belongs to."""
    name = str(route.get("name") or "")
    return name[len(COHORT_PREFIX) :].split(".", 1)[0] if name.startswith(COHORT_PREFIX) else None


def route_keys(spec: Object) -> list[tuple[str, str, Route]]:
    """Return (key, protocol, route) of every route that we did not insert, top to bottom.

    The key is the name, else the match; a number is added where several would have the same.
    """
    keyed: list[tuple[str, str, Route]] = []
    seen: dict[str, int] = {}
    for protocol in PROTOCOLS:
        for route in spec.get(protocol) or ():
            if not isinstance(route, dict) or is_managed(route):
                continue
            key = f"{protocol}/{_route_name(route)}"
            seen[key] = seen.get(key, 0) + 1
            keyed.append((key if seen[key] == 1 else f"{key}#{seen[key]}", protocol, route))
    return keyed


def _route_name(route: Route) -> str:
    if route.get("name"):
        return str(route["name"])
    blocks = [block for block in route.get("match") or () if block]
    if not blocks:
        return "everything"
    return "match-" + hashlib.sha256(canonical_json(blocks).encode()).hexdigest()[:10]


def is_for_all_callers(route: Route) -> bool:
    """Return whether the route selects by path, port or gateway, not by the caller.

    A route for certain callers (headers, query, labels) is a cohort of its owner: its weights are set only if it is
    named.
    """
    blocks = route.get("match") or [{}]
    return any(not any((block or {}).get(key) for key in _CALLER_FIELDS) for block in blocks)


def copy_for(route: Route, name: str, blocks: list[t.Any], entries: list[t.Any]) -> Route:
    """Return a copy of `route` for a part of its requests, with the same timeout, retries and other fields."""
    rest = {key: copy.deepcopy(value) for key, value in route.items() if key not in ("name", "match", "route")}
    suffix = f".{route['name']}" if route.get("name") else ""
    return {"name": name + suffix, "match": blocks, **rest, "route": entries}
