# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Giving back what we set on routes that others have renamed, matched anew, moved, shared or half edited since."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.istio.find import Scope
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents
from ansible_collections.meshops.canary.plugins.module_utils.objects.managed_state import ANNOTATION
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from support import http_routes as hr
from support import reviews as rv
from support import route_strategies as rs
from support.route_operations import RATINGS, REVIEWS, run, the_route

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef

CANARY = {"v1": 90, "v2": 10}
Edit = t.Callable[[list[rs.Json]], t.Any]


def weigh(state: Snapshot, service: ServiceRef = REVIEWS, **weights: int) -> Snapshot:
    return run(state, [lambda s: plan.plan(s, service, intents.SetWeights(weights or CANARY))])


def given(*http: rs.Json) -> Snapshot:
    rules = (rs.destination_rule(), rs.destination_rule(host="ratings"))
    return Snapshot(
        virtual_services=(rv.virtual_service(hosts=["reviews", "ratings"], http=list(http)),), destination_rules=rules
    )


def route(*entries: rs.Json, **more: t.Any) -> rs.Json:
    return {"route": list(entries or [rv.destination("v1")]), **more}


def mirror_both(state: Snapshot, *turns: tuple[ServiceRef, float]) -> Snapshot:
    for service, percent in turns or ((REVIEWS, 10), (RATINGS, 20)):
        state = state.after(plan.plan(state, service, intents.SetMirror("v2", percent)).changes)
    return state


def mirrors(state: Snapshot) -> list[tuple[str, float]]:
    found = the_route(state)["spec"]["http"][0]["mirrors"]
    return [(one["destination"]["host"], one["percentage"]["value"]) for one in found]


def edited(state: Snapshot, edit: Edit) -> Snapshot:
    obj = copy.deepcopy(the_route(state))
    edit(obj["spec"]["http"])
    return Snapshot(virtual_services=(obj,), destination_rules=state.destination_rules)


def take_back(state: Snapshot, *services: ServiceRef) -> tuple[Snapshot, list[str]]:
    notes: list[str] = []
    for service in services or (REVIEWS,):
        for intent in (intents.RestoreWeights(), intents.RemoveMirror(), intents.RemoveSticky()):
            planned = plan.plan(state, service, intent)
            notes += planned.notes
            state = state.after(planned.changes)
    return state, notes


RENAMES: dict[str, Edit] = {
    "renamed": lambda http: http[-1].update(name="main"),
    "unnamed": lambda http: http[-1].pop("name", None),
    "another match": lambda http: http[-1].update(match=[{"uri": {"prefix": "/v2"}}]),
    "renamed, with another match": lambda http: http[-1].update(name="main", match=[{"uri": {"prefix": "/v2"}}]),
    "one with the same match before it": lambda http: http.insert(0, route(rv.destination("v4"))),
    "a redirect took its name": lambda http: (
        http[-1].update(name="main"),
        http.insert(0, {"name": "primary", "match": [{"uri": {"exact": "/"}}], "redirect": {"uri": "/x"}}),
    ),
    "a route elsewhere took its name": lambda http: (
        http[-1].update(name="main"),
        http.insert(0, {"name": "primary", "route": [rv.destination(None, host="legacy")]}),
    ),
}


@pytest.mark.parametrize("name", ["primary", None])
@pytest.mark.parametrize("edit", RENAMES.values(), ids=RENAMES)
def test_a_changed_route_is_recognized_by_its_destinations_and_weights(edit: Edit, name: str | None) -> None:
    start = given(route(name=name) if name else route())
    everything = [
        lambda s: plan.plan(s, REVIEWS, intents.SetWeights(CANARY)),
        lambda s: plan.plan(s, REVIEWS, intents.SetMirror("v3", 5)),
        lambda s: plan.plan(s, REVIEWS, intents.SetSticky()),
    ]
    after, _notes = take_back(edited(run(start, everything), edit))
    assert the_route(after) == the_route(edited(start, edit))


@pytest.mark.parametrize(
    "theirs",
    [{}, {"mirrors": [{"destination": {"host": "audit"}}]}, {"mirrors": [], "mirrorPercentage": {"value": 0}}],
    ids=["none before", "one of theirs beside it", "a field of the other form"],
)
def test_a_route_is_recognized_by_its_mirror_alone(theirs: rs.Json) -> None:
    start = given(route(name="primary", **theirs))
    mirrored = run(start, [lambda s: plan.plan(s, REVIEWS, intents.SetMirror("v3", 5))])
    after, _notes = take_back(edited(mirrored, RENAMES["renamed"]))
    assert the_route(after) == the_route(edited(start, RENAMES["renamed"]))


def test_other_commands_recognize_the_renamed_route() -> None:
    renamed = edited(weigh(given(route(name="primary"))), RENAMES["renamed"])
    again = plan.plan(renamed, REVIEWS, intents.SetWeights(CANARY))
    assert not [one for one in again.changes[0].patch if one["path"].startswith("/spec") and one["op"] != "test"]
    after, _notes = take_back(weigh(renamed, v1=50, v2=50))
    assert the_route(after) == the_route(edited(given(route(name="primary")), RENAMES["renamed"]))


def test_a_cohort_limited_to_a_route_follows_its_new_name() -> None:
    start = weigh(given(route(name="primary")))
    cohort = run(
        start,
        [
            lambda s: plan.plan(
                s, REVIEWS, intents.SetCohort("qa", {"headers": {"x": "1"}}, {"v2": 100}), scope=Scope((), ("primary",))
            )
        ],
    )
    after = weigh(edited(cohort, RENAMES["renamed"]), v1=50, v2=50)
    assert [one["name"] for one in the_route(after)["spec"]["http"]] == ["canary-cohort.qa.main", "main"]


def test_ambiguous_routes_are_kept_and_noted() -> None:
    def rename_both(http: list[rs.Json]) -> None:
        http[0]["name"], http[1]["name"] = "x", "y"

    one = {"name": "one", "match": [{"uri": {"prefix": "/a"}}], **route()}
    other = {"name": "other", **route(rv.destination("v1", 50), rv.destination("v2", 50))}
    renamed = edited(weigh(given(one, other)), rename_both)
    after, notes = take_back(renamed)
    assert the_route(after)["spec"] == the_route(renamed)["spec"]
    assert the_route(after)["metadata"] == the_route(given())["metadata"]
    assert len([note for note in notes if "cannot be found: it was removed, or renamed" in note]) == 2


def test_a_removed_route_is_noted() -> None:
    start = given({"name": "one", "match": [{"uri": {"prefix": "/a"}}], **route()}, route(rv.destination("v3")))
    after, notes = take_back(edited(weigh(start), lambda http: http.pop(0)))
    assert the_route(after) == the_route(edited(start, lambda http: http.pop(0)))
    assert any("http/one" in note and '"subset":"v1"' in note for note in notes)


def test_rules_of_an_http_route_are_recognized() -> None:
    start = hr.snapshot(hr.http_route(hr.rule(hr.ref("reviews-v1"), name="first")))
    split = hr.weigh(start, reviews_v1=90, reviews_v2=10)
    renamed = copy.deepcopy((split.http_routes or ())[0])
    renamed["spec"]["rules"][0].update(name="second", matches=[hr.path("/new")])
    later = hr.snapshot(renamed)
    after = later.after(plan.plan(later, REVIEWS, intents.RestoreWeights(), api="gateway").changes)
    assert hr.rules(after) == [hr.rule(hr.ref("reviews-v1"), name="second", matches=[hr.path("/new")])]
    assert "annotations" not in (after.http_routes or ())[0]["metadata"]


@pytest.mark.parametrize("intent", [intents.SetSticky(), intents.RemoveSticky(), intents.RestoreWeights()])
def test_sticky_routes_without_a_state_block_nothing(intent: intents.Intent) -> None:
    start = weigh(given(route(name="primary")))
    sticky = run(start, [lambda s: plan.plan(s, REVIEWS, intents.SetSticky())])
    forgotten = copy.deepcopy(the_route(sticky))
    del forgotten["metadata"]["annotations"][ANNOTATION]
    lost = Snapshot(virtual_services=(forgotten,), destination_rules=sticky.destination_rules)
    after, _notes = take_back(lost.after(plan.plan(lost, REVIEWS, intent).changes))
    assert the_route(after)["spec"] == the_route(start)["spec"]


SHARED = route(
    rv.destination("v1", 50), rv.destination("v1", 30, host="ratings"), rv.destination(None, 20, host="legacy")
)


def shares(state: Snapshot) -> dict[str, int]:
    return {
        f"{one['destination']['host']}/{one['destination'].get('subset')}": one["weight"]
        for one in the_route(state)["spec"]["http"][0]["route"]
    }


def test_an_edit_of_one_services_weight_leaves_the_others_canary() -> None:
    both = weigh(weigh(given(SHARED)), RATINGS, v1=80, v2=20)
    assert shares(both) == {"reviews/v1": 45, "reviews/v2": 5, "ratings/v1": 24, "ratings/v2": 6, "legacy/None": 20}
    by_hand = edited(both, lambda http: http[0]["route"][0].update(weight=40))
    more = weigh(by_hand, RATINGS, v1=50, v2=50)
    assert shares(more) == {"reviews/v1": 40, "reviews/v2": 5, "ratings/v1": 15, "ratings/v2": 15, "legacy/None": 20}
    after, _notes = take_back(more, RATINGS)
    assert shares(after) == {"reviews/v1": 40, "reviews/v2": 5, "ratings/v1": 30, "legacy/None": 20}
    assert "annotations" not in the_route(after)["metadata"]


def test_an_edit_of_another_hosts_weight_leaves_our_canary() -> None:
    by_hand = edited(weigh(given(SHARED)), lambda http: http[0]["route"][-1].update(weight=70))
    after, _notes = take_back(by_hand)
    assert shares(after) == {"reviews/v1": 50, "ratings/v1": 30, "legacy/None": 70}


def test_two_services_on_one_route_can_both_mirror() -> None:
    start = given(SHARED)
    both = mirror_both(start)
    assert mirrors(both) == [("ratings", 20), ("reviews", 10)]
    assert the_route(mirror_both(start, (RATINGS, 20), (REVIEWS, 10))) == the_route(both)
    alone, _notes = take_back(both, RATINGS)
    assert the_route(alone)["spec"]["http"][0]["mirror"] == {"host": "reviews", "subset": "v2"}
    after, _notes = take_back(both, RATINGS, REVIEWS)
    assert the_route(after) == the_route(start)


def test_an_edit_of_one_mirror_keeps_the_other_managed() -> None:
    by_hand = edited(mirror_both(given(SHARED)), lambda http: http[0]["mirrors"][0].update(percentage={"value": 99}))
    again = mirror_both(by_hand, (REVIEWS, 50))
    assert mirrors(again) == [("ratings", 99), ("reviews", 50)]
    after, _notes = take_back(again)
    assert mirrors(after) == [("ratings", 99)]
