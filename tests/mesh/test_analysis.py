# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_analysis on real proxies: a bad canary raises an alarm at once, a good one passes, an idle one holds."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from support.rollouts import with_delay, with_errors

from lab.traffic import Load

from .conftest import FORCE

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.lab import Lab

    from .conftest import Shop

pytestmark = pytest.mark.mesh

LOAD = Load(seconds=60, rate=120, limit=60)
SLOW = Load(seconds=60, rate=60, limit=60, connections=48)
# Times within one of Istio's buckets look equal: here stable is in the one up to 500 ms and the canary in the next,
# also if each request takes 150 ms longer because the machine is busy.
STABLE_MS = 300


def judge(direct: Direct, canary: str, stable: str = "v1", **options: t.Any) -> dict[str, t.Any]:
    return direct("analysis", stable=stable, canary=canary, **options)


def test_a_canary_that_fails_half_of_its_requests_ends_the_watch_early(direct: Direct, shop: Shop) -> None:
    direct("weight", weights={"v1": 90, "v2": 10})
    with shop.sidecar.background(with_errors(LOAD, v2=0.5)) as load:
        seen = judge(direct, "v2", watch=40)
        load.stop()
        sent = load.result()
    assert seen["verdict"] == "fail", seen
    assert seen["seconds"] < 40, "an alarm comes before the end"
    assert seen["source"] == "proxies"
    assert seen["failed_requests"] == seen["numbers"]["canary"]["errors"]
    assert 0 < seen["failed_requests"] <= sent.failed
    assert seen["numbers"]["stable"]["errors"] == 0
    assert "statistically significant" in seen["reasons"][0]
    print({name: seen[name] for name in ("reaction_seconds", "failed_requests", "measurements", "seconds", "msg")})


def test_a_canary_as_good_as_stable_passes(direct: Direct, shop: Shop) -> None:
    direct("weight", weights={"v1": 50, "v3": 50})
    errors = {"name": "errors", "kind": "errors", "critical": True}
    with shop.sidecar.background(LOAD):
        seen = judge(direct, "v3", watch=5, deadline=50, metrics=[errors])
    assert seen["verdict"] == "pass", seen
    assert seen["seconds"] >= 5
    assert seen["failed_requests"] == 0
    assert seen["reaction_seconds"] is None
    assert 30 < seen["numbers"]["share"] < 70


@pytest.mark.parametrize("source", ["proxies", "prometheus"])
def test_an_idle_canary_is_inconclusive(direct: Direct, shop: Shop, lab: Lab, source: str) -> None:
    """By Prometheus the canary has no series of these seconds: no data is no evidence either."""
    direct("weight", weights={"v1": 100, "v3": 0})
    given = {"watch": 3, "deadline": 4}
    if source == "prometheus":
        given = {"watch": 6, "deadline": 12, "prometheus_url": lab.facts["prometheus_url"], "interval": 2}
    with shop.sidecar.background(LOAD):
        seen = judge(direct, "v3", **given)
    assert (seen["verdict"], seen["source"]) == ("inconclusive", source), seen
    assert "0 of 0 canary requests failed" in seen["reasons"][0]
    assert seen["numbers"]["stable"]["requests"] > 0


def test_prometheus_gives_the_same_verdict_of_errors(direct: Direct, shop: Shop, lab: Lab) -> None:
    direct("weight", weights={"v1": 80, "v2": 20})
    url = lab.facts["prometheus_url"]
    with shop.sidecar.background(with_errors(LOAD, v2=0.5)):
        seen = judge(direct, "v2", watch=50, prometheus_url=url, interval=2)
    assert seen["verdict"] == "fail", seen
    assert seen["source"] == "prometheus"
    past = judge(direct, "v2", watch=30, prometheus_url=url, window=60, at=seen["at"] + 5, interval=5)
    assert past["verdict"] == "fail", past
    assert past["failed_requests"] > 0
    assert past["at"] == pytest.approx(seen["at"] + 5), "the past was judged, and not waited for"


@pytest.mark.parametrize("source", ["proxies", "prometheus"])
def test_a_canary_that_refuses_every_request_fails_although_no_request_failed(
    direct: Direct, shop: Shop, lab: Lab, source: str
) -> None:
    """v2 answers 400 to all, as to a header that it cannot read."""
    direct("weight", weights={"v1": 80, "v2": 20})
    given = {"prometheus_url": lab.facts["prometheus_url"], "interval": 2} if source == "prometheus" else {}
    refused = dataclasses.replace(LOAD, headers={**LOAD.headers, "x-fault-error-rate": "v2=unreadable"})
    with shop.sidecar.background(refused):
        seen = judge(direct, "v2", watch=50, **given)
    assert (seen["verdict"], seen["source"]) == ("fail", source), seen
    assert seen["failed_requests"] == 0
    assert "the canary answers 400 more often than stable: 400 " in seen["reasons"][0]
    assert "stable's 0 of" in seen["reasons"][0]


@pytest.mark.parametrize("source", ["proxies", "prometheus"])
def test_a_canary_that_takes_twice_as_long_fails_and_one_that_takes_as_long_passes(
    direct: Direct, shop: Shop, lab: Lab, source: str
) -> None:
    """v2 and v3 both call ratings; v1 does not, and is quicker on a busy machine."""
    # warm_up: Envoy updates its histograms every five seconds, so at first they have times of the load before.
    given = {"stable": "v2", "warm_up": 8}
    if source == "prometheus":
        given |= {"prometheus_url": lab.facts["prometheus_url"], "interval": 2}
    direct("weight", weights={"v2": 70, "v3": 30}, force=FORCE)
    with shop.sidecar.background(with_delay(SLOW, v2=STABLE_MS, v3=STABLE_MS)) as load:
        alike = judge(direct, "v3", watch=10, **given)
        load.stop()
        load.result()  # none of its requests is counted with those of the next load
    assert (alike["verdict"], alike["source"]) == ("pass", source), alike
    with shop.sidecar.background(with_delay(SLOW, v2=STABLE_MS, v3=2 * STABLE_MS)):
        seen = judge(direct, "v3", watch=50, **given)
    assert (seen["verdict"], seen["source"]) == ("fail", source), seen
    assert seen["seconds"] < 50, "an alarm comes before the end"
    assert seen["failed_requests"] == 0
    assert seen["reasons"][0].startswith("latency: the canary is slower than stable by ")
    print({name: one["reasons"] for name, one in (("alike", alike), ("slow", seen))})
