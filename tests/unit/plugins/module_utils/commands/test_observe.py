# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the sources of an analysis make of proxies and servers that do not answer; how real ones do is in tests/mesh."""

from __future__ import annotations

import math
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis import traffic
from ansible_collections.meshops.canary.plugins.module_utils.analysis.rates import Tally
from ansible_collections.meshops.canary.plugins.module_utils.analysis.traffic import Names
from ansible_collections.meshops.canary.plugins.module_utils.commands import observe
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError, MetricsError
from ansible_collections.meshops.canary.plugins.module_utils.prometheus import Series
from support import istio_metrics
from support.metered import HOST, NAMES, SERVICE, Mesh, Pods, pod, source


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> Mesh:
    return Mesh().instead(monkeypatch)


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
    shop.broken = [ApiError("Forbidden.", 403)]
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


def test_prometheus_tells_the_version_by_whatever_istio_knows_of_the_pod() -> None:
    """The histograms are summed up by the labels that tell it; a request without an answer has no version label."""
    server = Server()
    names = Names({HOST: None}, {"v2": "canary"}, {"shop/reviews-v2": "canary"})
    one = observe.PrometheusSource(t.cast("t.Any", server), SERVICE, names)
    answered = {**istio_metrics.labels("v2"), "pod": "page"}
    refused = {**istio_metrics.labels("v2", 503, "endpoint", response_flags="UF"), "pod": "page"}
    one.begin(None)
    server.says = {"istio": [Series(answered, ((0.0, 1.0),))]}
    one.look(None)
    slow = {"instance": "page", "le": "+Inf", **{label: refused[label] for label in traffic.TELLING}}
    server.says = {
        "istio": [Series(answered, ((0.0, 8.0),)), Series(refused, ((0.0, 3.0),))],
        "sum by": [Series(slow, ((0.0, 3.0),))],
    }
    came = one.look(None)
    assert came.tallies == {"canary": Tally(10, 3)}
    assert came.times == {"canary": {math.inf: 3}}
    question = next(asked for asked, _at in server.asked if asked.startswith("sum by"))
    assert set(traffic.TELLING) <= set(question.partition("(")[2].partition(")")[0].split(", "))


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
