# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people read: descriptions, diffs, summaries, matches in words; and what others' edits leave of ours."""

from __future__ import annotations

import copy
import json
import typing as t
from fractions import Fraction

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.routes import (
    matches,
    patch,
    plan,
    state,
    threeway,
    weights,
)
from ansible_collections.meshops.canary.plugins.module_utils.routes.change import creation, deletion, edit
from ansible_collections.meshops.canary.plugins.module_utils.routes.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.routes.snapshot import Snapshot
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
    split = start.after(plan.plan_weights(start, REVIEWS, {"v1": 90, "v2": 10}).changes)
    raised = plan.plan_weights(split, REVIEWS, {"v1": 75, "v2": 25})
    assert raised.summary == ("reviews: v1 90% -> 75%, v2 10% -> 25%",)
    assert raised.changes[0].summary == raised.summary
    assert raised.diff_before == "VirtualService bookinfo/reviews\n  reviews: every request: v1 90%, v2 10%\n"
    assert raised.diff_after == "VirtualService bookinfo/reviews\n  reviews: every request: v1 75%, v2 25%\n"
    assert (raised.weights_before, raised.weights_after) == ({"v1": 90, "v2": 10}, {"v1": 75, "v2": 25})


def test_cohorts_and_mirrors_are_told_in_sentences() -> None:
    start = bookinfo()
    cohort = plan.plan_cohort(start, REVIEWS, "testuser", {"headers": {"end-user": "testuser"}}, {"v2": 10, "v3": 90})
    assert cohort.summary == ("reviews: cohort testuser: none -> header end-user is testuser gets v2 10%, v3 90%",)
    assert "cohort testuser: header end-user is testuser: v2 10%, v3 90%" in cohort.diff_after
    mirror = plan.plan_mirror(start, REVIEWS, "v2", 12.5)
    assert mirror.summary == ("reviews: mirror to v2: 0% -> 12.5%",)
    assert "mirror: 12.5% of them copied to v2" in mirror.diff_after


def test_a_description_says_who_gets_what() -> None:
    start = bookinfo(
        {"name": "jason", "match": [{"headers": {"end-user": {"exact": "jason"}}}], "route": [entry("v3")]},
        {"name": "rest", "route": [entry("v1", 80), entry("blue", 20, "legacy.example.com")]},
    )
    full = start.after(plan.plan_weights(start, REVIEWS, {"v1": 99.9, "v2": 0.1}).changes)
    full = full.after(plan.plan_cohort(full, REVIEWS, "qa", {"cookies": {"qa": "1"}}, {"v2": 100}, order=5).changes)
    told = plan.describe(full, REVIEWS)
    assert told["weights"] == {"v1": 99.9, "v2": 0.1}
    assert [(one["route"], one["general"], one["weights"], one["foreign"]) for one in told["routes"]] == [
        ("http/jason", False, {"v3": 100}, {}),
        ("http/rest", True, {"v1": 99.9, "v2": 0.1}, {"legacy.example.com/blue": 20}),
    ]
    assert told["cohorts"] == {
        "qa": {
            "match": r"header cookie matches ^(.*?;\s*)?qa=1(;.*)?$",
            "weights": {"v2": 100},
            "order": 5,
            "routes": 2,
        }
    }
    assert [one["kind"] for one in told["objects"]] == ["DestinationRule", "VirtualService"]
    assert sorted(told["subsets"]) == ["v1", "v2", "v3", "v4"]


def test_a_service_nobody_routes_has_no_weights() -> None:
    told = plan.describe(Snapshot(virtual_services=(), destination_rules=()), REVIEWS)
    assert (told["weights"], told["routes"], told["claimed"]) == ({}, [], False)


def test_routes_that_disagree_are_said_to() -> None:
    start = bookinfo({"match": [{"uri": {"prefix": "/a"}}], "route": [entry("v2")]}, {"route": [entry("v1")]})
    told = plan.describe(start, REVIEWS)
    assert told["weights"] == {"v1": 100}
    assert told["weights_differ"] is True
    planned = plan.plan_weights(start, REVIEWS, {"v1": 90, "v2": 10})
    assert not plan.describe(start.after(planned.changes), REVIEWS)["weights_differ"]


def test_what_is_left_alone_is_said() -> None:
    start = bookinfo(
        {"name": "jason", "match": [{"headers": {"end-user": {"exact": "jason"}}}], "route": [entry("v3")]},
        {"route": [entry("v1")]},
    )
    notes = plan.plan_weights(start, REVIEWS, {"v1": 90, "v2": 10}).notes
    assert notes == (
        "VirtualService bookinfo/reviews: route http/jason is made for certain callers (header end-user is jason) "
        "and is left alone unless named",
    )


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ([], "every request"),
        ([{}], "every request"),
        ([{"uri": {"exact": "/a"}}], "path is /a"),
        ([{"uri": {"regex": "/a.*"}, "method": {"exact": "GET"}}], "path matches /a.* and method is GET"),
        ([{"headers": {"a": {"prefix": "x"}, "b": {}}}], "header a begins with x and header b is present"),
        ([{"withoutHeaders": {"a": {}}}], "header a is absent"),
        ([{"withoutHeaders": {"a": {"exact": "1"}}}], "header a is not 1"),
        ([{"queryParams": {"q": {"exact": "1"}}}, {"port": 80}], "query parameter q is 1, or port 80"),
        ([{"sourceLabels": {"app": "a"}, "sourceNamespace": "n"}], "caller's label app is a and caller's namespace n"),
        ([{"gateways": ["mesh", "x"]}], "through mesh or x"),
        ([{"sniHosts": ["a.b"], "destinationSubnets": ["10.0.0.0/8"]}], "SNI a.b and address 10.0.0.0/8"),
        ([{"authority": {"exact": "x"}, "scheme": {"exact": "https"}}], "scheme is https and authority is x"),
    ],
)
def test_matches_in_words(blocks: list[rs.Json], words: str) -> None:
    assert matches.in_words(blocks) == words


@pytest.mark.parametrize(
    ("value", "shown"), [(Fraction(10), 10), (Fraction(1, 3) * 100, 33.333), (Fraction(1, 2), 0.5), (Fraction(0), 0)]
)
def test_numbers_as_people_write_them(value: Fraction, shown: float) -> None:
    assert weights.number(value) == shown
    assert type(weights.number(value)) is type(shown)


@pytest.mark.parametrize(
    ("before", "ours", "current", "given_back"),
    [
        # untouched since
        ([entry("v1")], [entry("v1", 90), entry("v2", 10)], [entry("v1", 90), entry("v2", 10)], [entry("v1")]),
        # somebody added a header to one entry
        (
            [entry("v1", 100)],
            [entry("v1", 90), entry("v2", 10)],
            [entry("v1", 90, headers={"request": {}}), entry("v2", 10)],
            [entry("v1", 100, headers={"request": {}})],
        ),
        # somebody changed the weights
        (
            [entry("v1", 100)],
            [entry("v1", 90), entry("v2", 10)],
            [entry("v1", 50), entry("v2", 50)],
            [entry("v1", 50), entry("v2", 50)],
        ),
        # somebody removed our version
        ([entry("v1", 100)], [entry("v1", 90), entry("v2", 10)], [entry("v1", 90)], [entry("v1", 90)]),
        # somebody removed one that was at 0
        ([entry("v1", 50), entry("v2", 50)], [entry("v1", 100), entry("v2", 0)], [entry("v1", 100)], [entry("v1", 50)]),
        # somebody added a host beside our weights: its share stays
        (
            [entry("v1", 100)],
            [entry("v1", 90), entry("v2", 10)],
            [entry("v1", 90), entry("v2", 10), entry("x", 25, "legacy")],
            [entry("v1", 100), entry("x", 25, "legacy")],
        ),
        # the same where our weights have another sum
        (
            [entry("v1", 100)],
            [entry("v1", 999), entry("v2", 1)],
            [entry("v1", 999), entry("v2", 1), entry("x", 250, "legacy")],
            [entry("v1", 100), entry("x", 25, "legacy")],
        ),
        # somebody added a host at 0
        (
            [entry("v1", 100)],
            [entry("v1", 90), entry("v2", 10)],
            [entry("v1", 90), entry("v2", 10), entry("x", 0, "legacy")],
            [entry("v1", 100), entry("x", 0, "legacy")],
        ),
    ],
)
def test_destinations_given_back_after_others_edited_them(
    before: list[rs.Json], ours: list[rs.Json], current: list[rs.Json], given_back: list[rs.Json]
) -> None:
    restored = threeway.give_back(
        before, ours, current, lambda one: "reviews" if one["destination"]["host"] == "reviews" else ""
    )
    shares = {json.dumps(one["destination"]): one.get("weight") for one in restored}
    wanted = {json.dumps(one["destination"]): one.get("weight") for one in given_back}
    total, wanted_total = sum(w or 0 for w in shares.values()), sum(w or 0 for w in wanted.values())
    assert [{**one, "weight": 0} for one in restored] == [{**one, "weight": 0} for one in given_back]
    if total:
        assert {key: Fraction(w or 0, total) for key, w in shares.items()} == {
            key: Fraction(w or 0, wanted_total) for key, w in wanted.items()
        }
    else:
        assert shares == wanted


def test_a_weight_somebody_changed_is_not_set_again_by_another_command() -> None:
    start = bookinfo()
    split = start.after(plan.plan_weights(start, REVIEWS, {"v1": 90, "v2": 10}).changes)
    by_hand = copy.deepcopy((split.virtual_services or ())[0])
    by_hand["spec"]["http"][0]["route"][0]["weight"] = 50
    by_hand["spec"]["http"][0]["route"][1]["weight"] = 50
    edited = Snapshot(virtual_services=(by_hand,), destination_rules=split.destination_rules)
    planned = plan.plan_cohort(edited, REVIEWS, "qa", {"headers": {"x": "1"}}, {"v2": 100})
    assert planned.weights_after == {"v1": 50, "v2": 50}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"services": [], "routes": {}}', '"x"', "null"])
def test_a_book_that_cannot_be_read_is_refused(text: str) -> None:
    obj = copy.deepcopy((bookinfo().virtual_services or ())[0])
    obj["metadata"]["annotations"] = {state.ANNOTATION: text}
    with pytest.raises(Exception, match="cannot be read") as refusal:
        state.read(obj)
    assert refusal.value.findings[0].code == "STATE_UNREADABLE"  # type: ignore[attr-defined]


def test_a_patch_tests_what_it_was_made_for() -> None:
    split = plan.plan_weights(
        bookinfo({"name": "main", "route": [entry("v1", 100), entry("v2", 0)]}), REVIEWS, {"v1": 90, "v2": 10}
    )
    tests = {one["path"]: one["value"] for one in split.changes[0].patch if one["op"] == "test"}
    assert tests == {
        "/metadata/resourceVersion": "1",
        "/spec/http/0/name": "main",
        "/spec/http/0/route": [entry("v1", 100), entry("v2", 0)],
    }
    edits = [(one["op"], one["path"], one["value"]) for one in split.changes[0].patch if one["op"] != "test"]
    assert edits[1:] == [("replace", "/spec/http/0/route/1/weight", 10), ("replace", "/spec/http/0/route/0/weight", 90)]


@pytest.mark.parametrize("key", ["a/b", "a~b", "~1", "", "a.b/c~d"])
def test_pointers_are_escaped(key: str) -> None:
    operations = patch.guarded_patch({"metadata": {}, "x": {key: 1}}, {"metadata": {}, "x": {key: 2}})
    assert patch.resolve({"x": {key: 7}}, operations[-1]["path"]) == 7


def test_true_is_not_one() -> None:
    assert list(patch.difference({"a": True}, {"a": 1})) == [{"op": "replace", "path": "/a", "value": 1}]


def test_changes_know_what_they_are() -> None:
    obj = (bookinfo().virtual_services or ())[0]
    assert (creation(obj).verb, deletion(obj).verb) == ("create", "delete")
    assert creation(obj).object == "VirtualService bookinfo/reviews"
    assert edit(obj, copy.deepcopy(obj)) is None


@pytest.mark.parametrize("versions", [["v10", "v2", "v1"], ["v2-rc1", "v2", "v10-rc2"], ["canary", "stable", "1"]])
def test_natural_order(versions: list[str]) -> None:
    ordered = sorted(versions, key=weights.natural)
    assert (
        ordered
        == {"v1": ["v1", "v2", "v10"], "v2": ["v2", "v2-rc1", "v10-rc2"], "1": ["1", "canary", "stable"]}[ordered[0]]
    )


@pytest.mark.parametrize("percent", [-1, 100.0001, "x", None, True, float("inf"), [], 0.00001])
def test_percents_that_are_none(percent: t.Any) -> None:
    with pytest.raises(InvalidInput, match="percent"):
        weights.one_percent(percent, "percent")


def test_which_api_routes_a_service() -> None:
    route = {
        "kind": "HTTPRoute",
        "metadata": {"name": "reviews", "namespace": "bookinfo"},
        "spec": {"parentRefs": [{"kind": "Service", "group": "", "name": "reviews"}], "rules": []},
    }
    by_gateway = Snapshot(virtual_services=(), http_routes=(route,))
    both = Snapshot(virtual_services=bookinfo().virtual_services, http_routes=(route,))
    assert plan.route_api(by_gateway, REVIEWS) == "gateway"
    assert plan.route_api(by_gateway, ServiceRef("ratings", "bookinfo")) == "istio"
    assert plan.route_api(both, REVIEWS) == "istio"
    assert plan.route_api(both, REVIEWS, "gateway") == "gateway"
    with pytest.raises(InvalidInput, match="route_api"):
        plan.route_api(both, REVIEWS, "linkerd")
