# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same modules on HTTPRoutes, one for the mesh and one for a Gateway, measured by real requests."""

from __future__ import annotations

import time
import typing as t

import pytest
from support.direct import ISTIO, essence

from lab.traffic import GatewayClient, Load

from .conftest import FORCE, assert_split, measure

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.direct import Direct
    from support.kube import Kube

    from .conftest import Shop

pytestmark = pytest.mark.mesh

API = "gateway.networking.k8s.io/v1"
VERSIONS = ("v1", "v2", "v3")
# Enough to tell a share of 10 % from one of 15 % with more than 99 % certainty.
NUMBER = 2000


def service(version: str) -> dict[str, t.Any]:
    ports = [{"name": "http", "port": 9080}]
    spec = {"selector": {"app": "reviews", "version": version}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"reviews-{version}"}, "spec": spec}


def http_route(name: str, parent: dict[str, t.Any], **spec: t.Any) -> dict[str, t.Any]:
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "backendRefs": [{"name": "reviews-v1", "port": 9080}],
    }
    return {
        "apiVersion": API,
        "kind": "HTTPRoute",
        "metadata": {"name": name},
        "spec": {"parentRefs": [parent], "rules": [rule], **spec},
    }


@pytest.fixture(scope="module")
def places(shop: Shop, kube: Kube) -> Iterator[tuple[t.Any, t.Any]]:
    """The shop without its VirtualService, and with an HTTPRoute on the Service and one on a Gateway of the ingress."""
    host, gateway = f"api.{shop.host}", shop.namespace
    listener = {"name": "http", "port": 80, "protocol": "HTTP", "hostname": host}
    spec = {
        "gatewayClassName": "istio",
        "addresses": [{"type": "Hostname", "value": "istio-ingressgateway.istio-system.svc.cluster.local"}],
        "listeners": [{**listener, "allowedRoutes": {"namespaces": {"from": "All"}}}],
    }
    mesh = {"group": "", "kind": "Service", "name": "reviews", "port": 9080}
    ingress = {"name": gateway, "namespace": "istio-system"}
    kube.apply(
        {"apiVersion": API, "kind": "Gateway", "metadata": {"name": gateway}, "spec": spec}, namespace="istio-system"
    )
    try:
        kube.delete(ISTIO, "VirtualService", "reviews", shop.namespace)
        routes = (http_route("inside", mesh), http_route("outside", ingress, hostnames=[host]))
        kube.apply(*map(service, VERSIONS), *routes, namespace=shop.namespace)
        outside = GatewayClient(shop.ingress_url, path="/reviews/0", host=host)
        kube.wait_until(lambda: outside.measure(Load(requests=5)).failed == 0, 30, "the Gateway answers")
        yield shop.sidecar, outside
    finally:
        kube.delete(API, "Gateway", gateway, "istio-system")


def written(kube: Kube, shop: Shop) -> list[t.Any]:
    return [essence(kube.get(API, "HTTPRoute", name, shop.namespace)) for name in ("inside", "outside")]


def named(**weights: int) -> dict[str, int]:
    return {f"reviews-{version}": weight for version, weight in weights.items()}


def without_status(objects: list[t.Any]) -> list[t.Any]:
    return [{key: value for key, value in one.items() if key != "status"} for one in objects]


def test_weights_split_requests_of_mesh_and_gateway_and_are_restored(
    places: tuple[t.Any, t.Any], direct: Direct, kube: Kube, shop: Shop
) -> None:
    before = written(kube, shop)
    changed = direct("weight", weights=named(v1=90, v2=10))
    assert changed["route_api"] == "gateway"
    assert sorted(one["name"] for one in changed["objects"] if one["changed"]) == ["inside", "outside"]
    assert (changed["convergence"]["method"], changed["convergence"]["converged"]) == ("proxies", True)
    for place in places:
        assert_split(measure(place, Load(requests=NUMBER)), {"v1": 90, "v2": 10}, place.name)
    assert direct("weight", weights=named(v1=90, v2=10))["changed"] is False
    assert direct("weight", state="absent")["convergence"]["converged"] is True
    assert_split(measure(places[0], Load(requests=200)), {"v1": 100}, "restored")
    assert without_status(written(kube, shop)) == without_status(before)


def test_a_cohort_is_split_and_other_requests_are_not(
    places: tuple[t.Any, t.Any], direct: Direct, kube: Kube, shop: Shop
) -> None:
    before = written(kube, shop)
    headers = {"end-user": "testuser"}
    routed = direct("header_route", name="testers", headers=headers, weights=named(v2=10, v3=90))
    assert routed["convergence"]["converged"] is True
    for place in places:
        testers = measure(place, Load(requests=NUMBER, headers=headers))
        assert_split(testers, {"v2": 10, "v3": 90}, f"testers, {place.name}")
        assert_split(measure(place, Load(requests=200)), {"v1": 100}, f"all others, {place.name}")
    direct("weight", weights=named(v1=60, v3=40), force=FORCE)
    assert_split(measure(places[0], Load(requests=NUMBER)), {"v1": 60, "v3": 40}, "all others ramp")
    testers = measure(places[0], Load(requests=NUMBER, headers=headers))
    assert_split(testers, {"v2": 10, "v3": 90}, "the cohort keeps its split")
    direct("weight", state="absent")
    direct("header_route", name="testers", state="absent")
    assert without_status(written(kube, shop)) == without_status(before)


def test_no_request_reaches_the_old_backend_after_the_command_has_returned(
    places: tuple[t.Any, t.Any], direct: Direct
) -> None:
    for place in places:
        direct("weight", weights=named(v1=100), force=FORCE)
        with place.background(Load(seconds=60, rate=150, connections=3)) as load:
            time.sleep(1)
            assert direct("weight", weights=named(v2=100), force=FORCE)["changed"] is True
            returned = time.time()
            time.sleep(1)
            load.stop()
            seen = load.result()
        assert seen.failed == 0, seen.reasons
        assert seen.last_sent["v1"] <= returned < seen.last_sent["v2"]
