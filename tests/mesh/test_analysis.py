# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_analysis on real proxies: a bad canary is noticed at once, a good one passes, an idle one holds."""

from __future__ import annotations

import typing as t

import pytest
from support.direct import Direct

from lab.traffic import Load

if t.TYPE_CHECKING:
    from support.kube import Kube
    from support.lab import Lab

    from .conftest import Shop

pytestmark = pytest.mark.mesh

FAILING = 0.5
SLOW_MS = 400
STABLE_MS = 60
LOAD = Load(seconds=60, rate=120, limit=60)


@pytest.fixture(scope="module")
def direct(shop: Shop, lab: Lab, kube: Kube) -> Direct:
    """Runs commands on a shop whose reviews v2 fails half of its requests; v3 is as good as v1."""
    break_version(kube, shop.namespace, "v2", "FAULT_ERROR_RATE", FAILING)
    return Direct(lab.kubeconfig, shop.namespace)


def break_version(kube: Kube, namespace: str, version: str, switch: str, value: float) -> None:
    """Roll out reviews of one version with a fault."""
    container = {"name": "reviews", "env": [{"name": switch, "value": str(value)}]}
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/reviews-{version}"
    body = {"spec": {"template": {"spec": {"containers": [container]}}}}
    kube.request("PATCH", path, body, content_type="application/strategic-merge-patch+json")
    kube.wait_available([f"reviews-{version}"], namespace)

    def alone() -> bool:  # pods of before answer while they end
        return len(kube.list("v1", "Pod", namespace, selector=f"app=reviews,version={version}")) == 1

    kube.wait_until(alone, 60, f"the only pod of reviews {version}")


def judge(direct: Direct, canary: str, **options: t.Any) -> dict[str, t.Any]:
    return direct("analysis", stable="v1", canary=canary, **options)


def test_a_canary_that_fails_half_of_its_requests_is_noticed_while_it_is_watched(direct: Direct, shop: Shop) -> None:
    direct("weight", weights={"v1": 90, "v2": 10})
    with shop.sidecar.background(LOAD) as load:
        seen = judge(direct, "v2", watch=40)
        load.stop()
        sent = load.result()
    assert seen["verdict"] == "fail", seen
    assert seen["seconds"] < 40, "an alarm comes before the end"
    assert seen["source"] == "proxies"
    assert seen["harmed"] == seen["numbers"]["canary"]["errors"]
    assert 0 < seen["harmed"] <= sent.failed
    assert seen["numbers"]["stable"]["errors"] == 0
    assert "no chance explains that" in seen["reasons"][0]
    print({name: seen[name] for name in ("reaction_seconds", "harmed", "looks", "seconds", "msg")})


def test_a_version_beside_its_like_passes(direct: Direct, shop: Shop) -> None:
    direct("weight", weights={"v1": 50, "v3": 50})
    errors = {"name": "errors", "kind": "errors", "critical": True}
    with shop.sidecar.background(LOAD):
        seen = judge(direct, "v3", watch=8, deadline=50, metrics=[errors])
    assert seen["verdict"] == "pass", seen
    assert seen["seconds"] >= 8
    assert seen["harmed"] == 0
    assert seen["reaction_seconds"] is None
    assert 30 < seen["numbers"]["share"] < 70


def test_an_idle_canary_is_no_success(direct: Direct, shop: Shop) -> None:
    direct("weight", weights={"v1": 100, "v3": 0})
    with shop.sidecar.background(LOAD):
        seen = judge(direct, "v3", watch=3, deadline=6)
    assert seen["verdict"] == "inconclusive", seen
    assert "0 of 0 canary requests failed" in seen["reasons"][0]
    assert seen["numbers"]["stable"]["requests"] > 0


def test_prometheus_tells_the_same(direct: Direct, shop: Shop, lab: Lab) -> None:
    direct("weight", weights={"v1": 80, "v2": 20})
    url = lab.facts["prometheus_url"]
    with shop.sidecar.background(LOAD):
        seen = judge(direct, "v2", watch=50, prometheus_url=url, interval=2)
    assert seen["verdict"] == "fail", seen
    assert seen["source"] == "prometheus"
    past = judge(direct, "v2", watch=30, prometheus_url=url, window=60, at=seen["at"] + 5, interval=5)
    assert past["verdict"] == "fail", past
    assert past["harmed"] > 0
    assert past["at"] == pytest.approx(seen["at"] + 5), "the past was judged, and not waited for"


def test_a_slow_canary_is_noticed_while_it_is_watched(direct: Direct, shop: Shop, kube: Kube) -> None:
    break_version(kube, shop.namespace, "v3", "FAULT_DELAY_MS", SLOW_MS)
    direct("weight", weights={"v1": 70, "v3": 30})
    with shop.sidecar.background(Load(seconds=60, rate=120, limit=60, connections=24)):
        seen = judge(direct, "v3", watch=50)
    assert seen["verdict"] == "fail", seen
    assert seen["seconds"] < 50, "an alarm comes before the end"
    assert seen["harmed"] == 0
    assert seen["reasons"][0].startswith("latency: p95 ")
    assert seen["numbers"]["canary"]["p50"] > SLOW_MS / 2 > seen["numbers"]["stable"]["p50"]


def test_twice_the_time_of_stable_is_noticed_and_the_same_time_is_not(direct: Direct, shop: Shop, kube: Kube) -> None:
    break_version(kube, shop.namespace, "v1", "FAULT_DELAY_MS", STABLE_MS)
    break_version(kube, shop.namespace, "v3", "FAULT_DELAY_MS", STABLE_MS)
    direct("weight", weights={"v1": 70, "v3": 30})
    load = Load(seconds=60, rate=60, limit=60, connections=24)
    with shop.sidecar.background(load):
        alike = judge(direct, "v3", watch=20)
    assert alike["verdict"] == "pass", alike
    break_version(kube, shop.namespace, "v3", "FAULT_DELAY_MS", 2 * STABLE_MS)
    with shop.sidecar.background(load):
        seen = judge(direct, "v3", watch=50)
    assert seen["verdict"] == "fail", seen
    assert seen["reasons"][0].startswith("latency: p95 ")
    print({name: one["reasons"] for name, one in (("alike", alike), ("slow", seen))})
