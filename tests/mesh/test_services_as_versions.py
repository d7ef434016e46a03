# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VirtualServices whose versions are Services of their own, for sidecars and a gateway, measured by real requests."""

from __future__ import annotations

import typing as t

import pytest
from support.direct import ISTIO, essence, service
from support.rollouts import ADVANCED, BROKEN_BY, LOAD, Stage, report, with_errors

from lab.traffic import GatewayClient, Load

from .conftest import FORCE, assert_split, measure

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube, Object

    from .conftest import Shop

pytestmark = pytest.mark.mesh

NUMBER = 5000
TESTERS = {"end-user": "testuser"}
STABLE, CANARY = "reviews-v2", "reviews-v3"
TEN = {STABLE: 90, CANARY: 10}
NAMES: dict[str, t.Any] = {"stable": STABLE, "rollout_capacity": True}


def version_service(version: str) -> Object:
    one = service(f"reviews-{version}")
    one["spec"]["selector"] = {"app": "reviews", "version": version}
    return one


def virtual_service(name: str, **spec: t.Any) -> Object:
    entries = [{"destination": {"host": STABLE}, "weight": 100}, {"destination": {"host": CANARY}, "weight": 0}]
    frame = {"apiVersion": ISTIO, "kind": "VirtualService", "metadata": {"name": name}}
    return {**frame, "spec": {**spec, "http": [{"timeout": "9s", "route": entries}]}}


@pytest.fixture(scope="module")
def outside(shop: Shop, kube: Kube) -> GatewayClient:
    """The routes of reviews with a Service for each version, and a client of the gateway that has them too."""
    host = f"services.{shop.host}"
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": [host]}
    spec = {"selector": {"istio": "ingressgateway"}, "servers": [server]}
    gateway = {"apiVersion": ISTIO, "kind": "Gateway", "metadata": {"name": "services"}, "spec": spec}
    kube.delete(ISTIO, "VirtualService", "reviews", shop.namespace)
    kube.delete(ISTIO, "DestinationRule", "reviews", shop.namespace)
    routes = (
        virtual_service("reviews", hosts=["reviews"]),
        virtual_service("front", hosts=[host], gateways=["services"]),
    )
    kube.apply(*map(version_service, ("v1", "v2", "v3")), gateway, *routes, namespace=shop.namespace)
    client = GatewayClient(shop.ingress_url, path="/reviews/0", host=host)
    kube.wait_until(lambda: client.measure(Load(requests=5)).failed == 0, 30, "the gateway answers")
    kube.wait_until(lambda: set(shop.sidecar.measure(Load(requests=20)).counts) == {"v2"}, 30, "sidecars use Services")
    return client


@pytest.fixture
def stage(outside: GatewayClient, shop: Shop, kube: Kube, direct: Direct) -> Stage:
    """All requests on the stable Service, no cohort, no rollout and no record of one."""
    del outside
    kube.delete("v1", "ConfigMap", "canary-rollout-reviews", shop.namespace)
    kube.delete("coordination.k8s.io/v1", "Lease", "canary-reviews", shop.namespace)
    direct("header_route", state="absent")
    direct("weight", weights={STABLE: 100}, finalize=True, force=FORCE)
    return Stage(shop, kube, direct)


def written(stage: Stage) -> list[t.Any]:
    names = ("reviews", "front")
    return [essence(stage.kube.get(ISTIO, "VirtualService", name, stage.shop.namespace)) for name in names]


def weights(stage: Stage) -> list[dict[str, int]]:
    """Return the weights that each VirtualService gives, without those of 0."""
    listed = [obj["spec"]["http"][-1]["route"] for obj in written(stage)]
    found = [{one["destination"]["host"]: one.get("weight", 100) for one in entries} for entries in listed]
    return [{host: weight for host, weight in one.items() if weight} for one in found]


def test_weights_split_requests_of_sidecars_and_of_the_gateway_and_are_restored(
    stage: Stage, outside: GatewayClient
) -> None:
    direct, places, before = stage.direct, (stage.shop.sidecar, outside), written(stage)
    changed = direct("weight", weights=TEN)
    assert (changed["convergence"]["method"], changed["convergence"]["converged"]) == ("proxies", True)
    assert sorted(one["name"] for one in changed["objects"] if one["changed"]) == ["front", "reviews"]
    assert direct("weight", weights=TEN)["changed"] is False
    for place in places:
        assert_split(measure(place, Load(requests=NUMBER)), {"v2": 90, "v3": 10}, place.name)
    assert direct("weight", state="absent")["convergence"]["converged"] is True
    assert_split(measure(stage.shop.sidecar, Load(requests=300)), {"v2": 100}, "restored")
    assert written(stage) == before


def test_a_cohort_has_its_own_split_and_a_mirror_copies(stage: Stage, outside: GatewayClient) -> None:
    direct, before = stage.direct, written(stage)
    direct("header_route", name="testers", headers=TESTERS, weights={STABLE: 10, CANARY: 90})
    for place in (stage.shop.sidecar, outside):
        testers = measure(place, Load(requests=NUMBER, headers=TESTERS))
        assert_split(testers, {"v2": 10, "v3": 90}, f"testers, {place.name}")
        assert_split(measure(place, Load(requests=300)), {"v2": 100}, f"all others, {place.name}")
    direct("header_route", name="testers", state="absent")
    mirrored = direct("mirror", version=CANARY, percent=50)
    assert mirrored["convergence"]["converged"] is True
    known = direct("info", measure="none")["services"][0]
    assert known["mirrors"] == {CANARY: 50}
    assert [one["code"] for one in known["findings"] if one["severity"] == "error"] == []
    direct("mirror", state="absent")
    assert written(stage) == before


def test_users_keep_the_service_they_were_dealt(stage: Stage, outside: GatewayClient) -> None:
    direct, before = stage.direct, written(stage)
    direct("weight", weights={STABLE: 50, CANARY: 50}, force=FORCE)
    sticky = direct("sticky")
    assert sticky["convergence"]["converged"] is True
    state = written(stage)[1]
    values = {
        entry["destination"]["host"]: entry["headers"]["response"]["add"]["Set-Cookie"].partition(";")[0]
        for entry in state["spec"]["http"][-1]["route"]
    }
    for name, version in ((STABLE, "v2"), (CANARY, "v3")):
        kept = measure(outside, Load(requests=300, headers={"cookie": values[name]}))
        assert kept.counts == {version: 300}
    direct("sticky", state="absent")
    direct("weight", state="absent")
    assert written(stage) == before


def test_counters_status_and_verification_name_the_services(stage: Stage) -> None:
    direct = stage.direct
    direct("weight", weights={STABLE: 70, CANARY: 30}, force=FORCE)
    with stage.shop.sidecar.background(Load(seconds=120, rate=200, connections=4, limit=120)) as load:
        verified = direct("verify", seconds=10, source="proxies")
        known = direct("info", sample_seconds=3)["services"][0]
        load.stop()
        assert load.result().failed == 0
    assert verified["verdict"] == "pass", verified["msg"]
    assert set(verified["counts"]) == {STABLE, CANARY}
    versions = {one["version"]: one for one in known["versions"]}
    assert known["weights"] == {STABLE: 70, CANARY: 30}
    assert versions[CANARY]["deployments"] == ["reviews-v3"]
    assert versions[CANARY]["ready"] >= 1
    assert versions[CANARY]["measured"]["requests"] > 0
    assert known["proxies"]["converged"] is True


def test_a_whole_rollout_loses_no_request(stage: Stage) -> None:
    with stage.shop.sidecar.background(LOAD) as load:
        ended = report(stage.rollout(CANARY, steps=[10, 50, 100], rollout_old_replicas=1, **NAMES))
        load.stop()
        seen = load.result()
    assert ended["phase"] == "promoted", ended["reason"]
    assert seen.failed == 0, seen.reasons
    assert set(seen.counts) == {"v2", "v3"}
    assert weights(stage) == [{CANARY: 100}, {CANARY: 100}]
    assert [entry["note"] for entry in ended["events"] if entry["event"] == "drained"] == [
        f"{STABLE}: no requests in the last 1 s"
    ]


def test_a_bad_version_is_rolled_back(stage: Stage) -> None:
    with stage.shop.sidecar.background(with_errors(LOAD, v3=0.2)) as load:
        ended = report(stage.rollout(CANARY, fails=True, steps=[25, 100], pause=20, **NAMES))
        load.stop()
        seen = load.result()
    assert ended["phase"] == "rolled_back"
    assert all(reason.startswith(BROKEN_BY) for reason in seen.reasons), seen.reasons
    assert 0 < ended["failed_requests"] <= seen.failed
    assert weights(stage) == [{STABLE: 100}, {STABLE: 100}]


def test_a_version_without_ready_pods_or_a_service_gets_no_request(stage: Stage) -> None:
    missing = stage.direct("weight", fails=True, weights={STABLE: 90, "reviews-v9": 10})
    assert "There is no Service" in missing["msg"]
    empty = version_service("v9")
    stage.kube.apply(empty, namespace=stage.shop.namespace)
    unready = stage.direct("weight", fails=True, weights={STABLE: 90, "reviews-v9": 10})
    assert "SUBSET_NOT_READY" in unready["msg"]
    played = stage.rollout("reviews-v9", fails=True, stable=STABLE)
    assert "reviews-v9" in played.task(ADVANCED)["msg"]
    stage.kube.delete("v1", "Service", "reviews-v9", stage.shop.namespace)
    assert weights(stage) == [{STABLE: 100}, {STABLE: 100}]
