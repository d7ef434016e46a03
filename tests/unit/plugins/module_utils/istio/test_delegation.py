# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Delegates: what istiod makes of a root's match and its delegate's, and what it would drop."""

from __future__ import annotations

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.envoy import expected_routes
from ansible_collections.meshops.canary.plugins.module_utils.errors import Refused
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from support import route_strategies as rs

REVIEWS = ServiceRef("reviews", "bookinfo")
SPLIT = [
    {"destination": {"host": "reviews", "subset": "v1"}, "weight": 50},
    {"destination": {"host": "reviews", "subset": "v2"}, "weight": 50},
]
Match = list[rs.Json]


def given(root: Match | None, *delegated: Match | None) -> Snapshot:
    def obj(name: str, spec: rs.Json) -> rs.Json:
        metadata = {"name": name, "namespace": "bookinfo", "resourceVersion": "1"}
        return {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata, "spec": spec}

    def matching(match: Match | None) -> rs.Json:
        return {"match": match} if match else {}

    rules = [{"route": SPLIT, **matching(match)} for match in delegated]
    root_spec = {"hosts": ["reviews"], "http": [{"delegate": {"name": "part"}, **matching(root)}]}
    objects = (obj("root", root_spec), obj("part", {"http": rules}))
    return Snapshot(virtual_services=objects, destination_rules=(rs.destination_rule(),))


def words(snapshot: Snapshot) -> list[str]:
    root = (snapshot.virtual_services or ())[0]
    found = expected_routes.expected_routes(
        root, snapshot, expected_routes.ProxyAttributes("bookinfo"), "cluster.local"
    )
    return [one.words for one in found]


def test_a_delegate_keeps_the_compatible_pairs_of_matches() -> None:
    root = [{"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/b"}}]
    assert words(given(root, [{"uri": {"prefix": "/a/x"}}])) == ["path begins with /a/x"]
    both = given(root, [{"headers": {"x-a": {"exact": "1"}}}])
    assert words(both) == ["path begins with /a and header x-a is 1", "path begins with /b and header x-a is 1"]


def test_a_delegates_route_outside_its_root_is_dropped() -> None:
    inside: Match = [{"uri": {"prefix": "/a/x"}}]
    assert words(given([{"uri": {"prefix": "/a"}}], [{"uri": {"prefix": "/b"}}], inside)) == ["path begins with /a/x"]
    assert words(given([{"uri": {"prefix": "/a"}}], [*inside, {"uri": {"prefix": "/b"}}])) == []
    assert words(given([{"port": 80}], [{"port": 9080}])) == []
    assert words(given([{"authority": {"exact": "a"}}], [{"authority": {"exact": "b"}}])) == []


def test_a_cohorts_route_is_checked_with_the_delegates_own_match() -> None:
    start = given(
        [{"uri": {"prefix": "/api"}, "ignoreUriCase": True}], [{"uri": {"prefix": "/api/x"}, "ignoreUriCase": True}]
    )
    planned = plan.plan(start, REVIEWS, intents.SetCohort("qa", {"headers": {"end-user": "qa"}}, {"v2": 100}))
    assert len(words(start.after(planned.changes))) == 2


def test_a_route_that_is_dropped_anyway_does_not_refuse_a_cohort() -> None:
    start = given([{"uri": {"prefix": "/a"}}], [{"uri": {"prefix": "/b"}}], [{"uri": {"prefix": "/a/x"}}])
    planned = plan.plan(start, REVIEWS, intents.SetCohort("qa", {"headers": {"end-user": "qa"}}, {"v2": 100}))
    assert words(start.after(planned.changes))[0] == "path begins with /a/x and header end-user is qa"


def test_sticky_routes_that_the_root_would_drop_are_refused() -> None:
    start = given([{"headers": {"cookie": {"regex": ".*user=.*"}}}], None)
    with pytest.raises(Refused) as refusal:
        plan.plan(start, REVIEWS, intents.SetSticky())
    assert [one.code for one in refusal.value.findings] == ["DELEGATE_MATCH_CONFLICT"]


@pytest.mark.parametrize("intent", [intents.RemoveSticky(), intents.RestoreWeights()])
def test_existing_routes_are_not_refused_again(intent: intents.Intent) -> None:
    free = given(None, None)
    objects = list(free.after(plan.plan(free, REVIEWS, intents.SetSticky()).changes).virtual_services or ())
    objects[0]["spec"]["http"][0]["match"] = [{"headers": {"cookie": {"regex": ".*user=.*"}}}]
    later = Snapshot(virtual_services=tuple(objects), destination_rules=free.destination_rules)
    assert plan.plan(later, REVIEWS, intent) is not None
