# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which series of a Prometheus are of one counter."""

from __future__ import annotations

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.analysis import scrape_labels

PAGE = {"instance": "10.0.0.5:15090", "pod": "page", "namespace": "shop", "job": "a", "response_code": "200"}


def other(**labels: str) -> dict[str, str]:
    return {name: value for name, value in {**PAGE, **labels}.items() if value}


@pytest.mark.parametrize(
    ("series", "names"),
    [
        ([PAGE, other(job="b")], "job (a, b)"),
        ([PAGE, other(prometheus_replica="1")], "prometheus_replica (1, none)"),
        ([PAGE, other(job="b", instance="10.0.0.5:15020")], "instance (10.0.0.5:15020, 10.0.0.5:15090), job (a, b)"),
        ([other(pod=""), other(pod="", job="b")], "job (a, b)"),
        ([PAGE, other(response_code="500")], ""),
        ([PAGE, other(pod="page-2")], ""),
        ([PAGE, other(namespace="blue")], ""),
        ([PAGE, other(request_method="GET", job="b")], ""),
        ([other(pod=""), other(pod="", instance="10.0.0.6:15090", job="b")], ""),
        ([other(pod="", instance=""), other(pod="", instance="", job="b")], ""),
        ([], ""),
    ],
)
def test_duplicate_series_are_noted_with_the_labels_in_which_they_differ(
    series: list[dict[str, str]], names: str
) -> None:
    (note,) = scrape_labels.aggregation_notes(series) or [""]
    assert (f" differ only in {names}. " in note) if names else not note


def test_a_target_is_a_pod_at_its_address() -> None:
    assert scrape_labels.target(PAGE) == scrape_labels.target(other(job="b", response_code="500"))
    assert scrape_labels.target(PAGE) != scrape_labels.target(other(pod="page-2"))
    assert scrape_labels.target({}) == scrape_labels.target({"job": "a"})
