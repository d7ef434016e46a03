# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTPRoutes that others edited after us, or that say nothing about versions."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.routes import plan
from ansible_collections.meshops.canary.plugins.module_utils.routes.find import Scope
from support.http_routes import (
    REVIEWS,
    TESTERS,
    Json,
    header,
    http_route,
    path,
    ref,
    rule,
    rules,
    snapshot,
    weigh,
    write,
)

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.routes.snapshot import Snapshot

REDIRECT = {"matches": [path("/old")], "filters": [{"type": "RequestRedirect", "requestRedirect": {"port": 80}}]}


def nothing_to_split(*given: Json) -> Json:
    only = http_route(name="redirect")
    only["spec"]["rules"] = list(given)
    return only


def cohort(state: Snapshot, **percents: int) -> Snapshot:
    wanted = {name.replace("_", "-"): percent for name, percent in percents.items()}
    return write(state, plan.plan_cohort(state, REVIEWS, "testers", TESTERS, wanted, api="gateway"))


def edited(state: Snapshot, edit: t.Callable[[list[Json]], t.Any]) -> Snapshot:
    obj = copy.deepcopy((state.http_routes or ())[0])
    edit(obj["spec"]["rules"])
    return snapshot(obj)


@pytest.mark.parametrize("extra", [nothing_to_split(REDIRECT), nothing_to_split()])
def test_a_route_that_sends_nowhere_stands_in_nobodys_way(extra: Json) -> None:
    start = snapshot(extra, http_route(rule(ref("reviews-v1"))))
    split = weigh(start, reviews_v1=90, reviews_v2=10)
    assert (split.http_routes or ())[0] == extra
    told = plan.describe(split, REVIEWS)
    assert (told["route_api"], told["weights"]) == ("gateway", {"reviews-v1": 90, "reviews-v2": 10})
    assert write(split, plan.plan_weights_absent(split, REVIEWS)) == start
    with pytest.raises(InvalidInput, match="http_routes: HTTPRoute bookinfo/redirect has no rule for"):
        plan.plan_weights(start, REVIEWS, {"reviews-v1": 100}, scope=Scope(objects=("redirect",)))


def test_a_cohorts_rule_with_weights_of_others_is_still_ours() -> None:
    start = snapshot(http_route(rule(ref("reviews-v1"))))
    by_hand = edited(
        cohort(start, reviews_v1=50, reviews_v2=50), lambda all_: all_[0]["backendRefs"][0].update(weight=90)
    )
    again = cohort(by_hand, reviews_v1=50, reviews_v2=50)
    assert len(rules(again)) == 2
    assert rules(again) == rules(cohort(start, reviews_v1=50, reviews_v2=50))
    gone = write(by_hand, plan.plan_cohort_absent(by_hand, REVIEWS, "testers", api="gateway"))
    assert gone == start


def test_a_rule_with_the_matches_of_the_one_it_goes_with_is_known_by_its_weights_alone() -> None:
    within = rule(ref("reviews-v1"), matches=[{**path(), "headers": [header("end-user", "testuser")]}])
    start = snapshot(http_route(within))
    removed = edited(cohort(start, reviews_v2=100), lambda all_: all_.pop(0))
    assert rules(removed) == [within]
    gone = write(removed, plan.plan_cohort_absent(removed, REVIEWS, "testers", api="gateway"))
    assert rules(gone) == [within]


def test_rules_that_select_and_send_alike_keep_what_else_is_theirs() -> None:
    """The cohort has the weights everybody has, and its path is that of two rules which differ in their timeouts."""
    within = [{**path("/api", "Exact")}]
    first = rule(ref("reviews-v1"), matches=within, timeouts={"request": "3s"})
    second = rule(ref("reviews-v1"), matches=within, timeouts={"request": "9s"})
    start = snapshot(http_route(first, second))
    half = {"reviews-v1": 50, "reviews-v2": 50}
    split = weigh(start, reviews_v1=50, reviews_v2=50)
    beta = write(split, plan.plan_cohort(split, REVIEWS, "beta", {"path": {"prefix": "/api"}}, half, api="gateway"))
    assert [one["timeouts"]["request"] for one in rules(beta)] == ["3s", "3s", "9s", "9s"]
    mirrored = write(beta, plan.plan_mirror(beta, REVIEWS, "reviews-v1", 100, api="gateway"))
    assert [one["timeouts"]["request"] for one in rules(mirrored)] == ["3s", "3s", "9s", "9s"]
    back = write(mirrored, plan.plan_mirror_absent(mirrored, REVIEWS, api="gateway"))
    assert back == beta
    back = write(back, plan.plan_cohort_absent(back, REVIEWS, "beta", api="gateway"))
    assert write(back, plan.plan_weights_absent(back, REVIEWS, api="gateway")) == start
