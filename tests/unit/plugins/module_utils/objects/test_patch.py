# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Patches are as small as the change: what stayed is not edited into something else."""

from __future__ import annotations

import collections
import json
import typing as t

import jsonpatch
import pytest
from ansible_collections.meshops.canary.plugins.module_utils.objects import (
    patch,
)
from ansible_collections.meshops.canary.plugins.module_utils.objects.patch import guarded_patch, operations_between

V1 = {"route": [{"destination": {"host": "reviews", "subset": "v1"}, "weight": 90}]}
V1_LESS = {"route": [{"destination": {"host": "reviews", "subset": "v1"}, "weight": 80}]}
REWRITING = {**V1, "rewrite": {"authority": "reviews.internal"}, "timeout": "2s"}
COHORT = {**REWRITING, "name": "testers", "match": [{"headers": {"end-user": {"exact": "testuser"}}}]}

CASES: dict[str, tuple[list[t.Any], list[t.Any], list[tuple[str, str]]]] = {
    "nothing": ([V1, V1], [V1, V1], []),
    "a cohort before the middle one of routes that nothing tells apart": (
        [V1, REWRITING, V1],
        [V1, COHORT, REWRITING, V1],
        [("add", "/1")],
    ),
    "and out again": ([V1, COHORT, REWRITING, V1], [V1, REWRITING, V1], [("remove", "/1")]),
    "a cohort while a weight changes": (
        [V1, REWRITING],
        [V1_LESS, COHORT, REWRITING],
        [("add", "/1"), ("replace", "/0/route/0/weight")],
    ),
    "two cohorts": ([V1, REWRITING], [COHORT, V1, COHORT, REWRITING], [("add", "/1"), ("add", "/0")]),
    "another route in the place of one": ([V1, COHORT], [V1], [("remove", "/1")]),
    "never one named route edited into another": (
        [{**V1, "name": "a"}],
        [{**V1, "name": "b"}],
        [("add", "/1"), ("remove", "/0")],
    ),
    "plain values": (["a", "b"], ["a", "c"], [("replace", "/1")]),
    "everything out": ([V1, "x"], [], [("remove", "/1"), ("remove", "/0")]),
}


@pytest.mark.parametrize("name", CASES)
def test_lists_are_edited_with_the_fewest_operations(name: str) -> None:
    before, after, expected = CASES[name]
    found = list(operations_between(before, after))
    assert [(operation["op"], operation["path"]) for operation in found] == expected
    assert jsonpatch.apply_patch(json.loads(json.dumps(before)), found) == after


def numbered(number: int) -> dict[str, t.Any]:
    return {**V1, "match": [{"uri": {"prefix": f"/{number}"}}]}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (
            [numbered(one) for one in range(300)],
            [route for one in range(300) for route in ({**COHORT, "name": f"testers-{one}"}, numbered(one))],
            {"add": 300},
        ),
        (
            [V1, *(numbered(one) for one in range(300)), V1],
            [V1_LESS, numbered(7), *(numbered(one) for one in range(300) if one != 7), V1],
            {"replace": 1, "add": 1, "remove": 1},
        ),
        ([V1] * 300, [V1] * 300 + [COHORT, V1], {"add": 2}),
        (["x"] * 150 + ["y"], ["y"] + ["x"] * 150, {"replace": 2}),
        ([f"a{one}" for one in range(150)], [f"b{one}" for one in range(150)], {"replace": 150}),
    ],
    ids=["a cohort before each route", "one that moved", "equal ones", "only one that is single", "nothing in common"],
)
def test_long_lists_are_edited_with_few_operations_too(
    before: list[t.Any], after: list[t.Any], expected: dict[str, int]
) -> None:
    found = list(operations_between(before, after))
    assert collections.Counter(operation["op"] for operation in found) == expected
    assert jsonpatch.apply_patch(json.loads(json.dumps(before)), found) == after


def test_the_work_for_a_cohort_before_each_route_grows_with_the_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of all pairs has millions of fields for 2,000 routes, and took most of a minute."""
    compared = []
    monkeypatch.setattr(patch, "_changed_fields", lambda *pair: compared.append(pair) or 0)
    before = [numbered(one) for one in range(1000)]
    after = [route for one in before for route in ({**COHORT, "match": [*one["match"], *COHORT["match"]]}, one)]
    assert len(list(operations_between(before, after))) == 1000
    assert len(compared) <= len(before)


def test_true_and_one_are_not_equal() -> None:
    assert list(operations_between({"a": [1]}, {"a": [True]})) == [{"op": "replace", "path": "/a/0", "value": True}]


def test_a_patch_contains_what_it_was_made_for() -> None:
    before = {"metadata": {"resourceVersion": "7"}, "spec": {"http": [{**V1, "name": "main"}]}}
    after = {"metadata": {"resourceVersion": "7"}, "spec": {"http": [{**V1_LESS, "name": "main"}]}}
    assert guarded_patch(before, after) == [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "test", "path": "/spec/http/0/name", "value": "main"},
        {"op": "test", "path": "/spec/http/0/route", "value": V1["route"]},
        {"op": "replace", "path": "/spec/http/0/route/0/weight", "value": 80},
    ]


@pytest.mark.parametrize("key", ["a/b", "a~b", "~1", "", "a.b/c~d"])
def test_pointers_are_escaped(key: str) -> None:
    operations = patch.guarded_patch({"metadata": {}, "x": {key: 1}}, {"metadata": {}, "x": {key: 2}})
    assert patch.resolve({"x": {key: 7}}, operations[-1]["path"]) == 7


def test_true_and_one_differ() -> None:
    assert list(patch.operations_between({"a": True}, {"a": 1})) == [{"op": "replace", "path": "/a", "value": 1}]
