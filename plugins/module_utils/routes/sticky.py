# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeping a user on the version he was first dealt, without moving the share. Pure.

The weighted route hands out a cookie with the version it chose; routes before it send a request with that cookie
to that version. Only the weighted route deals, so the share of users is the share asked for. The cookie's value
carries a mark of the weights: when they change, everybody is dealt anew, once, and the share of users is again the
wanted one. (With a cookie for the canary alone, or one that outlives the weights, users only ever move one way and
the canary fills up.)
"""

from __future__ import annotations

import copy
import hashlib
import re
import typing as t

from ..errors import ForeignDestination, InvalidInput, Refused
from .destinations import cohort_entries, shares_of
from .keys import STICKY_PREFIX, shadow
from .matches import cookie_regex
from .patch import canonical
from .product import product
from .weights import HUNDRED, natural

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .destinations import Entry
    from .hosts import ServiceRef
    from .keys import Route

_PATH: t.Final = re.compile(r"/[!-:<-~]*")
_OUR_COOKIE: t.Final = re.compile(r"^[^=;]+=[^;]+\.[0-9a-f]{8}; Path=[^;]*; Max-Age=\d+; HttpOnly; SameSite=Lax$")


def wish(cookie: str, max_age: int, path: str, routes: Sequence[str]) -> dict[str, t.Any]:
    """Return what the book says of a sticky cohort. Raises InvalidInput for what would not be one well-formed cookie.

    routes: names or keys of the routes it is limited to.
    """
    cookie_regex(cookie, "exact", "")
    if not _PATH.fullmatch(path):
        raise InvalidInput(
            f"path must begin with / and have no semicolon, space or control character, but is {path!r}."
        )
    if max_age < 1:
        raise InvalidInput(f"max_age is {max_age}, but a browser keeps a cookie for 1 second at least.")
    limit = {"routes": sorted(routes)} if routes else {}
    return {"cookie": cookie, "max_age": max_age, "path": path, **limit}


def dealt(entries: list[Entry], service: ServiceRef, namespace: str, where: str) -> dict[str, str]:
    """Return version -> cookie value, {} where there is nothing to choose from."""
    own, foreign = shares_of(entries, service, namespace, where)
    if any(foreign.values()):
        raise ForeignDestination(
            f"{where}: other hosts share this route, and users who keep their version would never reach them again, "
            "so their share would shrink. Name the routes sticky is meant for."
        )
    positive = {version: str(share) for version, share in own.items() if share and version}
    if len(positive) < 2:
        return {}
    mark = hashlib.sha256(canonical(positive).encode()).hexdigest()[:8]
    return {version: f"{version}.{mark}" for version in sorted(positive, key=natural)}


def with_cookies(
    entries: list[Entry], service: ServiceRef, namespace: str, wanted: dict[str, t.Any], where: str
) -> list[Entry]:
    """Return the destinations, each handing out its version's cookie."""
    values = dealt(entries, service, namespace, where)
    result = []
    for entry in entries:
        subset = str((entry.get("destination") or {}).get("subset") or "")
        ours = service.is_host(str((entry.get("destination") or {}).get("host")), namespace)
        value = values.get(subset) if ours else None
        result.append(entry if value is None else _with_cookie(entry, f"{wanted['cookie']}={value}", wanted, where))
    return result


def _with_cookie(entry: Entry, cookie: str, wanted: dict[str, t.Any], where: str) -> Entry:
    entry = copy.deepcopy(entry)
    added = entry.setdefault("headers", {}).setdefault("response", {}).setdefault("add", {})
    if any(name.lower() == "set-cookie" for name in added):
        raise Refused(
            f"{where}: a destination already adds a Set-Cookie header, and Istio has room for one. "
            "Give the routes back without sticky, or let the application set its cookie itself."
        )
    added["Set-Cookie"] = f"{cookie}; Path={wanted['path']}; Max-Age={wanted['max_age']}; HttpOnly; SameSite=Lax"
    return entry


def without_cookie(entry: Entry) -> Entry:
    """Return a copy of the entry that hands out no cookie of ours."""
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


def routes(
    original: Route, route: Route, service: ServiceRef, namespace: str, wanted: dict[str, t.Any], where: str
) -> list[Route]:
    """Return the routes that send a cookie's bearer to the version it names."""
    result = []
    for version, value in dealt(route["route"], service, namespace, where).items():
        cohort = [{"headers": {"cookie": {"regex": cookie_regex(wanted["cookie"], "exact", value)}}}]
        blocks = product(original.get("match") or [], cohort, rewritten=False, where=where)
        if blocks:
            entries = cohort_entries(original["route"], service, namespace, {version: HUNDRED}, where)
            result.append(shadow(route, f"{STICKY_PREFIX}{version}", blocks, entries))
    return result
