# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A canary that takes requests and does not answer, on real proxies: it is seen while its requests hang.

The program hangs, or its own sidecar holds requests for five minutes; either way callers see connections that are well.
"""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.commands import serving
from support.rollouts import report

from lab.traffic import Load

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.kube import Kube
    from support.lab import Lab
    from support.rollouts import Stage

pytestmark = pytest.mark.mesh

# Each request that hangs keeps one of the client's connections, until it gives up: enough for all of them at 10 %.
LOAD = Load(seconds=60, rate=200, limit=60, connections=150, timeout=6.0)
NAME = "hold"
FILTER = "networking.istio.io/v1alpha3"


def hold(kube: Kube, namespace: str, percent: int) -> None:
    """Let the sidecar of v3 hold so many percent of the requests that come in."""
    fault = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
        "delay": {"fixed_delay": "300s", "percentage": {"numerator": percent, "denominator": "HUNDRED"}},
    }
    manager = "envoy.filters.network.http_connection_manager"
    place = {"filter": {"name": manager, "subFilter": {"name": "envoy.filters.http.router"}}}
    patch = {
        "applyTo": "HTTP_FILTER",
        "match": {"context": "SIDECAR_INBOUND", "listener": {"filterChain": place}},
        "patch": {"operation": "INSERT_BEFORE", "value": {"name": NAME, "typed_config": fault}},
    }
    spec = {"workloadSelector": {"labels": {"app": "reviews", "version": "v3"}}, "configPatches": [patch]}
    kube.apply(
        {"apiVersion": FILTER, "kind": "EnvoyFilter", "metadata": {"name": NAME}, "spec": spec}, namespace=namespace
    )


@pytest.fixture
def held(stage: Stage) -> Iterator[Stage]:
    """The stage, whose v3 answers again afterwards."""
    yield stage
    stage.kube.delete(FILTER, "EnvoyFilter", NAME, stage.shop.namespace)


def told(seen: dict[str, t.Any]) -> dict[str, t.Any]:
    return {name: seen[name] for name in ("msg", "seconds", "looks", "numbers", "notes", "api_requests")}


@pytest.fixture(params=["counters", "endpoints"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the requests under way are read: by Envoy's counters, or where Istio hides them by its page of endpoints."""
    if request.param == "endpoints":
        monkeypatch.setattr(serving, "COUNTERS", r"upstream_rq_([0-9]+|time)$")
    return str(request.param)


@pytest.mark.parametrize("percent", [100, 50])
def test_a_canary_that_hangs_is_seen_within_seconds(held: Stage, way: str, percent: int) -> None:
    hold(held.kube, held.shop.namespace, percent)
    held.direct("weight", weights={"v2": 90, "v3": 10}, force=["CAPACITY_BELOW_SHARE"])
    with held.shop.sidecar.background(LOAD) as load:
        seen = held.direct("analysis", stable="v2", canary="v3", watch=40)
    load.result()  # what hangs now is gone before the next test begins
    print({"way": way, "percent": percent, **told(seen)})
    assert seen["verdict"] == "fail", seen
    assert seen["seconds"] < 40, "an alarm comes before the end"
    assert seen["reasons"][0].startswith("hanging: at least ")
    assert "canary requests have waited more than 2 s" in seen["reasons"][0]
    assert seen["harmed"] > 0, "who waits is harmed"


@pytest.mark.parametrize("percent", [100, 50])
def test_it_is_seen_with_prometheus_too_which_knows_answers_alone(
    held: Stage, lab: Lab, way: str, percent: int
) -> None:
    hold(held.kube, held.shop.namespace, percent)
    held.direct("weight", weights={"v2": 90, "v3": 10}, force=["CAPACITY_BELOW_SHARE"])
    with held.shop.sidecar.background(LOAD) as load:
        seen = held.direct("analysis", stable="v2", canary="v3", watch=40, prometheus_url=lab.facts["prometheus_url"])
    load.result()
    print({"way": way, "percent": percent, **told(seen)})
    assert seen["source"] == "prometheus"
    assert seen["verdict"] == "fail", seen
    assert seen["seconds"] < 40, "an alarm comes before the end"
    assert seen["reasons"][0].startswith("hanging: ")
    assert seen["numbers"]["stable"]["requests"] > 0, "Prometheus counts the answers"


def test_callers_that_give_up_show_it_where_nobody_waits_long_enough(held: Stage) -> None:
    hold(held.kube, held.shop.namespace, 30)
    held.direct("weight", weights={"v2": 80, "v3": 20}, force=["CAPACITY_BELOW_SHARE"])
    with held.shop.sidecar.background(Load(seconds=60, rate=150, limit=60, connections=40, timeout=1.0)):
        seen = held.direct("analysis", stable="v2", canary="v3", watch=40)
    print(told(seen))
    assert seen["verdict"] == "fail", seen
    assert "canary requests were given up by their callers" in seen["reasons"][0]


def test_versions_that_take_long_alike_do_not_hang(held: Stage, way: str) -> None:
    """Each request is held for three seconds, by both versions."""
    held.direct("weight", weights={"v2": 50, "v3": 50}, force=["CAPACITY_BELOW_SHARE"])
    load = Load(seconds=60, rate=40, limit=60, connections=150, headers={"x-fault-delay-ms": "3000"})
    hanging = {"name": "hanging", "kind": "hanging", "critical": True}
    with held.shop.sidecar.background(load):
        seen = held.direct("analysis", stable="v2", canary="v3", watch=15, deadline=16, metrics=[hanging])
    print({"way": way, **told(seen)})
    (judged,) = seen["metrics"]
    assert judged["verdict"] == "pass", seen


def test_a_rollout_takes_a_version_back_that_hangs(held: Stage) -> None:
    held.break_version("v3", FAULT_DELAY_MS=60_000)
    with held.shop.sidecar.background(Load(seconds=200, rate=200, connections=150, limit=200, timeout=6.0)) as load:
        ended = report(held.rollout("v3", fails=True, pause=30))
        load.stop()
    assert ended["phase"] == "rolled_back"
    assert "hanging: " in ended["reason"], "they wait, or those of before it was watched are given up"
    assert held.weights() == {"v2": 100}
    (judged,) = [entry for entry in ended["events"] if entry.get("verdict")]
    assert judged["seconds"] < 30
    print({name: judged[name] for name in ("seconds", "reason", "weight")})
