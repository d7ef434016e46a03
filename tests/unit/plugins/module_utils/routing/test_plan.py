# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cohorts that end in the very write that sets the weights."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
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
        state = state.after(plan.plan(state, REVIEWS, intents.SetCohort(name, match, {"v2": 100})).changes)
    assert sorted(plan.describe(state, REVIEWS)["cohorts"]) == ["rollout", "staff"]
    return state


@pytest.mark.parametrize("finalize", [False, True])
def test_a_cohort_ends_with_the_weights_and_others_stay(finalize: bool) -> None:
    state = with_cohorts()
    planned = plan.plan(
        state, REVIEWS, intents.SetWeights({"v1": 100}, finalize=finalize, end_cohorts=["rollout", "nobody"])
    )
    (change,) = planned.changes
    assert any("cohort rollout" in line and line.endswith("none") for line in planned.summary)
    after = state.after([change])
    assert list(plan.describe(after, REVIEWS)["cohorts"]) == ["staff"]
    assert not plan.plan(
        after, REVIEWS, intents.SetWeights({"v1": 100}, finalize=finalize, end_cohorts=["rollout"])
    ).changes


def test_a_cohort_ends_even_if_weights_stay_or_the_state_was_lost() -> None:
    state = with_cohorts()
    (change,) = plan.plan(state, REVIEWS, intents.SetWeights({"v1": 90, "v2": 10}, end_cohorts=["rollout"])).changes
    assert "canary-cohort.rollout" not in str(change.after)
    lost = the_route(state)
    del lost["metadata"]["annotations"]
    again = Snapshot(virtual_services=(lost,), destination_rules=(rs.destination_rule(),))
    ended = again.after(plan.plan(again, REVIEWS, intents.SetWeights({"v1": 100}, end_cohorts=["rollout"])).changes)
    assert [name for name in names(ended) if "rollout" in str(name)] == []


def test_the_original_is_restored_after_weights_and_cohort_end() -> None:
    state = start()
    cohort = state.after(plan.plan(state, REVIEWS, intents.SetCohort("rollout", TESTERS, {"v2": 100})).changes)
    weighed = write(cohort, plan.plan(cohort, REVIEWS, intents.SetWeights({"v1": 50, "v2": 50})))
    back = weighed.after(
        plan.plan(weighed, REVIEWS, intents.SetWeights({"v1": 90, "v2": 10}, end_cohorts=["rollout"])).changes
    )
    assert back.virtual_services == state.virtual_services


def test_a_cohort_on_an_http_route_ends_with_the_weights() -> None:
    state = hr.snapshot(hr.http_route(hr.rule(hr.ref("reviews-v1"))))
    cohort = hr.write(state, plan.plan(state, hr.REVIEWS, intents.SetCohort("rollout", TESTERS, {"reviews-v2": 100})))
    assert len(hr.rules(cohort)) == 2
    ended = plan.plan(cohort, hr.REVIEWS, intents.SetWeights({"reviews-v1": 100}, end_cohorts=["rollout"]))
    (rule,) = hr.rules(hr.write(cohort, ended))
    assert hr.shares(rule)["reviews-v1"] > 0


def test_an_invalid_cohort_name_is_refused() -> None:
    with pytest.raises(InvalidInput, match="cohort 'No One'"):
        plan.plan(start(), REVIEWS, intents.SetWeights({"v1": 100}, end_cohorts=["No One"]))
