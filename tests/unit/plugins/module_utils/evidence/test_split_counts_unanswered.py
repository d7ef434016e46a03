# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What canary_verify counts in Prometheus: whom the requests were dealt to, not who happened to answer."""

from __future__ import annotations

import datetime
import types
import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.analysis.traffic import Names
from ansible_collections.meshops.canary.plugins.module_utils.evidence import split_counts
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.prometheus import Series
from support.istio_metrics import SERVICE, labels
from support.scraping import Server

NAMES = Names({SERVICE: None}, {"v1": "v1", "v2": "v2"}, {"shop/reviews-v2": "v2"})


def counted(*grown: tuple[float, dict[str, str]]) -> split_counts.SplitCount:
    """Return what is counted if these series grew by so much, from 5 on."""

    now = datetime.datetime(2026, 11, 22, 12, 0, 0, tzinfo=datetime.timezone.utc)

    class Page(Server):
        def query(self, promql: str, at: float | None = None) -> list[Series]:
            del promql
            more = at == now.timestamp()
            return [Series({**one, "pod": "page"}, ((0.0, 5.0 + more * number),)) for number, one in grown]

    cluster: t.Any = types.SimpleNamespace(server_time=now)
    return split_counts.by_prometheus(cluster, Snapshot(), ServiceRef("reviews", "shop"), NAMES, Page(), 30.0)


def test_failures_without_a_version_are_noted_and_not_part_of_the_split() -> None:
    """One browser that gives up among ten thousand requests once was `all pods answered 1 and should answer none`."""
    found = counted(
        (9000, labels("v1")),
        (1000, labels("v2")),
        (1, labels("v1", 0, "endpoint", response_flags="DC")),
        (2, labels("v1", 503, "nothing", response_flags="UH")),
    )
    assert found.counts == {"v1": 9000, "v2": 1000}
    assert found.errors == 2
    assert found.notes == [
        "3 requests failed or were canceled and have no version, so they are not part of the split. "
        "response_flags of istio_requests_total say why."
    ]


def test_canceled_requests_count_in_the_share_of_their_version() -> None:
    gone = labels("v2", 0, "endpoint", response_flags="DC")
    assert counted((9000, labels("v1")), (100, labels("v2")), (900, gone)).counts == {"v1": 9000, "v2": 1000}


def test_answered_requests_without_a_version_fail_the_split() -> None:
    stray = labels("v1", destination_version="unknown")
    found = counted((9000, labels("v1")), (1000, labels("v2")), (7, stray))
    assert (found.counts[""], found.notes) == (7, [])
