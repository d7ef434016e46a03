# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects we created and others have added to: what is taken back, and what stays."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import Refused
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from support.route_operations import REVIEWS

if t.TYPE_CHECKING:
    from support import route_strategies as rs

FQDN = REVIEWS.fqdn
TWO = {"v1": {"version": "v1"}, "v2": {"version": "v2"}}


def empty() -> Snapshot:
    return Snapshot(virtual_services=(), destination_rules=(), services=())


def edited(state: Snapshot, plural: str, edit: t.Callable[[rs.Json], t.Any]) -> Snapshot:
    state = copy.deepcopy(state)
    edit(getattr(state, plural)[0])
    return state


def test_additions_of_others_to_our_rule_stay() -> None:
    ready = empty().after(plan.plan(empty(), REVIEWS, intents.InstallRouting(TWO, "v1")).changes)
    blue = {"name": "blue", "labels": {"colour": "blue"}}

    def add(rule: rs.Json) -> None:
        rule["spec"]["subsets"].append(blue)
        rule["spec"]["trafficPolicy"] = {"tls": {"mode": "DISABLE"}}

    theirs = edited(ready, "destination_rules", add)
    back = plan.plan(theirs, REVIEWS, intents.UninstallRouting())
    assert [(change.verb, change.kind) for change in back.changes] == [
        ("delete", "VirtualService"),
        ("patch", "DestinationRule"),
    ]
    (left,) = theirs.after(back.changes).destination_rules or ()
    assert left["spec"] == {"host": FQDN, "trafficPolicy": {"tls": {"mode": "DISABLE"}}, "subsets": [blue]}
    assert left["metadata"] == {"name": "reviews", "namespace": "bookinfo"}
    assert not plan.plan(theirs.after(back.changes), REVIEWS, intents.UninstallRouting()).changes


@pytest.mark.parametrize("edit", [{"trafficPolicy": {"tls": {"mode": "DISABLE"}}}, {"exportTo": ["."]}])
def test_our_rule_with_a_policy_of_others_is_not_deleted(edit: rs.Json) -> None:
    ready = empty().after(plan.plan(empty(), REVIEWS, intents.InstallRouting(TWO, "v1")).changes)
    theirs = edited(ready, "destination_rules", lambda rule: rule["spec"].update(edit))
    (left,) = theirs.after(plan.plan(theirs, REVIEWS, intents.UninstallRouting()).changes).destination_rules or ()
    assert left["spec"] == {"host": FQDN, **edit}


def test_our_virtual_service_with_a_timeout_of_others_stays_without_our_versions() -> None:
    ready = empty().after(plan.plan(empty(), REVIEWS, intents.InstallRouting(TWO, "v1")).changes)
    split = ready.after(plan.plan(ready, REVIEWS, intents.SetWeights({"v1": 90, "v2": 10})).changes)
    theirs = edited(split, "virtual_services", lambda one: one["spec"]["http"][0].update(timeout="3s"))
    after = theirs.after(plan.plan(theirs, REVIEWS, intents.UninstallRouting()).changes)
    (left,) = after.virtual_services or ()
    assert left["spec"] == {"hosts": [FQDN], "http": [{"timeout": "3s", "route": [{"destination": {"host": FQDN}}]}]}
    assert left["metadata"] == {"name": "reviews", "namespace": "bookinfo"}
    assert not after.destination_rules
    assert not plan.plan(after, REVIEWS, intents.UninstallRouting()).changes


def test_our_own_weights_and_cohorts_do_not_count_as_edits_of_others() -> None:
    state = empty().after(plan.plan(empty(), REVIEWS, intents.InstallRouting(TWO, "v1")).changes)
    for planned in (
        lambda s: plan.plan(s, REVIEWS, intents.SetWeights({"v2": 100}, finalize=True)),
        lambda s: plan.plan(s, REVIEWS, intents.SetWeights({"v1": 10, "v2": 90})),
        lambda s: plan.plan(s, REVIEWS, intents.SetCohort("qa", {"headers": {"x": "1"}}, {"v1": 100})),
        lambda s: plan.plan(s, REVIEWS, intents.SetSticky()),
    ):
        state = state.after(planned(state).changes)
    assert state.after(plan.plan(state, REVIEWS, intents.UninstallRouting()).changes) == empty()


def test_subsets_added_by_others_are_kept() -> None:
    ready = empty().after(plan.plan(empty(), REVIEWS, intents.InstallRouting(TWO, "v1")).changes)
    theirs = edited(ready, "destination_rules", lambda rule: rule["spec"]["subsets"].append({"name": "blue"}))
    with pytest.raises(Refused, match="blue"):
        plan.plan(theirs, REVIEWS, intents.InstallRouting({**TWO, "blue": {"version": "blue"}}, "v1"))
    assert not plan.plan(theirs, REVIEWS, intents.UninstallRouting(["blue"])).changes
