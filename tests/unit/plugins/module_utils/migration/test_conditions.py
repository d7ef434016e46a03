# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.migration.conditions import (
    Bounds,
    failing,
    is_plain_url,
    metric_of,
    passing,
)

GOOD = 'sum(rate(istio_requests_total{a="b/c",response_code!~"5.*"}[1m]))/sum(rate(istio_requests_total{a="b/c"}[1m]))'
BAD = 'sum(rate(istio_requests_total{response_code=~"5.*"}[1m]))/sum(rate(istio_requests_total[1m]))'
SLOW = 'histogram_quantile(0.99, sum(rate(istio_request_duration_milliseconds_bucket{a=~".*"}[1m])) by (le))'


@pytest.mark.parametrize(
    ("condition", "bounds"),
    [
        ("result[0] >= 0.95", Bounds(floor=0.95)),
        ("result <= 5", Bounds(limit=5)),
        ("result[0] < 5", Bounds(limit=5, strict=True)),
        ("0.95 <= result[0]", Bounds(floor=0.95)),
        ("(result[0] >= 1) && (result[0] <= 2.5e1)", Bounds(floor=1, limit=25)),
        ("isNaN(result[0]) || result[0] >= 0.95", Bounds(floor=0.95, missing_passes=True)),
        ("len(result) == 0 || result[0] >= 0.95", Bounds(floor=0.95, missing_passes=True)),
        ("len(result) > 0 && result[0] >= 0.95", Bounds(floor=0.95)),
        ("asFloat(result) > -1", Bounds(floor=-1, strict=True)),
        ("result[0] >= 1 || result[0] <= 0", None),
        ("result[1] >= 1", None),
        ("result == 'ok'", None),
        ("default(result, 0) < 5", None),
        ("all(result, {# > 5})", None),
        ("true", None),
        ("", None),
        ("(" * 400 + "result>1", None),
    ],
)
def test_a_success_condition_is_bounds_or_nothing(condition: str, bounds: Bounds | None) -> None:
    assert passing(condition) == bounds


@pytest.mark.parametrize(
    ("condition", "bounds"),
    [
        ("result[0] >= 10", Bounds(limit=10, strict=True)),
        ("result[0] > 10", Bounds(limit=10)),
        ("result[0] < 1 || result[0] > 5", Bounds(floor=1, limit=5)),
        ("len(result) == 0 || result[0] > 5", Bounds(limit=5)),
        ("len(result) > 0 && result[0] > 5", Bounds(limit=5)),
        ("result[0] > 1 && result[0] < 5", None),
    ],
)
def test_a_failure_condition_leaves_the_opposite(condition: str, bounds: Bounds | None) -> None:
    assert failing(condition) == bounds


@pytest.mark.parametrize(
    ("query", "bounds", "kind", "limit"),
    [
        (GOOD, Bounds(floor=0.98), "errors", 2.0),
        (f"{GOOD} * 100", Bounds(floor=98), "errors", 2.0),
        (BAD, Bounds(limit=0.05), "errors", 5.0),
        (SLOW, Bounds(limit=500), "latency", 500),
        (GOOD, Bounds(limit=0.98), "value", 0.98),
        (BAD, Bounds(floor=0.05), "value", None),
        (f"{GOOD} / 2", Bounds(floor=0.98), "value", None),
        (f"{SLOW} / 1000", Bounds(limit=5), "value", 5),
        (SLOW.replace("0.99", "$q"), Bounds(limit=5), "value", 5),
        ("up", Bounds(limit=5), "value", 5),
        (GOOD, Bounds(floor=98), "value", None),
    ],
)
def test_only_a_known_query_becomes_another_kind(query: str, bounds: Bounds, kind: str, limit: float | None) -> None:
    metric = metric_of("m", query, bounds)
    assert (metric["kind"], metric.get("limit")) == (kind, limit)
    assert metric.get("query") == (query if kind == "value" else None)


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ('destination_service="web.shop.svc.cluster.local"', "errors"),
        ('destination_service=~"web.*"', "errors"),
        ('destination_service=~"^web[.]shop.*"', "value"),
        ('destination_service=~".*"', "errors"),
        ('destination_service_name="web-admin"', "value"),
        ('destination_service_name="other"', "value"),
        ('destination_workload=~"web|other"', "errors"),
        ('source_workload="other"', "errors"),
        ('destination_service_namespace="other"', "errors"),
    ],
)
def test_requests_of_other_services_are_not_those_of_the_canary(label: str, kind: str) -> None:
    query = GOOD.replace('a="b/c"', label)
    assert metric_of("m", query, Bounds(floor=0.98), ["web"])["kind"] == kind


@pytest.mark.parametrize(
    ("query", "bounds", "kind"),
    [
        (GOOD, Bounds(0.98, 1), "errors"),
        (GOOD, Bounds(0.98, 0.99), "value"),
        (BAD, Bounds(0, 0.05), "errors"),
        (BAD, Bounds(0.01, 0.05), "value"),
        (SLOW, Bounds(0, 500), "latency"),
        (SLOW, Bounds(10, 500), "value"),
    ],
)
def test_a_bound_that_every_number_is_within_is_none(query: str, bounds: Bounds, kind: str) -> None:
    assert metric_of("m", query, bounds)["kind"] == kind


def test_a_url_is_plain() -> None:
    assert is_plain_url("https://prometheus.example.com:9090/path?x=1")
    assert not any(map(is_plain_url, ("", "prometheus:9090", "http://{{ x }}", "http://a b", "ftp://x", "http:///x")))
