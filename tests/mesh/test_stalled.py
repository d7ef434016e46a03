# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A canary that accepts requests and does not answer, on real proxies: the alarm comes while its requests wait.

The program waits, or its own sidecar holds requests for five minutes; either way callers see healthy connections.
"""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.evidence import proxy_source
from support.effort import rounds
from support.rollouts import report, with_delay

from lab.traffic import Load

from .conftest import FORCE

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.kube import Kube
    from support.lab import Lab
    from support.rollouts import Stage

pytestmark = pytest.mark.mesh

# Requests have certainly stalled if more are in flight than were sent within the last 2 to 4 s. Where half of 20 per
# second stall, that takes 4 to 8 s, and longer on a busy machine. Callers must wait longer: canceled requests are an
# alarm of their own, often the earlier one with a timeout of 6 s. A stalled request keeps one connection until then.
LOAD = Load(seconds=60, rate=200, limit=60, connections=320, timeout=15.0)
NAME = "hold"
FILTER = "networking.istio.io/v1alpha3"


def hold(kube: Kube, namespace: str, percent: int) -> None:
    """Let the sidecar of v3 hold a percentage of its requests."""
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
    """The stage; afterwards v3 answers again."""
    yield stage
    stage.kube.delete(FILTER, "EnvoyFilter", NAME, stage.shop.namespace)


def summary(seen: dict[str, t.Any]) -> dict[str, t.Any]:
    return {name: seen[name] for name in ("msg", "seconds", "measurements", "numbers", "notes", "api_requests")}


@pytest.fixture
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the requests in flight are read: by Envoy's counters, or where Istio hides them by its page of endpoints."""
    if request.param == "endpoints":
        monkeypatch.setattr(proxy_source, "COUNTERS", r"upstream_rq_([0-9]+|time)$")
    return str(request.param)


# Each pair of a source, a way to read and a percentage; all combinations in a soak run.
PAIRS = [
    ("proxies", "counters", 50),
    ("proxies", "endpoints", 100),
    ("prometheus", "counters", 100),
    ("prometheus", "endpoints", 50),
    ("proxies", "counters", 100),
    ("proxies", "endpoints", 50),
    ("prometheus", "counters", 50),
    ("prometheus", "endpoints", 100),
]


@pytest.mark.parametrize(("source", "reading", "percent"), PAIRS[: rounds(4, 8)], indirect=["reading"])
def test_a_canary_that_stalls_raises_an_alarm_within_seconds(
    held: Stage, lab: Lab, source: str, reading: str, percent: int
) -> None:
    """Prometheus knows answers only; the requests in flight are read from the proxies beside it."""
    hold(held.kube, held.shop.namespace, percent)
    held.direct("weight", weights={"v2": 90, "v3": 10}, force=FORCE)
    given = {} if source == "proxies" else {"prometheus_url": lab.facts["prometheus_url"]}
    with held.shop.sidecar.background(LOAD) as load:
        seen = held.direct("analysis", stable="v2", canary="v3", watch=40, **given)
    load.result()  # no request is stalled when the next test begins
    print({"source": source, "reading": reading, "percent": percent, **summary(seen)})
    assert (seen["verdict"], seen["source"]) == ("fail", source), seen
    assert seen["seconds"] < 40, "an alarm comes before the end"
    assert seen["reasons"][0].startswith("stalled: "), seen
    if source == "proxies":
        assert seen["reasons"][0].startswith("stalled: at least "), seen
        assert "canary requests have waited more than 2 s" in seen["reasons"][0]
        assert seen["failed_requests"] > 0, f"requests that wait count as failed: {seen}"
    else:
        assert seen["numbers"]["stable"]["requests"] > 0, "Prometheus counts the answers"


def test_requests_given_up_by_callers_raise_an_alarm(held: Stage) -> None:
    hold(held.kube, held.shop.namespace, 30)
    held.direct("weight", weights={"v2": 80, "v3": 20}, force=FORCE)
    with held.shop.sidecar.background(Load(seconds=60, rate=150, limit=60, connections=40, timeout=1.0)):
        seen = held.direct("analysis", stable="v2", canary="v3", watch=40)
    print(summary(seen))
    assert seen["verdict"] == "fail", seen
    assert "canary requests were canceled by their callers" in seen["reasons"][0]


@pytest.mark.parametrize("reading", ["counters", "endpoints"][: rounds(1, 2)], indirect=True)
def test_versions_that_are_equally_slow_are_not_stalled(held: Stage, reading: str) -> None:
    """Both versions take three seconds for each request."""
    held.direct("weight", weights={"v2": 50, "v3": 50}, force=FORCE)
    load = Load(seconds=60, rate=40, limit=60, connections=150, headers={"x-fault-delay-ms": "3000"})
    stalled = {"name": "stalled", "kind": "stalled", "critical": True}
    with held.shop.sidecar.background(load):
        seen = held.direct("analysis", stable="v2", canary="v3", watch=15, deadline=16, metrics=[stalled])
    print({"reading": reading, **summary(seen)})
    (judged,) = seen["metrics"]
    assert judged["verdict"] == "pass", seen


def test_a_rollout_rolls_back_a_version_that_stalls(stage: Stage) -> None:
    stalling = with_delay(dataclasses.replace(LOAD, seconds=200, limit=200), v3=60_000)
    with stage.shop.sidecar.background(stalling) as load:
        ended = report(stage.rollout("v3", fails=True, steps=[10, 100], pause=30))
        load.stop()
    assert ended["phase"] == "rolled_back"
    assert "stalled: " in ended["reason"], "requests wait, or those sent before the watch were given up"
    assert stage.weights() == {"v2": 100}
    (judged,) = [entry for entry in ended["events"] if entry.get("verdict")]
    assert judged["seconds"] < 30
    print({name: judged[name] for name in ("seconds", "reason", "weight")})
