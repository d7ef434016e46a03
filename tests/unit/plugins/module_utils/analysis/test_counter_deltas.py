# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two readings of counters and histograms: resets, proxies that come and go, and nothing counted twice."""

from __future__ import annotations

import math
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis import counter_deltas
from ansible_collections.meshops.canary.plugins.module_utils.analysis.counter_deltas import Reading, grown, joined
from ansible_collections.meshops.canary.plugins.module_utils.analysis.error_rates import RequestCount
from ansible_collections.meshops.canary.plugins.module_utils.analysis.traffic import Names
from ansible_collections.meshops.canary.plugins.module_utils.mesh.proxies import parse_samples

HOST = "reviews.shop.svc.cluster.local"
NAMES = Names({HOST: None}, {"1.16.1": "v2"})


def envoy(*rows: tuple[str, str, float], times: t.Mapping[str, t.Mapping[str, float | str]] | None = None) -> str:
    """Return a sidecar's text. rows: version, code, count. times: version -> le -> cumulative."""
    lines = [
        f'envoy_cluster_upstream_rq{{cluster_name="outbound|9080|{version}|{HOST}",response_code="{code}"}} {count}'
        for version, code, count in rows
    ]
    lines += [
        f'envoy_cluster_upstream_rq_time_bucket{{cluster_name="outbound|9080|{version}|{HOST}",le="{le}"}} {held}'
        for version, buckets in (times or {}).items()
        for le, held in buckets.items()
    ]
    return "\n".join(lines)


def reading(text: str, source: str = "shop/page") -> Reading:
    return counter_deltas.client_reading(source, parse_samples(text), NAMES)


def test_growth_by_version_with_errors_and_times() -> None:
    before = reading(envoy(("v1", "200", 90), times={"v1": {"5": 10, "10": 90, "+Inf": 90}}))
    after = reading(
        envoy(
            ("v1", "200", 190),
            ("v1", "503", 1),
            ("v2", "200", 5),
            ("v2", "500", 6),
            times={"v1": {"5": 30, "10": 190, "+Inf": 191}, "v2": {"5": 0, "10": 11, "+Inf": 11}},
        )
    )
    answered = grown(before, after)
    assert answered.counts == {"v1": RequestCount(101, 1), "v2": RequestCount(11, 6)}
    assert answered.times["v1"] == {5.0: 20, 10.0: 80, math.inf: 1}
    assert answered.times["v2"] == {5.0: 0, 10.0: 11, math.inf: 0}


def test_all_requests_of_a_restarted_proxy_count() -> None:
    before = reading(envoy(("v2", "200", 900), times={"v2": {"5": 700, "+Inf": 900}}))
    after = reading(envoy(("v2", "200", 7), times={"v2": {"5": 4, "+Inf": 7}}))
    answered = grown(before, after)
    assert answered.count_of("v2") == RequestCount(7, 0)
    assert answered.times["v2"] == {5.0: 4, math.inf: 3}


def test_the_first_reading_of_a_proxy_gives_no_increment() -> None:
    old, new = reading(envoy(("v1", "200", 10))), reading(envoy(("v2", "500", 4000)), "shop/other")
    assert grown(old, joined([old, new])).counts == {}
    later = joined([old, reading(envoy(("v2", "500", 4003)), "shop/other")])
    assert grown(old.updated(new), later).counts == {"v2": RequestCount(3, 3)}


def test_a_proxy_that_counted_nothing_is_known_and_its_first_request_counts() -> None:
    silent = reading("")
    assert silent.sources == {"shop/page"}
    assert grown(silent, reading(envoy(("v2", "500", 1)))).counts == {"v2": RequestCount(1, 1)}


def test_a_proxy_that_did_not_answer_is_compared_with_its_last_reading() -> None:
    first = reading(envoy(("v1", "200", 100)))
    missing = first.updated(Reading())
    assert grown(missing, reading(envoy(("v1", "200", 130)))).count_of("v1") == RequestCount(30, 0)


def test_a_new_series_began_at_zero_if_its_target_was_known() -> None:
    series = reading(envoy(("v2", "500", 2)))
    later = Reading(series.counts, targets={"shop/page": "10.0.0.5"})
    assert grown(Reading(sources=frozenset({"10.0.0.5"})), later).count_of("v2") == RequestCount(2, 2)
    assert grown(Reading(sources=frozenset({"10.0.0.6"})), later).counts == {}


def test_istios_histogram_takes_precedence_and_names_the_version_label() -> None:
    text = envoy(("v2", "200", 5), times={"v2": {"5": 5, "+Inf": 5}})
    istio = "".join(
        f'\nistio_request_duration_milliseconds_bucket{{reporter="{reporter}",destination_service="{HOST}",'
        f'destination_version="1.16.1",response_code="{code}",le="{le}"}} {held}'
        for reporter, code, le, held in (
            ("source", 200, "10", 3),
            ("source", 200, "+Inf", 3),
            ("source", 500, "10", 1),
            ("source", 500, "+Inf", 2),
            ("destination", 200, "+Inf", 77),
        )
    )
    assert reading(text + istio).buckets == {("shop/page", "v2"): {10.0: 4, math.inf: 5}}


def test_servers_tell_whoever_asked() -> None:
    text = (
        'envoy_cluster_upstream_rq{cluster_name="inbound|9080||",response_code="500"} 2\n'
        'envoy_cluster_upstream_rq_time_bucket{cluster_name="inbound|9080||",le="+Inf"} 2\n' + envoy(("v1", "200", 9))
    )
    known = Reading(sources=frozenset({"shop/reviews-v2-x"}))
    answered = grown(known, counter_deltas.server_reading("shop/reviews-v2-x", parse_samples(text), "v2"))
    assert answered.counts == {"v2": RequestCount(2, 2)}
    assert answered.times == {"v2": {math.inf: 2}}


@pytest.mark.parametrize("buckets", [{"5": 9, "10": 3, "+Inf": 9}, {"5": "NaN", "+Inf": 9}, {"5": 1, "+Inf": "NaN"}])
def test_what_is_no_histogram_is_left_out(buckets: dict[str, float | str]) -> None:
    answered = grown(reading(""), reading(envoy(("v2", "200", 9), times={"v2": buckets})))
    assert answered.times == {}
    assert answered.count_of("v2") == RequestCount(9, 0)


@pytest.mark.parametrize("value", ["NaN", "+Inf"])
def test_counts_that_are_no_numbers_are_left_out(value: str) -> None:
    text = f'envoy_cluster_upstream_rq{{cluster_name="outbound|9080|v2|{HOST}",response_code="500"}} {value}'
    assert grown(reading(""), reading(text)).counts == {}


def test_an_html_page_is_no_evidence() -> None:
    assert grown(reading(""), reading("<html><body>Bad gateway 200 5</body></html>")).counts == {}
