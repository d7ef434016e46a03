# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an analysis makes of a Prometheus that knows nothing, nothing new, or too much; a real one is in tests/mesh."""

from __future__ import annotations

import math

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis import traffic
from ansible_collections.meshops.canary.plugins.module_utils.analysis.error_rates import RequestCount
from ansible_collections.meshops.canary.plugins.module_utils.analysis.traffic import Names
from ansible_collections.meshops.canary.plugins.module_utils.errors import MetricsError
from ansible_collections.meshops.canary.plugins.module_utils.evidence import counts
from ansible_collections.meshops.canary.plugins.module_utils.evidence.prometheus_source import PrometheusSource
from ansible_collections.meshops.canary.plugins.module_utils.prometheus import Series
from support import istio_metrics
from support.metered import HOST, NAMES, SERVICE
from support.scraping import Server, prometheus, reported, times


def test_requests_and_times_by_version() -> None:
    server = Server()
    one = prometheus(server)
    server.answers = {"istio": reported(100), "sum by": times(_5=60, Inf=100)}
    one.begin(7.0)
    server.answers = {"istio": [*reported(130), *reported(3, "500")], "sum by": times(_5=70, Inf=133)}
    came = one.measure(9.0)
    assert came.counts == {"v2": RequestCount(33, 3)}
    assert came.times == {"v2": {5.0: 10, math.inf: 23}}
    assert {at for _question, at in server.queries} == {7.0, 9.0}


def test_sizes_of_answers_are_read_where_a_metric_needs_them() -> None:
    server = Server()
    one = PrometheusSource(server, SERVICE, NAMES, sizes=True)
    server.answers = {"istio": reported(100), "sum by": times(_1=60, Inf=100)}
    one.begin(7.0)
    server.answers = {"istio": reported(133), "sum by": times(_1=70, Inf=133)}
    assert one.measure(9.0).sizes == {"v2": {1.0: 10, math.inf: 23}}
    assert any("istio_response_bytes_bucket" in question for question, _at in server.queries)
    server.queries.clear()
    prometheus(server).begin(7.0)
    assert not any("istio_response_bytes" in question for question, _at in server.queries)


def test_the_version_is_found_by_all_that_istio_knows_of_the_pod() -> None:
    """The histograms are summed up by the labels that tell it; a request without an answer has no version label."""
    server = Server()
    names = Names({HOST: None}, {"v2": "canary"}, {"shop/reviews-v2": "canary"})
    one = PrometheusSource(server, SERVICE, names)
    answered = {**istio_metrics.labels("v2"), "pod": "page"}
    refused = {**istio_metrics.labels("v2", 503, "endpoint", response_flags="UF"), "pod": "page"}
    server.answers = {"istio": [Series(answered, ((0.0, 1.0),))]}
    one.begin(None)
    slow = {"pod": "page", "le": "+Inf", **{label: refused[label] for label in traffic.VERSION_LABELS}}
    server.answers = {
        "istio": [Series(answered, ((0.0, 8.0),)), Series(refused, ((0.0, 3.0),))],
        "sum by": [Series(slow, ((0.0, 3.0),))],
    }
    came = one.measure(None)
    assert came.counts == {"canary": RequestCount(10, 3)}
    assert came.times == {"canary": {math.inf: 3}}
    question = next(requested for requested, _at in server.queries if requested.startswith("sum by"))
    assert set(traffic.VERSION_LABELS) <= set(question.partition("(")[2].partition(")")[0].split(", "))


def test_the_present_is_the_servers_time_not_the_local_clocks() -> None:
    server = Server()
    server.answers = {"istio": reported(100)}
    one = prometheus(server)
    one.begin(None)
    one.measure(None)
    assert {at for _question, at in server.queries} == {None}


def test_an_unreachable_server_is_waited_for_at_the_start_and_a_refusal_is_not() -> None:
    server = Server()
    one = prometheus(server)
    server.answers = {"istio": MetricsError("No answer.", reason="unreachable")}
    one.begin(None)
    assert one.notes == ["At the start: No answer."]
    server.answers = {"istio": reported(4000)}
    assert one.measure(None).counts == {}, "the first answer is where counting begins"
    server.answers = {"istio": reported(4001)}
    assert one.measure(None).count_of("v2") == RequestCount(1, 0)
    server.answers = {"istio": MetricsError("Unauthorized.", reason="refused")}
    with pytest.raises(MetricsError, match="Unauthorized"):
        prometheus(server).begin(None)


def test_a_server_without_series_is_not_the_start() -> None:
    """One that was just started shows at its first scrape all that was ever counted, which is not new."""
    server = Server()
    one = prometheus(server)
    one.begin(None)
    assert one.measure(None).first_reading
    server.answers = {"istio": [*reported(4000), *reported(2000, "500")]}
    assert one.measure(None).counts == {}
    server.answers = {"istio": [*reported(4010), *reported(2001, "500")]}
    assert one.measure(None).count_of("v2") == RequestCount(11, 1)


def test_missing_series_fail_the_measurement_and_are_counted_later() -> None:
    server = Server()
    server.answers = {"istio": reported(100)}
    one = prometheus(server)
    one.begin(None)
    server.answers = {"istio": []}
    with pytest.raises(MetricsError, match=r"Prometheus has no istio_requests_total .* It had before"):
        one.measure(None)
    server.answers = {"istio": reported(130)}
    assert one.measure(None).count_of("v2") == RequestCount(30, 0)


def looked(scrapes: list[float], every: float) -> list[bool]:
    """Return of each look, so many seconds apart, whether it told something; the numbers never change."""
    server = Server()
    server.answers, server.scraped = {"istio": reported(100)}, 0.0
    one = prometheus(server)
    one.begin(0.0)
    result = []
    for number in range(1, 101):
        now = number * every
        server.scraped = max(moment for moment in scrapes if moment <= now)
        try:
            result.append(one.measure(now).counts == {})
        except MetricsError:
            result.append(False)
    return result


@pytest.mark.parametrize(("every", "good"), [(5.0, 14), (1.0, 71), (30.0, 4)])
def test_unchanged_samples_fail_the_measurement(every: float, good: int) -> None:
    """For five minutes Prometheus answers with the last it had. The last sample is of second 12."""
    result = looked([0.0, 12.0], every)
    assert all(result[:good])
    assert not any(result[good:])


def test_stopped_scraping_has_the_same_error_at_each_measurement() -> None:
    server = Server()
    server.answers, server.scraped = {"istio": reported(100)}, 36_000.0
    one = prometheus(server)
    one.begin(36_000.0)
    said = []
    for now in (36_030.0, 36_050.0, 36_060.0, 36_070.0, 36_080.0):
        try:
            one.measure(now)
        except MetricsError as error:
            said.append(error.msg)
    result = "Scraping has stopped: Prometheus has no istio_requests_total of reviews from after 10:00:00 UTC."
    assert said == [f"{result} Check its targets."] * 2


@pytest.mark.parametrize("scraped", [1.0, 15.0, 60.0])
def test_an_idle_scraped_service_is_measured(scraped: float) -> None:
    assert all(looked([scraped * number for number in range(600)], 5.0))


def test_the_whole_counter_of_a_returned_target_is_not_new() -> None:
    """300 errors of yesterday once failed a good canary, when the second caller's target was found again."""
    server = Server()
    one = prometheus(server)
    server.answers = {"istio": reported(100), "sum by": times(_5=60, Inf=100)}
    one.begin(None)
    back = [*reported(200, pod="other"), *reported(300, "500", pod="other")]
    server.answers = {
        "istio": [*reported(110), *back],
        "sum by": [*times(_5=60, Inf=110), *times("other", _5=0, Inf=500)],
    }
    came = one.measure(None)
    assert came.counts == {"v2": RequestCount(10, 0)}
    assert came.times == {"v2": {5.0: 0, math.inf: 10}}
    server.answers = {
        "istio": [*reported(110), *back, *reported(2, "503", pod="other")],
        "sum by": [*times(_5=60, Inf=110), *times("other", _5=1, Inf=503)],
    }
    came = one.measure(None)
    assert came.counts == {"v2": RequestCount(2, 2)}, "from there on it counts, its new series from 0"
    assert came.times == {"v2": {5.0: 1, math.inf: 2}}


def test_counting_two_moments_begins_with_the_first_that_was_seen_of_a_target() -> None:
    """One that is back brings the errors of its life; a pod that is new counts from its first sample on."""

    class Later(Server):
        def query(self, promql: str, at: float | None = None) -> list[Series]:
            named = {"__name__": "istio_requests_total"}
            if promql.startswith("min_over_time("):
                assert promql.endswith("}[30s])")
                return [*reported(100), *reported(300, "500", pod="back"), *reported(1, pod="new")]
            if at == 70.0:
                return reported(100, **named)
            errors = [*reported(30, "500", **named), *reported(302, "500", pod="back", **named)]
            return [*reported(140, **named), *errors, *reported(8, pod="new", **named)]

    counted = counts.from_prometheus(Later(), NAMES, 29.5, 99.5)
    assert (counted.versions.requests, counted.versions.errors) == ({"v2": 40 + 30 + 2 + 7}, {"v2": 32})


def test_prometheus_labels_apply_to_all_but_custom_queries() -> None:
    server = Server(cluster='a "b"\\', prometheus_replica="0")
    server.answers = {"istio": reported(1)}
    one = prometheus(server)
    one.begin(None)
    one.query_value("max(q)", "v2", None)
    narrowed = r'cluster="a \"b\"\\",prometheus_replica="0"}'
    *built, own = [question for question, _at in server.queries]
    assert len(built) == 3
    assert all(narrowed in question for question in built)
    assert own == "max(q)"
    server.answers = {}
    prometheus(server).begin(None)
    assert "and prometheus_replica 0." in counts.no_series(server, NAMES)


def test_duplicate_series_and_several_clusters_are_noted() -> None:
    server = Server()
    one = prometheus(server)
    twice = [*reported(5, job="a"), *reported(5, job="b", instance="page:15020")]
    server.answers = {"istio": [*twice, *reported(1, pod="other", cluster="x"), *reported(1, pod="third", cluster="y")]}
    one.begin(None)
    one.measure(None)
    assert one.notes == [
        "Requests are counted more than once: a proxy has series that differ only in instance (page:15020, "
        "page:15090), job (a, b). Select one with prometheus_labels.",
        "Requests of several clusters (x, y) are counted together. To count one, set "
        "prometheus_labels, as {cluster: x}.",
    ]


def test_custom_queries_name_the_version_by_its_label() -> None:
    server = Server()
    one = prometheus(server)
    server.answers = {"max": [Series({}, ((0.0, 5.0),))], "many": reported(1) * 2}
    query = 'max(q{v="$version",s="$service",n="$namespace",h="${host}",code=~"5..$"})'
    assert one.query_value(query, "v2", 3.0) == 5.0
    assert server.queries == [(f'max(q{{v="1.16.1",s="reviews",n="shop",h="{HOST}",code=~"5..$"}})', 3.0)]
    assert one.query_value("many", "v2", None) is None
    assert "returned 2 series instead of one" in one.notes[0]
    assert one.query_value("nothing", "v2", None) is None
