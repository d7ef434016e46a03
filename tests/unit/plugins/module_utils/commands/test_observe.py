# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the sources of an analysis make of proxies and servers that do not answer; how real ones do is in tests/mesh."""

from __future__ import annotations

import math
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis.flight import Flight
from ansible_collections.meshops.canary.plugins.module_utils.analysis.rates import Tally
from ansible_collections.meshops.canary.plugins.module_utils.analysis.traffic import Names
from ansible_collections.meshops.canary.plugins.module_utils.commands import measuring, observe
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError, MetricsError
from ansible_collections.meshops.canary.plugins.module_utils.prometheus import Series
from ansible_collections.meshops.canary.plugins.module_utils.proxies import (
    Proxies,
    Proxy,
    parse_endpoints,
    parse_samples,
)
from ansible_collections.meshops.canary.plugins.module_utils.routes.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.routes.snapshot import Snapshot

HOST = "reviews.shop.svc.cluster.local"
SERVICE = ServiceRef("reviews", "shop")
NAMES = Names({HOST: None}, {"1.16.1": "v2"})
SUBSETS = {"v1": {"version": "v1"}, "v2": {"version": "v2"}}
PAGE, GATE = Proxy("shop", "page"), Proxy("istio-system", "gate", True)


class Mesh:
    """Answers what the test wrote under a pod's name; an exception is raised."""

    def __init__(self) -> None:
        self.callers: list[Proxy] = [PAGE, GATE]
        self.says: dict[str, str | ApiError] = {"page": "", "gate": ""}
        self.asked: list[str] = []
        self.pages: dict[str, str | ApiError] = {}
        self.opened: list[str] = []

    def counters(self, _namespace: str, pod: str, _pattern: str) -> list[t.Any]:
        self.asked.append(pod)
        answer = self.says[pod]
        if isinstance(answer, ApiError):
            raise answer
        return list(parse_samples(answer))

    def endpoints(self, proxy: Proxy, _pattern: str) -> tuple[list[t.Any], int]:
        self.opened.append(proxy.name)
        page = self.pages.get(proxy.name, "")
        if isinstance(page, ApiError):
            raise page
        return list(parse_endpoints(page)), len(page)

    def count(self, pod: str, version: str, number: int, code: int = 200, side: str = "outbound") -> None:
        cluster = f"outbound|9080|{version}|{HOST}" if side == "outbound" else "inbound|9080||"
        self.says[pod] = f'envoy_cluster_upstream_rq{{cluster_name="{cluster}",response_code="{code}"}} {number}'


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> Mesh:
    made = Mesh()
    monkeypatch.setattr(Proxies, "counters", made.counters)
    monkeypatch.setattr(Proxies, "endpoints", made.endpoints)
    monkeypatch.setattr(measuring, "callers", lambda *_given: (None, made.callers))
    return made


def pod(name: str, version: str) -> dict[str, t.Any]:
    labels = {"app": "reviews", "version": version}
    metadata = {"name": name, "namespace": "shop", "labels": labels}
    return {"metadata": metadata, "spec": {"containers": [{"name": "istio-proxy"}]}, "status": {"phase": "Running"}}


class Pods:
    """A cluster that lists the pods the test wrote; an exception is raised."""

    def __init__(self, *pods: dict[str, t.Any]) -> None:
        self.pods: tuple[dict[str, t.Any], ...] | ApiError = pods

    def list(self, _resource: t.Any, namespace: str) -> tuple[dict[str, t.Any], ...]:
        assert namespace == "shop"
        if isinstance(self.pods, ApiError):
            raise self.pods
        return self.pods


def source(cluster: Pods | None = None) -> observe.ProxySource:
    cluster = cluster or Pods()
    snapshot = Snapshot(pods=tuple(cluster.pods) if not isinstance(cluster.pods, ApiError) else (), services=())
    params = {"istio_namespace": "istio-system", "proxy_sample": 50}
    return observe.ProxySource(t.cast("t.Any", cluster), snapshot, SERVICE, NAMES, SUBSETS, params)


def test_callers_are_added_up(mesh: Mesh) -> None:
    mesh.count("page", "v1", 100)
    mesh.count("gate", "v1", 7)
    one = source()
    one.begin(None)
    mesh.count("page", "v1", 130)
    mesh.count("gate", "v2", 4, 503)
    assert one.look(None).tallies == {"v1": Tally(30, 0), "v2": Tally(4, 4)}
    assert one.look(None).tallies == {}
    assert one.callers == 2


def test_between_full_rounds_only_those_who_call_are_asked(mesh: Mesh) -> None:
    mesh.count("page", "v1", 1)
    one = source()
    one.begin(None)
    mesh.asked.clear()
    for _look in range(observe.ALL_EVERY):
        one.look(None)
    assert mesh.asked.count("page") == observe.ALL_EVERY
    assert mesh.asked.count("gate") == 1


def test_who_does_not_answer_is_noted_and_missed_only_for_a_while(mesh: Mesh) -> None:
    mesh.count("page", "v1", 10)
    mesh.count("gate", "v1", 10)
    one = source()
    one.begin(None)
    mesh.says["gate"] = ApiError("It did not answer.", 503)
    mesh.count("page", "v1", 15)
    assert one.look(None).tally("v1") == Tally(5, 0)
    assert one.notes == ["Not every proxy answered at every look; the first is istio-system/gate: It did not answer."]
    mesh.count("gate", "v1", 17)
    assert one.look(None).tally("v1") == Tally(7, 0)


def test_if_nobody_answers_the_look_fails(mesh: Mesh) -> None:
    mesh.count("page", "v1", 10)
    one = source()
    one.begin(None)
    mesh.says = dict.fromkeys(mesh.says, ApiError("Forbidden.", 403))
    with pytest.raises(ApiError, match="Forbidden"):
        one.look(None)


def under_way(version: str, sent: int, waiting: int, address: str = "10.0.0.5:9080") -> str:
    """Return what Envoy's page of clusters says of one endpoint."""
    place = f"outbound|9080|{version}|{HOST}::{address}"
    return f"{place}::cx_active::1\n{place}::rq_active::{waiting}\n{place}::rq_total::{sent}\n{place}::weight::1\n"


def test_what_is_under_way_is_read_with_the_counters_where_they_show_it(mesh: Mesh) -> None:
    cluster = f'cluster_name="outbound|9080|v2|{HOST}"'

    def shows(sent: int, waiting: int, reset: int, timeout: int) -> str:
        numbers = {"rq_total": sent, "rq_active": waiting, "rq_tx_reset": 2, "rq_timeout": timeout}
        numbers["cx_destroy_local_with_active_rq"] = reset - 2
        return "\n".join(f"envoy_cluster_upstream_{name}{{{cluster}}} {value}" for name, value in numbers.items())

    mesh.says["page"] = shows(100, 1, 5, 5)
    one = source()
    one.begin(None)
    mesh.says["page"] = shows(130, 11, 9, 6)
    came = one.look(None)
    assert came.flights == {("shop/page", "v2"): (Flight(100, 1, 0), Flight(130, 11, 3))}
    assert came.ended == {"v2": Tally(20, 3)}
    assert mesh.opened == []


def test_a_caller_whose_counters_are_hidden_is_asked_for_its_endpoints_at_every_other_look(mesh: Mesh) -> None:
    """Istio shows its own metrics alone unless told otherwise; a gateway that does not call is left alone."""
    mesh.says["page"] = "\n".join(
        f'istio_requests_total{{reporter="source",destination_service="{HOST}",destination_version="1.16.1",'
        f'response_code="{code}"}} {number}'
        for code, number in (("200", 50), ("0", 4))
    )
    mesh.pages["page"] = under_way("v2", 60, 2) + under_way("v1", 400, 1, "[fd00::1]:9080")
    one = source()
    one.begin(None)
    mesh.pages["page"] = (
        under_way("v2", 90, 32) + under_way("v1", 700, 0, "[fd00::1]:9080") + under_way("v2", 5, 5, "new")
    )
    assert one.look(None).flights == {}
    assert one.look(None).flights == {
        ("shop/page 10.0.0.5:9080", "v2"): (Flight(60, 2), Flight(90, 32)),
        ("shop/page [fd00::1]:9080", "v1"): (Flight(400, 1), Flight(700, 0)),
    }
    assert mesh.opened == ["page", "page"]


def test_callers_that_gave_up_have_the_code_zero_in_istios_own_metrics(mesh: Mesh) -> None:
    def counted(good: int, gone: int) -> str:
        labels = f'reporter="source",destination_service="{HOST}",destination_version="1.16.1"'
        return "\n".join(
            f'istio_requests_total{{{labels},response_code="{code}"}} {number}'
            for code, number in (("200", good), ("0", gone))
        )

    mesh.says["page"] = counted(50, 4)
    one = source()
    one.begin(None)
    mesh.says["page"] = counted(60, 9)
    assert one.look(None).ended == {"v2": Tally(15, 5)}


@pytest.mark.parametrize("page", [ApiError("Forbidden.", 403), under_way("v2", 1, 0) * 20_000])
def test_a_caller_that_cannot_tell_or_tells_too_much_is_noted(mesh: Mesh, page: str | ApiError) -> None:
    mesh.count("page", "v2", 10)
    mesh.pages["page"] = page
    one = source()
    one.begin(None)
    for _look in range(4):
        one.look(None)
    assert len([note for note in one.notes if note.startswith("Requests that hang are not seen everywhere: ")]) == 1
    assert mesh.opened.count("page") == (3 if isinstance(page, ApiError) else 1)


def test_without_callers_the_versions_own_proxies_tell(mesh: Mesh) -> None:
    mesh.callers = []
    for name in ("a", "b"):
        mesh.count(name, "", 0, side="inbound")
    one = source(Pods(pod("a", "v1"), pod("b", "v2")))
    one.begin(None)
    mesh.count("a", "", 90, side="inbound")
    mesh.count("b", "", 10, 500, side="inbound")
    assert one.look(None).tallies == {"v1": Tally(90, 0), "v2": Tally(10, 10)}
    assert one.notes[0].startswith("No caller's proxy can be read")


def test_a_pod_that_comes_later_is_read_too(mesh: Mesh) -> None:
    mesh.callers = []
    for name in ("a", "b", "c"):
        mesh.count(name, "", 0, side="inbound")
    shop = Pods(pod("a", "v1"))
    one = source(shop)
    one.begin(None)
    shop.pods = (pod("a", "v1"), pod("c", "v2"))
    for _look in range(observe.ALL_EVERY):
        one.look(None)
    mesh.count("c", "", 8, 500, side="inbound")
    assert one.look(None).tallies == {"v2": Tally(8, 8)}
    shop.pods = ApiError("Forbidden.", 403)
    for number in range(observe.ALL_EVERY):
        mesh.count("c", "", 9 + number, 500, side="inbound")
        assert one.look(None).tallies == {"v2": Tally(1, 1)}
    assert "The pods could not be listed again: Forbidden." in one.notes


class Server:
    """A Prometheus that answers what the test wrote, by the beginning of the question."""

    def __init__(self) -> None:
        self.says: dict[str, list[Series] | MetricsError] = {}
        self.asked: list[tuple[str, float | None]] = []

    def query(self, promql: str, at: float | None = None) -> list[Series]:
        self.asked.append((promql, at))
        answer = next((one for start, one in self.says.items() if promql.startswith(start)), [])
        if isinstance(answer, MetricsError):
            raise answer
        return answer


def reported(number: float, code: str = "200") -> list[Series]:
    labels = {"destination_service": HOST, "destination_version": "1.16.1", "response_code": code, "pod": "page"}
    return [Series(labels, ((0.0, number),))]


def times(**held: float) -> list[Series]:
    labels = {"destination_service": HOST, "destination_version": "1.16.1", "instance": "page:15090"}
    return [Series({**labels, "le": le.strip("_")}, ((0.0, value),)) for le, value in held.items()]


def prometheus(server: Server) -> observe.PrometheusSource:
    return observe.PrometheusSource(t.cast("t.Any", server), SERVICE, NAMES)


def test_prometheus_requests_and_times_by_version() -> None:
    server = Server()
    one = prometheus(server)
    server.says = {"istio": reported(100), "sum by": times(_5=60, Inf=100)}
    one.begin(7.0)
    server.says = {"istio": [*reported(130), *reported(3, "500")], "sum by": times(_5=70, Inf=133)}
    came = one.look(9.0)
    assert came.tallies == {"v2": Tally(33, 3)}
    assert came.times == {"v2": {5.0: 10, math.inf: 23}}
    assert {at for _question, at in server.asked} == {7.0, 9.0}


def test_prometheus_down_at_the_beginning_is_waited_for_and_a_refusal_is_not() -> None:
    server = Server()
    one = prometheus(server)
    server.says = {"istio": MetricsError("No answer.", reason="unreachable")}
    one.begin(None)
    assert one.notes == ["At the beginning: No answer."]
    server.says = {"istio": reported(4000)}
    assert one.look(None).tallies == {}, "the first answer is where counting begins"
    server.says = {"istio": reported(4001)}
    assert one.look(None).tally("v2") == Tally(1, 0)
    server.says = {"istio": MetricsError("Unauthorized.", reason="refused")}
    with pytest.raises(MetricsError, match="Unauthorized"):
        prometheus(server).begin(None)


def test_prometheus_that_knows_nothing_yet_is_no_beginning() -> None:
    """One that was just started shows at its first scrape all that was ever counted, which is not new."""
    server = Server()
    one = prometheus(server)
    one.begin(None)
    assert one.look(None).begins
    server.says = {"istio": [*reported(4000), *reported(2000, "500")]}
    assert one.look(None).tallies == {}
    server.says = {"istio": [*reported(4010), *reported(2001, "500")]}
    assert one.look(None).tally("v2") == Tally(11, 1)


def test_questions_of_ones_own_name_the_version_by_its_label() -> None:
    server = Server()
    one = prometheus(server)
    server.says = {"max": [Series({}, ((0.0, 5.0),))], "many": reported(1) * 2}
    query = 'max(q{v="$version",s="$service",n="$namespace",h="${host}",code=~"5..$"})'
    assert one.ask(query, "v2", 3.0) == 5.0
    assert server.asked == [(f'max(q{{v="1.16.1",s="reviews",n="shop",h="{HOST}",code=~"5..$"}})', 3.0)]
    assert one.ask("many", "v2", None) is None
    assert "has 2 series where one number is needed" in one.notes[0]
    assert one.ask("nothing", "v2", None) is None
