# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Service with two ports: one port's split, a port without a route, and the split of all ports, by real requests."""

from __future__ import annotations

import typing as t

import pytest
from support.direct import ISTIO, destination_rule, service

from lab.traffic import Load, SidecarClient

from .conftest import FORCE, assert_split, measure

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube, Object
    from support.lab import Lab

    from .conftest import Shop

pytestmark = pytest.mark.mesh

NUMBER = 2500
NAME = "ports"


def routed(*ports: int) -> Object:
    """Return a VirtualService with a route for each port, all on v1; none: one route for all ports."""
    route = [{"destination": {"host": NAME, "subset": "v1"}, "weight": 100}]
    named = [{"name": f"port-{port}", "match": [{"port": port}], "route": route} for port in ports]
    spec = {"hosts": [NAME], "http": named or [{"name": "all", "route": route}]}
    return {"apiVersion": ISTIO, "kind": "VirtualService", "metadata": {"name": NAME}, "spec": spec}


def test_each_port_has_the_split_of_its_route_and_one_without_a_route_has_none(
    shop: Shop, kube: Kube, direct: Direct, lab: Lab
) -> None:
    front = service(NAME)
    front["spec"]["selector"] = {"app": "reviews"}
    front["spec"]["ports"] = [{"name": f"http-{port}", "port": port, "targetPort": 9080} for port in (9080, 9081)]
    kube.apply(front, destination_rule(NAME), routed(9080), namespace=shop.namespace)
    first, second = (SidecarClient(lab.kubeconfig, shop.namespace, f"http://{NAME}:{port}") for port in (9080, 9081))
    kube.wait_until(lambda: set(first.measure(Load(requests=20)).counts) == {"v1"}, 60, "sidecars have the route")

    direct("weight", service=NAME, weights={"v1": 75, "v2": 25}, force=FORCE)
    assert_split(measure(first, NUMBER), {"v1": 75, "v2": 25}, "the port with a route")
    assert set(measure(second, 300).counts) == {"v1", "v2", "v3"}
    (known,) = direct("info", service=NAME, measure="none")["services"]
    (found,) = (one for one in known["findings"] if one["code"] == "PORT_NOT_SPLIT")
    assert "requests to port 9081" in found["reason"]

    direct("weight", service=NAME, state="absent")
    kube.apply(routed(9080, 9081), namespace=shop.namespace)
    kube.wait_until(lambda: set(second.measure(Load(requests=60)).counts) == {"v1"}, 60, "both ports have a route")
    direct("weight", service=NAME, routes=["port-9081"], weights={"v1": 60, "v3": 40}, force=FORCE)
    assert_split(measure(first, 300), {"v1": 100}, "the other port's route")
    assert_split(measure(second, NUMBER), {"v1": 60, "v3": 40}, "the named port's route")

    direct("weight", service=NAME, state="absent")
    kube.apply(routed(), namespace=shop.namespace)
    direct("weight", service=NAME, weights={"v1": 90, "v2": 10}, force=FORCE)
    for place in (first, second):
        assert_split(measure(place, NUMBER), {"v1": 90, "v2": 10}, f"all ports, {place.name}")
