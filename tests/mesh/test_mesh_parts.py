# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all tests of the mesh rely on: Prometheus counts right, the webhook refuses, metrics reach the HPA."""

from __future__ import annotations

import json
import time
import typing as t
import urllib.parse
import urllib.request

import pytest
from support.kube import KubeError

from .conftest import measure

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from support.direct import Direct
    from support.kube import Kube
    from support.lab import Lab

    from .conftest import Shop

pytestmark = pytest.mark.mesh

# Two scrapes, two evaluations and a busy machine.
SECONDS_TO_PROMETHEUS = 20


def counted(lab: Lab, reporter: str, namespace: str) -> dict[str, int]:
    """Return the requests to reviews that Prometheus has counted, by version."""
    labels = f'reporter="{reporter}",destination_service="reviews.{namespace}.svc.cluster.local",response_code="200"'
    query = urllib.parse.urlencode({"query": f"sum by (destination_version) (istio_requests_total{{{labels}}})"})
    with urllib.request.urlopen(f"{lab.facts['prometheus_url']}/api/v1/query?{query}", timeout=10) as answer:
        series = json.load(answer)["data"]["result"]
    return {one["metric"]["destination_version"]: int(float(one["value"][1])) for one in series}


def added(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    versions = before.keys() | after.keys()
    more = {version: after.get(version, 0) - before.get(version, 0) for version in versions}
    return {version: count for version, count in more.items() if count}


def test_prometheus_counts_every_request_under_its_version(all_on_v1: Shop, direct: Direct, lab: Lab) -> None:
    def counts() -> dict[str, dict[str, int]]:
        return {reporter: counted(lab, reporter, all_on_v1.namespace) for reporter in ("source", "destination")}

    direct("weight", weights={"v1": 70, "v2": 30})
    time.sleep(SECONDS_TO_PROMETHEUS / 2)  # until requests of earlier tests are counted
    before = counts()
    sent = {version: count for version, count in measure(all_on_v1.sidecar, 400).counts.items() if count}
    assert set(sent) == {"v1", "v2"}
    until = time.monotonic() + SECONDS_TO_PROMETHEUS
    wanted = dict.fromkeys(before, sent)
    while time.monotonic() < until:
        after = counts()
        if (seen := {reporter: added(before[reporter], after[reporter]) for reporter in before}) == wanted:
            break
        time.sleep(0.5)
    assert seen == wanted


def test_webhook_refuses_weights_that_the_definition_allows(kube: Kube, namespace: str) -> None:
    route = [{"destination": {"host": host}, "weight": weight} for host, weight in (("one", -5), ("two", 0))]
    bad = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "bad", "namespace": namespace},
        "spec": {"hosts": ["one"], "http": [{"route": route}]},
    }
    path = f"/apis/networking.istio.io/v1/namespaces/{namespace}/virtualservices"
    with pytest.raises(KubeError, match="denied the request: configuration is invalid: weight -5"):
        kube.request("POST", path, bad)
    good = {**bad, "spec": {"hosts": ["one"], "http": [{"route": [{**one, "weight": 50} for one in route]}]}}
    assert kube.request("POST", path, good)["metadata"]["name"] == "bad"


def test_cpu_of_every_container_is_known_to_the_autoscaler(shop: Shop, kube: Kube) -> None:
    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{shop.namespace}/pods"
    until = time.monotonic() + 60
    while not (pods := kube.request("GET", path)["items"]) and time.monotonic() < until:
        time.sleep(1)
    assert pods
    for pod in pods:
        cpu = {container["name"]: container["usage"]["cpu"] for container in pod["containers"]}
        assert "istio-proxy" in cpu
        assert len(cpu) == 2, cpu
