# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prometheus counts what is answered, and proxies what is under way: of the same time, and as far as may be read."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis.error_rates import RequestCount
from ansible_collections.meshops.canary.plugins.module_utils.analysis.in_flight import InFlight
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError, MetricsError
from ansible_collections.meshops.canary.plugins.module_utils.evidence import analysis, analysis_options
from ansible_collections.meshops.canary.plugins.module_utils.evidence.combined_source import PrometheusAndProxies
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import overview
from support.metered import HOST, SERVICE, Mesh, Pods, source
from support.scraping import Server, prometheus, reported
from support.scripted_watch import metric

FORBIDDEN = ApiError("Forbidden.", 403)


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> Mesh:
    mesh = Mesh().install(monkeypatch)
    mesh.counter_pages["page"] = reads_in_flight(100, 0)
    return mesh


def reads_in_flight(sent: int, waiting: int) -> str:
    """Return what Envoy's counters say of requests to v2, half of which have an answer that is an error."""
    cluster = f'cluster_name="outbound|9080|v2|{HOST}"'
    numbers = {"rq_total": sent, "rq_active": waiting}
    lines = [f"envoy_cluster_upstream_{name}{{{cluster}}} {value}" for name, value in numbers.items()]
    return "\n".join([*lines, f'envoy_cluster_upstream_rq{{{cluster},response_code="500"}} {(sent - waiting) // 2}'])


def both(server: Server) -> PrometheusAndProxies:
    return PrometheusAndProxies(prometheus(server), source(in_flight_every=1))


def test_answered_requests_come_from_prometheus_and_requests_in_flight_from_proxies(mesh: Mesh) -> None:
    server = Server()
    server.answers = {"istio": reported(100)}
    one = both(server)
    one.begin(None)
    server.answers, mesh.counter_pages["page"] = {"istio": reported(130)}, reads_in_flight(160, 40)
    came = one.measure(None)
    assert came.counts == {"v2": RequestCount(30, 0)}
    assert came.in_flight == {("shop/page", "v2"): (InFlight(100, 0), InFlight(160, 40))}
    assert came.ended == {"v2": RequestCount(20, 0)}
    assert (one.name, one.interval, one.callers, one.notes) == ("prometheus", 2.0, 2, [])


def test_with_hidden_counters_endpoints_are_read_at_every_measurement(mesh: Mesh) -> None:
    mesh.count("page", "v2", 10)
    mesh.endpoint_pages["page"] = f"outbound|9080|v2|{HOST}::10.0.0.5:9080::rq_active::3\n"
    server = Server()
    server.answers = {"istio": reported(100)}
    one = both(server)
    one.begin(None)
    one.measure(None)
    one.measure(None)
    assert mesh.endpoints_read == ["page"] * 3


def test_proxies_are_not_read_if_prometheus_does_not_answer(mesh: Mesh) -> None:
    server = Server()
    server.answers = {"istio": reported(100)}
    one = both(server)
    one.begin(None)
    mesh.counters_read.clear()
    server.answers = {"istio": MetricsError("No answer.", reason="unreachable")}
    with pytest.raises(MetricsError):
        one.measure(None)
    assert mesh.counters_read == []
    server.answers, mesh.counter_pages["page"] = {"istio": reported(130)}, reads_in_flight(160, 40)
    came = one.measure(None)
    assert came.count_of("v2") == RequestCount(30, 0)
    assert came.in_flight == {("shop/page", "v2"): (InFlight(100, 0), InFlight(160, 40))}


def test_requests_in_flight_from_before_the_first_series_are_dropped(mesh: Mesh) -> None:
    server = Server()
    one = both(server)
    one.begin(None)
    server.answers, mesh.counter_pages["page"] = {"istio": reported(100)}, reads_in_flight(160, 40)
    came = one.measure(None)
    assert (came.first_reading, came.in_flight, came.ended) == (True, {}, {})
    mesh.counter_pages["page"] = reads_in_flight(170, 50)
    assert one.measure(None).in_flight == {("shop/page", "v2"): (InFlight(160, 40), InFlight(170, 50))}


@pytest.mark.parametrize("found", [True, False])
def test_without_the_right_to_read_proxies_only_prometheus_is_used_with_one_note(mesh: Mesh, found: bool) -> None:
    mesh.counter_pages = dict.fromkeys(mesh.counter_pages, FORBIDDEN)
    mesh.callers = mesh.callers if found else []
    server = Server()
    server.answers = {"istio": [*reported(100), *reported(1, "0")]}
    one = both(server)
    one.begin(None)
    mesh.counters_read.clear()
    server.answers = {"istio": [*reported(130), *reported(6, "0")]}
    came = one.measure(None)
    assert came.ended == {"v2": RequestCount(35, 5)}, "callers that gave up are judged as Prometheus tells them"
    assert came.in_flight == {}
    assert mesh.counters_read == []
    (note,) = one.notes
    assert note.startswith("Stalled requests are not seen: no proxy could be read for requests in flight: ")
    assert one.callers == 0


def test_proxies_that_do_not_answer_are_read_again(mesh: Mesh) -> None:
    mesh.counter_pages = dict.fromkeys(mesh.counter_pages, ApiError("No answer.", None))
    server = Server()
    server.answers = {"istio": reported(100)}
    one = both(server)
    one.begin(None)
    assert one.measure(None).in_flight == {}
    mesh.counter_pages = {"page": reads_in_flight(150, 30), "gate": ""}
    assert one.measure(None).in_flight == {}, "this is where they begin"
    mesh.counter_pages["page"] = reads_in_flight(160, 40)
    assert one.measure(None).in_flight == {("shop/page", "v2"): (InFlight(150, 30), InFlight(160, 40))}
    mesh.counter_pages = dict.fromkeys(mesh.counter_pages, FORBIDDEN)
    came = one.measure(None)
    assert (came.in_flight, came.ended) == ({}, {}), (
        "it comes with a later look, and is not counted by another name now"
    )


@pytest.mark.parametrize(
    ("options", "kinds", "sees"),
    [
        ({}, None, True),
        ({"source": "prometheus"}, ["errors", "stalled"], True),
        ({}, ["errors"], False),
        ({"window": 60.0}, None, False),
        ({"window": 60.0, "at": 1000.0}, None, False),
        ({"route_api": "replicas"}, None, False),
    ],
)
def test_proxies_are_read_only_for_the_present_and_for_stalled_metrics(
    options: dict[str, t.Any], kinds: list[str] | None, sees: bool
) -> None:
    params = {name: spec.get("default") for name, spec in analysis.SPEC.options.items()}
    params |= {"stable": "v1", "canary": "v2", "prometheus_url": "http://p", **options}
    metrics = None if kinds is None else [metric(name=kind, kind=kind) for kind in kinds]
    described = overview.unknown_description(Snapshot(), SERVICE)
    metric_specs = analysis_options.metric_specs(metrics)
    made = analysis._source(t.cast("t.Any", Pods()), Snapshot(), SERVICE, params, described, metric_specs)
    assert (made.name, made.reads_in_flight) == ("prometheus", sees)
