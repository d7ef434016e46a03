# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts of ServiceEntries: a legacy system outside and a new one inside, and versions on machines, by real requests."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from support.direct import ISTIO, essence, service
from support.rollout_role import role_variables
from support.rollouts import BROKEN_BY, LOAD, QUICK, Stage, report, with_errors

from lab.traffic import Load

from .conftest import FORCE, assert_split, measure

if t.TYPE_CHECKING:
    from support.direct import Direct, Result
    from support.kube import Kube, Object

    from .conftest import Shop

pytestmark = pytest.mark.mesh

NUMBER = 5000
HOST, LEGACY, NEW, MACHINES = "api.example.com", "legacy.example.com", "reviews-v3", "machines.example.com"
TEN = {LEGACY: 90, NEW: 10}
TO_HOST, TO_MACHINES = {"Host": HOST}, {"Host": MACHINES}
TESTERS = {"end-user": "testuser"}


def of_istio(kind: str, name: str, **spec: t.Any) -> Object:
    shown = {} if kind == "WorkloadEntry" else {"exportTo": ["."]}
    return {"apiVersion": ISTIO, "kind": kind, "metadata": {"name": name}, "spec": {**spec, **shown}}


def service_entry(name: str, host: str, **spec: t.Any) -> Object:
    ports = [{"number": 9080, "name": "http", "protocol": "HTTP"}]
    return of_istio("ServiceEntry", name, hosts=[host], ports=ports, location="MESH_EXTERNAL", **spec)


def virtual_service(name: str, claimed: str, **destination: t.Any) -> Object:
    route = [{"destination": destination, "weight": 100}]
    return of_istio("VirtualService", name, hosts=[claimed], http=[{"timeout": "9s", "route": route}])


@pytest.fixture(scope="module")
def routed(shop: Shop, kube: Kube) -> Stage:
    """The host api.example.com, all requests to legacy.example.com by DNS; reviews-v3 is a Service of the namespace."""
    versions = []
    for version in ("v2", "v3"):
        one = service(f"reviews-{version}")
        one["spec"]["selector"] = {"app": "reviews", "version": version}
        versions.append(one)
    inside = f"reviews-v2.{shop.namespace}.svc.cluster.local"
    kube.apply(
        *versions,
        service_entry("legacy", LEGACY, resolution="DNS", endpoints=[{"address": inside}]),
        service_entry("api", HOST, resolution="DNS", endpoints=[{"address": inside}]),
        virtual_service("api", HOST, host=LEGACY),
        namespace=shop.namespace,
    )
    to_host = Load(requests=20, headers=TO_HOST)
    kube.wait_until(lambda: set(shop.sidecar.measure(to_host).counts) == {"v2"}, 60, "sidecars know the host")
    return Stage(shop, kube, t.cast("t.Any", None))


@pytest.fixture
def host(routed: Stage, direct: Direct, kube: Kube, shop: Shop) -> t.Callable[..., Result]:
    """Run commands about the host; all requests on the legacy system, no cohort, no rollout and no record of one."""
    del routed
    kube.delete("v1", "ConfigMap", f"canary-rollout-{HOST}", shop.namespace)
    kube.delete("coordination.k8s.io/v1", "Lease", f"canary-{HOST}", shop.namespace)

    def run(command: str, **options: t.Any) -> Result:
        return direct(command, **{"service": HOST, **options})

    run("header_route", state="absent")
    run("weight", weights={LEGACY: 100}, finalize=True, force=FORCE)
    return run


def route(kube: Kube, shop: Shop, name: str = "api") -> t.Any:
    return essence(kube.get(ISTIO, "VirtualService", name, shop.namespace))


def shares(kube: Kube, shop: Shop) -> dict[str, int]:
    entries = route(kube, shop)["spec"]["http"][-1]["route"]
    found = {one["destination"]["host"].partition(".svc")[0]: one.get("weight", 100) for one in entries}
    return {name: weight for name, weight in found.items() if weight}


def rollout(shop: Shop, *, fails: bool = False, **variables: t.Any) -> dict[str, t.Any]:
    given = role_variables({**QUICK, "stable": LEGACY, **variables})
    played = shop.player("meshops.canary.rollout", fails=fails, service=HOST, ns=shop.namespace, canary=NEW, **given)
    return report(played)


def test_requests_move_from_a_host_outside_to_a_service_inside(
    host: t.Callable[..., Result], shop: Shop, kube: Kube
) -> None:
    before = route(kube, shop)
    changed = host("weight", weights=TEN)
    assert (changed["convergence"]["method"], changed["convergence"]["converged"]) == ("proxies", True)
    assert host("weight", weights=TEN)["changed"] is False
    assert_split(measure(shop.sidecar, Load(requests=NUMBER, headers=TO_HOST)), {"v2": 90, "v3": 10}, "by weight")
    host("header_route", name="testers", headers=TESTERS, weights={LEGACY: 20, NEW: 80})
    testers = measure(shop.sidecar, Load(requests=NUMBER, headers={**TO_HOST, **TESTERS}))
    assert_split(testers, {"v2": 20, "v3": 80}, "testers")
    host("header_route", name="testers", state="absent")
    assert host("weight", state="absent")["convergence"]["converged"] is True
    assert_split(measure(shop.sidecar, Load(requests=300, headers=TO_HOST)), {"v2": 100}, "restored")
    assert route(kube, shop) == before


def test_counters_status_and_verification_name_the_hosts(host: t.Callable[..., Result], shop: Shop) -> None:
    host("weight", weights={LEGACY: 70, NEW: 30}, force=FORCE)
    with shop.sidecar.background(Load(seconds=120, rate=200, connections=4, limit=120, headers=TO_HOST)) as load:
        verified = host("verify", seconds=10, source="proxies")
        known = host("info", sample_seconds=3)["services"][0]
        load.stop()
        assert load.result().failed == 0
    assert verified["verdict"] == "pass", verified["msg"]
    assert set(verified["counts"]) == {LEGACY, NEW}
    versions = {one["version"]: one for one in known["versions"]}
    assert known["weights"] == {LEGACY: 70, NEW: 30}
    assert versions[NEW]["deployments"] == ["reviews-v3"]
    assert (versions[LEGACY]["ready"], versions[LEGACY]["deployments"]) == (1, None)
    assert versions[LEGACY]["measured"]["requests"] > 0
    assert known["proxies"]["converged"] is True
    assert [one["code"] for one in known["findings"] if one["severity"] == "error"] == []


def test_a_whole_rollout_to_the_new_system_loses_no_request(
    host: t.Callable[..., Result], shop: Shop, kube: Kube
) -> None:
    del host
    with shop.sidecar.background(dataclasses.replace(LOAD, headers=TO_HOST)) as load:
        ended = rollout(shop, steps=[10, 50, 100])
        load.stop()
        seen = load.result()
    assert ended["phase"] == "promoted", ended["reason"]
    assert seen.failed == 0, seen.reasons
    assert set(seen.counts) == {"v2", "v3"}
    assert list(shares(kube, shop)) == [f"{NEW}.{shop.namespace}"]


def test_a_bad_new_system_is_rolled_back(host: t.Callable[..., Result], shop: Shop, kube: Kube) -> None:
    del host
    with shop.sidecar.background(with_errors(dataclasses.replace(LOAD, headers=TO_HOST), v3=0.2)) as load:
        ended = rollout(shop, fails=True, steps=[25, 100], pause=20)
        load.stop()
        seen = load.result()
    assert ended["phase"] == "rolled_back"
    assert all(reason.startswith(BROKEN_BY) for reason in seen.reasons), seen.reasons
    assert 0 < ended["failed_requests"] <= seen.failed
    assert shares(kube, shop) == {LEGACY: 100}


def test_versions_on_machines_are_subsets_of_workload_entries(
    routed: Stage, direct: Direct, shop: Shop, kube: Kube
) -> None:
    machines = []
    for version in ("v1", "v2"):
        address = routed.pods(version)[0]["status"]["podIP"]
        labels = {"app": "machines", "version": version}
        machines.append(of_istio("WorkloadEntry", f"machine-{version}", address=address, labels=labels))
    subsets = [{"name": version, "labels": {"version": version}} for version in ("v1", "v2", "v9")]
    kube.apply(
        *machines,
        service_entry("machines", MACHINES, resolution="STATIC", workloadSelector={"labels": {"app": "machines"}}),
        of_istio("DestinationRule", "machines", host=MACHINES, subsets=subsets),
        virtual_service("machines", MACHINES, host=MACHINES, subset="v1"),
        namespace=shop.namespace,
    )
    to_machines = Load(requests=20, headers=TO_MACHINES)
    kube.wait_until(lambda: set(shop.sidecar.measure(to_machines).counts) == {"v1"}, 60, "sidecars know the machines")
    before = route(kube, shop, "machines")
    changed = direct("weight", service=MACHINES, weights={"v1": 75, "v2": 25})
    assert changed["convergence"]["converged"] is True
    seen = measure(shop.sidecar, Load(requests=NUMBER, headers=TO_MACHINES))
    assert_split(seen, {"v1": 75, "v2": 25}, "machines")
    empty = direct("weight", fails=True, service=MACHINES, weights={"v1": 90, "v9": 10})
    assert "SUBSET_NOT_READY" in empty["msg"]
    direct("weight", service=MACHINES, state="absent")
    assert route(kube, shop, "machines") == before


def test_what_cannot_work_is_refused_before_anything_is_written(
    host: t.Callable[..., Result], shop: Shop, kube: Kube
) -> None:
    before = route(kube, shop)
    unknown = host("weight", fails=True, weights={LEGACY: 90, "nobody.example.com": 10})
    assert "No ServiceEntry has the host nobody.example.com" in unknown["msg"]
    foreign = host("weight", fails=True, weights={LEGACY: 90, "web.elsewhere.svc.cluster.local": 10})
    assert "Services of other namespaces are no versions" in foreign["msg"]
    scaled = host("capacity", fails=True, version=LEGACY, pods=3)
    assert "it has no Deployment to scale" in scaled["msg"]
    assert "no Service" in host("routing", fails=True, versions=["v1"], stable="v1")["msg"]
    assert route(kube, shop) == before
