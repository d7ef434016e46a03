# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shapes of routing objects that look routed and are not, or are routed otherwise than they look: measured requests."""

from __future__ import annotations

import typing as t

import pytest
from support.direct import ISTIO, essence

from lab.traffic import GatewayClient, Load, SidecarClient

from .conftest import FORCE, assert_split, measure

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.direct import Direct
    from support.kube import Kube
    from support.lab import Lab

    from .conftest import Shop

pytestmark = pytest.mark.mesh

API = "gateway.networking.k8s.io/v1"
# Enough to tell a share of 10 % from one of 20 %, and of none.
NUMBER = 600
VERSIONS = ("v1", "v2", "v3")


def service(name: str, **spec: t.Any) -> dict[str, t.Any]:
    ports = [{"name": "http", "port": 9080, "targetPort": 9080}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": ports, **spec}}


def virtual_service(name: str, host: str, target: str, **spec: t.Any) -> dict[str, t.Any]:
    route = {"route": [{"destination": {"host": target, "subset": "v1"}}]}
    metadata = {"name": name, **spec.pop("metadata", {})}
    return {
        "apiVersion": ISTIO,
        "kind": "VirtualService",
        "metadata": metadata,
        "spec": {"hosts": [host], "http": [route], **spec},
    }


def codes(result: dict[str, t.Any]) -> set[str]:
    return {one["code"] for one in result["findings"]}


def test_weights_of_a_headless_service_are_refused_and_forced_never_called_converged(
    shop: Shop, kube: Kube, direct: Direct, lab: Lab
) -> None:
    subsets = [{"name": one, "labels": {"version": one}} for one in VERSIONS]
    rule = {"apiVersion": ISTIO, "kind": "DestinationRule", "metadata": {"name": "peers"}}
    kube.apply(
        service("peers", clusterIP="None", selector={"app": "reviews"}),
        {**rule, "spec": {"host": "peers", "subsets": subsets}},
        virtual_service("peers", "peers", "peers"),
        namespace=shop.namespace,
    )
    refused = direct("weight", service="peers", weights={"v2": 100}, fails=True)
    assert "ENDPOINT_CHOSEN_BY_CALLER" in codes(refused)
    forced = direct("weight", service="peers", weights={"v2": 100}, force=["ENDPOINT_CHOSEN_BY_CALLER", *FORCE])
    assert (forced["convergence"]["converged"], forced["convergence"]["checked"]) == (False, 0)
    assert "(without effect at " in forced["msg"]
    client = SidecarClient(lab.kubeconfig, shop.namespace, url="http://peers:9080")
    # A load resolves the name once, and all its requests go to that address, of any version.
    answered = {version for _load in range(12) for version in client.measure(Load(requests=5)).counts}
    assert answered - {"v2"}, "the proxies hold v2 100 % and other versions answer"


def test_passthrough_is_seen_at_the_proxies_without_preflight(all_on_v1: Shop, kube: Kube, direct: Direct) -> None:
    rule = {"spec": {"trafficPolicy": {"loadBalancer": {"simple": "PASSTHROUGH"}}}}
    kube.patch(ISTIO, "DestinationRule", "reviews", all_on_v1.namespace, rule)
    try:
        result = direct("weight", weights={"v2": 100}, preflight=False, fails=True)
        assert result["error_code"] == "not_converged"
        assert "which have no effect there" in result["msg"]
        assert "requests for v2 go to the address that the caller has resolved" in result["msg"]
        seen = measure(all_on_v1.sidecar, Load(requests=100))
        assert set(seen.counts) - {"v2"}
    finally:
        kube.patch(ISTIO, "DestinationRule", "reviews", all_on_v1.namespace, {"spec": {"trafficPolicy": None}})
        direct("weight", weights={"v1": 100}, force=FORCE)


def test_the_named_one_of_two_claims_is_written_and_waited_for(all_on_v1: Shop, kube: Kube, direct: Direct) -> None:
    host = f"reviews.{all_on_v1.namespace}.svc.cluster.local"
    kube.apply(virtual_service("second", host, "reviews"), namespace=all_on_v1.namespace)
    try:
        result = direct("weight", weights={"v1": 80, "v2": 20}, virtual_services=["reviews"])
        assert result["convergence"]["converged"] is True
        assert any(one.startswith("HOST_CLAIM_CONTESTED: ") for one in result["warnings"])
        assert_split(measure(all_on_v1.sidecar, NUMBER), {"v1": 80, "v2": 20}, "the older of two claims")
        unused = direct("weight", weights={"v1": 50, "v2": 50}, virtual_services=["second"])
        assert unused["convergence"]["converged"] is None
        assert "another object has its host" in unused["convergence"]["note"]
        assert_split(measure(all_on_v1.sidecar, NUMBER), {"v1": 80, "v2": 20}, "nobody uses the second")
        direct("weight", state="absent", virtual_services=["reviews"])
    finally:
        kube.delete(ISTIO, "VirtualService", "second", all_on_v1.namespace)


def test_an_object_of_another_revision_routes_nobody(all_on_v1: Shop, kube: Kube, direct: Direct) -> None:
    labels = {"metadata": {"labels": {"istio.io/rev": "1-29-0"}}}
    kube.patch(ISTIO, "VirtualService", "reviews", all_on_v1.namespace, labels)
    try:
        (found,) = direct("info", measure="none", proxies=False)["services"]
        assert "REVISION_NOT_RUNNING" in codes(found)
        assert found["weights"] == {}
        refused = direct("weight", weights={"v1": 50, "v2": 50}, fails=True)
        assert "is labeled istio.io/rev=1-29-0, a revision that no istiod here has" in refused["msg"]
        kube.wait_until(lambda: len(measure(all_on_v1.sidecar, 60).counts) == 3, 30, "all versions answer")
    finally:
        labels = {"metadata": {"labels": {"istio.io/rev": None}}}
        kube.patch(ISTIO, "VirtualService", "reviews", all_on_v1.namespace, labels)
        kube.wait_until(lambda: set(measure(all_on_v1.sidecar, 60).counts) == {"v1"}, 30, "it routes again")


def test_a_gateway_by_its_full_name_is_read(shop: Shop, kube: Kube, direct: Direct) -> None:
    host = f"edge.{shop.host}"
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": [host]}
    gateway = {"apiVersion": ISTIO, "kind": "Gateway", "metadata": {"name": "edge"}}
    kube.apply(
        {**gateway, "spec": {"selector": {"istio": "ingressgateway"}, "servers": [server]}},
        virtual_service("edge", host, "reviews", gateways=[f"edge.{shop.namespace}.svc.cluster.local"]),
        namespace=shop.namespace,
    )
    outside = GatewayClient(shop.ingress_url, path="/reviews/0", host=host)
    try:
        kube.wait_until(lambda: outside.measure(Load(requests=5)).failed == 0, 30, "the Gateway answers")
        result = direct("weight", weights={"v1": 80, "v2": 20}, virtual_services=["edge"])
        assert (result["convergence"]["converged"], result["convergence"]["proxies"]) == (True, 1)
        assert_split(measure(outside, NUMBER), {"v1": 80, "v2": 20}, "through the gateway")
    finally:
        kube.delete(ISTIO, "VirtualService", "edge", shop.namespace)
        kube.delete(ISTIO, "Gateway", "edge", shop.namespace)


@pytest.fixture
def edge(shop: Shop, kube: Kube) -> Iterator[GatewayClient]:
    """Requests from outside through a Gateway `edge` of the shop's namespace; its pods run in another one."""
    host = edge_host(shop)
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": [host]}
    gateway = {"apiVersion": ISTIO, "kind": "Gateway", "metadata": {"name": "edge"}}
    spec = {"selector": {"istio": "ingressgateway"}, "servers": [server]}
    kube.apply({**gateway, "spec": spec}, namespace=shop.namespace)
    yield GatewayClient(shop.ingress_url, path="/reviews/0", host=host)
    kube.delete(ISTIO, "VirtualService", "edge", shop.namespace)
    kube.delete(ISTIO, "Gateway", "edge", shop.namespace)


def edge_host(shop: Shop) -> str:
    return f"edge.{shop.host}"


def rule(name: str, host: str, *versions: str, **spec: t.Any) -> dict[str, t.Any]:
    subsets = [{"name": one, "labels": {"version": one}} for one in versions]
    metadata = {"name": name}
    return {
        "apiVersion": ISTIO,
        "kind": "DestinationRule",
        "metadata": metadata,
        "spec": {"host": host, "subsets": subsets, **spec},
    }


def test_a_rule_that_is_hidden_from_the_gateway_is_seen_before_the_write(
    shop: Shop, kube: Kube, direct: Direct, edge: GatewayClient
) -> None:
    """The routes reach the gateway and the subsets do not: every request through it is answered 503."""
    kube.apply(
        service("inner", selector={"app": "reviews"}),
        rule("inner", "inner", *VERSIONS, exportTo=["."]),
        virtual_service("edge", edge_host(shop), "inner", gateways=["edge"]),
        namespace=shop.namespace,
    )
    given = {"service": "inner", "weights": {"v1": 80, "v2": 20}}
    kube.wait_until(lambda: edge.measure(Load(requests=5)).reasons.get("status 503: "), 30, "the gateway answers 503")
    planned = direct("weight", check_mode=True, **given)
    assert "DESTINATION_RULE_PRIVATE" in {one.partition(":")[0] for one in planned["warnings"]}
    refused = direct("weight", fails=True, wait_timeout=3, **given)
    assert "no cluster of v2 yet. Nothing was written" in refused["msg"]
    assert "istio-ingressgateway" in refused["convergence"]["pending"][0]
    forced = direct("weight", fails=True, wait_timeout=3, force=["ENDPOINT_UNKNOWN_TO_PROXIES"], **given)
    assert (forced["error_code"], forced["convergence"]["converged"]) == ("not_converged", False)
    seen = edge.measure(Load(requests=20))
    assert (seen.failed, seen.answered) == (20, 0)
    kube.patch(ISTIO, "DestinationRule", "inner", shop.namespace, {"spec": {"exportTo": ["*"]}})
    assert direct("weight", service="inner", weights={"v1": 70, "v2": 30})["convergence"]["converged"] is True
    assert_split(measure(edge, NUMBER), {"v1": 70, "v2": 30}, "the rule is exported")


def test_a_backend_that_the_gateway_reaches_by_tls_is_split_by_the_port_requests_come_in(
    shop: Shop, kube: Kube, direct: Direct, edge: GatewayClient
) -> None:
    secure = service("secure", selector={"app": "reviews"})
    secure["spec"]["ports"] = [{"name": "https", "port": 443, "targetPort": 9080}]
    routes = virtual_service("edge", edge_host(shop), "secure", gateways=["edge"])
    routes["spec"]["http"][0]["route"][0]["destination"]["port"] = {"number": 443}
    by_tls = rule("secure", "secure", *VERSIONS, trafficPolicy={"tls": {"mode": "ISTIO_MUTUAL"}})
    kube.apply(secure, by_tls, routes, namespace=shop.namespace)
    kube.wait_until(lambda: edge.measure(Load(requests=5)).failed == 0, 30, "the Gateway answers")
    result = direct("weight", service="secure", weights={"v1": 80, "v2": 20})
    assert (result["findings"], result["warnings"]) == ([], [])
    assert (result["convergence"]["converged"], result["convergence"]["proxies"]) == (True, 1)
    assert_split(measure(edge, NUMBER), {"v1": 80, "v2": 20}, "by TLS")


def test_subsets_are_those_of_rules_that_the_callers_use(all_on_v1: Shop, kube: Kube, direct: Direct) -> None:
    namespace = all_on_v1.namespace
    of_others = rule("batch", "reviews", "v1", "v9", workloadSelector={"matchLabels": {"app": "batch"}})
    kube.apply(of_others, namespace=namespace)
    try:
        unknown = direct("weight", weights={"v1": 50, "v9": 50}, fails=True)
        assert f"DestinationRule {namespace}/batch has v9, but only callers with app=batch" in unknown["msg"]
        selector = {"spec": {"workloadSelector": {"matchLabels": {"app": "productpage"}}}}
        kube.patch(ISTIO, "DestinationRule", "batch", namespace, selector)
        refused = direct("weight", weights={"v1": 50, "v2": 50}, fails=True)
        assert codes(refused) == {"DESTINATION_RULE_SHADOWED"}
        force = ["DESTINATION_RULE_SHADOWED"]
        forced = direct("weight", weights={"v1": 50, "v2": 50}, force=force, wait_timeout=3, fails=True)
        assert "productpage" in forced["msg"]
        assert "no cluster of v2 yet. Nothing was written" in forced["msg"]
        assert_split(measure(all_on_v1.sidecar, 100), {"v1": 100}, "nothing was written")
    finally:
        kube.delete(ISTIO, "DestinationRule", "batch", namespace)


def test_a_caller_that_does_not_see_the_service_is_named(all_on_v1: Shop, kube: Kube, direct: Direct) -> None:
    """A Sidecar resource hides it; requests for its address go to any version."""
    namespace = all_on_v1.namespace
    egress = [{"hosts": [f"./details.{namespace}.svc.cluster.local", "istio-system/*"]}]
    spec = {"workloadSelector": {"labels": {"app": "productpage"}}, "egress": egress}
    narrow = {"apiVersion": ISTIO, "kind": "Sidecar", "metadata": {"name": "narrow"}, "spec": spec}

    def reached() -> int:
        """Return how many versions answer; requests may fail while the proxy changes its view."""
        return len(all_on_v1.sidecar.measure(Load(requests=60)).counts)

    kube.apply(narrow, namespace=namespace)
    try:
        kube.wait_until(lambda: reached() > 1, 30, "it does not see the routes")
        note = direct("weight", weights={"v3": 100}, force=FORCE)["convergence"]["note"]
        assert note.startswith("1 of ")
        assert f"proxies do not see reviews, such as {namespace}/productpage" in note
        assert set(measure(all_on_v1.sidecar, 60).counts) - {"v3"}
    finally:
        kube.delete(ISTIO, "Sidecar", "narrow", namespace)
        kube.wait_until(lambda: reached() == 1, 30, "it sees the routes again")


def test_endpoints_are_those_of_slices_and_of_labels_that_istiod_adds(
    all_on_v1: Shop, kube: Kube, direct: Direct, lab: Lab
) -> None:
    namespace = all_on_v1.namespace
    for version in ("v1", "v2"):
        pods = kube.list("v1", "Pod", namespace, selector=f"app=reviews,version={version}")
        ready = {"addresses": [one["status"]["podIP"] for one in pods], "conditions": {"ready": True}}
        slices = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"ext-{version}", "labels": {"kubernetes.io/service-name": f"ext-{version}"}},
            "addressType": "IPv4",
            "endpoints": [ready],
            "ports": [{"name": "http", "port": 9080, "protocol": "TCP"}],
        }
        kube.apply(service(f"ext-{version}"), slices, namespace=namespace)
    routes = virtual_service("ext", "ext", "ext")
    shares = (("ext-v1", 100), ("ext-v2", 0))
    routes["spec"]["http"] = [{"route": [{"destination": {"host": one}, "weight": share} for one, share in shares]}]
    topology = rule("topology", "topology")
    topology["spec"]["subsets"] = [
        {"name": name, "labels": {"topology.istio.io/cluster": cluster}}
        for name, cluster in (("here", "Kubernetes"), ("away", "elsewhere"))
    ]
    by_cluster = virtual_service("topology", "topology", "topology")
    by_cluster["spec"]["http"][0]["route"] = [{"destination": {"host": "topology", "subset": "here"}}]
    both = [service(one, selector={"app": "reviews"}) for one in ("ext", "topology")]
    kube.apply(*both, routes, topology, by_cluster, namespace=namespace)
    weights = {"ext-v1": 80, "ext-v2": 20}
    assert direct("weight", service="ext", weights=weights, force=FORCE)["convergence"]["converged"] is True
    callers = SidecarClient(lab.kubeconfig, namespace, url="http://ext:9080")
    assert_split(measure(callers, NUMBER), {"v1": 80, "v2": 20}, "Services without a selector")
    away = direct("weight", service="topology", weights={"here": 50, "away": 50}, wait_timeout=3, fails=True)
    assert "no healthy endpoint of away yet" in away["msg"], "no pod stands for its endpoints"
    assert away["error_code"] == "not_converged", "the proxies said it, not the pods"
    callers = SidecarClient(lab.kubeconfig, namespace, url="http://topology:9080")
    assert set(measure(callers, 60).counts) == set(VERSIONS), "all pods have the label of this cluster"


@pytest.fixture
def by_services(shop: Shop, kube: Kube) -> None:
    """The shop without its VirtualService, and a Service for each version."""
    kube.delete(ISTIO, "VirtualService", "reviews", shop.namespace)
    versions = [service(f"reviews-{one}", selector={"app": "reviews", "version": one}) for one in VERSIONS]
    kube.apply(*versions, service("admin", selector={"app": "reviews", "version": "v3"}), namespace=shop.namespace)


def http_route(name: str, parent: dict[str, t.Any], *rules: dict[str, t.Any], **spec: t.Any) -> dict[str, t.Any]:
    body = {"parentRefs": [parent], "rules": list(rules), **spec}
    return {"apiVersion": API, "kind": "HTTPRoute", "metadata": {"name": name}, "spec": body}


@pytest.mark.usefixtures("by_services")
def test_the_rule_of_another_service_keeps_its_requests(shop: Shop, kube: Kube, direct: Direct) -> None:
    """Here and below the shop is without its VirtualService, so these tests are the last."""
    admin = {
        "matches": [{"path": {"type": "Exact", "value": "/reviews/7"}}],
        "backendRefs": [{"name": "admin", "port": 9080}],
    }
    parent = {"group": "", "kind": "Service", "name": "reviews", "port": 9080}
    route = http_route("reviews", parent, admin, {"backendRefs": [{"name": "reviews-v1", "port": 9080}]})
    kube.apply(route, namespace=shop.namespace)
    before = essence(kube.get(API, "HTTPRoute", "reviews", shop.namespace))
    result = direct("weight", weights={"reviews-v1": 80, "reviews-v2": 20})
    assert result["convergence"]["converged"] is True
    assert_split(measure(shop.sidecar, Load(requests=NUMBER)), {"v1": 80, "v2": 20}, "the service's own rule")
    assert_split(measure(shop.sidecar, Load(requests=100, path="/reviews/7")), {"v3": 100}, "the rule of admin")
    direct("weight", state="absent")
    after = essence(kube.get(API, "HTTPRoute", "reviews", shop.namespace))
    assert (after or {})["spec"] == (before or {})["spec"]
    kube.delete(API, "HTTPRoute", "reviews", shop.namespace)


@pytest.fixture
def ingress(shop: Shop, kube: Kube) -> Iterator[GatewayClient]:
    """A Gateway and an HTTPRoute of the ingress's namespace, and a grant of the shop for the Service of v1 alone."""
    host, name = f"grant.{shop.host}", f"grant-{shop.namespace}"
    listener = {"name": "http", "port": 80, "protocol": "HTTP", "hostname": host}
    spec = {
        "gatewayClassName": "istio",
        "addresses": [{"type": "Hostname", "value": "istio-ingressgateway.istio-system.svc.cluster.local"}],
        "listeners": [listener],
    }
    backend = {"name": "reviews-v1", "namespace": shop.namespace, "port": 9080}
    gateway = {"apiVersion": API, "kind": "Gateway", "metadata": {"name": name}, "spec": spec}
    route = http_route(name, {"name": name}, {"backendRefs": [backend]}, hostnames=[host])
    grant(kube, shop, "reviews-v1")
    kube.apply(gateway, route, namespace="istio-system")
    outside = GatewayClient(shop.ingress_url, path="/reviews/0", host=host)
    try:
        kube.wait_until(lambda: outside.measure(Load(requests=5)).failed == 0, 30, "the Gateway answers")
        yield outside
    finally:
        kube.delete(API, "HTTPRoute", name, "istio-system")
        kube.delete(API, "Gateway", name, "istio-system")


def grant(kube: Kube, shop: Shop, *names: str) -> None:
    origin = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "istio-system"}
    spec = {"from": [origin], "to": [{"group": "", "kind": "Service", "name": name} for name in names]}
    frame = {"apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant", "metadata": {"name": "shop"}}
    kube.apply({**frame, "spec": spec}, namespace=shop.namespace)


@pytest.mark.usefixtures("by_services")
def test_a_backend_that_the_gateway_may_not_use_is_refused_or_undone(
    shop: Shop, kube: Kube, direct: Direct, ingress: GatewayClient
) -> None:
    name = f"grant-{shop.namespace}"
    halves: dict[str, t.Any] = {
        "weights": {"reviews-v1": 50, "reviews-v2": 50},
        "http_routes": [f"istio-system/{name}"],
    }
    before = essence(kube.get(API, "HTTPRoute", name, "istio-system"))
    refused = direct("weight", **halves, check_mode=True, fails=True)
    assert "BACKEND_NOT_PERMITTED" in codes(refused)
    undone = direct("weight", **halves, preflight=False, fails=True)
    assert undone["error_code"] == "not_accepted"
    assert "ResolvedRefs=False RefNotPermitted" in undone["msg"]
    assert undone["changed"] is False
    after = essence(kube.get(API, "HTTPRoute", name, "istio-system"))
    assert (after or {})["spec"] == (before or {})["spec"]
    kube.wait_until(lambda: ingress.measure(Load(requests=50)).failed == 0, 15, "no request fails any more")
    grant(kube, shop, "reviews-v1", "reviews-v2")
    result = direct("weight", **halves)
    assert result["convergence"]["converged"] is True
    assert_split(measure(ingress, NUMBER), {"v1": 50, "v2": 50}, "both are permitted")
