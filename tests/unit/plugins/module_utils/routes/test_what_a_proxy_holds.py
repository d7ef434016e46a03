# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A dump taken from a real Envoy under a real istiod, against the objects it was made of (real/).

The objects have named matches, a delegate, a rewrite, a direct response, a route for another gateway, one for
certain callers, a port match; weights 90/10 and a cohort with two alternatives are on them.
"""

from __future__ import annotations

import copy
import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.routes import envoy, plan
from ansible_collections.meshops.canary.plugins.module_utils.routes.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.routes.snapshot import Snapshot

if t.TYPE_CHECKING:
    from support import route_strategies as rs

REAL = Path(__file__).parent / "real"
REVIEWS = ServiceRef("reviews", "routes-holds")
PROXY = envoy.Proxy(namespace="modules-dev", labels={"app": "productpage"})
FQDN = REVIEWS.fqdn


@pytest.fixture
def dump() -> rs.Json:
    return t.cast("rs.Json", json.loads((REAL / "config_dump.json").read_text()))


@pytest.fixture
def snapshot() -> Snapshot:
    return Snapshot(**json.loads((REAL / "objects.json").read_text()))


def test_a_converged_proxy_lacks_nothing(dump: rs.Json, snapshot: Snapshot) -> None:
    assert envoy.holds(dump, REVIEWS, snapshot, PROXY) == []
    assert envoy.holds(dump, REVIEWS, snapshot) == []


def test_the_whole_dump_reads_like_the_part(dump: rs.Json, snapshot: Snapshot) -> None:
    whole = {"configs": [{"@type": "RoutesConfigDump", "dynamic_route_configs": dump["configs"]}, {"bootstrap": {}}]}
    assert envoy.holds(whole, REVIEWS, snapshot, PROXY) == []


@pytest.mark.parametrize("nothing", [{}, {"configs": []}, {"configs": [{"bootstrap": {}}]}])
def test_no_routes_are_no_evidence(nothing: rs.Json, snapshot: Snapshot) -> None:
    assert envoy.holds(nothing, REVIEWS, snapshot, PROXY) == [
        "The proxy's routes could not be read: its config dump has none."
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda s: plan.plan_weights(s, REVIEWS, {"v1": 89, "v2": 11}),
        lambda s: plan.plan_weights(s, REVIEWS, {"v1": 90.1, "v2": 9.9}),
        lambda s: plan.plan_weights(s, REVIEWS, {"v2": 100}),
        lambda s: plan.plan_weights_absent(s, REVIEWS),
        lambda s: plan.plan_cohort(s, REVIEWS, "other", {"headers": {"x-b": "1"}}, {"v2": 100}),
        lambda s: plan.plan_cohort(s, REVIEWS, "testuser", {"headers": {"end-user": "testuser"}}, {"v2": 10, "v3": 90}),
        lambda s: plan.plan_cohort_absent(s, REVIEWS, "testuser"),
        lambda s: plan.plan_sticky(s, REVIEWS),
    ],
)
def test_a_change_that_has_not_arrived_is_missing(
    dump: rs.Json, snapshot: Snapshot, change: t.Callable[[Snapshot], t.Any]
) -> None:
    changes = change(snapshot).changes
    assert changes
    assert envoy.holds(dump, REVIEWS, snapshot.after(changes), PROXY)


def test_a_deleted_virtual_service_that_is_still_obeyed(dump: rs.Json, snapshot: Snapshot) -> None:
    gone = Snapshot(virtual_services=(), destination_rules=snapshot.destination_rules)
    assert envoy.holds(dump, REVIEWS, gone, PROXY) == [
        "VirtualService routes-holds/reviews: the proxy still obeys it, although it is gone"
    ]


def test_an_object_of_a_namespace_nobody_may_read_is_no_leftover(dump: rs.Json, snapshot: Snapshot) -> None:
    foreign = {
        "filter_metadata": {"istio": {"config": "/apis/networking.istio.io/v1/namespaces/infra/virtual-service/edge"}}
    }
    virtual_hosts(dump)[0]["routes"].append(
        {"match": {"prefix": "/"}, "metadata": foreign, "route": {"cluster": f"outbound|9080|v1|{FQDN}"}}
    )
    assert envoy.holds(dump, REVIEWS, snapshot, PROXY) == []


def virtual_hosts(dump: rs.Json) -> list[rs.Json]:
    return [one for config in dump["configs"] for one in config["route_config"]["virtual_hosts"]]


def routes(dump: rs.Json) -> list[rs.Json]:
    return t.cast("list[rs.Json]", virtual_hosts(dump)[0]["routes"])


def test_a_route_that_is_not_there_yet(dump: rs.Json, snapshot: Snapshot) -> None:
    cohort = next(one for one in routes(dump) if one["name"].startswith("canary-cohort."))
    routes(dump).remove(cohort)
    assert any("does not have canary-cohort.testuser" in one for one in envoy.holds(dump, REVIEWS, snapshot, PROXY))


def test_a_cohort_below_its_route_is_dead(dump: rs.Json, snapshot: Snapshot) -> None:
    last = routes(dump)[-1]
    routes(dump).insert(0, routes(dump).pop(routes(dump).index(last)))
    assert envoy.holds(dump, REVIEWS, snapshot, PROXY)


def test_weights_in_another_unit_are_the_same_shares(dump: rs.Json, snapshot: Snapshot) -> None:
    for one in virtual_hosts(dump):
        for route in one["routes"]:
            for cluster in route.get("route", {}).get("weighted_clusters", {}).get("clusters", []):
                cluster["weight"] *= 10
    assert envoy.holds(dump, REVIEWS, snapshot, PROXY) == []


def test_a_proxy_without_the_object_at_all(dump: rs.Json, snapshot: Snapshot) -> None:
    for one in virtual_hosts(dump):
        for route in one["routes"]:
            route.pop("metadata", None)
    assert envoy.holds(dump, REVIEWS, snapshot, PROXY) == [
        "VirtualService routes-holds/reviews: the proxy has no route of it yet"
    ]


def test_a_route_for_certain_callers_counts_where_the_caller_is_known(dump: rs.Json, snapshot: Snapshot) -> None:
    nobody = envoy.Proxy(namespace="modules-dev", labels={"app": "nobody"})
    assert any("caller's label app is nobody" in one for one in envoy.holds(dump, REVIEWS, snapshot, nobody))
    assert envoy.holds(dump, REVIEWS, snapshot, envoy.Proxy(namespace="modules-dev")) == []


def test_what_is_not_exported_to_the_proxy_is_not_expected(dump: rs.Json, snapshot: Snapshot) -> None:
    objects = copy.deepcopy(list(snapshot.virtual_services or ()))
    for one in objects:
        one["spec"]["exportTo"] = ["."]
    private = Snapshot(virtual_services=objects, destination_rules=snapshot.destination_rules)
    bare = copy.deepcopy(dump)
    for one in virtual_hosts(bare):
        one["routes"] = [{"name": "default", "match": {"prefix": "/"}, "route": {"cluster": f"outbound|9080||{FQDN}"}}]
    assert envoy.holds(bare, REVIEWS, private, PROXY) == []
    assert envoy.holds(bare, REVIEWS, private, envoy.Proxy(namespace="routes-holds")) != []


def test_gateways_are_asked_for_their_own_routes() -> None:
    public = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "public", "namespace": "routes-holds"},
        "spec": {
            "hosts": ["shop"],
            "gateways": ["infra/public"],
            "http": [{"route": [{"destination": {"host": "reviews", "subset": "v1"}}]}],
        },
    }
    snapshot = Snapshot(virtual_services=(public,), destination_rules=())
    route = {"match": {"prefix": "/"}, "route": {"cluster": "outbound|80||x.default.svc.cluster.local"}}
    other = {
        "configs": [{"route_config": {"name": "http.8080", "virtual_hosts": [{"domains": ["*"], "routes": [route]}]}}]
    }
    assert envoy.holds(other, REVIEWS, snapshot, envoy.Proxy(gateways=("infra/public",)))
    assert envoy.holds(other, REVIEWS, snapshot, envoy.Proxy(gateways=("infra/private",))) == []
    assert envoy.holds(other, REVIEWS, snapshot, envoy.Proxy(namespace="a")) == []


def tcp_listener(*clusters: tuple[str, int]) -> rs.Json:
    proxy: rs.Json = {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"}
    named = [{"name": f"outbound|5432|{subset}|{FQDN}", "weight": weight} for subset, weight in clusters]
    if len(named) == 1:
        proxy["cluster"] = named[0]["name"]
    else:
        proxy["weighted_clusters"] = {"clusters": named}
    listener = {"filter_chains": [{"filters": [{"typed_config": proxy}]}]}
    return {"active_state": {"listener": listener}}


@pytest.mark.parametrize(
    ("clusters", "converged"),
    [
        ((("v1", 90), ("v2", 10)), True),
        ((("v1", 9), ("v2", 1)), True),
        ((("v1", 1),), False),
        ((("v1", 50), ("v2", 50)), False),
    ],
)
def test_tcp_routes_are_in_the_listeners(clusters: tuple[tuple[str, int], ...], converged: bool) -> None:
    obj = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "db", "namespace": "routes-holds"},
        "spec": {
            "hosts": ["reviews"],
            "tcp": [
                {
                    "route": [
                        {"destination": {"host": "reviews", "subset": "v1"}, "weight": 90},
                        {"destination": {"host": "reviews", "subset": "v2"}, "weight": 10},
                    ]
                }
            ],
        },
    }
    snapshot = Snapshot(virtual_services=(obj,), destination_rules=())
    assert envoy.resources_needed(snapshot, REVIEWS) == ["dynamic_route_configs", "dynamic_listeners"]
    route = {"match": {"prefix": "/"}, "route": {"cluster": "PassthroughCluster"}}
    dump = {
        "configs": [
            {"route_config": {"name": "80", "virtual_hosts": [{"domains": ["*"], "routes": [route]}]}},
            tcp_listener(*clusters),
        ]
    }
    assert (envoy.holds(dump, REVIEWS, snapshot, PROXY) == []) is converged


def test_healthy_endpoints_by_place() -> None:
    def cluster(place: str, *states: str, kind: str = "EDS") -> list[rs.Json]:
        endpoints = [{"health_status": state} if state else {} for state in states]
        assigned = {"cluster_name": f"outbound|{place}", "endpoints": [{"lb_endpoints": endpoints}]}
        return [{"cluster": {"name": f"outbound|{place}", "type": kind}}, {"endpoint_config": assigned}]

    configs = [
        *cluster(f"9080||{FQDN}", "HEALTHY", ""),
        *cluster(f"9080|v1|{FQDN}", "HEALTHY", "UNHEALTHY"),
        *cluster(f"9090|v1|{FQDN}"),
        *cluster(f"9080|v2|{FQDN}", "DRAINING"),
        *cluster("9080||db.default.svc.cluster.local", kind="ORIGINAL_DST"),
        {"cluster": {"name": "BlackHoleCluster", "type": "STATIC"}},
    ]
    assert envoy.healthy_endpoints({"configs": configs}) == {
        (FQDN, ""): 2,
        (FQDN, "v1"): 1,
        (FQDN, "v2"): 0,
        ("db.default.svc.cluster.local", ""): 0,
    }
    assert envoy.known_places({"configs": configs}) == {
        (FQDN, ""): True,
        (FQDN, "v1"): True,
        (FQDN, "v2"): True,
        ("db.default.svc.cluster.local", ""): False,
    }
