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


# Fields that identify an item of a list, or show that it is a route, a rule or a destination.
_IDENTIFYING_FIELDS: t.Final = ("name", "match", "matches", "route", "backendRefs", "destination")
# The cost of adding or removing an item, in edited fields: more than any item has.
_UNPAIRED_COST: t.Final = 1000
_LARGEST_TABLE: t.Final = 10_000


def guarded_patch(before: t.Any, after: t.Any) -> list[Operation]:
    """Return the patch that turns the object `before` into `after`, or fails if the object has changed since.

    First the resourceVersion is tested (no other write can slip in between), then every value that is
    replaced or removed and, of a route, its name and whole list of destinations: the patch,
    and the API server's answer to a failed one, show what it was made for.
    """
    operations = list(operations_between(before, after))
    tests: dict[str, t.Any] = {}
    version = (before.get("metadata") or {}).get("resourceVersion")
    if version is not None:
        tests[VERSION] = version
    for operation in operations:
        tests.update(_tests_for(before, operation))
    return [{"op": "test", "path": path, "value": value} for path, value in tests.items()] + operations


def without_version_test(patch: Iterable[Operation]) -> list[Operation]:
    """Return the patch without the test of the resourceVersion: the replaced values are still tested."""
    return [one for one in patch if one["path"] != VERSION]


def _tests_for(before: t.Any, operation: Operation) -> Iterator[tuple[str, t.Any]]:
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


def operations_between(before: t.Any, after: t.Any, path: str = "") -> Iterator[Operation]:
    """Yield the operations that turn `before` into `after`.

    Lists are edited from the end, so that every path is also valid in the unchanged `before`.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _dict_difference(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _list_difference(before, after, path)
    elif not json_equal(before, after):
        yield {"op": "replace", "path": path, "value": after}


def json_equal(one: t.Any, other: t.Any) -> bool:
    """Return whether two JSON values are equal; unlike Python's, true and 1 are not."""
    return one is other or canonical_json(one) == canonical_json(other)


def canonical_json(value: t.Any) -> str:
    """Return the text that is the same for all equal JSON values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _dict_difference(before: dict[str, t.Any], after: dict[str, t.Any], path: str) -> Iterator[Operation]:
    for key, value in before.items():
        place = f"{path}/{_escape(key)}"
        if key in after:
            yield from operations_between(value, after[key], place)
        else:
            yield {"op": "remove", "path": place}
    for key, value in after.items():
        if key not in before:
            yield {"op": "add", "path": f"{path}/{_escape(key)}", "value": value}


def _list_difference(before: list[t.Any], after: list[t.Any], path: str) -> Iterator[Operation]:
    if json_equal(before, after):
        return
    place = len(before)
    for old, new in reversed(_align(before, after)):
        place = place if old is None else old
        if old is None and new is not None:
            yield {"op": "add", "path": f"{path}/{place}", "value": after[new]}
        elif new is None:
            yield {"op": "remove", "path": f"{path}/{place}"}
        else:
            yield from operations_between(before[place], after[new], f"{path}/{place}")


def _align(before: list[t.Any], after: list[t.Any]) -> list[tuple[int | None, int | None]]:
    """Pair old and new items so that as few fields as possible are edited: (old index, new index) in order.

    Needleman and Wunsch, J. Mol. Biol. 48 (1970): the cheapest path through the table of all pairs.
    None: added or removed. Of long lists the equal beginning and end are paired first, for the table of hundreds of
    routes takes minutes.
    """
    old, new = [_signature(item) for item in before], [_signature(item) for item in after]
    if len(old) * len(new) > _LARGEST_TABLE:
        head = next((i for i, pair in enumerate(zip(old, new)) if pair[0] != pair[1]), min(len(old), len(new)))  # noqa: B905
        rest = min(len(old), len(new)) - head
        tail = next((i for i in range(rest) if old[-1 - i] != new[-1 - i]), rest)
        if head or tail:
            ends = len(old) - tail, len(new) - tail
            between = _align(before[head : ends[0]], after[head : ends[1]])
            return [
                *((index, index) for index in range(head)),
                *((a if a is None else a + head, b if b is None else b + head) for a, b in between),
                *((ends[0] + index, ends[1] + index) for index in range(tail)),
            ]
    costs = [[(one + other) * _UNPAIRED_COST for other in range(len(new) + 1)] for one in range(len(old) + 1)]
    pairs: dict[tuple[int, int], int] = {}
    for one, other in itertools.product(range(1, len(old) + 1), range(1, len(new) + 1)):
        best = min(costs[one - 1][other], costs[one][other - 1]) + _UNPAIRED_COST
        if old[one - 1] == new[other - 1] or not (
            _is_identifiable(before[one - 1]) or _is_identifiable(after[other - 1])
        ):
            pairs[one, other] = _changed_fields(before[one - 1], after[other - 1])
            best = min(best, costs[one - 1][other - 1] + pairs[one, other])
        costs[one][other] = best
    found: list[tuple[int | None, int | None]] = []
    one, other = len(old), len(new)
    while one or other:
        if (one, other) in pairs and costs[one][other] == costs[one - 1][other - 1] + pairs[one, other]:
            one, other = one - 1, other - 1
            found.append((one, other))
        elif other and costs[one][other] == costs[one][other - 1] + _UNPAIRED_COST:
            other -= 1
            found.append((None, other))
        else:
            one -= 1
            found.append((one, None))
    return found[::-1]


def _changed_fields(before: t.Any, after: t.Any) -> int:
    """Return how many fields differ; 0 or 1 where an item is not an object."""
    if isinstance(before, dict) and isinstance(after, dict):
        return sum(not json_equal(before.get(key), after.get(key)) for key in {**before, **after})
    return int(not json_equal(before, after))


def _signature(item: t.Any) -> str:
    """Return what identifies an item although its weights differ: a route's name and match, a destination."""
    if _is_identifiable(item):
        return canonical_json([item.get(key) for key in ("name", "match", "matches", "destination")])
    return canonical_json(item)


def _is_identifiable(item: t.Any) -> bool:
    return isinstance(item, dict) and any(key in item for key in _IDENTIFYING_FIELDS)


def _escape(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")
