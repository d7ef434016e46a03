# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counters of proxies become requests by version: two vocabularies, resets, and nothing counted twice."""

from __future__ import annotations

import math

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis import traffic
from ansible_collections.meshops.canary.plugins.module_utils.analysis.traffic import Key, Names
from ansible_collections.meshops.canary.plugins.module_utils.mesh.proxies import parse_samples

HOST = "reviews.shop.svc.cluster.local"
NAMES = Names({HOST: None}, {"1.16.1": "v2", "v1": "v1"})
SIDECAR = """
# TYPE envoy_cluster_upstream_rq counter
envoy_cluster_upstream_rq{cluster_name="outbound|9080|v1|reviews.shop.svc.cluster.local",response_code="200"} 90
envoy_cluster_upstream_rq{cluster_name="outbound|9080|v2|reviews.shop.svc.cluster.local;",response_code="200"} 8
envoy_cluster_upstream_rq{cluster_name="outbound|9080|v2|reviews.shop.svc.cluster.local",response_code="503"} 2
envoy_cluster_upstream_rq{cluster_name="outbound|9080|v2|reviews.shop.svc.cluster.local",response_code_class="5xx"} 2
envoy_cluster_upstream_rq{cluster_name="outbound|9080||reviews.shop.svc.cluster.local",response_code="200"} 3
envoy_cluster_upstream_rq{cluster_name="outbound|9080|v1|ratings.shop.svc.cluster.local",response_code="200"} 7
envoy_cluster_upstream_rq{cluster_name="inbound|9080||",response_code="200"} 11
envoy_cluster_upstream_rq_time_sum{cluster_name="outbound|9080|v1|reviews.shop.svc.cluster.local"} 1234
"""
ISTIO = "".join(
    f'istio_requests_total{{reporter="{reporter}",destination_service="{service}.shop.svc.cluster.local",'
    f'destination_version="{version}",response_code="{code}"}} {value}\n'
    for reporter, service, version, code, value in (
        ("source", "reviews", "v1", 200, 5),
        ("source", "reviews", "1.16.1", 500, 1),
        ("source", "reviews", "unknown", 200, 2),
        ("destination", "reviews", "v1", 200, 9),
        ("source", "ratings", "v1", 200, 9),
    )
)


def test_envoys_own_counters_name_the_subset() -> None:
    tally = traffic.count_by_version(traffic.client_counters("shop/page", parse_samples(SIDECAR), NAMES))
    assert tally.requests == {"v1": 90, "v2": 10, "": 3}
    assert tally.errors == {"v2": 2}
    assert tally.total == 103


def test_a_waypoint_counts_the_requests_it_sends_on() -> None:
    names = Names({HOST: None}, {"1.16.1": "v2", "v1": "v1"}, reporters=frozenset({"source", "waypoint"}))
    waypoint = ISTIO.replace('reporter="source"', 'reporter="waypoint"')
    assert traffic.client_counters("shop/waypoint", parse_samples(waypoint), NAMES) == {}, "no waypoint handles it"
    tally = traffic.count_by_version(traffic.client_counters("shop/waypoint", parse_samples(waypoint), names))
    assert tally.requests == {"v1": 5, "v2": 1, "": 2}
    envoys = SIDECAR.replace("outbound|9080|", "inbound-vip|9080|http/").replace("|http/|", "|http|")
    tally = traffic.count_by_version(traffic.client_counters("shop/waypoint", parse_samples(envoys), names))
    assert tally.requests == {"v1": 90, "v2": 10, "": 3}


def test_istios_counters_take_precedence_and_name_the_version_label() -> None:
    tally = traffic.count_by_version(traffic.client_counters("shop/page", parse_samples(SIDECAR + ISTIO), NAMES))
    assert tally.requests == {"v1": 5, "v2": 1, "": 2}
    assert tally.errors == {"v2": 1}


def test_with_the_gateway_api_each_version_is_a_host() -> None:
    names = Names({HOST: None, "reviews-v2.shop.svc.cluster.local": "reviews-v2"}, {})
    text = SIDECAR.replace("|v2|reviews.", "||reviews-v2.")
    assert traffic.count_by_version(traffic.client_counters("p", parse_samples(text), names)).requests == {
        "v1": 90,
        "reviews-v2": 10,
        "": 3,
    }


def test_retries_are_told_where_attempts_are_counted() -> None:
    again = f'envoy_cluster_upstream_rq_retry{{cluster_name="outbound|9080|v2|{HOST}"}} 4\n'
    assert traffic.client_retries("a", parse_samples(SIDECAR + again), NAMES) == {Key("a", "v2", ""): 4}
    assert traffic.client_retries("a", parse_samples(ISTIO + again), NAMES) is None
    assert traffic.client_retries("a", parse_samples(SIDECAR), NAMES) == {}


def test_servers_count_whoever_asked() -> None:
    assert traffic.server_counters("shop/reviews-a", parse_samples(SIDECAR), "v1") == {
        Key("shop/reviews-a", "v1", "200"): 11.0
    }


@pytest.mark.parametrize(
    ("before", "after", "grown"),
    [
        (10.0, 25.0, 15),
        (10.0, 10.0, 0),
        (25.0, 4.0, 4),  # the proxy began anew
        (None, 7.0, 7),  # a new proxy
        (7.0, None, 0),  # a proxy that is gone
        (3.0, math.nan, 0),
        (0.0, math.inf, 0),
    ],
)
def test_growth(before: float | None, after: float | None, grown: int) -> None:
    key = Key("p", "v1", "200")
    found = traffic.growth({} if before is None else {key: before}, {} if after is None else {key: after})
    assert found == ({key: grown} if grown else {})


def test_no_requests_have_no_shares() -> None:
    assert traffic.VersionCounts().share("v1") is None
    tally = traffic.count_by_version({Key("p", "v1", "200"): 3, Key("q", "v1", "204"): 1, Key("p", "v2", "500"): 1})
    assert (tally.share("v1"), tally.share("v2"), tally.share("v3")) == (80.0, 20.0, 0.0)
