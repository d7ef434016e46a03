# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Versions that are hosts of ServiceEntries, for a host outside and for a Service: plans, refusals and findings."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput, Refused, UnknownSubset
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import NotRead, Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.preflight import inspection
from ansible_collections.meshops.canary.plugins.module_utils.rollout import capacity_changes
from ansible_collections.meshops.canary.plugins.module_utils.routing import overview, plan
from ansible_collections.meshops.canary.plugins.module_utils.task import reading
from support import reviews

Json = dict[str, t.Any]
HOST, LEGACY, WEB = "api.example.com", "legacy.example.com", "web-new"
API, SHOP = ServiceRef(HOST, "shop"), ServiceRef("web", "shop")
FULL = "{}.shop.svc.cluster.local"
TESTERS = intents.SetCohort("testers", [{"headers": {"user": {"exact": "test"}}}], {LEGACY: 20, WEB: 80})


def virtual_service(host: str, weights: dict[str, int], *more: Json) -> Json:
    frame = reviews.obj("networking.istio.io/v1", "VirtualService", "api", "shop")
    route = [{"destination": {"host": one}, "weight": weight} for one, weight in weights.items()]
    return {**frame, "spec": {"hosts": [host], "http": [*more, {"timeout": "3s", "route": route}]}}


def entry(host: str, port: int = 80, **spec: t.Any) -> Json:
    frame = reviews.obj("networking.istio.io/v1", "ServiceEntry", host, "shop")
    ports = [{"number": port, "name": "http", "protocol": "HTTP"}]
    return {**frame, "spec": {"hosts": [host], "ports": ports, "resolution": "DNS", **spec}}


def service(name: str) -> Json:
    spec = {"selector": {"app": name}, "ports": [{"name": "http", "port": 80}]}
    return {**reviews.obj("v1", "Service", name, "shop"), "spec": spec}


def snapshot(*routes: Json, entries: t.Sequence[Json] | None = None, rules: t.Sequence[Json] = ()) -> Snapshot:
    known = tuple(map(entry, (HOST, LEGACY))) if entries is None else tuple(entries)
    return Snapshot(
        virtual_services=routes,
        destination_rules=tuple(rules),
        http_routes=(),
        services=tuple(map(service, ("web", WEB))),
        service_entries=known,
        workload_entries=(),
        pods=(reviews.pod("web-new-1", {"app": WEB}, "shop"),),
        deployments=(),
        hpas=(),
        namespaces=(),
        gateways=(),
    )


def shares(found: Snapshot, index: int = -1) -> dict[str, int]:
    entries = (found.virtual_services or ())[0]["spec"]["http"][index]["route"]
    return {one["destination"]["host"]: one.get("weight", 100) for one in entries}


def write(start: Snapshot, service_ref: ServiceRef, intent: intents.Intent) -> Snapshot:
    after = start.after(plan.plan(start, service_ref, intent).changes)
    assert not plan.plan(after, service_ref, intent).changes
    return after


@pytest.mark.parametrize(
    ("of", "before", "weights", "after"),
    [
        pytest.param(API, {LEGACY: 100}, {LEGACY: 90, WEB: 10}, {LEGACY: 90, FULL.format(WEB): 10}, id="to-inside"),
        pytest.param(API, {LEGACY: 100, WEB: 0}, {LEGACY: 90, WEB: 10}, {LEGACY: 90, WEB: 10}, id="short-stays-short"),
        pytest.param(API, {HOST: 100}, {HOST: 90, LEGACY: 10}, {HOST: 90, LEGACY: 10}, id="host-itself"),
        pytest.param(SHOP, {LEGACY: 100}, {LEGACY: 75, "web": 25}, {LEGACY: 75, FULL.format("web"): 25}, id="service"),
        pytest.param(SHOP, {"web": 100}, {"web": 60, LEGACY: 40}, {"web": 60, LEGACY: 40}, id="service-to-outside"),
    ],
)
def test_weights_between_hosts_are_set_described_and_restored(
    of: ServiceRef, before: dict[str, int], weights: dict[str, int], after: dict[str, int]
) -> None:
    start = snapshot(virtual_service(of.name, before))
    end = write(start, of, intents.SetWeights(weights))
    assert shares(end) == after
    known = plan.describe(end, of)
    assert known["weights"] == weights
    assert set(weights) <= set(known["services"])
    assert write(end, of, intents.RestoreWeights()).virtual_services == start.virtual_services


def test_a_cohort_and_a_mirror_between_hosts_are_removed_again() -> None:
    start = snapshot(virtual_service(HOST, {LEGACY: 100}))
    testers = write(start, API, TESTERS)
    assert shares(testers, 0) == {LEGACY: 20, FULL.format(WEB): 80}
    assert write(testers, API, intents.RemoveCohort("testers")).virtual_services == start.virtual_services
    mirrored = write(start, API, intents.SetMirror(WEB, 50))
    assert plan.describe(mirrored, API)["mirrors"] == {WEB: 50}
    assert write(mirrored, API, intents.RemoveMirror()).virtual_services == start.virtual_services


def test_a_host_outside_that_nobody_names_keeps_its_share_of_a_services_route() -> None:
    start = snapshot(virtual_service("web", {"web": 80, LEGACY: 20}))
    assert plan.describe(start, SHOP)["services"] == []
    end = write(start, SHOP, intents.SetWeights({"web": 50, WEB: 50}))
    assert shares(end) == {"web": 40, LEGACY: 20, FULL.format(WEB) if FULL.format(WEB) in shares(end) else WEB: 40}


def test_the_versions_of_two_hosts_in_one_object_are_kept_apart() -> None:
    first = virtual_service(HOST, {LEGACY: 100})
    first["spec"]["hosts"].append("www.example.com")
    start = snapshot(first)
    end = write(start, API, intents.SetWeights({LEGACY: 90, WEB: 10}))
    other = ServiceRef("www.example.com", "shop")
    with pytest.raises(Refused, match="belong to another service there"):
        plan.plan(end, other, intents.SetWeights({LEGACY: 50, WEB: 50}))


def test_subsets_of_a_host_are_planned_as_those_of_a_service() -> None:
    rule = reviews.destination_rule("shop", ("v1", "v2"), name="api", host=HOST)
    routes = virtual_service(HOST, {HOST: 100})
    routes["spec"]["http"][0]["route"][0]["destination"]["subset"] = "v1"
    start = snapshot(routes, rules=[rule])
    end = write(start, API, intents.SetWeights({"v1": 90, "v2": 10}))
    assert plan.describe(end, API)["weights"] == {"v1": 90, "v2": 10}
    assert write(end, API, intents.RestoreWeights()).virtual_services == start.virtual_services


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("nobody.example.com", "No ServiceEntry has the host nobody.example.com"),
        ("web.other.svc.cluster.local", "Services of other namespaces are no versions"),
        ("web-new.shop.svc.cluster.local", "write web-new"),
        ("web-none", "There is no Service shop/web-none"),
    ],
)
def test_a_host_that_does_not_exist_is_refused(version: str, reason: str) -> None:
    start = snapshot(virtual_service(HOST, {LEGACY: 100}))
    with pytest.raises(UnknownSubset, match=reason) as refused:
        plan.plan(start, API, intents.SetWeights({LEGACY: 90, version: 10}))
    assert [one.code for one in refused.value.findings] == ["SUBSET_UNKNOWN"]


def test_a_port_that_the_new_service_lacks_is_refused() -> None:
    routes = virtual_service(HOST, {LEGACY: 100})
    routes["spec"]["http"][0]["route"][0]["destination"]["port"] = {"number": 443}
    start = snapshot(routes, entries=[entry(LEGACY, 443), entry(HOST, 443)])
    with pytest.raises(UnknownSubset, match="Service web-new has no port 443, only 80"):
        plan.plan(start, API, intents.SetWeights({LEGACY: 90, WEB: 10}))


def test_service_entries_that_were_not_read_are_asked_for() -> None:
    start = Snapshot(
        virtual_services=(virtual_service(HOST, {LEGACY: 100}),), destination_rules=(), http_routes=(), services=()
    )
    with pytest.raises(NotRead, match="service entries"):
        plan.plan(start, API, intents.SetWeights({LEGACY: 90, "new.example.com": 10}))


def test_what_is_done_for_services_only_is_refused_for_hosts() -> None:
    start = snapshot(virtual_service(HOST, {LEGACY: 100}))
    with pytest.raises(InvalidInput, match="because it is no Service"):
        plan.plan(start, API, intents.InstallRouting({"v1": {"version": "v1"}}, "v1"))
    for of, weights in ((API, {WEB: 100}), (SHOP, {"web": 90, LEGACY: 10})):
        with pytest.raises(InvalidInput, match="by a VirtualService"):
            plan.plan(start, of, intents.SetWeights(weights), api="gateway")


def findings(found: Snapshot, of: ServiceRef = API) -> list[tuple[str, str]]:
    errors = [one for one in inspection.inspect(found, of) if one.severity == "error"]
    return [(one.code, one.object) for one in errors]


def test_findings_judge_hosts_by_their_endpoints() -> None:
    routes = virtual_service(HOST, {LEGACY: 90, WEB: 10})
    assert inspection.further_lists(snapshot(routes), API) == ["service_entries", "workload_entries"]
    assert findings(snapshot(routes)) == []
    empty = entry(LEGACY, resolution="STATIC")
    assert findings(snapshot(routes, entries=[empty])) == [("SUBSET_NOT_READY", f"Host {LEGACY}")]
    assert findings(snapshot(routes, entries=[])) == [("SUBSET_UNKNOWN", f"Host {LEGACY}")]
    by_caller = entry(LEGACY, resolution="NONE")
    assert findings(snapshot(routes, entries=[by_caller])) == [
        ("ENDPOINT_CHOSEN_BY_CALLER", f"ServiceEntry shop/{LEGACY}")
    ]


def test_a_subset_of_machines_beside_pods_is_ready_by_its_workload_entries() -> None:
    lists = reviews.healthy()
    lists["pods"] = [one for one in lists["pods"] if not one["metadata"]["name"].startswith("reviews-v2")]
    reviews_ref = ServiceRef("reviews", reviews.NAMESPACE)
    assert "workload_entries" in inspection.further_lists(Snapshot(**lists), reviews_ref)
    assert "SUBSET_NOT_READY" in [code for code, _object in findings(Snapshot(**lists), reviews_ref)]
    machine = reviews.obj("networking.istio.io/v1", "WorkloadEntry", "vm", reviews.NAMESPACE)
    machine["spec"] = {"address": "192.0.2.1", "labels": {"app": "reviews", "version": "v2"}}
    assert "SUBSET_NOT_READY" not in [
        code for code, _object in findings(Snapshot(**lists, workload_entries=(machine,)), reviews_ref)
    ]


def test_a_host_outside_has_endpoints_and_nothing_to_scale() -> None:
    found = snapshot(virtual_service(HOST, {LEGACY: 90, WEB: 10}))
    versions = {one["version"]: one for one in overview.versions(found, API, plan.describe(found, API), None)}
    assert (versions[LEGACY]["ready"], versions[LEGACY]["desired"]) == (1, None)
    assert (versions[WEB]["ready"], versions[WEB]["deployments"]) == (1, [])
    with pytest.raises(Refused, match=r"it has no Deployment to scale.*capacity=false"):
        capacity_changes.deployment_of(found, API, versions[LEGACY])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("reviews.bookinfo.svc.cluster.local", "Write service: reviews and namespace: bookinfo"),
        ("*.example.com", "neither the name of a Service nor a host"),
        ("API.example.com", "neither the name of a Service nor a host"),
        ("api..com", "neither the name of a Service nor a host"),
        (f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 20}", "at most 200 characters"),
    ],
)
def test_a_name_with_dots_must_be_a_host(name: str, reason: str) -> None:
    params = {"service": name, "namespace": "shop", "cluster_domain": "cluster.local", "istio_namespace": "i"}
    with pytest.raises(InvalidInput, match=reason.replace("*", r"\*")):
        reading.service_of(params)
