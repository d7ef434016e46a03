# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts of ServiceEntries: endpoints and ports as istiod reads them."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.objects import pods, service_entries
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.metadata import identity
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from support import reviews

Json = dict[str, t.Any]
API = ServiceRef("api.example.com", "bookinfo")
V1, V2 = {"version": "v1"}, {"version": "v2"}


def entry(name: str = "api", **spec: t.Any) -> Json:
    frame = reviews.obj("networking.istio.io/v1", "ServiceEntry", name, "bookinfo")
    ports = [{"number": 443, "name": "api", "protocol": "GRPC"}]
    return {**frame, "spec": {"hosts": [API.name], "ports": ports, "resolution": "STATIC", **spec}}


def machine(name: str, healthy: bool | None = None, **labels: str) -> Json:
    frame = reviews.obj("networking.istio.io/v1", "WorkloadEntry", name, "bookinfo")
    status = {} if healthy is None else {"status": {"conditions": [{"type": "Healthy", "status": str(healthy)}]}}
    return {**frame, "spec": {"address": "192.0.2.1", "labels": {"app": "api", **labels}}, **status}


def snapshot(*entries: Json, machines: t.Sequence[Json] | None = (), found: t.Sequence[Json] = ()) -> Snapshot:
    return Snapshot(service_entries=entries, workload_entries=machines, pods=found)


LISTED = entry(endpoints=[{"address": "192.0.2.1", "labels": V1}, {"address": "192.0.2.2", "labels": V1}])
SELECTED = entry(workloadSelector={"labels": {"app": "api"}})


@pytest.mark.parametrize(
    ("read", "labels", "expected"),
    [
        (snapshot(LISTED), {}, (2, 2)),
        (snapshot(LISTED), V1, (2, 2)),
        (snapshot(LISTED), {**V1, "topology.kubernetes.io/zone": "a"}, (2, 2)),
        (snapshot(LISTED), V2, (0, 0)),
        (snapshot(entry(resolution="DNS")), {}, (1, 1)),
        (snapshot(entry(resolution="DNS")), V1, (0, 0)),
        (snapshot(SELECTED, machines=[machine("a", version="v1"), machine("b", False, version="v1")]), V1, (2, 1)),
        (snapshot(SELECTED, machines=[machine("a", True, version="v2")]), V1, (0, 0)),
        (snapshot(SELECTED, found=[reviews.pod("api-1", {"app": "api", **V1})]), V1, (1, 1)),
        (snapshot(SELECTED, found=[reviews.pod("api-1", {"app": "api", **V1}, ready=False)]), V1, (1, 0)),
        (snapshot(SELECTED, found=[reviews.pod("api-1", {"app": "other", **V1})]), V1, (0, 0)),
        (snapshot(SELECTED, machines=None), V1, None),
        (snapshot(entry(hosts=["other.example.com"])), {}, (0, 0)),
        (snapshot(entry(exportTo=["~"], resolution="DNS")), {}, (0, 0)),
        (Snapshot(), {}, None),
    ],
)
def test_endpoints_that_a_subset_selects(read: Snapshot, labels: dict[str, str], expected: t.Any) -> None:
    assert service_entries.endpoints_of(read, API, labels) == expected


def test_ports_are_those_of_a_service_with_their_protocol() -> None:
    assert service_entries.ports_of(snapshot(LISTED), API) == [{"name": "api", "port": 443, "appProtocol": "grpc"}]
    assert service_entries.ports_of(Snapshot(), API) is None


def test_pods_of_a_host_are_those_that_its_service_entry_selects() -> None:
    own, other = reviews.pod("api-1", {"app": "api", **V1}), reviews.pod("web-1", {"app": "web", **V1})
    of_host = pods.of_service(snapshot(SELECTED, found=[own, other]), API, V1) or ()
    assert [identity(one)[1] for one in of_host] == ["api-1"]
    assert pods.of_service(snapshot(LISTED, found=[own, other]), API, V1) == []


@pytest.mark.parametrize(
    ("host", "version"),
    [
        ("web-new.bookinfo.svc.cluster.local", "web-new"),
        ("web-new.other.svc.cluster.local", ""),
        ("web-new.bookinfo.svc.other.domain", ""),
        ("legacy.example.com", "legacy.example.com"),
        ("", ""),
    ],
)
def test_a_version_is_a_service_of_the_namespace_or_a_host_outside(host: str, version: str) -> None:
    assert API.version_of_host(host) == version
    assert ServiceRef("web", "bookinfo").version_of_host(host) == version


def test_a_full_name_is_that_of_a_service_or_the_host_itself() -> None:
    assert (API.fqdn, API.sibling("web").fqdn) == (API.name, "web.bookinfo.svc.cluster.local")
    assert ServiceRef.from_fqdn(API.fqdn).fqdn == API.fqdn
    assert ServiceRef.from_fqdn("web.shop.svc.cluster.local") == ServiceRef("web", "shop")
