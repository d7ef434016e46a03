# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ambient mode, against the configuration that a real istiod generates for a waypoint. No request goes through it."""

from __future__ import annotations

import secrets
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.mesh.proxies import Proxies
from support import ambient_istiod
from support.ambient_istiod import GATEWAY_API, AmbientIstiod
from support.direct import ISTIO, Direct, destination_rule, virtual_service

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.kube import Kube
    from support.lab import Lab

pytestmark = pytest.mark.mesh

FORCE = ["CAPACITY_BELOW_SHARE"]


@pytest.fixture(scope="module")
def ambient(kube: Kube) -> Iterator[AmbientIstiod]:
    istiod = AmbientIstiod(kube, f"waypoints-{secrets.token_hex(3)}")
    try:
        istiod.start()
        yield istiod
    finally:
        istiod.stop()


@pytest.fixture
def run(lab: Lab, ambient: AmbientIstiod, monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., dict[str, t.Any]]:
    """Run a command of the modules in the namespace, with that istiod as the mesh's."""
    monkeypatch.setattr(Proxies, "config_dump", ambient_istiod.config_dump)
    direct = Direct(lab.kubeconfig, ambient.namespace)

    def run(command: str, **options: t.Any) -> dict[str, t.Any]:
        return direct(command, istio_namespace=ambient.namespace, **options)

    return run


@pytest.fixture
def split_by_subsets(ambient: AmbientIstiod, kube: Kube) -> Iterator[None]:
    route = virtual_service()
    route["spec"]["http"].insert(
        0, {"match": [{"sourceLabels": {"app": "page"}}], "route": [{"destination": {"host": "reviews"}}]}
    )
    ambient.routed(destination_rule(versions=("v1", "v2")), route)
    yield
    for kind in ("VirtualService", "DestinationRule"):
        kube.delete(ISTIO, kind, "reviews", ambient.namespace)


def is_converged(convergence: dict[str, t.Any]) -> bool:
    """Return whether the one proxy of the namespace, the waypoint, was read and has the routes."""
    return (convergence["method"], convergence["converged"], convergence["checked"]) == ("proxies", True, 1)


def codes(result: dict[str, t.Any]) -> set[str]:
    return {one["code"] for one in result["findings"]}


@pytest.mark.usefixtures("split_by_subsets")
def test_weights_and_cohorts_of_a_virtual_service_are_waited_for_at_the_waypoint(run: t.Any) -> None:
    for share in (10, 60, 0):
        result = run("weight", weights={"v1": 100 - share, "v2": share}, routes=["all"], force=FORCE)
        convergence = result["convergence"]
        assert (convergence["method"], convergence["converged"], convergence["checked"]) == ("proxies", True, 1), (
            convergence
        )
    assert "WAYPOINT_IGNORES_MATCH" in codes(result)
    cohort = {"name": "testers", "headers": {"end-user": "testuser"}, "weights": {"v2": 100}}
    convergence = run("header_route", routes=["all"], force=FORCE, **cohort)["convergence"]
    assert is_converged(convergence), convergence


@pytest.fixture
def split_by_services(ambient: AmbientIstiod, kube: Kube) -> Iterator[None]:
    """An HTTPRoute of reviews: reviews-v1 names the waypoint too, reviews-v2 does not."""
    parent = {"group": "", "kind": "Service", "name": "reviews", "port": 9080}
    refs = [{"name": name, "port": 9080, "weight": weight} for name, weight in (("reviews-v1", 100), ("reviews-v2", 0))]
    route = {
        "apiVersion": GATEWAY_API,
        "kind": "HTTPRoute",
        "metadata": {"name": "reviews"},
        "spec": {"parentRefs": [parent], "rules": [{"backendRefs": refs}]},
    }
    ambient.routed(route)
    yield
    kube.delete(GATEWAY_API, "HTTPRoute", "reviews", ambient.namespace)


@pytest.mark.usefixtures("split_by_services")
def test_weights_of_an_http_route_are_waited_for_at_the_waypoint(run: t.Any) -> None:
    for share in (10, 60, 0):
        weights = {"reviews-v1": 100 - share, "reviews-v2": share}
        convergence = run("weight", weights=weights, force=FORCE)["convergence"]
        assert is_converged(convergence), convergence


@pytest.mark.usefixtures("split_by_subsets")
def test_without_its_waypoint_nothing_is_written(run: t.Any, ambient: AmbientIstiod, kube: Kube) -> None:
    before = kube.get(ISTIO, "VirtualService", "reviews", ambient.namespace)
    change = {"weights": {"v1": 70, "v2": 30}, "routes": ["all"], "force": FORCE}
    use = "istio.io/use-waypoint"
    kube.patch("v1", "Service", "reviews", ambient.namespace, {"metadata": {"labels": {use: "none"}}})
    try:
        refused = run("weight", **change, fails=True)
        assert "has opted out of waypoints" in refused["msg"]
    finally:
        kube.patch("v1", "Service", "reviews", ambient.namespace, {"metadata": {"labels": {use: "waypoint"}}})
    ambient.set_addresses([])
    try:
        assert "is not programmed" in run("weight", **change, fails=True)["msg"]
    finally:
        ambient.set_addresses(ambient.addresses)
    assert kube.get(ISTIO, "VirtualService", "reviews", ambient.namespace) == before
