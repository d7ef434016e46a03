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
import re
import typing as t
from pathlib import Path

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.envoy import missing_routes
from ansible_collections.meshops.canary.plugins.module_utils.envoy.expected_routes import ProxyAttributes, RoutedService
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan

if t.TYPE_CHECKING:
    from support import route_strategies as rs

REAL = Path(__file__).parent / "real"
REVIEWS = ServiceRef("reviews", "routes-holds")
PROXY = ProxyAttributes(namespace="modules-dev", labels={"app": "productpage"})
FQDN = REVIEWS.fqdn


@pytest.fixture
def dump() -> rs.Json:
    return t.cast("rs.Json", json.loads((REAL / "config_dump.json").read_text()))


@pytest.fixture
def snapshot() -> Snapshot:
    return Snapshot(**json.loads((REAL / "objects.json").read_text()))


def missing(dump: rs.Json, snapshot: Snapshot, proxy: ProxyAttributes | None = None) -> list[str]:
    return missing_routes.missing_routes(dump, RoutedService(REVIEWS, snapshot), proxy)


def test_a_converged_proxy_lacks_nothing(dump: rs.Json, snapshot: Snapshot) -> None:
    assert missing(dump, snapshot, PROXY) == []
    assert missing(dump, snapshot) == []


def test_a_whole_dump_is_read_like_its_route_part(dump: rs.Json, snapshot: Snapshot) -> None:
    whole = {"configs": [{"@type": "RoutesConfigDump", "dynamic_route_configs": dump["configs"]}, {"bootstrap": {}}]}
    assert missing(whole, snapshot, PROXY) == []


@pytest.mark.parametrize("nothing", [{}, {"configs": []}, {"configs": [{"bootstrap": {}}]}])
def test_a_dump_without_routes_is_never_converged(nothing: rs.Json, snapshot: Snapshot) -> None:
    assert missing(nothing, snapshot, PROXY) == ["The proxy's routes could not be read: its config dump has none."]


@pytest.mark.parametrize(
    "change",
    [
        lambda s: plan.plan(s, REVIEWS, intents.SetWeights({"v1": 89, "v2": 11})),
        lambda s: plan.plan(s, REVIEWS, intents.SetWeights({"v1": 90.1, "v2": 9.9})),
        lambda s: plan.plan(s, REVIEWS, intents.SetWeights({"v2": 100})),
        lambda s: plan.plan(s, REVIEWS, intents.RestoreWeights()),
        lambda s: plan.plan(s, REVIEWS, intents.SetCohort("other", {"headers": {"x-b": "1"}}, {"v2": 100})),
        lambda s: plan.plan(
            s, REVIEWS, intents.SetCohort("testuser", {"headers": {"end-user": "testuser"}}, {"v2": 10, "v3": 90})
        ),
        lambda s: plan.plan(s, REVIEWS, intents.RemoveCohort("testuser")),
        lambda s: plan.plan(s, REVIEWS, intents.SetSticky()),
    ],
)
def test_a_change_that_has_not_arrived_is_reported(
    dump: rs.Json, snapshot: Snapshot, change: t.Callable[[Snapshot], t.Any]
) -> None:
    changes = change(snapshot).changes
    assert changes
    assert missing(dump, snapshot.after(changes), PROXY)


def test_routes_of_a_deleted_virtual_service_are_reported(dump: rs.Json, snapshot: Snapshot) -> None:
    gone = Snapshot(virtual_services=(), destination_rules=snapshot.destination_rules)
    assert missing(dump, gone, PROXY) == [
        "VirtualService routes-holds/reviews: the proxy still has its routes, although it was deleted"
    ]


def test_routes_of_unread_namespaces_are_not_stale(dump: rs.Json, snapshot: Snapshot) -> None:
    foreign = {
        "filter_metadata": {"istio": {"config": "/apis/networking.istio.io/v1/namespaces/infra/virtual-service/edge"}}
    }
    virtual_hosts(dump)[0]["routes"].append(
        {"match": {"prefix": "/"}, "metadata": foreign, "route": {"cluster": f"outbound|9080|v1|{FQDN}"}}
    )
    assert missing(dump, snapshot, PROXY) == []


def virtual_hosts(dump: rs.Json) -> list[rs.Json]:
    return [one for config in dump["configs"] for one in config["route_config"]["virtual_hosts"]]


def routes(dump: rs.Json) -> list[rs.Json]:
    return t.cast("list[rs.Json]", virtual_hosts(dump)[0]["routes"])


def test_a_route_that_has_not_arrived_is_reported(dump: rs.Json, snapshot: Snapshot) -> None:
    cohort = next(one for one in routes(dump) if one["name"].startswith("canary-cohort."))
    routes(dump).remove(cohort)
    assert any("does not have canary-cohort.testuser" in one for one in missing(dump, snapshot, PROXY))


def test_a_cohort_after_its_route_is_reported(dump: rs.Json, snapshot: Snapshot) -> None:
    last = routes(dump)[-1]
    routes(dump).insert(0, routes(dump).pop(routes(dump).index(last)))
    assert missing(dump, snapshot, PROXY)


def test_weights_with_another_sum_are_the_same_shares(dump: rs.Json, snapshot: Snapshot) -> None:
    for one in virtual_hosts(dump):
        for route in one["routes"]:
            for cluster in route.get("route", {}).get("weighted_clusters", {}).get("clusters", []):
                cluster["weight"] *= 10
    assert missing(dump, snapshot, PROXY) == []


def test_a_proxy_without_any_route_of_the_object_is_reported(dump: rs.Json, snapshot: Snapshot) -> None:
    for one in virtual_hosts(dump):
        for route in one["routes"]:
            route.pop("metadata", None)
    assert missing(dump, snapshot, PROXY) == ["VirtualService routes-holds/reviews: the proxy has no route of it yet"]


def test_a_route_for_certain_callers_is_expected_if_their_labels_are_known(dump: rs.Json, snapshot: Snapshot) -> None:
    nobody = ProxyAttributes(namespace="modules-dev", labels={"app": "nobody"})
    assert any("caller's label app is nobody" in one for one in missing(dump, snapshot, nobody))
    assert missing(dump, snapshot, ProxyAttributes(namespace="modules-dev")) == []


def test_routes_not_exported_to_the_proxy_are_not_expected(dump: rs.Json, snapshot: Snapshot) -> None:
    objects = copy.deepcopy(list(snapshot.virtual_services or ()))
    for one in objects:
        one["spec"]["exportTo"] = ["."]
    private = Snapshot(virtual_services=objects, destination_rules=snapshot.destination_rules)
    plain = copy.deepcopy(dump)
    for one in virtual_hosts(plain):
        one["routes"] = [{"name": "default", "match": {"prefix": "/"}, "route": {"cluster": f"outbound|9080||{FQDN}"}}]
    assert missing(plain, private, PROXY) == []
    assert missing(plain, private, ProxyAttributes(namespace="routes-holds")) != []


def test_a_gateway_is_expected_to_have_the_routes_bound_to_it() -> None:
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
    assert missing(other, snapshot, ProxyAttributes(gateways=("infra/public",)))
    assert missing(other, snapshot, ProxyAttributes(gateways=("infra/private",))) == []
    assert missing(other, snapshot, ProxyAttributes(namespace="a")) == []


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
def test_tcp_routes_are_compared_with_the_listeners(clusters: tuple[tuple[str, int], ...], converged: bool) -> None:
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
    assert missing_routes.dump_resources(RoutedService(REVIEWS, snapshot)) == [
        "dynamic_route_configs",
        "dynamic_listeners",
    ]
    route = {"match": {"prefix": "/"}, "route": {"cluster": "PassthroughCluster"}}
    dump = {
        "configs": [
            {"route_config": {"name": "80", "virtual_hosts": [{"domains": ["*"], "routes": [route]}]}},
            tcp_listener(*clusters),
        ]
    }
    assert (missing(dump, snapshot, PROXY) == []) is converged


CONTESTED = [
    {
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": "routes-holds", "creationTimestamp": f"2026-01-0{day}T00:00:00Z"},
        "spec": {"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews", "subset": name}}]}]},
    }
    for day, name in ((1, "a"), (2, "b"))
]


@pytest.mark.parametrize(("index", "applied"), [(0, True), (1, False)])
def test_of_two_claims_the_named_one_is_waited_for_where_proxies_use_it(index: int, applied: bool) -> None:
    """The plan is limited to one of them, and so is all that is read after it."""
    routed = RoutedService(REVIEWS, Snapshot(virtual_services=CONTESTED), [CONTESTED[index]])
    assert missing_routes.bound_gateways(routed) == set()
    assert missing_routes.reaches_sidecars(routed)
    assert missing_routes.applies(routed, PROXY) is applied
    dump = {"configs": [{"route_config": {"name": "9080"}}]}
    lacking = missing_routes.missing_routes(dump, routed, PROXY)
    assert [one.partition(":")[0] for one in lacking] == (["VirtualService routes-holds/a"] if applied else [])


def test_a_gateway_is_found_by_the_old_form_of_its_name() -> None:
    spec = {**CONTESTED[0]["spec"], "hosts": ["edge.example.com"], "gateways": ["edge.routes-holds.svc.cluster.local"]}  # type: ignore[dict-item]
    one = {**CONTESTED[0], "spec": spec}
    routed = RoutedService(REVIEWS, Snapshot(virtual_services=[one]), [one])
    assert missing_routes.bound_gateways(routed) == {"routes-holds/edge"}
    assert not missing_routes.reaches_sidecars(routed)
    assert missing_routes.applies(routed, ProxyAttributes("istio-system", gateways=("routes-holds/edge",)))
    assert missing_routes.missing_routes({"configs": []}, routed, PROXY) != [], "a failed read is no answer"


def of_services(value: t.Any) -> t.Any:
    """Return a part of an object with the Service reviews-vN in the place of the subset vN."""
    if isinstance(value, list):
        return [of_services(one) for one in value]
    if not isinstance(value, dict):
        return value
    if value.get("host") == "reviews" and value.get("subset"):
        return {"host": f"reviews-{value['subset']}"}
    return {key: of_services(one) for key, one in value.items() if key != "annotations"}


@pytest.fixture
def dump_of_services() -> rs.Json:
    text = (REAL / "config_dump.json").read_text()
    named = re.sub(r"outbound\|(\d+)\|(v\d)\|reviews\.", r"outbound|\1||reviews-\2.", text)
    return t.cast("rs.Json", json.loads(named))


@pytest.fixture
def services(snapshot: Snapshot) -> Snapshot:
    there = ({"kind": "Service", "metadata": {"name": f"reviews-v{n}", "namespace": "routes-holds"}} for n in (1, 2, 3))
    listed = tuple({**one, "apiVersion": "v1", "spec": {"ports": [{"port": 9080}]}} for one in there)
    routed = tuple(of_services(one) for one in snapshot.virtual_services or ())
    return Snapshot(virtual_services=routed, destination_rules=(), services=listed)


def test_versions_that_are_services_are_compared_too(dump_of_services: rs.Json, services: Snapshot) -> None:
    assert missing(dump_of_services, services, PROXY) == []
    cohort = next(one for one in routes(dump_of_services) if one["name"].startswith("canary-cohort."))
    routes(dump_of_services).remove(cohort)
    assert any("does not have canary-cohort.testuser" in one for one in missing(dump_of_services, services, PROXY))


@pytest.mark.parametrize("weights", [{"reviews-v1": 89, "reviews-v2": 11}, {"reviews-v2": 100}])
def test_weights_of_services_that_have_not_arrived_are_reported(
    dump_of_services: rs.Json, services: Snapshot, weights: dict[str, int]
) -> None:
    changes = plan.plan(services, REVIEWS, intents.SetWeights(weights)).changes
    assert changes
    later = services.after(changes)
    assert missing(dump_of_services, later, PROXY)
    alone = RoutedService(REVIEWS, later, later.virtual_services or ())
    assert missing_routes.missing_routes(dump_of_services, alone, PROXY)
    assert missing_routes.hosts(alone) == {FQDN, *(f"reviews-v{n}.routes-holds.svc.cluster.local" for n in (1, 2, 3))}
