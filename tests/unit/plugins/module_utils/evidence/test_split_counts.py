# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counting in Prometheus soon after a change of weights: no request of before the change is held against it."""

from __future__ import annotations

import datetime
import math
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis import split
from ansible_collections.meshops.canary.plugins.module_utils.evidence import split_counts
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.prometheus import Series
from support.metered import HOST, NAMES, SERVICE
from support.scraping import Server

WRITTEN = datetime.datetime(2026, 11, 22, 12, 0, 0, tzinfo=datetime.timezone.utc)
ROUTE = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {
        "name": "reviews",
        "namespace": "shop",
        "managedFields": [{"time": "2026-11-22T11:00:00Z"}, {"time": "2026-11-22T12:00:00Z"}],
    },
    "spec": {"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews"}}]}]},
}
SECONDS = 30.0


class Api:
    """A cluster of which only the clock is asked, so many seconds after the routes were written."""

    def __init__(self, after: float) -> None:
        self.server_time = WRITTEN + datetime.timedelta(seconds=after)


class Page(Server):
    """Of 50 requests a second none went to v2, and from the change on a quarter. scrapes: seconds from the change."""

    def __init__(self, *scrapes: float) -> None:
        super().__init__()
        self._scrapes = scrapes

    def _sample(self, at: float) -> float:
        return max(one for one in (-1000.0, *self._scrapes) if one <= at - WRITTEN.timestamp() + 1e-6)

    def query(self, promql: str, at: float | None = None) -> list[Series]:
        assert at is not None
        assert promql.startswith("istio_requests_total{")
        second = self._sample(at)
        v2 = 12.5 * max(0.0, second)
        result = {"destination_service": HOST, "response_code": "200", "pod": "page"}
        both = (("v1", 100_000 + 50 * second - v2), ("1.16.1", v2))
        return [Series({**result, "destination_version": one}, ((at, number),)) for one, number in both]

    def query_range(self, promql: str, start: float, end: float, step: float) -> list[Series]:
        assert promql.startswith("min(timestamp(istio_requests_total{")
        moments = [start + step * number for number in range(math.floor((end - start) / step) + 1)]
        return [Series({}, tuple((at, WRITTEN.timestamp() + self._sample(at)) for at in moments))]


def counted(after: float, *scrapes: float) -> split_counts.SplitCount:
    snapshot = Snapshot(virtual_services=(ROUTE,), destination_rules=(), http_routes=())
    api = t.cast("t.Any", Api(after))
    return split_counts.by_prometheus(api, snapshot, SERVICE, NAMES, Page(*scrapes), SECONDS)


@pytest.mark.parametrize("every", [5, 15, 30, 60])
@pytest.mark.parametrize("after", [20.0, 31.0, 36.0, 40.0, 50.0, 66.0, 95.0, 130.0, 500.0])
def test_no_moment_after_a_change_makes_a_good_split_fail(after: float, every: int) -> None:
    """A sample of Prometheus is up to a scrape interval old: 75 : 25 was once measured as 87 : 13, and failed."""
    scrapes = range(-300 + 2, 600, every)
    seen = counted(after, *scrapes)
    verdict = split.test_split(dict(seen.counts), {"v1": 75, "v2": 25})
    assert verdict.verdict != "fail", seen
    if seen.counts:
        assert seen.counts["v2"] == pytest.approx(sum(seen.counts.values()) / 4, abs=1)
    else:
        assert seen.why.endswith("s and verify again") or after > SECONDS + every


def test_the_remaining_time_is_counted_and_noted() -> None:
    seen = counted(36.0, *range(-60, 60, 10))
    assert sum(seen.counts.values()) == 50 * 20, "from the scrape at second 10 to that at second 30"
    assert seen.seconds == 26.0
    assert seen.notes == ["The routes were written 36 s ago; only requests after that are counted."]


def test_without_a_sample_from_after_the_change_the_reason_names_the_wait() -> None:
    seen = counted(20.0, -40.0, 0.0)
    assert seen.counts == {}
    assert seen.why == (
        "The routes were written 20 s ago, and Prometheus has too few samples from after that; "
        "wait for 35 s and verify again"
    )


def test_an_old_change_costs_no_query() -> None:
    seen = counted(400.0, *range(-60, 600, 10))
    assert (seen.seconds, seen.notes, seen.why) == (30.0, [], "")
