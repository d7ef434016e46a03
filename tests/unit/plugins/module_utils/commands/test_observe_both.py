# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prometheus counts what is answered, and proxies what is under way: of the same time, and as far as may be read."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis.flight import Flight
from ansible_collections.meshops.canary.plugins.module_utils.analysis.rates import Tally
from ansible_collections.meshops.canary.plugins.module_utils.commands import analysis, asked
from ansible_collections.meshops.canary.plugins.module_utils.commands.observe_both import PrometheusAndProxies
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError, MetricsError
from ansible_collections.meshops.canary.plugins.module_utils.routes import overview
from ansible_collections.meshops.canary.plugins.module_utils.routes.snapshot import Snapshot
from support.metered import HOST, SERVICE, Mesh, Pods, source
from support.scraping import Server, prometheus, reported
from support.watched import metric

FORBIDDEN = ApiError("Forbidden.", 403)


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> Mesh:
    mesh = Mesh().instead(monkeypatch)
    mesh.says["page"] = under_way(100, 0)
    return mesh


def under_way(sent: int, waiting: int) -> str:
    """Return what Envoy's counters say of requests to v2, half of which have an answer that is an error."""
    cluster = f'cluster_name="outbound|9080|v2|{HOST}"'
    numbers = {"rq_total": sent, "rq_active": waiting}
    lines = [f"envoy_cluster_upstream_{name}{{{cluster}}} {value}" for name, value in numbers.items()]
    return "\n".join([*lines, f'envoy_cluster_upstream_rq{{{cluster},response_code="500"}} {(sent - waiting) // 2}'])


def both(server: Server) -> PrometheusAndProxies:
    return PrometheusAndProxies(prometheus(server), source(under_way_every=1))


def test_answers_are_those_of_prometheus_and_what_waits_those_of_the_proxies(mesh: Mesh) -> None:
    server = Server()
    server.says = {"istio": reported(100)}
    one = both(server)
    one.begin(None)
    server.says, mesh.says["page"] = {"istio": reported(130)}, under_way(160, 40)
    came = one.look(None)
    assert came.tallies == {"v2": Tally(30, 0)}
    assert came.flights == {("shop/page", "v2"): (Flight(100, 0), Flight(160, 40))}
    assert came.ended == {"v2": Tally(20, 0)}
    assert (one.name, one.interval, one.callers, one.notes) == ("prometheus", 2.0, 2, [])


def test_where_counters_are_hidden_endpoints_are_asked_at_every_look(mesh: Mesh) -> None:
    mesh.count("page", "v2", 10)
    mesh.pages["page"] = f"outbound|9080|v2|{HOST}::10.0.0.5:9080::rq_active::3\n"
    server = Server()
    server.says = {"istio": reported(100)}
    one = both(server)
    one.begin(None)
    one.look(None)
    one.look(None)
    assert mesh.opened == ["page"] * 3


def test_a_look_without_prometheus_leaves_the_proxies_alone_so_that_both_are_of_one_time(mesh: Mesh) -> None:
    server = Server()
    server.says = {"istio": reported(100)}
    one = both(server)
    one.begin(None)
    mesh.asked.clear()
    server.says = {"istio": MetricsError("No answer.", reason="unreachable")}
    with pytest.raises(MetricsError):
        one.look(None)
    assert mesh.asked == []
    server.says, mesh.says["page"] = {"istio": reported(130)}, under_way(160, 40)
    came = one.look(None)
    assert came.tally("v2") == Tally(30, 0)
    assert came.flights == {("shop/page", "v2"): (Flight(100, 0), Flight(160, 40))}


def test_what_came_before_prometheus_knew_anything_is_read_and_dropped(mesh: Mesh) -> None:
    server = Server()
    one = both(server)
    one.begin(None)
    server.says, mesh.says["page"] = {"istio": reported(100)}, under_way(160, 40)
    came = one.look(None)
    assert (came.begins, came.flights, came.ended) == (True, {}, {})
    mesh.says["page"] = under_way(170, 50)
    assert one.look(None).flights == {("shop/page", "v2"): (Flight(160, 40), Flight(170, 50))}


@pytest.mark.parametrize("found", [True, False])
def test_without_the_right_to_read_proxies_it_is_prometheus_alone_and_one_note(mesh: Mesh, found: bool) -> None:
    mesh.says = dict.fromkeys(mesh.says, FORBIDDEN)
    mesh.callers = mesh.callers if found else []
    server = Server()
    server.says = {"istio": [*reported(100), *reported(1, "0")]}
    one = both(server)
    one.begin(None)
    mesh.asked.clear()
    server.says = {"istio": [*reported(130), *reported(6, "0")]}
    came = one.look(None)
    assert came.ended == {"v2": Tally(35, 5)}, "callers that gave up are judged as Prometheus tells them"
    assert came.flights == {}
    assert mesh.asked == []
    (note,) = one.notes
    assert note.startswith("Requests that hang are not seen, for no proxy tells those under way: ")
    assert one.callers == 0


def test_proxies_that_only_do_not_answer_are_asked_again(mesh: Mesh) -> None:
    mesh.says = dict.fromkeys(mesh.says, ApiError("No answer.", None))
    server = Server()
    server.says = {"istio": reported(100)}
    one = both(server)
    one.begin(None)
    assert one.look(None).flights == {}
    mesh.says = {"page": under_way(150, 30), "gate": ""}
    assert one.look(None).flights == {}, "this is where they begin"
    mesh.says["page"] = under_way(160, 40)
    assert one.look(None).flights == {("shop/page", "v2"): (Flight(150, 30), Flight(160, 40))}
    mesh.says = dict.fromkeys(mesh.says, FORBIDDEN)
    came = one.look(None)
    assert (came.flights, came.ended) == ({}, {}), "it comes with a later look, and is not counted by another name now"


@pytest.mark.parametrize(
    ("options", "kinds", "sees"),
    [
        ({}, None, True),
        ({"source": "prometheus"}, ["errors", "hanging"], True),
        ({}, ["errors"], False),
        ({"window": 60.0}, None, False),
        ({"window": 60.0, "at": 1000.0}, None, False),
        ({"route_api": "replicas"}, None, False),
    ],
)
def test_proxies_are_asked_only_in_the_present_and_only_if_somebody_wants_to_know(
    options: dict[str, t.Any], kinds: list[str] | None, sees: bool
) -> None:
    params = {name: spec.get("default") for name, spec in analysis.SPEC.options.items()}
    params |= {"stable": "v1", "canary": "v2", "prometheus_url": "http://p", **options}
    metrics = None if kinds is None else [metric(name=kind, kind=kind) for kind in kinds]
    described = overview.untold(Snapshot(), SERVICE)
    questions = asked.questions(metrics)
    made = analysis._source(t.cast("t.Any", Pods()), Snapshot(), SERVICE, params, described, questions)
    assert (made.name, made.under_way) == ("prometheus", sees)
