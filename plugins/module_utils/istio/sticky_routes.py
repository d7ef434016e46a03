# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps a user on the version of the first request, without changing the versions' shares. Pure.

The weighted route sets a cookie with the version it chose; routes before it send a request with that cookie to that
version. Only the weighted route chooses, so the share of users is the weight. The cookie's value has a checksum of the
weights: when they change, every user is assigned again, once, and the share of users is again the weight. (With a
cookie for the canary alone, or one that outlives the weights, users would only ever move to the canary.)
"""

from __future__ import annotations

import copy
import hashlib
import re
import typing as t

from ..errors import ForeignDestination, InvalidInput, Refused
from ..objects.match_intersection import intersect_matches
from ..objects.matches import cookie_regex
from ..objects.patch import canonical_json
from ..objects.weights import HUNDRED, natural_key
from .destinations import cohort_entries, shares_of
from .route_keys import STICKY_PREFIX, copy_for

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..objects.hosts import ServiceRef
    from .destinations import Entry
    from .route_keys import Route

_PATH: t.Final = re.compile(r"/[!-:<-~]*")
_OUR_COOKIE: t.Final = re.compile(r"^[^=;]+=[^;]+\.[0-9a-f]{8}; Path=[^;]*; Max-Age=\d+; HttpOnly; SameSite=Lax$")


def desired_sticky(cookie: str, max_age: int, path: str, routes: Sequence[str]) -> dict[str, t.Any]:
    """Return the managed state of a sticky cookie. Raises InvalidInput for what would not be a well-formed cookie.

    routes: names or keys of the routes it is limited to.
    """
    cookie_regex(cookie, "exact", "")
    if not _PATH.fullmatch(path):
        raise InvalidInput(
            f"path must begin with / and have no semicolon, space or control character, but is {path!r}."
        )
    if max_age < 1:
        raise InvalidInput(f"max_age is {max_age}, but must be at least 1 second.")
    limit = {"routes": sorted(routes)} if routes else {}
    return {"cookie": cookie, "max_age": max_age, "path": path, **limit}


def cookie_values(entries: list[Entry], service: ServiceRef, namespace: str, where: str) -> dict[str, str]:
    """Return version -> cookie value, {} with fewer than two versions."""
    own, foreign = shares_of(entries, service, namespace, where)
    if any(foreign.values()):
        raise ForeignDestination(
            f"{where}: other hosts share this route, and users who keep their version would never reach them again, "
            "so their share would shrink. Select routes with the option routes."
        )
    positive = {version: str(share) for version, share in own.items() if share and version}
    if len(positive) < 2:
        return {}
    checksum = hashlib.sha256(canonical_json(positive).encode()).hexdigest()[:8]
    return {version: f"{version}.{checksum}" for version in sorted(positive, key=natural_key)}


def add_cookies(
    entries: list[Entry], service: ServiceRef, namespace: str, desired: dict[str, t.Any], where: str
) -> list[Entry]:
    """Return the destinations, each setting its version's cookie."""
    values = cookie_values(entries, service, namespace, where)
    result = []
    for entry in entries:
        subset = str((entry.get("destination") or {}).get("subset") or "")
        ours = service.is_host(str((entry.get("destination") or {}).get("host")), namespace)
        value = values.get(subset) if ours else None
        result.append(entry if value is None else _with_cookie(entry, f"{desired['cookie']}={value}", desired, where))
    return result


def _with_cookie(entry: Entry, cookie: str, desired: dict[str, t.Any], where: str) -> Entry:
    entry = copy.deepcopy(entry)
    added = entry.setdefault("headers", {}).setdefault("response", {}).setdefault("add", {})
    if any(name.lower() == "set-cookie" for name in added):
        raise Refused(
            f"{where}: a destination already adds a Set-Cookie header, and Istio can add only one. "
            "Remove sticky (state: absent), or let the application set its cookie itself."
        )
    added["Set-Cookie"] = f"{cookie}; Path={desired['path']}; Max-Age={desired['max_age']}; HttpOnly; SameSite=Lax"
    return entry


def remove_cookie(entry: Entry) -> Entry:
    """Return a copy of the entry that sets no cookie of ours."""
    entry = copy.deepcopy(entry)
    added = ((entry.get("headers") or {}).get("response") or {}).get("add") or {}
    if not _OUR_COOKIE.search(str(added.get("Set-Cookie"))):
        return entry
    del added["Set-Cookie"]
    if not added:
        del entry["headers"]["response"]["add"]
    if not entry["headers"]["response"]:
        del entry["headers"]["response"]
    if not entry["headers"]:
        del entry["headers"]
    return entry


def sticky_routes(
    original: Route, route: Route, service: ServiceRef, namespace: str, desired: dict[str, t.Any], where: str
) -> list[Route]:
    """Return the routes that send requests with a cookie to the version it names."""
    result = []
    for version, value in cookie_values(route["route"], service, namespace, where).items():
        cohort = [{"headers": {"cookie": {"regex": cookie_regex(desired["cookie"], "exact", value)}}}]
        blocks = intersect_matches(original.get("match") or [], cohort, rewritten=False, where=where)
        if blocks:
            entries = cohort_entries(original["route"], service, namespace, {version: HUNDRED}, where)
            result.append(copy_for(route, f"{STICKY_PREFIX}{version}", blocks, entries))
    return result
