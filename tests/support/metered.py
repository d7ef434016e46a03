# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Proxies with the counters of a test, and the source of an analysis that reads them."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.analysis.traffic import Names
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError
from ansible_collections.meshops.canary.plugins.module_utils.evidence import measuring, proxy_source
from ansible_collections.meshops.canary.plugins.module_utils.mesh.proxies import (
    Proxies,
    Proxy,
    parse_endpoints,
    parse_samples,
)
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot

if t.TYPE_CHECKING:
    import pytest

HOST = "reviews.shop.svc.cluster.local"
SERVICE = ServiceRef("reviews", "shop")
NAMES = Names({HOST: None}, {"1.16.1": "v2"})
SUBSETS = {"v1": {"version": "v1"}, "v2": {"version": "v2"}}
PAGE, GATE = Proxy("shop", "page"), Proxy("istio-system", "gate", True)


class Mesh:
    """Returns the page that the test set for a pod; an exception is raised. missing: notes on callers not listed."""

    def __init__(self) -> None:
        self.callers: list[Proxy] = [PAGE, GATE]
        self.missing: list[str] = []
        self.counter_pages: dict[str, str | ApiError] = {"page": "", "gate": ""}
        self.counters_read: list[str] = []
        self.endpoint_pages: dict[str, str | ApiError] = {}
        self.endpoints_read: list[str] = []

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Mesh:
        """Answer in place of real proxies for the length of a test."""
        monkeypatch.setattr(Proxies, "counters", self.counters)
        monkeypatch.setattr(Proxies, "endpoints", self.endpoints)
        monkeypatch.setattr(measuring, "callers", self.listed)
        return self

    def listed(self, *given: t.Any) -> tuple[None, list[Proxy]]:
        given[-1].extend(self.missing)
        return None, self.callers

    def counters(self, _namespace: str, pod: str, _pattern: str) -> list[t.Any]:
        self.counters_read.append(pod)
        answer = self.counter_pages[pod]
        if isinstance(answer, ApiError):
            raise answer
        return list(parse_samples(answer))

    def endpoints(self, proxy: Proxy, _pattern: str) -> tuple[list[t.Any], int]:
        self.endpoints_read.append(proxy.name)
        page = self.endpoint_pages.get(proxy.name, "")
        if isinstance(page, ApiError):
            raise page
        return list(parse_endpoints(page)), len(page)

    def count(self, pod: str, version: str, number: int, code: int = 200, side: str = "outbound") -> None:
        cluster = f"outbound|9080|{version}|{HOST}" if side == "outbound" else "inbound|9080||"
        self.counter_pages[pod] = (
            f'envoy_cluster_upstream_rq{{cluster_name="{cluster}",response_code="{code}"}} {number}'
        )


def pod(name: str, version: str) -> dict[str, t.Any]:
    labels = {"app": "reviews", "version": version}
    metadata = {"name": name, "namespace": "shop", "labels": labels}
    return {"metadata": metadata, "spec": {"containers": [{"name": "istio-proxy"}]}, "status": {"phase": "Running"}}


class Pods:
    """A cluster that lists the pods of the test. broken: raised instead."""

    def __init__(self, *pods: dict[str, t.Any]) -> None:
        self.pods: tuple[dict[str, t.Any], ...] = pods
        self.broken: list[ApiError] = []

    def list(self, _resource: t.Any, namespace: str) -> tuple[dict[str, t.Any], ...]:
        assert namespace == "shop"
        if self.broken:
            raise self.broken[0]
        return self.pods


def source(
    cluster: Pods | None = None,
    services: t.Sequence[dict[str, t.Any]] = (),
    in_flight_every: int = proxy_source.IN_FLIGHT_EVERY,
) -> proxy_source.ProxySource:
    cluster = cluster or Pods()
    snapshot = Snapshot(pods=cluster.pods, services=services)
    params = {"istio_namespace": "istio-system", "proxy_sample": 50}
    places = {version: (SERVICE, labels) for version, labels in SUBSETS.items()}
    api = t.cast("t.Any", cluster)
    return proxy_source.ProxySource(api, snapshot, SERVICE, NAMES, places, params, in_flight_every=in_flight_every)
