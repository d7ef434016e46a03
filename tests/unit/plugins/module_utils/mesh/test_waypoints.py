# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which waypoints are read and waited for: those whose own configuration has the service."""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.envoy.expected_routes import RoutedService
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError
from ansible_collections.meshops.canary.plugins.module_utils.evidence import drain, measuring
from ansible_collections.meshops.canary.plugins.module_utils.mesh import affected, convergence, proxies
from ansible_collections.meshops.canary.plugins.module_utils.mesh.proxies import Proxy
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing.kinds import ROUTE_KINDS

Json = dict[str, t.Any]

REVIEWS = ServiceRef("reviews", "wp-proto")
RECORDED = Path(__file__).parents[1] / "envoy" / "real" / "waypoint_listeners.json"
OWN, OTHER = Proxy("wp-proto", "waypoint-1", is_waypoint=True), Proxy("shop", "waypoint-9", is_waypoint=True)
PARAMS = {"istio_namespace": "istio-system", "wait_timeout": 0.05, "settle_seconds": 0.0, "wait_sample": 50}


def route(v2: int) -> Json:
    shares = [{"destination": {"host": "reviews", "subset": f"v{n}"}, "weight": w} for n, w in ((1, 100 - v2), (2, v2))]
    test = {
        "name": "test",
        "match": [{"headers": {"end-user": {"exact": "testuser"}}}],
        "route": [{"destination": {"host": "reviews", "subset": "v2"}}],
    }
    return {
        "kind": "VirtualService",
        "metadata": {"name": "reviews", "namespace": "wp-proto"},
        "spec": {"hosts": ["reviews"], "http": [test, {"name": "rest", "route": shares}]},
    }


def routed(v2: int = 10, **lists: t.Any) -> RoutedService:
    obj = route(v2)
    return RoutedService(REVIEWS, Snapshot(virtual_services=(obj,), **lists), (obj,))


class Mesh:
    """A mesh whose waypoint has the recorded listener; another waypoint serves nothing."""

    def __init__(self, *connected: Proxy, error: ApiError | None = None) -> None:
        self._connected, self._error = list(connected), error

    def connected(self) -> list[Proxy]:
        return self._connected

    def config_dump(self, proxy: Proxy, kinds: t.Sequence[str], name_pattern: str = "") -> Json:
        if self._error:
            raise self._error
        if tuple(kinds) == (proxies.LISTENERS,):
            assert re.search(name_pattern, "main_internal")
            return t.cast("Json", json.loads(RECORDED.read_text())) if proxy == OWN else {"configs": []}
        assert tuple(kinds) == (proxies.CLUSTERS,)
        names = [f"inbound-vip|9080|http{subset}|{REVIEWS.fqdn}" for subset in ("", "/v1", "/v2")]
        assert all(re.search(name_pattern, name) for name in names)
        return {"configs": [{"cluster": {"name": name, "type": "EDS"}} for name in names]}


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., convergence.Convergence]:
    monkeypatch.setattr(convergence, "FIRST_PAUSE", 0.001)

    def call(mesh: Mesh, after: RoutedService, subsets: tuple[str, ...] = ()) -> convergence.Convergence:
        monkeypatch.setattr(convergence, "Proxies", lambda *_given: mesh)
        nothing: t.Any = None
        return convergence.wait_for_proxies(nothing, ROUTE_KINDS[0], after, after, PARAMS, lambda _said: None, subsets)

    return call


Wait = t.Callable[..., convergence.Convergence]


def test_the_waypoint_of_the_service_is_read_and_no_other(wait: Wait) -> None:
    done = wait(Mesh(OWN, OTHER), routed(), ("v2",))
    assert (done.method, done.converged, done.proxies, done.checked) == ("proxies", True, 1, 1)


def test_a_waypoint_with_other_weights_is_behind(wait: Wait) -> None:
    done = wait(Mesh(OWN), routed(20))
    assert done.converged is False
    assert "does not have rest" in done.pending[0]
    assert wait(Mesh(OWN), routed(), ("v3",)).pending == ["wp-proto/waypoint-1: no cluster of subset v3 yet"]


def test_a_waypoint_that_cannot_be_read_is_no_success(wait: Wait) -> None:
    done = wait(Mesh(OWN, error=ApiError("no right to forward", 403)), routed())
    assert done.converged is None
    assert "The waypoint wp-proto/waypoint-1 was not read: no right to forward" in done.note


def test_a_named_waypoint_without_proxies_is_noted(wait: Wait) -> None:
    service = {"kind": "Service", "metadata": {"name": "reviews", "namespace": "wp-proto"}}
    service["metadata"]["labels"] = {"istio.io/use-waypoint": "waypoint"}  # type: ignore[index]
    home = {"kind": "Namespace", "metadata": {"name": "wp-proto"}}
    done = wait(Mesh(OTHER), routed(services=(service,), namespaces=(home,)))
    assert done.converged is None
    assert "No proxy of the waypoint wp-proto/waypoint handles requests to reviews." in done.note


def test_ztunnels_have_no_routes_and_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    types = {"a.shop": "sidecar", "b.istio-system": "ztunnel", "c.shop": "waypoint", "d.shop": "router"}
    entries = [{"proxy": name, "proxy_type": kind} for name, kind in types.items()]
    nothing: t.Any = None
    client = proxies.Proxies(nothing)
    monkeypatch.setattr(client, "sync_status", lambda: entries)
    assert client.connected() == [
        Proxy("shop", "a"),
        Proxy("shop", "c", is_waypoint=True),
        Proxy("shop", "d", is_gateway=True),
    ]


def test_a_waypoints_pod_is_no_sidecar_where_istiod_cannot_be_read() -> None:
    labels = {"gateway.istio.io/managed": "istio.io-mesh-controller"}
    spec = {"containers": [{"name": "istio-proxy"}]}
    pods = [
        {"metadata": {"name": name, "labels": own}, "spec": spec, "status": {"phase": "Running"}}
        for name, own in (("waypoint-1", labels), ("page", {}))
    ]

    class Cluster:
        def list(self, *_given: t.Any) -> list[Json]:
            return pods

    class Unreadable(Mesh):
        def connected(self) -> list[Proxy]:
            raise ApiError("no right", 403)

    cluster: t.Any = Cluster()
    client: t.Any = Unreadable()
    found = affected.find(cluster, client, ROUTE_KINDS[0], routed(), routed())
    assert set(found.proxies) == {OWN, Proxy("wp-proto", "page")}
    assert found.proxies[OWN].is_waypoint


def test_waypoints_are_always_in_the_sample() -> None:
    many = [Proxy("shop", f"pod-{number}") for number in range(9)]
    assert OWN in affected.sample([*many, OWN], 3)


def ambient(*, gateways: bool) -> Snapshot:
    labels = {"istio.io/use-waypoint": "waypoint", "istio.io/ingress-use-waypoint": str(gateways).lower()}
    service = {"kind": "Service", "metadata": {"name": "reviews", "namespace": "wp-proto", "labels": labels}}
    home = {"kind": "Namespace", "metadata": {"name": "wp-proto", "labels": {"istio.io/dataplane-mode": "ambient"}}}
    return Snapshot(services=(service,), namespaces=(home,))


@pytest.mark.parametrize("through", [True, False])
def test_requests_of_gateways_through_the_waypoint_are_counted_once(
    monkeypatch: pytest.MonkeyPatch, through: bool
) -> None:
    gate, page = Proxy("istio-system", "gate", True), Proxy("shop", "page")
    found = affected.Affected(dict.fromkeys([gate, page, OWN]))  # type: ignore[arg-type]
    monkeypatch.setattr(affected, "find", lambda *_given: found)
    nothing: t.Any = None
    given = {"istio_namespace": "istio-system", "proxy_sample": 0}
    _client, chosen = measuring.callers(nothing, ambient(gateways=through), REVIEWS, given, [])
    assert set(chosen) == ({page, OWN} if through else {gate, page, OWN})


def test_no_requests_counted_by_ztunnels_is_not_no_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    home = {"kind": "Namespace", "metadata": {"name": "wp-proto", "labels": {"istio.io/dataplane-mode": "ambient"}}}
    service = {"kind": "Service", "metadata": {"name": "reviews", "namespace": "wp-proto"}}
    lists = {"virtual_services": (route(10),), "destination_rules": (), "http_routes": ()}
    snapshot = Snapshot(services=(service,), namespaces=(home,), **lists)

    class Read:
        def __init__(self, *_given: t.Any, **_named: t.Any) -> None: ...

        def snapshot(self, *_given: t.Any, **_named: t.Any) -> Snapshot:
            return snapshot

    monkeypatch.setattr(drain, "Reader", Read)
    nothing: t.Any = None
    params = {"route_api": "auto", "proxy_sample": 0, "istio_namespace": "istio-system"}
    assert drain.requests_to(nothing, REVIEWS, "v2", 0.0, params) is None
