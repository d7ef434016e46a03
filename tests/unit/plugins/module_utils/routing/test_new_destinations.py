# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where requests will go that did not go there before."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import new_destinations, plan
from support import http_routes as hr
from support import reviews as rv
from support.route_operations import REVIEWS

QA = {"headers": {"x": "1"}}


def istio() -> Snapshot:
    rules = (rv.destination_rule(versions=("v1", "v2", "v3")),)
    return Snapshot(virtual_services=(rv.virtual_service(),), destination_rules=rules, services=(rv.service(),))


def places(planned: t.Any) -> list[tuple[str, str]]:
    return sorted(new_destinations.new_destinations(planned.changes, "cluster.local"))


@pytest.mark.parametrize(
    ("command", "reached"),
    [
        (lambda s: plan.plan(s, REVIEWS, intents.SetWeights({"v1": 50, "v2": 50})), []),
        (lambda s: plan.plan(s, REVIEWS, intents.SetWeights({"v1": 90, "v3": 10})), ["v3"]),
        (lambda s: plan.plan(s, REVIEWS, intents.SetWeights({"v1": 100, "v3": 0})), []),
        (lambda s: plan.plan(s, REVIEWS, intents.SetCohort("qa", QA, {"v3": 100})), ["v3"]),
        (lambda s: plan.plan(s, REVIEWS, intents.SetMirror("v3", 1)), ["v3"]),
        (lambda s: plan.plan(s, REVIEWS, intents.InstallRouting({"v4": {"version": "v4"}}, "v4")), []),
    ],
)
def test_versions_that_get_requests_for_the_first_time(command: t.Callable[..., t.Any], reached: list[str]) -> None:
    assert places(command(istio())) == [(REVIEWS.fqdn, version) for version in reached]


def test_a_subset_created_by_the_same_plan_is_not_a_new_destination() -> None:
    empty = Snapshot(virtual_services=(), destination_rules=(), services=())
    assert places(plan.plan(empty, REVIEWS, intents.InstallRouting({"v1": {"version": "v1"}}, "v1"))) == []


def test_versions_of_http_routes_are_services() -> None:
    start = hr.snapshot(hr.http_route(hr.rule(hr.ref("reviews-v1"))))
    planned = plan.plan(start, REVIEWS, intents.SetWeights({"reviews-v1": 90, "reviews-v2": 10}), api="gateway")
    assert places(planned) == [("reviews-v2.bookinfo.svc.cluster.local", "")]
