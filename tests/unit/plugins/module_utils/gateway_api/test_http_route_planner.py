# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans for HTTPRoutes: weights, cohorts, mirrors, and what others edited since."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import (
    ForeignDestination,
    InvalidInput,
    Refused,
    UnknownSubset,
)
from ansible_collections.meshops.canary.plugins.module_utils.istio.find import Scope
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from support.http_routes import (
    GATEWAY,
    MESH,
    RATINGS,
    REVIEWS,
    SERVICES,
    TESTERS,
    Json,
    header,
    http_route,
    path,
    ref,
    rule,
    rules,
    service,
    shares,
    snapshot,
    weigh,
    write,
)


def test_the_api_is_found_by_the_parent() -> None:
    split = plan.plan(snapshot(http_route(rule(ref("reviews-v1")))), REVIEWS, intents.SetWeights({"reviews-v1": 100}))
    assert (split.route_api, split.changes) == ("gateway", ())
    assert plan.describe(snapshot(http_route(rule(ref("reviews-v1")))), REVIEWS)["route_api"] == "gateway"


@pytest.mark.parametrize(
    ("before", "percents", "after"),
    [
        ([ref("reviews-v1")], {"reviews-v1": 90, "reviews-v2": 10}, {"reviews-v1": 90, "reviews-v2": 10}),
        (
            [ref("reviews-v1", 3), ref("reviews-v2", 1)],
            {"reviews-v1": 50, "reviews-v2": 50},
            {"reviews-v1": 2, "reviews-v2": 2},
        ),
        ([ref("reviews-v1", 90), ref("reviews-v2", 10)], {"reviews-v2": 100}, {"reviews-v1": 0, "reviews-v2": 100}),
        ([ref("reviews")], {"reviews-v1": 99.9, "reviews-v2": 0.1}, {"reviews": 0, "reviews-v1": 999, "reviews-v2": 1}),
        ([ref("reviews")], {"reviews": 95, "reviews-v2": 5}, {"reviews": 95, "reviews-v2": 5}),
    ],
)
def test_weights_of_a_mesh_route_are_set_and_restored(
    before: list[Json], percents: Json, after: dict[str, int]
) -> None:
    start = snapshot(http_route(rule(*before)))
    planned = plan.plan(start, REVIEWS, intents.SetWeights(percents))
    end = write(start, planned)
    assert shares(rules(end)[0]) == after
    assert not plan.plan(end, REVIEWS, intents.SetWeights(percents)).changes
    back = write(end, plan.plan(end, REVIEWS, intents.RestoreWeights()))
    assert back.http_routes == start.http_routes
    shown = {name: share for name, share in planned.weights_after.items() if share}
    assert shown == {name: share for name, share in percents.items() if share}


def test_the_patch_names_weights_only() -> None:
    start = snapshot(http_route(rule(ref("reviews-v1", 90), ref("reviews-v2", 10))))
    (change,) = plan.plan(start, REVIEWS, intents.SetWeights({"reviews-v1": 75, "reviews-v2": 25})).changes
    written = [one["path"] for one in change.patch if one["op"] != "test"]
    assert sorted(written) == [
        "/metadata/annotations",
        "/spec/rules/0/backendRefs/0/weight",
        "/spec/rules/0/backendRefs/1/weight",
    ]
    assert change.summary == ("reviews: reviews-v1 90% -> 75%, reviews-v2 10% -> 25%",)


def test_other_backends_of_a_gateways_rule_keep_their_share() -> None:
    mixed = rule(ref("reviews-v1", 60), ref("page", 40))
    start = snapshot(http_route(mixed, rule(ref("page"), matches=[path("/page")]), parents=GATEWAY))
    end = weigh(start, reviews_v1=50, reviews_v2=50)
    assert shares(rules(end)[0]) == {"reviews-v1": 30, "reviews-v2": 30, "page": 40}
    assert rules(end)[1] == rules(start)[1]
    assert write(end, plan.plan(end, REVIEWS, intents.RestoreWeights())).http_routes == start.http_routes


def test_a_version_at_zero_stays_a_version_for_later_commands() -> None:
    start = snapshot(http_route(rule(ref("reviews-v1", 50), ref("reviews-v2", 50)), parents=GATEWAY))
    full = weigh(start, reviews_v1=100, reviews_v2=0)
    later = write(full, plan.plan(full, REVIEWS, intents.SetCohort("testers", TESTERS, {"reviews-v3": 100})))
    assert shares(rules(later)[1]) == {"reviews-v1": 100, "reviews-v2": 0}


def test_filters_of_a_backend_move_with_it_and_those_of_the_service_are_inherited() -> None:
    said = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x", "value": "1"}]}}]
    end = weigh(snapshot(http_route(rule(ref("reviews-v1", filters=said)))), reviews_v1=50, reviews_v2=50)
    assert [backend.get("filters") for backend in rules(end)[0]["backendRefs"]] == [said, None]
    start = snapshot(http_route(rule(ref("reviews", filters=said))))
    end = weigh(start, reviews_v1=100)
    assert [backend.get("filters") for backend in rules(end)[0]["backendRefs"]] == [said, said]
    assert write(end, plan.plan(end, REVIEWS, intents.RestoreWeights())).http_routes == start.http_routes


def test_a_cohort_gets_a_rule_for_every_rule_of_the_service() -> None:
    start = snapshot(
        http_route(
            rule(ref("reviews-v1"), matches=[path("/api"), path("/old")], timeouts={"request": "3s"}, name="api"),
            rule(ref("reviews-v1")),
        )
    )
    planned = plan.plan(start, REVIEWS, intents.SetCohort("testers", TESTERS, {"reviews-v2": 100}))
    end = write(start, planned)
    api, _own, rest, _all = rules(end)
    user = {"headers": [header("end-user", "testuser")]}
    assert api == {
        "matches": [{**path("/api"), **user}, {**path("/old"), **user}],
        "timeouts": {"request": "3s"},
        "backendRefs": [ref("reviews-v2", 100)],
    }
    assert rest == rule(ref("reviews-v2", 100), matches=[{**path(), **user}])
    assert planned.cohorts["testers"]["routes"] == 2
    assert not plan.plan(end, REVIEWS, intents.SetCohort("testers", TESTERS, {"reviews-v2": 100})).changes
    both = weigh(end, reviews_v1=90, reviews_v2=10)
    assert [shares(one) for one in rules(both)][1::2] == [{"reviews-v1": 90, "reviews-v2": 10}] * 2
    alone = write(both, plan.plan(both, REVIEWS, intents.RestoreWeights()))
    assert alone.http_routes == end.http_routes
    assert write(alone, plan.plan(alone, REVIEWS, intents.RemoveCohort("testers"))).http_routes == start.http_routes


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"headers": {"x-app": {"prefix": "1.2"}}}, {"headers": [header("x-app", r"1\.2.*", "RegularExpression")]}),
        ({"headers": {"X-App": {"present": True}}}, {"headers": [header("x-app", ".*", "RegularExpression")]}),
        ({"headers": {"x-app": {"regex": "a|b"}}}, {"headers": [header("x-app", "a|b", "RegularExpression")]}),
        ({"query": {"beta": "1"}}, {"queryParams": [header("beta", "1")]}),
        ({"methods": ["post"]}, {"method": "POST"}),
        ({"path": {"exact": "/x"}}, path("/x", "Exact")),
        ({"path": {"prefix": "/x"}}, path("/x")),
        (
            {"cookies": {"canary": "always"}},
            {"headers": [header("cookie", r"^(.*?;\s*)?canary=always(;.*)?$", "RegularExpression")]},
        ),
    ],
)
def test_conditions_that_an_http_route_can_express(match: Json, expected: Json) -> None:
    start = snapshot(http_route(rule(ref("reviews-v1"))))
    end = write(start, plan.plan(start, REVIEWS, intents.SetCohort("testers", match, {"reviews-v2": 100})))
    assert rules(end)[0]["matches"] == [{**path(), **expected}]


@pytest.mark.parametrize(
    ("match", "described"),
    [
        ({"headers": {"end-user": {"absent": True}}}, "cannot test that a header or cookie is absent"),
        ({"cookies": {"a": {"absent": True}}}, "cannot test that a header or cookie is absent"),
        ({"source_labels": {"app": "page"}}, "source_labels"),
        ({"path": {"regex": "/x.*"}}, "path.regex"),
    ],
)
def test_conditions_that_an_http_route_cannot_express_are_refused(match: Json, described: str) -> None:
    start = snapshot(http_route(rule(ref("reviews-v1"))))
    with pytest.raises(InvalidInput, match=described):
        plan.plan(start, REVIEWS, intents.SetCohort("testers", match, {"reviews-v2": 100}))


def test_a_prefix_means_whole_segments() -> None:
    start = snapshot(http_route(rule(ref("reviews-v1"), matches=[path("/api")])))
    with pytest.raises(Refused, match="whole segments"):
        plan.plan(start, REVIEWS, intents.SetCohort("testers", {"path": {"prefix": "/apis"}}, {"reviews-v2": 100}))
    end = write(
        start,
        plan.plan(start, REVIEWS, intents.SetCohort("testers", {"path": {"prefix": "/api/v2"}}, {"reviews-v2": 100})),
    )
    assert rules(end)[0]["matches"] == [path("/api/v2")]


def test_a_cohort_does_not_take_requests_from_another_services_rule() -> None:
    theirs = rule(ref("page"), matches=[{**path(), "headers": [header("x-page", "1")]}])
    start = snapshot(http_route(rule(ref("reviews-v1")), theirs, parents=GATEWAY))
    with pytest.raises(Refused, match="take requests from it"):
        plan.plan(start, REVIEWS, intents.SetCohort("testers", {"headers": {"a": "1", "b": "2"}}, {"reviews-v1": 100}))


@pytest.mark.parametrize("first", [True, False], ids=["before it", "after it"])
def test_a_rule_that_tests_as_much_and_comes_first_keeps_its_requests(first: bool) -> None:
    """The service's rule gets none of them, but a cohort's rule tests more and would take them."""
    theirs, own = rule(ref("ratings")), rule(ref("reviews-v1"))
    state = snapshot(http_route(*((theirs, own) if first else (own, theirs)), parents=GATEWAY))
    intent = intents.SetCohort("testers", TESTERS, {"reviews-v1": 0, "reviews-v3": 100})
    if first:
        with pytest.raises(Refused, match="take requests from it"):
            plan.plan(state, REVIEWS, intent, api="gateway")
    else:
        assert rules(write(state, plan.plan(state, REVIEWS, intent, api="gateway")))[0]["backendRefs"]


def test_too_many_rules_are_refused() -> None:
    many = [rule(ref("reviews-v1"), matches=[path(f"/{number}")]) for number in range(9)]
    with pytest.raises(Refused, match="18 rules"):
        plan.plan(snapshot(http_route(*many)), REVIEWS, intents.SetCohort("testers", TESTERS, {"reviews-v2": 100}))


@pytest.mark.parametrize("refs", [[ref("reviews-v1", 0)], [ref("reviews-v1", 0), ref("reviews-v2", 0)]])
def test_a_rule_without_any_weight_is_refused(refs: list[Json]) -> None:
    with pytest.raises(Refused, match="answered 500"):
        weigh(snapshot(http_route(rule(*refs))), reviews_v1=100)


@pytest.mark.parametrize(
    ("services", "described"),
    [(SERVICES[:2], "no Service bookinfo/reviews-v2"), ((*SERVICES[:2], service("reviews-v2", 80)), "no port 9080")],
)
def test_a_version_needs_a_service(services: tuple[Json, ...], described: str) -> None:
    start = snapshot(http_route(rule(ref("reviews-v1"))), services=services)
    with pytest.raises(UnknownSubset, match=described):
        weigh(start, reviews_v1=90, reviews_v2=10)


def test_impossible_changes_are_refused() -> None:
    mine = http_route(rule(ref("reviews-v1")))
    with pytest.raises(Refused, match="No HTTPRoute or GRPCRoute in bookinfo"):
        plan.plan(snapshot(mine), RATINGS, intents.SetWeights({"ratings": 100}), api="gateway")
    with pytest.raises(InvalidInput, match="no HTTPRoute bookinfo/other"):
        plan.plan(snapshot(mine), REVIEWS, intents.SetWeights({"reviews-v1": 100}), scope=Scope(("other",)))
    with pytest.raises(InvalidInput, match="VirtualService, or give the users a cohort"):
        plan.plan(snapshot(mine), REVIEWS, intents.SetSticky())
    two = http_route(rule(ref("reviews-v1")), parents=[*MESH, {**MESH[0], "name": "ratings"}])
    with pytest.raises(Refused, match="several Services"):
        weigh(snapshot(two), reviews_v1=100)
    claimed = Snapshot(
        virtual_services=(
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": "VirtualService",
                "metadata": {"name": "reviews", "namespace": "bookinfo"},
                "spec": {"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews"}}]}]},
            },
        ),
        http_routes=(mine,),
        services=SERVICES,
    )
    with pytest.raises(Refused, match="Proxies apply only one"):
        weigh(claimed, reviews_v1=90, reviews_v2=10)
    odd = rule(ref("reviews-v1", 99), ref("page", 1))
    with pytest.raises(ForeignDestination, match="1000000"):
        weigh(snapshot(http_route(odd, parents=GATEWAY)), reviews_v1=33.333, reviews_v2=66.667)


@pytest.mark.parametrize(
    ("percent", "said"),
    [(100, {}), (10, {"percent": 10}), (0.5, {"fraction": {"numerator": 500, "denominator": 100_000}})],
)
def test_a_mirror_is_a_filter_beside_those_of_others(percent: float, said: Json) -> None:
    other = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "page", "port": 80}, "percent": 3}}
    change = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x"]}}
    for filters in ([other, change], None):
        start = snapshot(http_route(rule(ref("reviews-v1"), **({"filters": filters} if filters else {}))))
        end = write(start, plan.plan(start, REVIEWS, intents.SetMirror("reviews-v2", percent)))
        target = {"group": "", "kind": "Service", "name": "reviews-v2", "port": 9080}
        ours = {"type": "RequestMirror", "requestMirror": {"backendRef": target, **said}}
        assert rules(end)[0]["filters"] == [*(filters or []), ours]
        assert not plan.plan(end, REVIEWS, intents.SetMirror("reviews-v2", percent)).changes
        assert plan.describe(end, REVIEWS)["mirrors"]["reviews-v2"] == percent
        assert write(end, plan.plan(end, REVIEWS, intents.RemoveMirror())).http_routes == start.http_routes


def test_finalized_weights_cannot_be_restored() -> None:
    start = snapshot(http_route(rule(ref("reviews"))))
    end = weigh(start, reviews_v1=90, reviews_v2=10)
    done = write(end, plan.plan(end, REVIEWS, intents.SetWeights({"reviews-v2": 100}, finalize=True)))
    assert shares(rules(done)[0]) == {"reviews-v2": 1}
    assert "annotations" not in t.cast("t.Any", done.http_routes)[0]["metadata"]


def test_edits_of_others_stay_when_weights_are_restored() -> None:
    end = weigh(snapshot(http_route(rule(ref("reviews-v1")))), reviews_v1=90, reviews_v2=10)
    rules(end)[0]["timeouts"] = {"request": "9s"}
    back = write(end, plan.plan(end, REVIEWS, intents.RestoreWeights()))
    assert rules(back) == [rule(ref("reviews-v1"), timeouts={"request": "9s"})]


def test_summary_and_diff_of_an_http_route() -> None:
    start = weigh(snapshot(http_route(rule(ref("reviews-v1")))), reviews_v1=90, reviews_v2=10)
    result = plan.describe(start, REVIEWS)
    assert (result["weights"], result["subsets"]) == ({"reviews-v1": 90, "reviews-v2": 10}, {})
    assert [one["kind"] for one in result["objects"]] == ["HTTPRoute"]
    planned = plan.plan(start, REVIEWS, intents.SetWeights({"reviews-v1": 80, "reviews-v2": 20}))
    assert (
        planned.diff_after == "HTTPRoute bookinfo/reviews\n  reviews: every request: reviews-v1 80%, reviews-v2 20%\n"
    )
    assert [one["changed"] for one in planned.objects] == [True]


REDIRECT = {"matches": [path("/old")], "filters": [{"type": "RequestRedirect", "requestRedirect": {"port": 80}}]}


def nothing_to_split(*given: Json) -> Json:
    only = http_route(name="redirect")
    only["spec"]["rules"] = list(given)
    return only


def cohort(state: Snapshot, **percents: int) -> Snapshot:
    wanted = {name.replace("_", "-"): percent for name, percent in percents.items()}
    return write(state, plan.plan(state, REVIEWS, intents.SetCohort("testers", TESTERS, wanted), api="gateway"))


def edited(state: Snapshot, edit: t.Callable[[list[Json]], t.Any]) -> Snapshot:
    obj = copy.deepcopy((state.http_routes or ())[0])
    edit(obj["spec"]["rules"])
    return snapshot(obj)


@pytest.mark.parametrize("extra", [nothing_to_split(REDIRECT), nothing_to_split()])
def test_a_route_without_backends_blocks_nothing(extra: Json) -> None:
    start = snapshot(extra, http_route(rule(ref("reviews-v1"))))
    split = weigh(start, reviews_v1=90, reviews_v2=10)
    assert (split.http_routes or ())[0] == extra
    result = plan.describe(split, REVIEWS)
    assert (result["route_api"], result["weights"]) == ("gateway", {"reviews-v1": 90, "reviews-v2": 10})
    assert write(split, plan.plan(split, REVIEWS, intents.RestoreWeights())) == start
    with pytest.raises(InvalidInput, match="http_routes: HTTPRoute bookinfo/redirect has no rule for"):
        plan.plan(start, REVIEWS, intents.SetWeights({"reviews-v1": 100}), scope=Scope(objects=("redirect",)))


def test_a_cohorts_rule_is_recognized_after_others_changed_its_weights() -> None:
    start = snapshot(http_route(rule(ref("reviews-v1"))))
    by_hand = edited(
        cohort(start, reviews_v1=50, reviews_v2=50), lambda all_: all_[0]["backendRefs"][0].update(weight=90)
    )
    again = cohort(by_hand, reviews_v1=50, reviews_v2=50)
    assert len(rules(again)) == 2
    assert rules(again) == rules(cohort(start, reviews_v1=50, reviews_v2=50))
    gone = write(by_hand, plan.plan(by_hand, REVIEWS, intents.RemoveCohort("testers"), api="gateway"))
    assert gone == start


def test_a_rule_with_the_matches_of_its_base_rule_is_recognized_by_its_weights() -> None:
    within = rule(ref("reviews-v1"), matches=[{**path(), "headers": [header("end-user", "testuser")]}])
    start = snapshot(http_route(within))
    removed = edited(cohort(start, reviews_v2=100), lambda all_: all_.pop(0))
    assert rules(removed) == [within]
    gone = write(removed, plan.plan(removed, REVIEWS, intents.RemoveCohort("testers"), api="gateway"))
    assert rules(gone) == [within]


def test_equal_rules_keep_their_other_fields() -> None:
    """The cohort has the weights everybody has, and its path is that of two rules which differ in their timeouts."""
    within = [{**path("/api", "Exact")}]
    first = rule(ref("reviews-v1"), matches=within, timeouts={"request": "3s"})
    second = rule(ref("reviews-v1"), matches=within, timeouts={"request": "9s"})
    start = snapshot(http_route(first, second))
    half = {"reviews-v1": 50, "reviews-v2": 50}
    split = weigh(start, reviews_v1=50, reviews_v2=50)
    beta = write(
        split, plan.plan(split, REVIEWS, intents.SetCohort("beta", {"path": {"prefix": "/api"}}, half), api="gateway")
    )
    assert [one["timeouts"]["request"] for one in rules(beta)] == ["3s", "3s", "9s", "9s"]
    mirrored = write(beta, plan.plan(beta, REVIEWS, intents.SetMirror("reviews-v1", 100), api="gateway"))
    assert [one["timeouts"]["request"] for one in rules(mirrored)] == ["3s", "3s", "9s", "9s"]
    back = write(mirrored, plan.plan(mirrored, REVIEWS, intents.RemoveMirror(), api="gateway"))
    assert back == beta
    back = write(back, plan.plan(back, REVIEWS, intents.RemoveCohort("beta"), api="gateway"))
    assert write(back, plan.plan(back, REVIEWS, intents.RestoreWeights(), api="gateway")) == start
