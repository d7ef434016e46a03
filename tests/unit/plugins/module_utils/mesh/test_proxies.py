# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading what proxies answer."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError
from ansible_collections.meshops.canary.plugins.module_utils.mesh import proxies

TEXT = r"""# TYPE envoy_cluster_upstream_rq counter
envoy_cluster_upstream_rq{response_code="200",cluster_name="outbound|9080|v2|reviews.shop.svc.cluster.local"} 317
envoy_cluster_upstream_rq{response_code="503",cluster_name="a\"b\\c\nd"} 1.5e3 1700000000000
envoy_server_live 1
not a sample
envoy_cluster_upstream_rq_time_bucket{le="+Inf"} +Inf
"""


def test_samples_of_the_prometheus_format() -> None:
    found = list(proxies.parse_samples(TEXT))
    assert [(one.name, one.value) for one in found] == [
        ("envoy_cluster_upstream_rq", 317.0),
        ("envoy_cluster_upstream_rq", 1500.0),
        ("envoy_server_live", 1.0),
        ("envoy_cluster_upstream_rq_time_bucket", float("inf")),
    ]
    assert found[0].labels["cluster_name"] == "outbound|9080|v2|reviews.shop.svc.cluster.local"
    assert found[1].labels["cluster_name"] == 'a"b\\c\nd'
    assert found[2].labels == {}


CLUSTERS = """\
outbound|9080|v2|reviews.shop.svc.cluster.local::observability_name::outbound|9080|v2|reviews.shop.svc.cluster.local
outbound|9080|v2|reviews.shop.svc.cluster.local::default_priority::max_requests::4294967295
outbound|9080|v2|reviews.shop.svc.cluster.local::10.244.0.9:9080::cx_active::4
outbound|9080|v2|reviews.shop.svc.cluster.local::10.244.0.9:9080::rq_active::3
outbound|9080|v2|reviews.shop.svc.cluster.local::[fd00::9]:9080::rq_total::58
outbound|9080|v2|reviews.shop.svc.cluster.local::[fd00::9]:9080::rq_total::many
outbound|80||other.shop.svc.cluster.local::10.244.0.1:80::rq_total::7
"""


def test_numbers_of_endpoints_are_read_from_envoys_page_of_clusters() -> None:
    opened: list[str] = []

    class Cluster:
        def port_forward(self, namespace: str, pod: str, port: int, path: str) -> bytes:
            assert (namespace, pod, port) == ("shop", "page", 15000)
            opened.append(path)
            return CLUSTERS.encode()

    client = proxies.Proxies(t.cast("t.Any", Cluster()))
    found, size = client.endpoints(proxies.Proxy("shop", "page"), r"^outbound\|[0-9]+\|[^|]*\|(reviews\.shop)")
    assert [(one.name, one.labels["address"], one.value) for one in found] == [
        ("rq_active", "10.244.0.9:9080", 3.0),
        ("rq_total", "[fd00::9]:9080", 58.0),
    ]
    assert {one.labels["cluster_name"] for one in found} == {"outbound|9080|v2|reviews.shop.svc.cluster.local"}
    assert size == len(CLUSTERS)
    assert opened == ["/clusters?filter=%5Eoutbound%5C%7C%5B0-9%5D%2B%5C%7C%5B%5E%7C%5D%2A%5C%7C%28reviews%5C.shop%29"]


@pytest.mark.parametrize(
    ("entry", "proxy"),
    [
        ({"proxy": "reviews-1.shop", "proxy_type": "sidecar"}, proxies.Proxy("shop", "reviews-1")),
        ({"proxy": "pod.with.dots.shop", "proxy_type": "sidecar"}, proxies.Proxy("shop", "pod.with.dots")),
        ({"proxy": "gate.istio-system", "proxy_type": "router"}, proxies.Proxy("istio-system", "gate", True)),
        ({"proxy": "old.shop"}, proxies.Proxy("shop", "old")),
    ],
)
def test_proxies_as_istiod_names_them(entry: dict[str, str], proxy: proxies.Proxy) -> None:
    assert proxies._proxy_of(entry) == proxy


def test_errors_of_one_do_not_stop_the_others() -> None:
    def work(number: int) -> int:
        if number == 2:
            raise ApiError("two")
        return number * 10

    answers = proxies.in_parallel(work, range(20))
    assert [item for item, _answer in answers] == list(range(20))
    assert [answer for item, answer in answers if item != 2] == [number * 10 for number in range(20) if number != 2]
    assert isinstance(answers[2][1], ApiError)
    assert proxies.in_parallel(work, []) == []
