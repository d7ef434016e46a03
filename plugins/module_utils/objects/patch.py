# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON Patch (RFC 6902) with the smallest change and the tests that make it safe. Pure."""

from __future__ import annotations

import bisect
import collections
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
    None: added or removed. The table of thousands of routes takes minutes, so long lists are divided first.
    """
    old, new = [_signature(item) for item in before], [_signature(item) for item in after]
    fixed = _fixed_pairs(old, new) if len(old) * len(new) > _LARGEST_TABLE else []
    if not fixed:
        return _cheapest_pairs(before, after, old, new)
    found: list[tuple[int | None, int | None]] = []
    one, other = 0, 0
    for pair in [*fixed, (len(old), len(new))]:
        between = _align(before[one : pair[0]], after[other : pair[1]])
        found += [(a if a is None else a + one, b if b is None else b + other) for a, b in between]
        found.append(pair)
        one, other = pair[0] + 1, pair[1] + 1
    return found[:-1]


def _fixed_pairs(old: list[str], new: list[str]) -> list[tuple[int, int]]:
    """Return pairs of equal signatures, in order: the equal beginning and end, and what is there once in both lists.

    Of the latter, the longest sequence whose order is the same in both (Schensted, Canad. J. Math. 13 (1961)).
    """
    shorter = min(len(old), len(new))
    head = next((index for index in range(shorter) if old[index] != new[index]), shorter)
    tail = next((index for index in range(shorter - head) if old[-1 - index] != new[-1 - index]), shorter - head)
    ends = len(old) - tail, len(new) - tail
    rest = {"old": old[head : ends[0]], "new": new[head : ends[1]]}
    single = {text for text, number in collections.Counter(rest["old"]).items() if number == 1}
    single &= {text for text, number in collections.Counter(rest["new"]).items() if number == 1}
    places = {text: head + index for index, text in enumerate(rest["new"])}
    once = _longest_in_order([(head + index, places[text]) for index, text in enumerate(rest["old"]) if text in single])
    if 2 * len(once) < min(map(len, rest.values())):
        once = []  # a few that moved must not keep all others apart
    return [
        *((index, index) for index in range(head)),
        *once,
        *((ends[0] + index, ends[1] + index) for index in range(tail)),
    ]


def _longest_in_order(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the longest subsequence whose second numbers rise. pairs: by their first numbers, which rise."""
    lasts: list[int] = []
    chosen: list[int] = []
    previous: list[int | None] = []
    for index, (_old, new) in enumerate(pairs):
        length = bisect.bisect_left(lasts, new)
        previous.append(chosen[length - 1] if length else None)
        lasts[length : length + 1], chosen[length : length + 1] = [new], [index]
    found: list[tuple[int, int]] = []
    at = chosen[-1] if chosen else None
    while at is not None:
        found.append(pairs[at])
        at = previous[at]
    return found[::-1]


def _cheapest_pairs(
    before: list[t.Any], after: list[t.Any], old: list[str], new: list[str]
) -> list[tuple[int | None, int | None]]:
    """Return the pairs of `_align`. old, new: the signatures."""
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
