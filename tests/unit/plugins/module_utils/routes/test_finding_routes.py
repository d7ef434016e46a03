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
from ansible_collections.meshops.canary.plugins.module_utils.routes import find, hosts, plan
from ansible_collections.meshops.canary.plugins.module_utils.routes.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.routes.snapshot import Snapshot

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


def test_anothers_unreadable_book_stands_in_nobodys_way() -> None:
    own, other = virtual_service("reviews", hosts=["reviews"]), virtual_service("cart", "shop", hosts=["cart"], http=[])
    other["metadata"]["annotations"] = {"canary.meshops.io/state": "restore me"}
    snapshot = Snapshot(virtual_services=[own, other])
    assert find.targets(snapshot, REVIEWS, find.Scope()) == [own]
    own["metadata"]["annotations"] = other["metadata"]["annotations"]
    with pytest.raises(Refused) as caught:
        plan.plan_weights(snapshot, REVIEWS, {"v1": 100}, api="istio")
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


def test_a_proxy_obeys_private_before_named_before_public_and_then_the_oldest() -> None:
    public_old = virtual_service("public-old", "prod", "2020-01-01T00:00:00Z")
    public_new = virtual_service("public-new", "prod", "2021-01-01T00:00:00Z")
    named = virtual_service("named", "prod", "2022-01-01T00:00:00Z", exportTo=["bookinfo"])
    private = virtual_service("private", "bookinfo", "2023-01-01T00:00:00Z", exportTo=["."])
    hidden = virtual_service("hidden", "prod", "2019-01-01T00:00:00Z", exportTo=["."])
    obeyed = hosts.in_force_order([public_new, hidden, public_old, named, private], "bookinfo")
    assert names(obeyed) == ["private", "named", "public-old", "public-new"]


def test_equal_age_goes_by_name_and_then_namespace() -> None:
    listed = [virtual_service("b", "x"), virtual_service("a", "y"), virtual_service("a", "x")]
    assert [hosts.identity(one) for one in hosts.in_force_order(listed, "x")] == [("x", "a"), ("y", "a"), ("x", "b")]


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
    found = find.targets(snapshot(mesh, public, root, part, unused, alias), REVIEWS, find.Scope())
    assert names(found) == ["mesh", "part", "public"]


@pytest.mark.parametrize(("scope", "found"), [(["istio-ingress"], ["public"]), (["."], ["public"]), (["~"], [])])
def test_a_gateways_routes_may_be_exported_to_its_proxies_alone(scope: list[str], found: list[str]) -> None:
    public = virtual_service("public", hosts=["shop.example.com"], gateways=["istio-ingress/gw"], exportTo=scope)
    assert names(find.targets(snapshot(public), REVIEWS, find.Scope())) == found


def test_a_delegate_of_the_mesh_is_edited_where_the_route_is() -> None:
    root = virtual_service("reviews", hosts=["reviews"], http=[{"delegate": {"name": "reviews-routes"}}])
    planned = plan.plan_weights(snapshot(root, virtual_service("reviews-routes")), REVIEWS, {"v1": 90, "v2": 10})
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
        assert plan.plan_cohort(given, REVIEWS, "qa", wanted, {"v2": 100}).changes
        return
    with pytest.raises(Refused) as refusal:
        plan.plan_cohort(given, REVIEWS, "qa", wanted, {"v2": 100})
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
def test_istio_10464_two_objects_that_claim_one_host(one: rs.Json, other: rs.Json, refused: bool) -> None:
    given = snapshot(
        virtual_service("reviews", **{"hosts": ["reviews"], **one}),
        virtual_service("reveiws", **{"hosts": ["reviews"], **other}),
    )
    if not refused:
        assert plan.plan_weights(given, REVIEWS, {"v1": 90, "v2": 10}).changes
        return
    with pytest.raises(Refused) as refusal:
        plan.plan_weights(given, REVIEWS, {"v1": 90, "v2": 10})
    assert [(found.code, found.object) for found in refusal.value.findings] == [
        ("HOST_CLAIMED_TWICE", "VirtualService bookinfo/reveiws"),
        ("HOST_CLAIMED_TWICE", "VirtualService bookinfo/reviews"),
    ]
    named = plan.plan_weights(given, REVIEWS, {"v1": 90, "v2": 10}, scope=find.Scope(objects=("reviews",)))
    assert [change.name for change in named.changes] == ["reviews"]


@pytest.mark.parametrize("objects", [("nothing",), ("prod/reviews",), ("ratings",)])
def test_a_named_object_must_exist_and_route_to_the_service(objects: tuple[str, ...]) -> None:
    ratings = virtual_service("ratings", http=[{"route": [{"destination": {"host": "ratings"}}]}])
    with pytest.raises(InvalidInput, match="virtual_services"):
        plan.plan_weights(
            snapshot(virtual_service("reviews", hosts=["reviews"]), ratings),
            REVIEWS,
            {"v1": 100},
            scope=find.Scope(objects=objects),
        )


def test_a_list_that_was_not_read_is_not_an_empty_one() -> None:
    with pytest.raises(CanaryError, match="not read"):
        plan.plan_weights(Snapshot(), REVIEWS, {"v1": 100})


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


def test_an_unknown_subset_is_refused_with_what_there_is() -> None:
    with pytest.raises(UnknownSubset, match=r"there are: v1, v2 \(DestinationRule bookinfo/reviews\)") as refusal:
        plan.plan_weights(snapshot(virtual_service("reviews", hosts=["reviews"])), REVIEWS, {"v1": 50, "v7": 50})
    assert refusal.value.details["known"] == ["v1", "v2"]


def test_giving_back_to_a_subset_that_is_gone_is_refused() -> None:
    given = snapshot(virtual_service("reviews", hosts=["reviews"]))
    promoted = given.after(plan.plan_weights(given, REVIEWS, {"v2": 100}).changes)
    without = Snapshot(
        virtual_services=promoted.virtual_services, destination_rules=(rule("reviews", "bookinfo", "reviews", "v2"),)
    )
    with pytest.raises(UnknownSubset):
        plan.plan_weights_absent(without, REVIEWS)


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
        return state.after(plan.plan_weights(state, REVIEWS, {"v1": 90, "v2": 10}).changes)

    def ratings_then(state: Snapshot) -> Snapshot:
        state = state.after(plan.plan_weights(state, ratings, {"v1": 50, "v2": 50}).changes)
        return state.after(plan.plan_cohort(state, ratings, "qa", {"headers": {"x": "1"}}, {"v2": 100}).changes)

    one, other = ratings_then(reviews_first(given)), reviews_first(ratings_then(given))
    assert one.virtual_services == other.virtual_services
    assert plan.describe(one, REVIEWS)["weights"] == {"v1": 90, "v2": 10}
    assert plan.describe(one, ratings)["weights"] == {"v1": 50, "v2": 50}
