# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cohorts that end in the very write that sets the weights."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.routes import plan
from ansible_collections.meshops.canary.plugins.module_utils.routes.snapshot import Snapshot
from support import http_routes as hr
from support import reviews as rv
from support import route_strategies as rs
from support.route_operations import REVIEWS, the_route, write

TESTERS = {"headers": {"end-user": "testuser"}}
STAFF = {"headers": {"x-staff": {"present": True}}}


def start() -> Snapshot:
    one = rv.virtual_service(weights={"v1": 90, "v2": 10})
    return Snapshot(virtual_services=(one,), destination_rules=(rs.destination_rule(),))


def names(state: Snapshot) -> list[t.Any]:
    return [one.get("name") for one in the_route(state)["spec"]["http"]]


def with_cohorts() -> Snapshot:
    state = start()
    for name, match in (("rollout", TESTERS), ("staff", STAFF)):
        state = state.after(plan.plan_cohort(state, REVIEWS, name, match, {"v2": 100}).changes)
    assert sorted(plan.describe(state, REVIEWS)["cohorts"]) == ["rollout", "staff"]
    return state


@pytest.mark.parametrize("settle", [False, True])
def test_a_cohort_ends_with_the_weights_and_others_stay(settle: bool) -> None:
    state = with_cohorts()
    planned = plan.plan_weights(state, REVIEWS, {"v1": 100}, settle=settle, end_cohorts=["rollout", "nobody"])
    (change,) = planned.changes
    assert any("cohort rollout" in line and line.endswith("none") for line in planned.summary)
    after = state.after([change])
    assert list(plan.describe(after, REVIEWS)["cohorts"]) == ["staff"]
    assert not plan.plan_weights(after, REVIEWS, {"v1": 100}, settle=settle, end_cohorts=["rollout"]).changes


def test_it_ends_also_where_the_weights_stay_and_where_the_book_has_lost_it() -> None:
    state = with_cohorts()
    (change,) = plan.plan_weights(state, REVIEWS, {"v1": 90, "v2": 10}, end_cohorts=["rollout"]).changes
    assert "canary-cohort.rollout" not in str(change.after)
    lost = the_route(state)
    del lost["metadata"]["annotations"]
    again = Snapshot(virtual_services=(lost,), destination_rules=(rs.destination_rule(),))
    ended = again.after(plan.plan_weights(again, REVIEWS, {"v1": 100}, end_cohorts=["rollout"]).changes)
    assert [name for name in names(ended) if "rollout" in str(name)] == []


def test_what_was_before_comes_back_when_weights_and_cohort_have_gone() -> None:
    state = start()
    cohort = state.after(plan.plan_cohort(state, REVIEWS, "rollout", TESTERS, {"v2": 100}).changes)
    weighed = write(cohort, plan.plan_weights(cohort, REVIEWS, {"v1": 50, "v2": 50}))
    back = weighed.after(plan.plan_weights(weighed, REVIEWS, {"v1": 90, "v2": 10}, end_cohorts=["rollout"]).changes)
    assert back.virtual_services == state.virtual_services


def test_the_same_on_http_routes() -> None:
    state = hr.snapshot(hr.http_route(hr.rule(hr.ref("reviews-v1"))))
    cohort = hr.write(state, plan.plan_cohort(state, hr.REVIEWS, "rollout", TESTERS, {"reviews-v2": 100}))
    assert len(hr.rules(cohort)) == 2
    ended = plan.plan_weights(cohort, hr.REVIEWS, {"reviews-v1": 100}, end_cohorts=["rollout"])
    (rule,) = hr.rules(hr.write(cohort, ended))
    assert hr.shares(rule)["reviews-v1"] > 0


def test_a_name_that_none_can_have_is_refused() -> None:
    with pytest.raises(InvalidInput, match="cohort 'No One'"):
        plan.plan_weights(start(), REVIEWS, {"v1": 100}, end_cohorts=["No One"])
