# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Callers that may not be read, as a gateway of another namespace: the pods they call know their requests."""

from __future__ import annotations

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis.error_rates import RequestCount
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError
from ansible_collections.meshops.canary.plugins.module_utils.evidence import proxy_source
from ansible_collections.meshops.canary.plugins.module_utils.mesh.proxies import Proxy
from support import istio_metrics, reviews
from support.metered import GATE, PAGE, Mesh, Pods, pod, source

REFUSED = ApiError("Forbidden.", 403)
PODS = Pods(pod("a", "v1"), pod("b", "v2"))


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> Mesh:
    mesh = Mesh().install(monkeypatch)
    for name in ("a", "b"):
        mesh.count(name, "", 1000, side="inbound")
    return mesh


def begun(services: tuple[dict[str, object], ...] = ()) -> proxy_source.ProxySource:
    one = source(PODS, services)
    one.begin(None)
    return one


def silent(one: proxy_source.ProxySource, measurements: int = proxy_source.IDLE_MEASUREMENTS) -> None:
    for _measurement in range(measurements):
        assert one.measure(None).counts == {}


@pytest.mark.parametrize("listed", [True, False])
def test_if_no_readable_caller_has_requests_the_pods_are_read(mesh: Mesh, listed: bool) -> None:
    """Listed: the gateway is known but refuses. Not listed: without a right to ask istiod only sidecars are known."""
    if listed:
        mesh.counter_pages["gate"] = REFUSED
    else:
        mesh.callers, mesh.missing = [PAGE], ["The list of proxies could not be read from istiod: Forbidden."]
    one = begun()
    silent(one)
    mesh.count("a", "", 1090, side="inbound")
    mesh.count("b", "", 1010, side="inbound")
    assert one.measure(None).counts == {"v1": RequestCount(90, 0), "v2": RequestCount(10, 0)}
    assert proxy_source.SERVERS_READ_INSTEAD in one.notes
    assert one.callers == 0
    mesh.counters_read.clear()
    one.measure(None)
    assert mesh.counters_read == ["a", "b"], "one reading of each, and none of the callers any more"


def test_a_caller_with_requests_keeps_the_callers_as_source(mesh: Mesh) -> None:
    mesh.counter_pages["gate"] = REFUSED
    mesh.count("page", "v1", 7)
    one = begun()
    mesh.count("page", "v1", 8)
    assert one.measure(None).counts == {"v1": RequestCount(1, 0)}
    silent(one, 3 * proxy_source.IDLE_MEASUREMENTS)
    assert "a" not in mesh.counters_read


def test_an_idle_service_whose_callers_are_all_known_is_idle(mesh: Mesh) -> None:
    silent(begun(), 3 * proxy_source.IDLE_MEASUREMENTS)
    assert "a" not in mesh.counters_read


def test_if_all_callers_refuse_the_pods_are_read_from_the_start(mesh: Mesh) -> None:
    mesh.counter_pages = {**mesh.counter_pages, "page": REFUSED, "gate": REFUSED}
    one = begun()
    mesh.count("b", "", 1004, side="inbound")
    assert one.measure(None).counts == {"v2": RequestCount(4, 0)}


def test_earlier_server_requests_of_a_pod_read_as_a_caller_are_not_new(mesh: Mesh) -> None:
    mesh.callers = [Proxy("shop", "a"), Proxy("shop", "b"), GATE]
    mesh.counter_pages["gate"] = REFUSED
    one = begun()
    silent(one, proxy_source.IDLE_MEASUREMENTS + 3)
    mesh.count("b", "", 1001, side="inbound")
    assert one.measure(None).counts == {"v2": RequestCount(1, 0)}


def test_a_caller_that_was_never_read_does_not_fail_a_measurement(mesh: Mesh) -> None:
    """Between two full rounds it alone is asked again; those that can be read have said that they do not call."""
    mesh.counter_pages["gate"] = ApiError("It did not answer.", 503)
    one = begun()
    silent(one, proxy_source.ALL_CALLERS_EVERY)
    assert one.notes == [
        "Not every proxy answered at every measurement; the first is istio-system/gate: It did not answer."
    ]


GRPC = reviews.service("shop", name="grpc-web")


@pytest.mark.parametrize(("service", "noted"), [(GRPC, True), (reviews.service("shop"), False)])
def test_a_missing_grpc_status_is_noted(mesh: Mesh, service: dict[str, object], noted: bool) -> None:
    mesh.count("page", "v2", 1)
    assert (proxy_source.NO_GRPC in begun((service,)).notes) is noted
    mesh.counter_pages["page"] = istio_metrics.counted(5, "v2", grpc_response_status="0")
    assert proxy_source.NO_GRPC not in begun((service,)).notes
    mesh.callers = []
    assert (proxy_source.NO_GRPC in begun((service,)).notes) is noted
