# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which objects speak for a service, and when to refuse."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import (
    CanaryError,
    InvalidInput,
    Refused,
    UnknownSubset,
)
from ansible_collections.meshops.canary.plugins.module_utils.istio import find
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from support import preflight_defects, reviews

if t.TYPE_CHECKING:
    from support import route_strategies as rs

REVIEWS = ServiceRef("reviews", "bookinfo")
V1 = [{"route": [{"destination": {"host": "reviews.bookinfo.svc.cluster.local", "subset": "v1"}}]}]


def virtual_service(
    name: str, namespace: str = "bookinfo", age: str = "2026-01-01T00:00:00Z", **spec: t.Any
) -> rs.Json:
    metadata = {"name": name, "namespace": namespace, "resourceVersion": "1", "creationTimestamp": age}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": metadata,
        "spec": {"http": V1, **{key: value for key, value in spec.items() if value is not None}},
    }


def test_an_unreadable_state_of_another_service_blocks_nothing() -> None:
    own, other = virtual_service("reviews", hosts=["reviews"]), virtual_service("cart", "shop", hosts=["cart"], http=[])
    other["metadata"]["annotations"] = {"canary.meshops.io/state": "restore me"}
    snapshot = Snapshot(virtual_services=[own, other])
    assert find.find_route_objects(snapshot, REVIEWS, find.Scope()) == [own]
    own["metadata"]["annotations"] = other["metadata"]["annotations"]
    with pytest.raises(Refused) as caught:
        plan.plan(snapshot, REVIEWS, intents.SetWeights({"v1": 100}), api="istio")
    assert [one.code for one in caught.value.findings] == ["STATE_UNREADABLE"]


def rule(
    name: str, namespace: str, host: str, *subsets: str, age: str = "2026-01-01T00:00:00Z", **spec: t.Any
) -> rs.Json:
    listed = [{"name": subset, "labels": {"version": subset}} for subset in subsets]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": name, "namespace": namespace, "resourceVersion": "1", "creationTimestamp": age},
        "spec": {"host": host, "subsets": listed, **spec},
    }


def snapshot(*virtual_services: rs.Json, rules: t.Sequence[rs.Json] = ()) -> Snapshot:
    return Snapshot(
        virtual_services=virtual_services,
        destination_rules=rules or (rule("reviews", "bookinfo", "reviews", "v1", "v2"),),
    )


def names(objects: t.Iterable[rs.Json]) -> list[str]:
    return [one["metadata"]["name"] for one in objects]


def test_mesh_gateway_and_delegate_are_all_found() -> None:
    mesh = virtual_service("mesh", hosts=["reviews"])
    public = virtual_service("public", hosts=["shop.example.com"], gateways=["infra/public"])
    root = virtual_service(
        "root",
        hosts=["www.example.com"],
        gateways=["public"],
        http=[{"delegate": {"name": "part", "namespace": "bookinfo"}}],
    )
    part = virtual_service("part")
    unused = virtual_service("unused")
    alias = virtual_service("alias", hosts=["other"])
    found = find.find_route_objects(snapshot(mesh, public, root, part, unused, alias), REVIEWS, find.Scope())
    assert names(found) == ["mesh", "part", "public"]


@pytest.mark.parametrize(("scope", "found"), [(["istio-ingress"], ["public"]), (["."], ["public"]), (["~"], [])])
def test_routes_of_a_gateway_may_be_exported_to_its_proxies_only(scope: list[str], found: list[str]) -> None:
    public = virtual_service("public", hosts=["shop.example.com"], gateways=["istio-ingress/gw"], exportTo=scope)
    assert names(find.find_route_objects(snapshot(public), REVIEWS, find.Scope())) == found


def test_the_delegate_that_has_the_route_is_edited() -> None:
    root = virtual_service("reviews", hosts=["reviews"], http=[{"delegate": {"name": "reviews-routes"}}])
    planned = plan.plan(
        snapshot(root, virtual_service("reviews-routes")), REVIEWS, intents.SetWeights({"v1": 90, "v2": 10})
    )
    assert [change.name for change in planned.changes] == ["reviews-routes"]
    assert planned.weights_after == {"v1": 90, "v2": 10}


@pytest.mark.parametrize(
    ("root_match", "refused"),
    [
        (None, False),
        ([{"uri": {"prefix": "/api"}}], False),
        ([{"headers": {"x-team": {"exact": "a"}}}], False),
        ([{"headers": {"end-user": {"exact": "qa"}}}], False),
        ([{"headers": {"end-user": {"exact": "jason"}}}], True),
        ([{"headers": {"end-user": {"prefix": "q"}}}], False),
        ([{"headers": {"end-user": {"regex": "q.*"}}}], True),
        ([{"headers": {"end-user": {}}}], True),
        ([{"headers": {"end-user": {"exact": "jason"}}}, {"uri": {"prefix": "/"}}], False),
        ([{"ignoreUriCase": True, "uri": {"prefix": "/api"}}], True),
        ([{"sourceNamespace": "prod"}], True),
    ],
)
def test_a_cohort_that_its_root_would_drop_is_refused(root_match: list[rs.Json] | None, refused: bool) -> None:
    route = {"delegate": {"name": "part"}, **({"match": root_match} if root_match else {})}
    given = snapshot(virtual_service("root", hosts=["reviews"], http=[route]), virtual_service("part"))
    wanted = {"headers": {"end-user": "qa"}}
    if not refused:
        assert plan.plan(given, REVIEWS, intents.SetCohort("qa", wanted, {"v2": 100})).changes
        return
    with pytest.raises(Refused) as refusal:
        plan.plan(given, REVIEWS, intents.SetCohort("qa", wanted, {"v2": 100}))
    assert [one.code for one in refusal.value.findings] == ["DELEGATE_MATCH_CONFLICT"]


@pytest.mark.parametrize(
    ("one", "other", "refused"),
    [
        ({}, {}, True),
        ({"exportTo": ["."]}, {"exportTo": ["."]}, True),
        ({"exportTo": ["."]}, {"exportTo": ["team-a"]}, False),
        ({"exportTo": ["team-a"]}, {"exportTo": ["team-a", "team-b"]}, True),
        ({"exportTo": ["~"]}, {}, False),
        ({"gateways": ["public"]}, {}, False),
        ({"gateways": ["public", "mesh"]}, {}, True),
        ({"hosts": ["reviews.bookinfo.svc.cluster.local", "x.example.com"]}, {}, True),
        ({"hosts": ["reviews.bookinfo"]}, {}, False),
    ],
)
def test_two_objects_that_claim_one_host_are_refused(one: rs.Json, other: rs.Json, refused: bool) -> None:
    given = snapshot(
        virtual_service("reviews", **{"hosts": ["reviews"], **one}),
        virtual_service("reveiws", **{"hosts": ["reviews"], **other}),
    )
    if not refused:
        assert plan.plan(given, REVIEWS, intents.SetWeights({"v1": 90, "v2": 10})).changes
        return
    with pytest.raises(Refused) as refusal:
        plan.plan(given, REVIEWS, intents.SetWeights({"v1": 90, "v2": 10}))
    assert [(found.code, found.object) for found in refusal.value.findings] == [
        ("HOST_CLAIMED_TWICE", "VirtualService bookinfo/reveiws"),
        ("HOST_CLAIMED_TWICE", "VirtualService bookinfo/reviews"),
    ]
    named = plan.plan(given, REVIEWS, intents.SetWeights({"v1": 90, "v2": 10}), scope=find.Scope(objects=("reviews",)))
    assert [change.name for change in named.changes] == ["reviews"]


@pytest.mark.parametrize("objects", [("nothing",), ("prod/reviews",), ("ratings",)])
def test_a_named_object_must_exist_and_route_to_the_service(objects: tuple[str, ...]) -> None:
    ratings = virtual_service("ratings", http=[{"route": [{"destination": {"host": "ratings"}}]}])
    with pytest.raises(InvalidInput, match="virtual_services"):
        plan.plan(
            snapshot(virtual_service("reviews", hosts=["reviews"]), ratings),
            REVIEWS,
            intents.SetWeights({"v1": 100}),
            scope=find.Scope(objects=objects),
        )


def test_a_list_that_was_not_read_is_not_an_empty_one() -> None:
    with pytest.raises(CanaryError, match="not read"):
        plan.plan(Snapshot(), REVIEWS, intents.SetWeights({"v1": 100}))


@pytest.mark.parametrize(
    ("rules", "known"),
    [
        ([rule("a", "bookinfo", "reviews", "v1")], {"v1"}),
        (
            [rule("a", "bookinfo", "reviews", "v1"), rule("b", "bookinfo", "reviews.bookinfo.svc.cluster.local", "v2")],
            {"v1", "v2"},
        ),
        ([rule("a", "bookinfo", "*.bookinfo.svc.cluster.local", "v9"), rule("b", "bookinfo", "reviews", "v1")], {"v1"}),
        ([rule("a", "istio-system", "*.local", "v9")], {"v9"}),
        ([rule("a", "istio-system", "*.local", "v9"), rule("b", "bookinfo", "reviews", "v1")], {"v1"}),
        ([rule("a", "prod", "reviews.bookinfo.svc.cluster.local", "v9")], set()),
        ([rule("a", "bookinfo", "ratings", "v9")], set()),
    ],
)
def test_subsets_are_looked_up_as_istio_does(rules: list[rs.Json], known: set[str]) -> None:
    assert set(find.subsets(Snapshot(destination_rules=rules), REVIEWS)) == known


def test_of_two_subsets_with_one_name_the_oldest_counts() -> None:
    younger = rule("a", "bookinfo", "reviews", "v1", age="2026-02-01T00:00:00Z")
    older = rule("b", "bookinfo", "reviews", age="2026-01-01T00:00:00Z")
    older["spec"]["subsets"] = [{"name": "v1", "labels": {"release": "old"}}]
    assert find.subsets(Snapshot(destination_rules=[younger, older]), REVIEWS) == {"v1": {"release": "old"}}


def test_an_unknown_subset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownSubset, match=r"there are: v1, v2 \(DestinationRule bookinfo/reviews\)") as refusal:
        plan.plan(
            snapshot(virtual_service("reviews", hosts=["reviews"])), REVIEWS, intents.SetWeights({"v1": 50, "v7": 50})
        )
    assert refusal.value.details["known"] == ["v1", "v2"]


def test_restoring_to_a_deleted_subset_is_refused() -> None:
    given = snapshot(virtual_service("reviews", hosts=["reviews"]))
    promoted = given.after(plan.plan(given, REVIEWS, intents.SetWeights({"v2": 100})).changes)
    without = Snapshot(
        virtual_services=promoted.virtual_services, destination_rules=(rule("reviews", "bookinfo", "reviews", "v2"),)
    )
    with pytest.raises(UnknownSubset):
        plan.plan(without, REVIEWS, intents.RestoreWeights())


def test_two_services_share_one_object_in_any_order() -> None:
    both = [
        {
            "match": [{"uri": {"prefix": "/r"}}],
            "route": [
                {"destination": {"host": "reviews", "subset": "v1"}, "weight": 60},
                {"destination": {"host": "ratings", "subset": "v1"}, "weight": 40},
            ],
        },
    ]
    given = snapshot(
        virtual_service("shared", hosts=["shop"], gateways=["public"], http=both),
        rules=(rule("reviews", "bookinfo", "reviews", "v1", "v2"), rule("ratings", "bookinfo", "ratings", "v1", "v2")),
    )
    ratings = ServiceRef("ratings", "bookinfo")

    def reviews_first(state: Snapshot) -> Snapshot:
        return state.after(plan.plan(state, REVIEWS, intents.SetWeights({"v1": 90, "v2": 10})).changes)

    def ratings_then(state: Snapshot) -> Snapshot:
        state = state.after(plan.plan(state, ratings, intents.SetWeights({"v1": 50, "v2": 50})).changes)
        return state.after(
            plan.plan(state, ratings, intents.SetCohort("qa", {"headers": {"x": "1"}}, {"v2": 100})).changes
        )

    one, other = ratings_then(reviews_first(given)), reviews_first(ratings_then(given))
    assert one.virtual_services == other.virtual_services
    assert plan.describe(one, REVIEWS)["weights"] == {"v1": 90, "v2": 10}
    assert plan.describe(one, ratings)["weights"] == {"v1": 50, "v2": 50}


def _rule_for_batch(**labels: str) -> t.Any:
    rule = reviews.destination_rule(versions=("v1", "v2"), name="batch", host=REVIEWS.fqdn)
    return reviews.changed(rule, spec={"workloadSelector": {"matchLabels": labels or {"app": "batch"}}})


def test_subsets_of_a_rule_for_some_workloads_are_not_those_of_all_callers() -> None:
    lists = reviews.healthy()
    lists["virtual_services"] = [reviews.virtual_service(weights={"v1": 100})]
    lists["destination_rules"] = [reviews.destination_rule(versions=("v1",)), _rule_for_batch()]
    snapshot = Snapshot(**lists)
    assert set(find.subsets(snapshot, REVIEWS)) == {"v1"}
    with pytest.raises(
        UnknownSubset, match=r"batch has v2, but only callers with app=batch in bookinfo use it"
    ) as caught:
        plan.plan(snapshot, REVIEWS, intents.SetWeights({"v1": 50, "v2": 50}))
    assert "has v2, but only callers with app=batch in bookinfo use it" in caught.value.findings[0].reason


def test_a_rule_in_a_third_namespace_is_named_and_not_used() -> None:
    lists = reviews.healthy()
    lists["virtual_services"] = [reviews.virtual_service(weights={"v1": 100})]
    lists["destination_rules"] = [reviews.destination_rule("config", host=REVIEWS.fqdn)]
    snapshot = Snapshot(**lists)
    assert find.subsets(snapshot, REVIEWS) == {}
    with pytest.raises(UnknownSubset, match=r"config/reviews has v2, but only callers in config use it"):
        plan.plan(snapshot, REVIEWS, intents.SetWeights({"v1": 50, "v2": 50}))


def test_a_rule_whose_host_istio_does_not_complete_is_named() -> None:
    lists = reviews.healthy()
    lists["virtual_services"] = [reviews.virtual_service(weights={"v1": 100})]
    lists["destination_rules"] = [reviews.destination_rule(host="reviews.bookinfo")]
    with pytest.raises(UnknownSubset, match=r"has the host reviews\.bookinfo, which Istio does not complete"):
        plan.plan(Snapshot(**lists), REVIEWS, intents.SetWeights({"v1": 50, "v2": 50}))


def test_a_named_object_of_a_revision_that_does_not_run_is_said_to_be_one() -> None:
    labeled = reviews.changed(reviews.virtual_service(), metadata={"labels": {"istio.io/rev": "1-29-0"}})
    snapshot = Snapshot(**{**reviews.healthy(), "virtual_services": []}, ignored=(labeled,))
    with pytest.raises(InvalidInput, match=r"bookinfo/reviews is labeled istio\.io/rev=1-29-0"):
        plan.plan(snapshot, REVIEWS, intents.SetWeights({"v1": 100}), scope=find.Scope(("reviews",)), api="istio")


def test_callers_whose_rule_lacks_the_subset_are_named() -> None:
    lists = reviews.healthy()
    lists["destination_rules"] += [reviews.changed(_rule_for_batch(), spec={"subsets": []})]
    (finding,) = preflight_defects.inspect(lists)
    assert finding.code == "DESTINATION_RULE_SHADOWED"
    assert "For callers with app=batch in bookinfo it hides DestinationRule bookinfo/reviews" in finding.reason
    lists["destination_rules"][1] = _rule_for_batch()
    assert preflight_defects.codes(preflight_defects.inspect(lists)) == ["DESTINATION_RULE_ELSEWHERE"]
