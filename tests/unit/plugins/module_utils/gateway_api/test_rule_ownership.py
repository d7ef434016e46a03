# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which rules of an HTTPRoute are a service's: by the names of their backends, not by whom the route is attached to."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import Refused
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from support.http_routes import (
    REVIEWS,
    SERVICES,
    TESTERS,
    http_route,
    path,
    ref,
    rule,
    rules,
    service,
    shares,
    snapshot,
    weigh,
    write,
)

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot

ADMIN = rule(ref("admin"), matches=[path("/admin")])


def state(*wanted: t.Any) -> Snapshot:
    return snapshot(http_route(*wanted), services=(*SERVICES, service("admin")))


def test_the_rule_of_another_service_stays_and_comes_back_as_it_was() -> None:
    start = state(ADMIN, rule(ref("reviews-v1")))
    split = weigh(start, reviews_v1=90, reviews_v2=10)
    assert rules(split)[0] == ADMIN
    assert shares(rules(split)[1]) == {"reviews-v1": 90, "reviews-v2": 10}
    promoted = write(split, plan.plan(split, REVIEWS, intents.SetWeights({"reviews-v2": 100}, finalize=True)))
    assert rules(promoted)[0] == ADMIN
    back = write(split, plan.plan(split, REVIEWS, intents.RestoreWeights()))
    assert back.http_routes == start.http_routes


def test_no_cohort_and_no_mirror_reaches_the_rule_of_another_service() -> None:
    start = state(ADMIN, rule(ref("reviews-v1")))
    cohort = write(start, plan.plan(start, REVIEWS, intents.SetCohort("testers", TESTERS, {"reviews-v2": 100})))
    assert [shares(one) for one in rules(cohort)] == [{"admin": 1}, {"reviews-v2": 100}, {"reviews-v1": 1}]
    mirrored = write(start, plan.plan(start, REVIEWS, intents.SetMirror("reviews-v2", 10)))
    assert ["filters" in one for one in rules(mirrored)] == [False, True]
    assert plan.describe(cohort, REVIEWS)["weights"] == {"reviews-v1": 100}


@pytest.mark.parametrize(
    ("wanted", "others", "result"),
    [
        # the service's own rule tells what its versions are, so a new one may be named alone
        ({"reviews-v2": 100}, [rule(ref("reviews-v1"))], [{"reviews-v1": 0, "reviews-v2": 1}]),
        ({"reviews-v2": 100}, [rule(ref("reviews-v1"), matches=[path("/api")])], [{"reviews-v1": 0, "reviews-v2": 1}]),
        # a backend that shares the service's rule for all requests is a version that is to get none
        (
            {"reviews-v1": 50, "reviews-v2": 50},
            [rule(ref("reviews-v1", 1), ref("reviews-v3", 1))],
            [{"reviews-v1": 1, "reviews-v2": 1, "reviews-v3": 0}],
        ),
        # in a rule for some paths only names count: others keep their share
        (
            {"reviews-v1": 90, "reviews-v2": 10},
            [rule(ref("reviews-v1", 1), ref("page", 1), matches=[path("/api")]), rule(ref("reviews"))],
            [{"reviews-v1": 9, "reviews-v2": 1, "page": 10}, {"reviews-v1": 90, "reviews-v2": 10}],
        ),
        # the Service itself means all its versions
        (
            {"reviews-v1": 90, "reviews-v2": 10},
            [rule(ref("reviews"), matches=[path("/api")]), rule(ref("page"))],
            [{"reviews": 0, "reviews-v1": 90, "reviews-v2": 10}, {"page": 1}],
        ),
    ],
)
def test_backends_are_versions_by_name(wanted: dict[str, int], others: list[t.Any], result: list[t.Any]) -> None:
    start = state(*others)
    planned = plan.plan(start, REVIEWS, intents.SetWeights(wanted))
    after = [shares(one) for one in rules(write(start, planned))]
    for found, expected in zip(after, result, strict=True):
        total, wanted_total = sum(found.values()), sum(expected.values())
        names = {name for name, weight in (*found.items(), *expected.items()) if weight}
        assert {n: found.get(n, 0) / total for n in names} == {n: expected.get(n, 0) / wanted_total for n in names}


def test_a_route_without_any_known_version_is_refused_with_what_it_sends_to() -> None:
    start = state(ADMIN, rule(ref("page"), matches=[path("/page")]))
    with pytest.raises(Refused, match="HTTPRoute bookinfo/reviews sends to admin, page"):
        plan.plan(start, REVIEWS, intents.SetWeights({"reviews-v1": 90, "reviews-v2": 10}), api="gateway")


def test_a_version_of_later_is_not_taken_from_another_rule() -> None:
    start = weigh(state(ADMIN, rule(ref("reviews-v1"))), reviews_v1=90, reviews_v2=10)
    with pytest.raises(Refused, match="admin is a backend there, but was not named as a version"):
        plan.plan(start, REVIEWS, intents.SetWeights({"reviews-v1": 90, "admin": 10}))
