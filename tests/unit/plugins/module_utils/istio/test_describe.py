# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people read: descriptions, diffs, summaries, matches in words; and what others' edits leave of ours."""

from __future__ import annotations

import copy
import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.objects import (
    intents,
)
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from support import route_strategies as rs

REVIEWS = ServiceRef("reviews", "bookinfo")


def bookinfo(*http: rs.Json) -> Snapshot:
    obj = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "reviews", "namespace": "bookinfo", "resourceVersion": "1"},
        "spec": {"hosts": ["reviews"], "http": list(http) or [{"route": [entry("v1")]}]},
    }
    return Snapshot(virtual_services=(obj,), destination_rules=(rs.destination_rule(),))


def entry(subset: str, weight: int | None = None, host: str = "reviews", **more: t.Any) -> rs.Json:
    return {"destination": {"host": host, "subset": subset}, **({} if weight is None else {"weight": weight}), **more}


def test_the_diff_is_text_a_manager_reads() -> None:
    start = bookinfo()
    split = start.after(plan.plan(start, REVIEWS, intents.SetWeights({"v1": 90, "v2": 10})).changes)
    raised = plan.plan(split, REVIEWS, intents.SetWeights({"v1": 75, "v2": 25}))
    assert raised.summary == ("reviews: v1 90% -> 75%, v2 10% -> 25%",)
    assert raised.changes[0].summary == raised.summary
    assert raised.diff_before == "VirtualService bookinfo/reviews\n  reviews: every request: v1 90%, v2 10%\n"
    assert raised.diff_after == "VirtualService bookinfo/reviews\n  reviews: every request: v1 75%, v2 25%\n"
    assert (raised.weights_before, raised.weights_after) == ({"v1": 90, "v2": 10}, {"v1": 75, "v2": 25})


def test_cohorts_and_mirrors_are_summarized_in_sentences() -> None:
    start = bookinfo()
    cohort = plan.plan(
        start, REVIEWS, intents.SetCohort("testuser", {"headers": {"end-user": "testuser"}}, {"v2": 10, "v3": 90})
    )
    assert cohort.summary == ("reviews: cohort testuser: none -> header end-user is testuser gets v2 10%, v3 90%",)
    assert "cohort testuser: header end-user is testuser: v2 10%, v3 90%" in cohort.diff_after
    mirror = plan.plan(start, REVIEWS, intents.SetMirror("v2", 12.5))
    assert mirror.summary == ("reviews: mirror to v2: 0% -> 12.5%",)
    assert "mirror: 12.5% of them copied to v2" in mirror.diff_after


def test_a_description_has_weights_routes_and_cohorts() -> None:
    start = bookinfo(
        {"name": "jason", "match": [{"headers": {"end-user": {"exact": "jason"}}}], "route": [entry("v3")]},
        {"name": "rest", "route": [entry("v1", 80), entry("blue", 20, "legacy.example.com")]},
    )
    full = start.after(plan.plan(start, REVIEWS, intents.SetWeights({"v1": 99.9, "v2": 0.1})).changes)
    full = full.after(
        plan.plan(full, REVIEWS, intents.SetCohort("qa", {"cookies": {"qa": "1"}}, {"v2": 100}, order=5)).changes
    )
    result = plan.describe(full, REVIEWS)
    assert result["weights"] == {"v1": 99.9, "v2": 0.1}
    assert [(one["route"], one["general"], one["weights"], one["foreign"]) for one in result["routes"]] == [
        ("http/jason", False, {"v3": 100}, {}),
        ("http/rest", True, {"v1": 99.9, "v2": 0.1}, {"legacy.example.com/blue": 20}),
    ]
    assert result["cohorts"] == {
        "qa": {
            "match": r"header cookie matches ^(.*?;\s*)?qa=1(;.*)?$",
            "weights": {"v2": 100},
            "order": 5,
            "routes": 2,
        }
    }
    assert [one["kind"] for one in result["objects"]] == ["DestinationRule", "VirtualService"]
    assert sorted(result["subsets"]) == ["v1", "v2", "v3", "v4"]


def test_an_unrouted_service_has_no_weights() -> None:
    result = plan.describe(Snapshot(virtual_services=(), destination_rules=()), REVIEWS)
    assert (result["weights"], result["routes"], result["claimed"]) == ({}, [], False)


def test_routes_with_different_weights_are_reported() -> None:
    start = bookinfo({"match": [{"uri": {"prefix": "/a"}}], "route": [entry("v2")]}, {"route": [entry("v1")]})
    result = plan.describe(start, REVIEWS)
    assert result["weights"] == {"v1": 100}
    assert result["weights_differ"] is True
    planned = plan.plan(start, REVIEWS, intents.SetWeights({"v1": 90, "v2": 10}))
    assert not plan.describe(start.after(planned.changes), REVIEWS)["weights_differ"]


def test_routes_that_are_not_edited_are_noted() -> None:
    start = bookinfo(
        {"name": "jason", "match": [{"headers": {"end-user": {"exact": "jason"}}}], "route": [entry("v3")]},
        {"route": [entry("v1")]},
    )
    notes = plan.plan(start, REVIEWS, intents.SetWeights({"v1": 90, "v2": 10})).notes
    assert notes == (
        "VirtualService bookinfo/reviews: route http/jason selects certain callers (header end-user is jason) "
        "and is not edited unless named",
    )


def test_a_weight_changed_by_others_is_not_set_again_by_another_command() -> None:
    start = bookinfo()
    split = start.after(plan.plan(start, REVIEWS, intents.SetWeights({"v1": 90, "v2": 10})).changes)
    by_hand = copy.deepcopy((split.virtual_services or ())[0])
    by_hand["spec"]["http"][0]["route"][0]["weight"] = 50
    by_hand["spec"]["http"][0]["route"][1]["weight"] = 50
    edited = Snapshot(virtual_services=(by_hand,), destination_rules=split.destination_rules)
    planned = plan.plan(edited, REVIEWS, intents.SetCohort("qa", {"headers": {"x": "1"}}, {"v2": 100}))
    assert planned.weights_after == {"v1": 50, "v2": 50}


def test_a_patch_tests_the_values_it_was_made_for() -> None:
    split = plan.plan(
        bookinfo({"name": "main", "route": [entry("v1", 100), entry("v2", 0)]}),
        REVIEWS,
        intents.SetWeights({"v1": 90, "v2": 10}),
    )
    tests = {one["path"]: one["value"] for one in split.changes[0].patch if one["op"] == "test"}
    assert tests == {
        "/metadata/resourceVersion": "1",
        "/spec/http/0/name": "main",
        "/spec/http/0/route": [entry("v1", 100), entry("v2", 0)],
    }
    edits = [(one["op"], one["path"], one["value"]) for one in split.changes[0].patch if one["op"] != "test"]
    assert edits[1:] == [("replace", "/spec/http/0/route/1/weight", 10), ("replace", "/spec/http/0/route/0/weight", 90)]
