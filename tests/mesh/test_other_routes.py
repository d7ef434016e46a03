# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sticky versions, mirrored requests, delegated routes and fine shares, measured by real requests."""

from __future__ import annotations

import re
import typing as t

import pytest
from scipy import stats
from support.direct import ISTIO, essence

from lab.traffic import Load

from .conftest import ALPHA, FORCE, assert_split, measure

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube

    from .conftest import Shop

pytestmark = pytest.mark.mesh

# Enough to tell a share of 20 % from one of 25 %, and 30 % of copies from 35 %, with more than 90 % certainty; the
# faults to be found (a wrong version, no share, another share) are far larger.
NUMBER = 2000
# At 0.1 % 12 requests are expected: neither none of them nor the 120 of 1 % is within the bounds.
FINE = 12_000
SAMPLE = re.compile(r'^envoy_cluster_upstream_rq_total\{(?=[^}]*cluster_name="inbound\|)[^}]*\} (\d+)', re.MULTILINE)


def route(kube: Kube, shop: Shop) -> dict[str, t.Any]:
    found = kube.get(ISTIO, "VirtualService", "reviews", shop.namespace)
    assert found
    return found


def test_sticky_users_keep_their_version_and_new_users_are_split(direct: Direct, kube: Kube, shop: Shop) -> None:
    before = essence(route(kube, shop))
    direct("weight", weights={"v1": 80, "v2": 20})
    direct("sticky", cookie="bench")
    assert_split(measure(shop.sidecar, Load(requests=NUMBER)), {"v1": 80, "v2": 20}, "new users")
    entries = [entry for one in route(kube, shop)["spec"]["http"] for entry in one["route"] if "headers" in entry]
    cookies = {
        entry["destination"]["subset"]: entry["headers"]["response"]["add"]["Set-Cookie"].split(";")[0]
        for entry in entries
    }
    assert set(cookies) == {"v1", "v2"}
    for version, cookie in cookies.items():
        seen = measure(shop.sidecar, Load(requests=NUMBER // 10, headers={"Cookie": f"a=1; {cookie}"}))
        assert_split(seen, {version: 100}, f"users of {version} keep it")
    direct("weight", weights={"v1": 50, "v2": 50})
    former = measure(shop.sidecar, Load(requests=NUMBER, headers={"Cookie": cookies["v1"]}))
    assert_split(former, {"v1": 50, "v2": 50}, "after a change every user gets a version anew")
    direct("sticky", state="absent")
    direct("weight", weights={"v1": 100}, force=FORCE)
    direct("weight", state="absent")
    assert essence(route(kube, shop)) == before


def served(kube: Kube, shop: Shop, version: str) -> int:
    """Return how many requests the sidecars of the version's pods have passed on to it, by their own counters."""
    total = 0
    for pod in kube.list("v1", "Pod", shop.namespace, selector=f"app=reviews,version={version}"):
        path = f"/api/v1/namespaces/{shop.namespace}/pods/{pod['metadata']['name']}:15090/proxy/stats/prometheus"
        text = kube.pool.request("GET", kube.host + path).data.decode()
        total += sum(int(count) for count in SAMPLE.findall(text))
    return total


@pytest.mark.parametrize("percent", [100, 30])
def test_a_share_of_requests_is_mirrored_and_the_answers_are_discarded(
    direct: Direct, kube: Kube, shop: Shop, percent: int
) -> None:
    before = essence(route(kube, shop))
    direct("mirror", version="v3", percent=percent)
    counted = served(kube, shop, "v3")
    seen = measure(shop.sidecar, Load(requests=NUMBER))
    assert_split(seen, {"v1": 100}, "only v1 answers")
    low, high = stats.binom.interval(1 - ALPHA, NUMBER, percent / 100)

    def copied() -> int:
        copies = served(kube, shop, "v3") - counted
        return copies if copies >= low else 0

    copies = kube.wait_until(copied, 20, f"{low:.0f} of {NUMBER} requests were copied to v3")
    assert copies <= high
    direct("mirror", state="absent")
    assert essence(route(kube, shop)) == before


def test_a_tenth_of_a_percent(direct: Direct, shop: Shop) -> None:
    direct("weight", weights={"v1": 99.9, "v2": 0.1})
    seen = measure(shop.sidecar, Load(requests=FINE))
    assert_split(seen, {"v1": 99.9, "v2": 0.1}, "fine shares")
    direct("weight", weights={"v1": 100})


def test_a_delegate_is_edited_and_its_root_is_not(direct: Direct, kube: Kube, shop: Shop) -> None:
    """Last in this file: it deletes the shop's own route."""
    whole = route(kube, shop)
    rules = [{key: value for key, value in one.items() if key != "match"} for one in whole["spec"]["http"]]
    delegate = {"apiVersion": ISTIO, "kind": "VirtualService", "metadata": {"name": "team"}, "spec": {"http": rules}}
    prefix = {"match": [{"uri": {"prefix": "/"}}], "delegate": {"name": "team"}}
    root = {
        "apiVersion": ISTIO,
        "kind": "VirtualService",
        "metadata": {"name": "root"},
        "spec": {"hosts": ["reviews"], "http": [prefix]},
    }
    kube.delete(ISTIO, "VirtualService", "reviews", shop.namespace)
    kube.apply(delegate, root, namespace=shop.namespace)
    changed = direct("weight", weights={"v1": 60, "v2": 40})
    assert [one["name"] for one in changed["objects"] if one["changed"]] == ["team"]
    assert changed["convergence"]["converged"] is True
    assert_split(measure(shop.sidecar, Load(requests=NUMBER)), {"v1": 60, "v2": 40}, "through a delegate")
    found = kube.get(ISTIO, "VirtualService", "root", shop.namespace)
    assert found
    assert found["spec"] == root["spec"]
