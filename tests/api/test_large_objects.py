# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects as large as the API server stores them: what the collection notes in them must have room too."""

from __future__ import annotations

import json
import typing as t

import pytest
from support.direct import ISTIO, Direct, essence

if t.TYPE_CHECKING:
    from support.kube import Kube

COPY = "kubectl.kubernetes.io/last-applied-configuration"


def large(number: int, host: str) -> dict[str, t.Any]:
    """Return a VirtualService with so many routes, all to v1."""
    http = [
        {
            "match": [{"uri": {"prefix": f"/api/v1/resource-number-{one}/items"}}],
            "rewrite": {"uri": "/reviews/0"},
            "headers": {"request": {"set": {"x-route": f"resource-{one}"}}},
            "route": [
                {
                    "destination": {"host": host, "port": {"number": 9080}, "subset": "v1"},
                    "headers": {"response": {"set": {"x-team": f"team-{one % 7}", "x-served-by": "reviews"}}},
                }
            ],
        }
        for one in range(number)
    ]
    metadata = {"name": "reviews"}
    return {
        "apiVersion": ISTIO,
        "kind": "VirtualService",
        "metadata": metadata,
        "spec": {"hosts": [host], "http": http},
    }


@pytest.mark.parametrize(("number", "by_kubectl"), [(400, True), (2000, False)])
def test_many_routes_are_changed_and_restored(
    kube: Kube, routed: str, direct: Direct, number: int, by_kubectl: bool
) -> None:
    """400 routes of `kubectl apply` and 2,000 of another tool are about as many as an object can hold."""
    host = f"reviews.{routed}.svc.cluster.local"
    obj = large(number, host)
    kube.delete(ISTIO, "VirtualService", "reviews", routed)
    if by_kubectl:
        obj["metadata"]["annotations"] = {COPY: json.dumps(obj)}
    kube.apply(obj, namespace=routed)
    before = essence(kube.get(ISTIO, "VirtualService", "reviews", routed))
    done = direct("weight", weights={"v1": 90, "v2": 10}, preflight=False, wait=False)
    assert done["changed"] is True
    split = kube.get(ISTIO, "VirtualService", "reviews", routed)
    assert split is not None
    weights = [[entry["weight"] for entry in one["route"]] for one in split["spec"]["http"]]
    assert weights == [[90, 10]] * number
    direct("weight", state="absent", preflight=False, wait=False)
    assert essence(kube.get(ISTIO, "VirtualService", "reviews", routed)) == before


def test_a_cohort_before_each_of_many_routes(kube: Kube, routed: str, direct: Direct) -> None:
    """Half as many routes as above: with the cohort's the object has twice as many."""
    host = f"reviews.{routed}.svc.cluster.local"
    kube.delete(ISTIO, "VirtualService", "reviews", routed)
    kube.apply(large(1000, host), namespace=routed)
    before = essence(kube.get(ISTIO, "VirtualService", "reviews", routed))
    done = direct("header_route", headers={"end-user": "testuser"}, weights={"v2": 100}, preflight=False, wait=False)
    assert {one["op"] for one in done["patch"][0]["patch"]} == {"test", "add"}
    routes = (kube.get(ISTIO, "VirtualService", "reviews", routed) or {})["spec"]["http"]
    assert [one["route"][0]["destination"]["subset"] for one in routes] == ["v2", "v1"] * 1000
    direct("header_route", state="absent", preflight=False, wait=False)
    assert essence(kube.get(ISTIO, "VirtualService", "reviews", routed)) == before
