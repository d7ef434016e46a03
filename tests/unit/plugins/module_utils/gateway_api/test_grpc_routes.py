# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""GRPCRoutes are edited as HTTPRoutes are, and together with them."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.envoy import missing_http_routes
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput, Refused
from ansible_collections.meshops.canary.plugins.module_utils.gateway_api import grants, grpc_match_translation, parents
from ansible_collections.meshops.canary.plugins.module_utils.istio.find import Scope
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents
from ansible_collections.meshops.canary.plugins.module_utils.preflight import route_claims
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from support.http_routes import GATEWAY, MESH, REVIEWS, TESTERS, http_route, path, ref, rule, shares, snapshot, write

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot

Json = dict[str, t.Any]
GET = {"type": "Exact", "service": "shop.Reviews", "method": "Get"}
SERVICE_ALONE = {"type": "Exact", "service": "shop.Reviews"}
METHOD_ALONE = {"type": "Exact", "method": "Get"}
EXPRESSION = {"type": "RegularExpression", "service": "shop\\..*", "method": "Get|List"}


def grpc_route(*rules: Json, parents: list[Json] | None = None, name: str = "calls") -> Json:
    return {**http_route(*rules, parents=parents, name=name), "kind": "GRPCRoute"}


def calls(*refs: Json, methods: t.Sequence[Json] = (), **more: t.Any) -> Json:
    matches = {"matches": [{"method": one} for one in methods]} if methods else {}
    return {**matches, "backendRefs": list(refs), **more}


BOTH = (ref("reviews-v1", 100), ref("reviews-v2", 0))


def apply(state: Snapshot, intent: t.Any, **options: t.Any) -> Snapshot:
    return write(state, plan.plan(state, REVIEWS, intent, api="auto", **options))


def rules_of(state: Snapshot, kind: str = "GRPCRoute") -> list[Json]:
    return next(t.cast("list[Json]", one["spec"]["rules"]) for one in state.http_routes or () if one["kind"] == kind)


@pytest.mark.parametrize(
    ("method", "uri"),
    [
        (GET, {"exact": "/shop.Reviews/Get"}),
        (SERVICE_ALONE, {"prefix": "/shop.Reviews/"}),
        (METHOD_ALONE, {"regex": "/[^/]+/Get"}),
        (EXPRESSION, {"regex": "/shop\\..*/Get|List"}),
        ({"type": "RegularExpression", "service": "shop.+"}, {"regex": "/shop.+/.+"}),
        ({"service": "shop.Reviews", "method": "Get"}, {"exact": "/shop.Reviews/Get"}),
    ],
)
def test_a_match_is_a_condition_on_the_path_and_back(method: Json, uri: Json) -> None:
    (block,) = grpc_match_translation.to_blocks([{"method": method}])
    assert block == {"uri": uri}
    assert grpc_match_translation.to_blocks(grpc_match_translation.to_matches([block])) == [block]


def test_a_rule_without_matches_is_for_every_call() -> None:
    for matches in (None, [], [{}]):
        assert grpc_match_translation.to_blocks(matches) == []
    blocks = grpc_match_translation.to_blocks([{"method": GET}, {}])
    assert blocks == [{"uri": {"exact": "/shop.Reviews/Get"}}, {}], "the first one is tried before others' rules"


def test_a_cohort_precedes_every_match_of_its_rule() -> None:
    """A match beside one for all requests tests more, so proxies would try it before a cohort without it."""
    header = [{"type": "Exact", "name": "end-user", "value": "testuser"}]
    pages = snapshot(http_route(rule(*BOTH, matches=[path("/"), path("/api", "Exact")])))
    first = rules_of(apply(pages, intents.SetCohort("testers", TESTERS, {"reviews-v2": 100})), "HTTPRoute")[0]
    assert first["matches"] == [{**path("/"), "headers": header}, {**path("/api", "Exact"), "headers": header}]


def test_rules_are_tried_as_istiod_sorts_them() -> None:
    """Seen on Istio 1.31: exact methods, services, expressions, then headers alone."""
    header = {"type": "Exact", "name": "end-user", "value": "x"}
    order = [{"method": GET, "headers": [header]}, {"method": SERVICE_ALONE}, {"method": METHOD_ALONE}]
    order += [{"headers": [header]}, {}]
    assert sorted(order, key=grpc_match_translation.precedence, reverse=True) == order


def test_weights_are_set_and_restored() -> None:
    start = snapshot(
        grpc_route(
            calls(*BOTH),
            calls(*BOTH, methods=[GET], name="get"),
            calls(ref("ratings"), methods=[{"service": "shop.Ratings"}]),
        )
    )
    after = apply(start, intents.SetWeights({"reviews-v1": 90, "reviews-v2": 10}))
    assert [shares(one) for one in rules_of(after)] == [
        {"reviews-v1": 90, "reviews-v2": 10},
        {"reviews-v1": 90, "reviews-v2": 10},
        {"ratings": 1},
    ]
    description = plan.describe(after, REVIEWS)
    assert (description["route_api"], description["weights"]) == ("gateway", {"reviews-v1": 90, "reviews-v2": 10})
    assert apply(after, intents.RestoreWeights()).http_routes == start.http_routes


def test_a_cohort_by_header_gets_a_rule_beside_each_rule_of_the_service() -> None:
    start = snapshot(grpc_route(calls(*BOTH, methods=[GET, METHOD_ALONE]), calls(*BOTH)))
    after = apply(start, intents.SetCohort("testers", TESTERS, {"reviews-v2": 100}))
    header = [{"type": "Exact", "name": "end-user", "value": "testuser"}]
    first, second, third, fourth = rules_of(after)
    assert first["matches"][0] == {"method": GET, "headers": header}
    assert grpc_match_translation.to_blocks(first["matches"])[1]["uri"] == {"regex": "/[^/]+/Get"}
    assert third["matches"] == [{"headers": header}]
    assert [shares(one)["reviews-v2"] for one in (first, second, third, fourth)] == [100, 0, 100, 0]
    assert not plan.plan(after, REVIEWS, intents.SetCohort("testers", TESTERS, {"reviews-v2": 100})).changes
    assert apply(after, intents.RemoveCohort("testers")).http_routes == start.http_routes


def test_a_cohort_by_method_or_service_is_one_by_path() -> None:
    start = snapshot(grpc_route(calls(*BOTH)))
    for condition, method in (({"exact": "/shop.Reviews/Get"}, GET), ({"prefix": "/shop.Reviews/"}, SERVICE_ALONE)):
        after = apply(start, intents.SetCohort("some", {"path": condition}, {"reviews-v2": 100}))
        assert rules_of(after)[0]["matches"] == [{"method": method}]
        assert apply(after, intents.RemoveCohort("some")).http_routes == start.http_routes


@pytest.mark.parametrize(
    ("match", "words"),
    [
        ({"query": {"beta": "1"}}, "query: a GRPCRoute selects calls by service, method and headers only"),
        ({"methods": ["GET"]}, "methods: a GRPCRoute selects calls"),
        ({"headers": {"x": {"absent": True}}}, "absent headers and cookies: a GRPCRoute"),
        ({"source_labels": {"app": "page"}}, "source_labels: a GRPCRoute"),
        ({"path": {"exact": "/reviews"}}, "path.exact: /reviews is no method of gRPC"),
        ({"path": {"prefix": "/shop.Reviews"}}, "Write /SERVICE/ with the slash at the end"),
        ({"path": {"regex": "/shop/.*"}}, "path.regex: proxies try a GRPCRoute's expressions"),
        ({"headers": {":authority": "x"}}, "headers.:authority cannot be tested"),
    ],
)
def test_a_cohort_that_a_grpc_route_cannot_select_is_refused(match: Json, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        apply(snapshot(grpc_route(calls(*BOTH))), intents.SetCohort("some", match, {"reviews-v2": 100}))


def test_mirrors_are_filters_as_in_an_http_route() -> None:
    start = snapshot(grpc_route(calls(*BOTH)))
    after = apply(start, intents.SetMirror("reviews-v2", 10))
    (one,) = rules_of(after)
    assert one["filters"][0]["requestMirror"]["percent"] == 10
    assert apply(after, intents.RemoveMirror()).http_routes == start.http_routes


def on_port(port: int) -> list[Json]:
    return [{**MESH[0], "port": port}]


def test_pages_and_calls_of_a_service_shift_together() -> None:
    pages = http_route(rule(*BOTH), parents=on_port(9080), name="pages")
    start = snapshot(pages, grpc_route(calls(*BOTH), parents=on_port(9090)))
    planned = plan.plan(start, REVIEWS, intents.SetWeights({"reviews-v1": 75, "reviews-v2": 25}))
    assert [(one["kind"], one["changed"]) for one in planned.objects] == [("GRPCRoute", True), ("HTTPRoute", True)]
    after = write(start, planned)
    assert {shares(rules_of(after, kind)[0])["reviews-v2"] for kind in ("HTTPRoute", "GRPCRoute")} == {25}
    assert apply(after, intents.RestoreWeights()).http_routes == start.http_routes
    only = plan.plan(start, REVIEWS, intents.SetWeights({"reviews-v2": 100}), scope=Scope(("calls",), kind="GRPCRoute"))
    assert [change.object for change in only.changes] == ["GRPCRoute bookinfo/calls"]
    with pytest.raises(InvalidInput, match="grpc_routes: there is no GRPCRoute bookinfo/pages"):
        plan.plan(start, REVIEWS, intents.RestoreWeights(), scope=Scope(("pages",), kind="GRPCRoute"))


def test_two_kinds_under_one_name_are_refused() -> None:
    """Seen on Istio 1.31: the calls follow the HTTPRoute alone, and the status of both is Accepted."""
    pages = http_route(rule(*BOTH), parents=on_port(9080), name="calls")
    state = snapshot(pages, grpc_route(calls(*BOTH), parents=on_port(9090)))
    with pytest.raises(Refused, match="has the same name, and of two with one name istiod drops the GRPCRoute"):
        plan.plan(state, REVIEWS, intents.SetWeights({"reviews-v1": 50, "reviews-v2": 50}))


@pytest.mark.parametrize(
    ("pages", "calls_parents", "refused"),
    [
        (MESH, MESH, True),
        ([{**MESH[0], "port": None}], MESH, True),
        (on_port(9080), on_port(9090), False),
        (GATEWAY, GATEWAY, True),
        ([{**GATEWAY[0], "sectionName": "http"}], [{**GATEWAY[0], "sectionName": "grpc"}], False),
        (GATEWAY, MESH, False),
    ],
)
def test_two_kinds_of_routes_at_one_place_are_refused(
    pages: list[Json], calls_parents: list[Json], refused: bool
) -> None:
    own = [{key: value for key, value in one.items() if value is not None} for one in pages]
    state = snapshot(http_route(rule(*BOTH), parents=own), grpc_route(calls(*BOTH), parents=calls_parents))
    intent = intents.SetWeights({"reviews-v1": 50, "reviews-v2": 50})
    if not refused:
        assert len(plan.plan(state, REVIEWS, intent).changes) == 2
        return
    with pytest.raises(Refused, match="Give each a port or listener of its own") as caught:
        plan.plan(state, REVIEWS, intent)
    assert [one.code for one in caught.value.findings] == ["ROUTE_APIS_MIXED"]


def test_preflight_finds_two_kinds_of_routes_of_a_service() -> None:
    state = snapshot(http_route(rule(*BOTH)), grpc_route(calls(*BOTH)))
    found = [one for one in route_claims._two_apis(state, REVIEWS) if one.code == "ROUTE_APIS_MIXED"]
    assert [one.object for one in found] == ["GRPCRoute bookinfo/calls"]
    elsewhere = snapshot(http_route(rule(*BOTH), parents=on_port(80)), grpc_route(calls(*BOTH)))
    assert not list(route_claims._two_apis(elsewhere, REVIEWS))


def test_hostnames_keep_routes_of_a_gateway_apart() -> None:
    pages, other = http_route(rule(*BOTH), parents=GATEWAY), grpc_route(calls(*BOTH), parents=GATEWAY)
    pages["spec"]["hostnames"], other["spec"]["hostnames"] = ["shop.example.com"], ["api.example.com"]
    assert not parents.claims_the_same(pages, other)
    other["spec"]["hostnames"].append("shop.example.com")
    assert parents.claims_the_same(pages, other)


def test_a_reference_grant_is_one_for_the_kind() -> None:
    other = grpc_route(calls(ref("reviews-v1", namespace="shop")), parents=GATEWAY)
    grant = {"metadata": {"name": "g", "namespace": "shop"}, "spec": {"to": [{"group": "", "kind": "Service"}]}}
    for kind, refused in (("HTTPRoute", ["reviews-v1"]), ("GRPCRoute", [])):
        origin = {"group": grants.GROUP, "kind": kind, "namespace": "bookinfo"}
        permitted = {**grant, "spec": {**t.cast("Json", grant["spec"]), "from": [origin]}}
        assert grants.not_permitted(other, "shop", [permitted]) == refused


def test_the_names_of_a_grpc_routes_rules_are_those_of_an_http_route() -> None:
    expected = missing_http_routes._expected_shares(grpc_route(calls(*BOTH), calls(ref("ratings"), name="own")), "x")
    assert list(expected) == ["bookinfo.calls.0", "own"]
