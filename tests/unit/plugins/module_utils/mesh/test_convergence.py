# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for proxies under what a healthy mesh does not show: rights missing, pods ending, proxies that never follow.

The proxies are played; that real proxies are read rightly is proved in tests/mesh.
"""

from __future__ import annotations

import dataclasses
import random
import re
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.envoy.expected_routes import ProxyAttributes, RoutedService
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError
from ansible_collections.meshops.canary.plugins.module_utils.mesh import affected, convergence, proxies
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing.kinds import ROUTE_KINDS

SERVICE = ServiceRef("reviews", "shop")
EMPTY = RoutedService(SERVICE, Snapshot(virtual_services=()))
KIND = dataclasses.replace(ROUTE_KINDS[0], missing_routes=lambda dump, *_rest: dump["missing"])
PARAMS = {"istio_namespace": "istio-system", "wait_timeout": 1.0, "settle_seconds": 0.01, "wait_sample": 50}
Step: t.TypeAlias = "list[str] | ApiError"


def proxy(name: str, *, gateway: bool = False) -> proxies.Proxy:
    return proxies.Proxy("shop", name, gateway)


def forbidden() -> ApiError:
    return ApiError("no right to forward", 403, reason="Forbidden")


def broken() -> ApiError:
    return ApiError("the port did not answer", None, reason="portforward")


class FakeProxies:
    """Plays istiod and Envoy: per proxy what is missing (or the error) at each reading; the last one stays."""

    def __init__(
        self,
        script: dict[str, list[Step]],
        subsets: tuple[str, ...] = ("", "v1"),
        error: ApiError | None = None,
        cluster_type: str | dict[str, str] = "EDS",
    ):
        self.script, self.subsets, self.error, self.cluster_type = script, subsets, error, cluster_type
        self.read: list[str] = []
        self.ending: set[str] = set()

    def is_ending(self, one: proxies.Proxy) -> bool:
        return one.name in self.ending

    def connected(self) -> list[proxies.Proxy]:
        if self.error:
            raise self.error
        return [proxy(name) for name in self.script]

    def config_dump(self, one: proxies.Proxy, kinds: t.Sequence[str], _pattern: str = "") -> dict[str, t.Any]:
        if tuple(kinds) == (proxies.CLUSTERS,):
            subsets = () if one.name == "scoped" else self.subsets
            given = self.cluster_type
            kind = given if isinstance(given, dict) else dict.fromkeys(subsets, given)
            names = {f"outbound|9080|{subset}|{SERVICE.fqdn}": kind[subset] for subset in subsets}
            return {"configs": [{"cluster": {"name": name, "type": value}} for name, value in names.items()]}
        self.read.append(one.name)
        steps = self.script[one.name]
        step = steps.pop(0) if len(steps) > 1 else steps[0]
        if isinstance(step, ApiError):
            raise step
        return {"configs": [], "missing": step}


class NoPods:
    """A cluster in which the service's namespace has no pod."""

    def list(self, *_given: t.Any, **_named: t.Any) -> list[t.Any]:
        return []


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., convergence.Convergence]:
    monkeypatch.setattr(convergence, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(convergence, "LONGEST_PAUSE", 0.01)

    def call(
        fake: FakeProxies, *, subsets: tuple[str, ...] = (), routed: RoutedService = EMPTY, **params: t.Any
    ) -> convergence.Convergence:
        monkeypatch.setattr(convergence, "Proxies", lambda *_given: fake)
        given = {**PARAMS, **params}
        cluster = t.cast("t.Any", NoPods())
        return convergence.wait_for_proxies(cluster, KIND, routed, routed, given, lambda _said: None, subsets)

    return call


Wait = t.Callable[..., convergence.Convergence]


def test_only_those_behind_are_read_again(wait: Wait) -> None:
    fake = FakeProxies({"quick": [[]], "slow": [["v1 90%"], ["v1 90%"], []]})
    done = wait(fake)
    assert (done.method, done.converged, done.proxies, done.checked, done.pending) == ("proxies", True, 2, 2, [])
    assert sorted(fake.read) == ["quick", "slow", "slow", "slow"]


def test_the_deadline_ends_the_wait_and_names_who_is_behind(wait: Wait) -> None:
    done = wait(FakeProxies({"quick": [[]], "stuck": [["the route for v2"]]}), wait_timeout=0.05)
    assert (done.method, done.converged, done.checked) == ("proxies", False, 1)
    assert done.pending == ["shop/stuck: the route for v2"]
    assert 0.05 <= done.seconds < 1


def test_without_rights_it_is_never_called_converged(wait: Wait) -> None:
    done = wait(FakeProxies({"one": [forbidden()]}))
    assert (done.method, done.converged, done.checked) == ("fixed_delay", None, 0)
    assert "shop/one: no right to forward" in done.note
    assert "Waited 0.01 s" in done.note


def test_one_unreadable_proxy_among_readable_leaves_it_unknown(wait: Wait) -> None:
    done = wait(FakeProxies({"one": [[]], "two": [forbidden()]}))
    assert (done.method, done.converged, done.checked) == ("proxies", None, 1)


def test_istiod_that_may_not_be_asked_leaves_a_note_and_a_pause(wait: Wait) -> None:
    done = wait(FakeProxies({}, error=forbidden()))
    assert (done.method, done.converged, done.proxies) == ("fixed_delay", None, 0)
    assert "could not be read from istiod" in done.note
    assert "no gateways and no callers in other namespaces" in done.note


def test_istiod_that_does_not_answer_is_asked_again(wait: Wait) -> None:
    fake = FakeProxies({"one": [[]]})
    failures = [broken(), broken()]
    answer = fake.connected
    fake.connected = lambda: answer() if not failures else _raise(failures.pop())  # type: ignore[method-assign]
    assert wait(fake).converged is True


def _raise(error: ApiError) -> t.NoReturn:
    raise error


def test_a_pod_that_is_gone_needs_no_routes(wait: Wait) -> None:
    done = wait(FakeProxies({"one": [[]], "ended": [["behind"], ApiError("not found", 404, reason="NotFound")]}))
    assert (done.converged, done.proxies, done.checked, done.pending) == (True, 1, 1, [])


def test_a_proxy_that_starts_may_fail_twice(wait: Wait) -> None:
    assert wait(FakeProxies({"new": [broken(), broken(), []]})).converged is True
    never = wait(FakeProxies({"dead": [broken()]}))
    assert (never.converged, never.method) == (None, "fixed_delay")
    assert "did not answer" in never.note


def test_a_pod_that_ends_and_answers_no_more_needs_no_routes(wait: Wait) -> None:
    fake = FakeProxies({"one": [[]], "ending": [["behind"], broken()]})
    fake.ending = {"ending"}
    done = wait(fake)
    assert (done.converged, done.proxies, done.checked) == (True, 1, 1)


def test_a_sidecar_that_cannot_see_the_service_lacks_nothing_and_proves_nothing(wait: Wait) -> None:
    fake = FakeProxies({"scoped": [["no route of it"]]}, subsets=())
    done = wait(fake)
    assert (done.method, done.converged, done.proxies) == ("none", None, 0)
    assert done.note.startswith("No proxy of the mesh uses these routes: none sees the service")


def test_one_among_others_that_cannot_see_the_service_is_named(wait: Wait) -> None:
    done = wait(FakeProxies({"one": [[]], "scoped": [["no route of it"]]}), routed=routed_by())
    assert (done.converged, done.proxies, done.checked) == (True, 1, 1)
    assert done.note.startswith("1 of 2 proxies do not see reviews, such as shop/scoped: a Sidecar resource or")


@pytest.mark.parametrize("gateway", [True, False])
def test_a_destination_whose_rule_is_hidden_from_the_proxy_is_no_effect(
    wait: Wait, monkeypatch: pytest.MonkeyPatch, gateway: bool
) -> None:
    """It has the routes, and answers 503 for want of a cluster."""
    found = affected.Affected({proxy("one", gateway=gateway): ProxyAttributes("shop")})
    monkeypatch.setattr(affected, "find", lambda *_given: found)
    done = wait(FakeProxies({"one": [[]]}, subsets=("",)), routed=routed_by(), wait_timeout=0.05)
    assert (done.converged, done.pending) == (False, ["shop/one: no cluster of subset v1 yet"])


def test_new_subsets_are_waited_for(wait: Wait) -> None:
    assert wait(FakeProxies({"one": [[]]}, subsets=("", "v1", "v2")), subsets=("v1", "v2")).converged is True
    behind = wait(FakeProxies({"one": [[]]}, subsets=("", "v1")), subsets=("v1", "v2"), wait_timeout=0.05)
    assert behind.pending == ["shop/one: no cluster of subset v2 yet"]


ROUTE = {
    "kind": "VirtualService",
    "metadata": {"name": "reviews", "namespace": "shop"},
    "spec": {"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews", "subset": "v1"}}]}]},
}


def routed_by(spec: dict[str, t.Any] | None = None) -> RoutedService:
    route = {**ROUTE, "spec": {**t.cast("dict[str, t.Any]", ROUTE["spec"]), **(spec or {})}}
    return RoutedService(SERVICE, Snapshot(virtual_services=(route,)), (route,))


@pytest.mark.parametrize(("cluster_type", "effect"), [("ORIGINAL_DST", False), ("EDS", True), ("STRICT_DNS", True)])
def test_a_route_is_no_effect_where_requests_go_to_the_callers_address(
    wait: Wait, cluster_type: str, effect: bool
) -> None:
    fake = FakeProxies({"one": [["v1 100%"], []]}, cluster_type=cluster_type)
    done = wait(fake, routed=routed_by())
    assert (done.converged, done.checked, done.without_effect) == (effect, int(effect), not effect)
    if not effect:
        assert done.pending == ["shop/one: requests for v1 go to the address that the caller has resolved"]
        assert done.seconds < 0.5, "waiting does not change it"


def test_a_version_without_requests_needs_no_effect(wait: Wait) -> None:
    fake = FakeProxies({"one": [[]]}, subsets=("v1", "v9"), cluster_type={"v1": "EDS", "v9": "ORIGINAL_DST"})
    assert wait(fake, routed=routed_by()).converged is True


def test_sidecars_are_not_read_for_routes_of_gateways(wait: Wait) -> None:
    fake = FakeProxies({"one": [["behind"]]})
    done = wait(fake, routed=routed_by({"hosts": ["shop.example.com"], "gateways": ["edge"]}))
    assert (done.method, done.converged, fake.read) == ("none", None, [])


def test_proxies_that_use_another_object_do_not_count(wait: Wait) -> None:
    mine, other = routed_by(), routed_by({"exportTo": ["."]}).objects[0]
    other = {**other, "metadata": {"name": "first", "namespace": "shop"}}
    contested = dataclasses.replace(mine, snapshot=Snapshot(virtual_services=(*mine.objects, other)))
    fake = FakeProxies({"one": [["behind"]], "two": [["behind"]]})
    done = wait(fake, routed=contested)
    assert (done.method, done.converged, done.checked, fake.read) == ("none", None, 0, [])
    assert done.note.endswith("none sees the service, or another object has its host.")


@pytest.fixture
def reach(monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., convergence.Convergence]:
    monkeypatch.setattr(convergence, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(convergence, "LONGEST_PAUSE", 0.01)

    def call(*readings: dict[str, int], gateway: bool = False) -> convergence.Convergence:
        """Look for v2 with one proxy that knows at each reading what is given: subset -> healthy endpoints."""
        left = [*readings]
        now: dict[str, int] = {}

        class Reachable(FakeProxies):
            def connected(self) -> list[proxies.Proxy]:
                return [proxy("one", gateway=gateway)]

            def config_dump(self, one: proxies.Proxy, kinds: t.Sequence[str], pattern: str = "") -> dict[str, t.Any]:
                assert re.fullmatch(pattern, f"outbound|9080|v2|{SERVICE.fqdn}")
                if tuple(kinds) == (proxies.ENDPOINTS,):
                    now.clear()
                    now.update(left.pop(0) if len(left) > 1 else left[0])
                    places = {f"outbound|9080|{subset}|{SERVICE.fqdn}": count for subset, count in now.items()}
                    known = [(name, [{"lb_endpoints": [{}] * count}]) for name, count in places.items()]
                    return {"configs": [{"endpoint_config": {"cluster_name": a, "endpoints": b}} for a, b in known]}
                assert tuple(kinds) == (proxies.CLUSTERS,)
                assert not now.get("v2"), "whoever has endpoints need not be asked for clusters"
                names = [f"outbound|9080|{subset}|{SERVICE.fqdn}" for subset in now]
                return {"configs": [{"cluster": {"name": name, "type": "EDS"}} for name in names]}

        monkeypatch.setattr(convergence, "Proxies", lambda *_given: Reachable({}))
        found = affected.Affected({proxy("one", gateway=gateway): ProxyAttributes("shop")})
        monkeypatch.setattr(affected, "find", lambda *_given: found)
        cluster, given = t.cast("t.Any", NoPods()), {**PARAMS, "wait_timeout": 0.2}
        places = {(SERVICE.fqdn, "v2")}
        return convergence.wait_for_endpoints(cluster, KIND, EMPTY, EMPTY, given, lambda _said: None, places)

    return call


Reach = t.Callable[..., convergence.Convergence]


def test_a_version_is_waited_for_until_it_can_be_reached(reach: Reach) -> None:
    assert reach({"v1": 1}, {"v1": 1, "v2": 0}, {"v1": 1, "v2": 1}).converged is True
    assert reach({"v1": 1}).pending == ["shop/one: no cluster of v2 yet"]
    assert reach({"v1": 1, "v2": 0}).pending == ["shop/one: no healthy endpoint of v2 yet"]


def test_who_does_not_call_the_service_need_not_reach_it(reach: Reach) -> None:
    assert reach({}).converged is True


def test_a_gateway_may_be_given_clusters_with_the_routes_only(reach: Reach) -> None:
    assert reach({}, gateway=True).converged is True
    assert reach({"v1": 1}, gateway=True).pending == ["shop/one: no cluster of v2 yet"], "its rule is hidden"
    assert reach({"v1": 1, "v2": 0}, gateway=True).converged is False


@pytest.mark.parametrize(
    ("clusters", "pending"),
    [
        (["reviews", "reviews-v2"], ["shop/one: no healthy endpoint of reviews-v2 yet"]),
        (["reviews"], ["shop/one: no cluster of reviews-v2 yet"]),
        (["ratings"], []),
    ],
)
def test_a_caller_of_the_service_must_know_the_version_that_is_a_service(
    monkeypatch: pytest.MonkeyPatch, clusters: list[str], pending: list[str]
) -> None:
    class Callers(FakeProxies):
        def config_dump(self, _one: proxies.Proxy, kinds: t.Sequence[str], pattern: str = "") -> dict[str, t.Any]:
            names = [f"outbound|9080||{SERVICE.sibling(name).fqdn}" for name in clusters]
            found = [{"cluster": {"name": name, "type": "EDS"}} for name in names if re.fullmatch(pattern, name)]
            return {"configs": found if tuple(kinds) == (proxies.CLUSTERS,) else []}

    monkeypatch.setattr(convergence, "Proxies", lambda *_given: Callers({}))
    found = affected.Affected({proxy("one"): ProxyAttributes("shop")})
    monkeypatch.setattr(affected, "find", lambda *_given: found)
    places, given = {(SERVICE.sibling("reviews-v2").fqdn, "")}, {**PARAMS, "wait_timeout": 0.05}
    cluster = t.cast("t.Any", NoPods())
    seen = convergence.wait_for_endpoints(cluster, KIND, EMPTY, EMPTY, given, lambda _said: None, places)
    assert seen.pending == pending


def test_no_proxy_at_all_is_no_success(wait: Wait) -> None:
    done = wait(FakeProxies({}))
    assert (done.method, done.converged) == ("none", None)


def test_a_big_mesh_is_sampled_and_says_so(wait: Wait) -> None:
    fake = FakeProxies({f"p{number}": [[]] for number in range(30)})
    done = wait(fake, wait_sample=5)
    assert (done.proxies, done.checked, len(fake.read)) == (30, 5, 5)
    assert "5 of 30 proxies were read" in done.note
    everyone = FakeProxies({f"p{number}": [[]] for number in range(30)})
    assert wait(everyone, wait_sample=0).checked == 30


def test_gateways_are_always_in_the_sample() -> None:
    many = [proxy(f"p{number}") for number in range(30)] + [proxy("gate", gateway=True)]
    for _attempt in range(20):
        chosen = affected.sample(random.sample(many, len(many)), 3)
        assert proxy("gate", gateway=True) in chosen
        assert len(chosen) == len(set(chosen)) == 3


@pytest.mark.parametrize(
    ("pod", "runs"),
    [
        ({"spec": {"containers": [{"name": "app"}, {"name": "istio-proxy"}]}, "status": {"phase": "Running"}}, True),
        ({"spec": {"initContainers": [{"name": "istio-proxy"}]}, "status": {"phase": "Running"}}, True),
        ({"spec": {"containers": [{"name": "istio-proxy"}]}, "status": {"phase": "Pending"}}, False),
        ({"spec": {"containers": [{"name": "app"}]}, "status": {"phase": "Running"}}, False),
    ],
)
def test_which_pods_have_a_sidecar(pod: dict[str, t.Any], runs: bool) -> None:
    assert affected._has_running_proxy(pod) is runs
