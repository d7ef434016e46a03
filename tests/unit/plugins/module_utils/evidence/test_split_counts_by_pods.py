# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counting a canary by pods in Prometheus: by whose counter, since when. Real pods: extensions/molecule."""

from __future__ import annotations

import datetime
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.evidence.split_counts import PodSplit
from ansible_collections.meshops.canary.plugins.module_utils.prometheus import Series
from support.deployments import SHOP, owned_pod

PODS = [owned_pod("shop", "7d", "aaaaa"), owned_pod("shop", "7d", "bbbbb"), owned_pod("shop-canary", "9f", "ccccc")]
COUNTER_OPTIONS = {"query": 'http_requests_total{app="shop"}', "label": "pod"}


class Api:
    """Lists one Service and its pods; its clock is so many seconds after the last of them became ready."""

    def __init__(self, seconds: float) -> None:
        last = datetime.datetime(2026, 11, 22, 12, 0, 0, tzinfo=datetime.timezone.utc)
        self.server_time = last + datetime.timedelta(seconds=seconds)

    def list(self, resource: t.Any, _namespace: str) -> list[dict[str, t.Any]]:
        front = {"metadata": {"name": "shop", "namespace": "books"}, "spec": {"selector": {"app": "shop"}}}
        found = {"Service": [front], "Pod": PODS}[resource.kind]
        return [{"apiVersion": "v1", **one} for one in found]


class Server:
    """Prometheus with one series a pod, which grew by a hundred for each second.

    every: seconds between scrapes, of which one is in the middle between two full ones.
    """

    def __init__(self, every: int = 1) -> None:
        self.queries: list[float] = []
        self._every = every

    def query_range(self, text: str, start: float, end: float, step: float) -> list[Series]:
        assert text == 'min(timestamp(http_requests_total{app="shop"}))'
        moments = [start + number * step for number in range(int((end - start) / step) + 1)]
        half = self._every // 2
        return [Series({}, tuple((at, float((at - half) // self._every * self._every + half)) for at in moments))]

    def query(self, _text: str, moment: float) -> list[Series]:
        self.queries.append(moment)
        names = [pod["metadata"]["name"] for pod in PODS]
        labels = [{"pod": name, "code": "200"} for name in names] + [{"job": "other"}]
        return [Series(one, ((moment, 100.0 * moment),)) for one in labels]


def test_ready_pods_are_the_intended_ratio() -> None:
    assert PodSplit(t.cast("t.Any", Api(60)), SHOP).weights == {"shop": 2.0, "shop-canary": 1.0}


@pytest.mark.parametrize(("age", "counted"), [(60.0, 30.0), (12.0, 12.0)])
def test_nothing_is_counted_from_before_the_pods_changed(age: float, counted: float) -> None:
    server = Server()
    found = PodSplit(t.cast("t.Any", Api(age)), SHOP).by_prometheus(t.cast("t.Any", server), COUNTER_OPTIONS, 30.0)
    assert server.queries[1] - server.queries[0] == pytest.approx(counted)
    assert found.seconds == counted
    assert found.counts["shop"] == pytest.approx(2 * found.counts["shop-canary"], abs=2)
    assert set(found.counts) == {"shop", "shop-canary"}
    assert bool(found.notes) == (counted < 30)


def test_a_sample_from_before_the_pods_changed_is_not_the_start() -> None:
    """Scraped each minute at second 30: what Prometheus has 20 s after the change is from 30 s before it."""
    server = Server(every=60)
    found = PodSplit(t.cast("t.Any", Api(50)), SHOP).by_prometheus(t.cast("t.Any", server), COUNTER_OPTIONS, 60.0)
    assert server.queries[1] - server.queries[0] == pytest.approx(20)
    assert found.seconds == 20
    found = PodSplit(t.cast("t.Any", Api(20)), SHOP).by_prometheus(
        t.cast("t.Any", Server(every=60)), COUNTER_OPTIONS, 60.0
    )
    assert (found.counts, found.seconds) == ({}, 0)
    assert found.why == (
        "The pods last changed 20 s ago, and Prometheus has too few samples from after that; "
        "wait for 90 s and verify again"
    )


def test_replicas_need_a_counter() -> None:
    with pytest.raises(InvalidInput, match="counter: without a mesh"):
        PodSplit(t.cast("t.Any", Api(60)), SHOP).by_prometheus(t.cast("t.Any", Server()), None, 30.0)
