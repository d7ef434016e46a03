# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Proxies that show the numbers a test wrote, and the source of an analysis that reads them."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.analysis.traffic import Names
from ansible_collections.meshops.canary.plugins.module_utils.commands import measuring, observe
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError
from ansible_collections.meshops.canary.plugins.module_utils.proxies import (
    Proxies,
    Proxy,
    parse_endpoints,
    parse_samples,
)
from ansible_collections.meshops.canary.plugins.module_utils.routes.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.routes.snapshot import Snapshot

if t.TYPE_CHECKING:
    import pytest

HOST = "reviews.shop.svc.cluster.local"
SERVICE = ServiceRef("reviews", "shop")
NAMES = Names({HOST: None}, {"1.16.1": "v2"})
SUBSETS = {"v1": {"version": "v1"}, "v2": {"version": "v2"}}
PAGE, GATE = Proxy("shop", "page"), Proxy("istio-system", "gate", True)


class Mesh:
    """Answers what the test wrote under a pod's name; an exception is raised. missing: why callers are not listed."""

    def __init__(self) -> None:
        self.callers: list[Proxy] = [PAGE, GATE]
        self.missing: list[str] = []
        self.says: dict[str, str | ApiError] = {"page": "", "gate": ""}
        self.asked: list[str] = []
        self.pages: dict[str, str | ApiError] = {}
        self.opened: list[str] = []

    def instead(self, monkeypatch: pytest.MonkeyPatch) -> Mesh:
        """Answer in place of real proxies for the length of a test."""
        monkeypatch.setattr(Proxies, "counters", self.counters)
        monkeypatch.setattr(Proxies, "endpoints", self.endpoints)
        monkeypatch.setattr(measuring, "callers", self.listed)
        return self

    def listed(self, *given: t.Any) -> tuple[None, list[Proxy]]:
        given[-1].extend(self.missing)
        return None, self.callers

    def counters(self, _namespace: str, pod: str, _pattern: str) -> list[t.Any]:
        self.asked.append(pod)
        answer = self.says[pod]
        if isinstance(answer, ApiError):
            raise answer
        return list(parse_samples(answer))

    def endpoints(self, proxy: Proxy, _pattern: str) -> tuple[list[t.Any], int]:
        self.opened.append(proxy.name)
        page = self.pages.get(proxy.name, "")
        if isinstance(page, ApiError):
            raise page
        return list(parse_endpoints(page)), len(page)

    def count(self, pod: str, version: str, number: int, code: int = 200, side: str = "outbound") -> None:
        cluster = f"outbound|9080|{version}|{HOST}" if side == "outbound" else "inbound|9080||"
        self.says[pod] = f'envoy_cluster_upstream_rq{{cluster_name="{cluster}",response_code="{code}"}} {number}'


def pod(name: str, version: str) -> dict[str, t.Any]:
    labels = {"app": "reviews", "version": version}
    metadata = {"name": name, "namespace": "shop", "labels": labels}
    return {"metadata": metadata, "spec": {"containers": [{"name": "istio-proxy"}]}, "status": {"phase": "Running"}}


class Pods:
    """A cluster that lists the pods the test wrote. broken: raised instead."""

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
    under_way_every: int = observe.UNDER_WAY_EVERY,
) -> observe.ProxySource:
    cluster = cluster or Pods()
    snapshot = Snapshot(pods=cluster.pods, services=services)
    params = {"istio_namespace": "istio-system", "proxy_sample": 50}
    api = t.cast("t.Any", cluster)
    return observe.ProxySource(api, snapshot, SERVICE, NAMES, SUBSETS, params, under_way_every=under_way_every)
