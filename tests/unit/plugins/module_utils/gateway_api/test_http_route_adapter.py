# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose a backend of an HTTPRoute is: the service's, as one of its versions, or another's."""

from __future__ import annotations

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import Refused
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from support.http_routes import GATEWAY, REVIEWS, http_route, path, ref, rule, rules, snapshot, weigh


def test_a_backend_in_the_mesh_is_a_version_at_the_gateway_too() -> None:
    outside = http_route(rule(ref("reviews-v1")), parents=GATEWAY, name="outside")
    start = snapshot(http_route(rule(ref("reviews-v1"))), outside)
    planned = plan.plan(
        start, REVIEWS, intents.SetCohort("testers", {"headers": {"x-team": "qa"}}, {"reviews-v2": 100})
    )
    assert {change.name for change in planned.changes} == {"reviews", "outside"}


def test_a_foreign_backend_does_not_silently_become_a_version() -> None:
    beta = rule(ref("reviews-v3"), matches=[path("/beta")])
    start = snapshot(http_route(rule(ref("reviews-v1")), beta, parents=GATEWAY))
    begun = weigh(start, reviews_v1=90, reviews_v2=10)
    assert rules(begun)[1] == beta
    with pytest.raises(Refused, match="reviews-v3 is a backend there"):
        weigh(begun, reviews_v1=50, reviews_v3=50)
    assert rules(weigh(start, reviews_v1=90, reviews_v2=10, reviews_v3=0))[1] != beta
