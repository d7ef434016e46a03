# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON Patch (RFC 6902) with the smallest change and the tests that make it safe. Pure."""

from __future__ import annotations

import itertools
import json
import re
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Operation = dict[str, t.Any]

VERSION: t.Final = "/metadata/resourceVersion"
_ROUTE: t.Final = re.compile(r"^(/spec/(?:http|tcp|tls)/\d+)/(route|mirror|mirrors|mirrorPercentage)(?:/|$)")


# What makes an item of a list the same one, or tells that it is a route, a rule or a destination.
_MARKS: t.Final = ("name", "match", "matches", "route", "backendRefs", "destination")
# What adding or removing an item costs, in edited fields: more than any item has.
_ALONE: t.Final = 1000


def guarded_patch(before: t.Any, after: t.Any) -> list[Operation]:
    """Return the patch that turns the object `before` into `after`, or fails if `before` is no longer so.

    First the resourceVersion is tested (no other write can slip in between), then every value that is
    replaced or removed and, of a route, its name and whole list of destinations: whoever reads the
    patch, or the API server's answer to a failed one, sees what it was made for.
    """
    operations = list(difference(before, after))
    tests: dict[str, t.Any] = {}
    version = (before.get("metadata") or {}).get("resourceVersion")
    if version is not None:
        tests[VERSION] = version
    for operation in operations:
        tests.update(_expectations(before, operation))
    return [{"op": "test", "path": path, "value": value} for path, value in tests.items()] + operations


def unversioned(patch: Iterable[Operation]) -> list[Operation]:
    """Return the patch without the test of the resourceVersion: what it replaces is still tested."""
    return [one for one in patch if one["path"] != VERSION]


def _expectations(before: t.Any, operation: Operation) -> Iterator[tuple[str, t.Any]]:
    path: str = operation["path"]
    route = _ROUTE.match(path)
    if route:
        name = resolve(before, route[1]).get("name")
        if name is not None:
            yield f"{route[1]}/name", name
        destinations = resolve(before, route[1]).get("route")
        if destinations is not None:
            yield f"{route[1]}/route", destinations
    if operation["op"] != "add" and not (route and route[2] == "route"):
        yield path, resolve(before, path)


def resolve(document: t.Any, pointer: str) -> t.Any:
    """Return the value at the JSON pointer; KeyError or IndexError if there is none."""
    value = document
    for token in pointer.split("/")[1:]:
        value = value[int(token)] if isinstance(value, list) else value[token.replace("~1", "/").replace("~0", "~")]
    return value


def difference(before: t.Any, after: t.Any, path: str = "") -> Iterator[Operation]:
    """Yield the operations that turn `before` into `after`.

    Lists are worked on from the end, so that every path is also true of the untouched `before`.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _dict_difference(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _list_difference(before, after, path)
    elif not same(before, after):
        yield {"op": "replace", "path": path, "value": after}


def same(one: t.Any, other: t.Any) -> bool:
    """Return whether two JSON values are equal; unlike Python's, true and 1 are not."""
    return one is other or canonical(one) == canonical(other)


def canonical(value: t.Any) -> str:
    """Return the one text all equal JSON values have."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _dict_difference(before: dict[str, t.Any], after: dict[str, t.Any], path: str) -> Iterator[Operation]:
    for key, value in before.items():
        place = f"{path}/{_escape(key)}"
        if key in after:
            yield from difference(value, after[key], place)
        else:
            yield {"op": "remove", "path": place}
    for key, value in after.items():
        if key not in before:
            yield {"op": "add", "path": f"{path}/{_escape(key)}", "value": value}


def _list_difference(before: list[t.Any], after: list[t.Any], path: str) -> Iterator[Operation]:
    if same(before, after):
        return
    place = len(before)
    for old, new in reversed(_alignment(before, after)):
        place = place if old is None else old
        if old is None and new is not None:
            yield {"op": "add", "path": f"{path}/{place}", "value": after[new]}
        elif new is None:
            yield {"op": "remove", "path": f"{path}/{place}"}
        else:
            yield from difference(before[place], after[new], f"{path}/{place}")


def _alignment(before: list[t.Any], after: list[t.Any]) -> list[tuple[int | None, int | None]]:
    """Pair the items that are the same thing so that as little as possible is edited: (old index, new index) in order.

    Needleman and Wunsch, J. Mol. Biol. 48 (1970): the cheapest way through the table of all pairs.
    None: added or removed.
    """
    old, new = [_signature(item) for item in before], [_signature(item) for item in after]
    costs = [[(one + other) * _ALONE for other in range(len(new) + 1)] for one in range(len(old) + 1)]
    pairs: dict[tuple[int, int], int] = {}
    for one, other in itertools.product(range(1, len(old) + 1), range(1, len(new) + 1)):
        best = min(costs[one - 1][other], costs[one][other - 1]) + _ALONE
        if old[one - 1] == new[other - 1] or not (_known(before[one - 1]) or _known(after[other - 1])):
            pairs[one, other] = _edits(before[one - 1], after[other - 1])
            best = min(best, costs[one - 1][other - 1] + pairs[one, other])
        costs[one][other] = best
    found: list[tuple[int | None, int | None]] = []
    one, other = len(old), len(new)
    while one or other:
        if (one, other) in pairs and costs[one][other] == costs[one - 1][other - 1] + pairs[one, other]:
            one, other = one - 1, other - 1
            found.append((one, other))
        elif other and costs[one][other] == costs[one][other - 1] + _ALONE:
            other -= 1
            found.append((None, other))
        else:
            one -= 1
            found.append((one, None))
    return found[::-1]


def _edits(before: t.Any, after: t.Any) -> int:
    """Return how many fields differ, for anything but objects at most one."""
    if isinstance(before, dict) and isinstance(after, dict):
        return sum(not same(before.get(key), after.get(key)) for key in {**before, **after})
    return int(not same(before, after))


def _signature(item: t.Any) -> str:
    """Return what makes an item the same one although its weights differ: a route's name and match, a destination."""
    if _known(item):
        return canonical([item.get(key) for key in ("name", "match", "matches", "destination")])
    return canonical(item)


def _known(item: t.Any) -> bool:
    return isinstance(item, dict) and any(key in item for key in _MARKS)


def _escape(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")
