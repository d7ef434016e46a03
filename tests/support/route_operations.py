# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Operations on a service's routes, each with the one that undoes it, and writes that check a plan's patch."""

from __future__ import annotations

import re
import typing as t

import jsonpatch
from ansible_collections.meshops.canary.plugins.module_utils.errors import Refused
from ansible_collections.meshops.canary.plugins.module_utils.istio.route_keys import is_managed
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents, patch
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from hypothesis import assume, event
from hypothesis import strategies as st

from support import route_strategies as rs

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.objects.change import Plan

REVIEWS = ServiceRef("reviews", "bookinfo")
RATINGS = ServiceRef("ratings", "bookinfo")
Operation = t.Callable[[Snapshot], "Plan"]

ALLOWED = re.compile(
    r"/metadata/annotations(/canary\.meshops\.io~1state)?"
    r"|/spec/(http|tcp|tls)/\d+/route/\d+(/weight|/destination/(subset|host))?"
    r"|/spec/http/\d+/route/\d+/headers(/response(/add(/Set-Cookie)?)?)?"
    r"|/spec/http/\d+(/(mirror|mirrorPercentage|mirrors/\d+)(/.*)?)?"
    r"|/spec/(http|tcp|tls)/\d+/route"
)


def snapshot_of(virtual_service: rs.Json) -> Snapshot:
    return Snapshot(
        virtual_services=(virtual_service,),
        destination_rules=(rs.destination_rule(), rs.destination_rule(host="ratings")),
    )


def the_route(snapshot: Snapshot) -> rs.Json:
    assert snapshot.virtual_services is not None
    return snapshot.virtual_services[0]


def write(snapshot: Snapshot, planned: Plan) -> Snapshot:
    """Write the plan as the API server would, and compare the result with its patch."""
    for change in planned.changes:
        assert change.before is not None
        applied = jsonpatch.apply_patch(change.before, list(change.patch))
        assert patch.json_equal(applied, change.after)
        for operation in change.patch:
            assert operation["op"] == "test" or is_allowed(change.before, operation["path"]), operation["path"]
    return snapshot.after(planned.changes)


def is_allowed(before: rs.Json, path: str) -> bool:
    """Return whether the collection may change the path: weights, annotation, mirror, cookie, routes it inserted."""
    route = re.match(r"/spec/http/(\d+)/", path)
    inserted = route is not None and is_managed(before["spec"]["http"][int(route[1])])
    return inserted or ALLOWED.fullmatch(path) is not None


def run(snapshot: Snapshot, operations: t.Iterable[Operation]) -> Snapshot:
    for operation in operations:
        snapshot = write(snapshot, operation(snapshot))
    return snapshot


@st.composite
def six_operations(draw: t.Any) -> list[tuple[Operation, Operation]]:
    """Six operations, each with the one that undoes it."""
    weights, one, other, third = (draw(rs.percents()) for _turn in range(4))
    match_one, match_other = draw(rs.cohort_matches()), draw(rs.cohort_matches())
    order = draw(st.sampled_from((50, 100, 150)))
    version, percent = draw(st.sampled_from(rs.VERSIONS)), draw(st.sampled_from((10, 0.5, 100)))
    return [
        (
            lambda s: plan.plan(s, REVIEWS, intents.SetWeights(weights)),
            lambda s: plan.plan(s, REVIEWS, intents.RestoreWeights()),
        ),
        (
            lambda s: plan.plan(s, REVIEWS, intents.SetCohort("testers", match_one, one, order=order)),
            lambda s: plan.plan(s, REVIEWS, intents.RemoveCohort("testers")),
        ),
        (
            lambda s: plan.plan(s, REVIEWS, intents.SetCohort("staff", match_other, other)),
            lambda s: plan.plan(s, REVIEWS, intents.RemoveCohort("staff")),
        ),
        (
            lambda s: plan.plan(s, REVIEWS, intents.SetMirror(version, percent)),
            lambda s: plan.plan(s, REVIEWS, intents.RemoveMirror()),
        ),
        (lambda s: plan.plan(s, REVIEWS, intents.SetSticky()), lambda s: plan.plan(s, REVIEWS, intents.RemoveSticky())),
        (
            lambda s: plan.plan(s, REVIEWS, intents.SetCohort("beta", {"cookies": {"beta": {"present": True}}}, third)),
            lambda s: plan.plan(s, REVIEWS, intents.RemoveCohort("beta")),
        ),
    ]


def possible(
    snapshot: Snapshot,
    operations: list[tuple[Operation, Operation]],
    run: t.Callable[[Snapshot, t.Iterable[Operation]], Snapshot] = run,
) -> list[tuple[Operation, Operation]]:
    """Return the operations that are not refused alone; an example in which all are refused is discarded.

    run: writes the operations and compares the result with their patches.
    """
    chosen = []
    for operation in operations:
        try:
            run(snapshot, [operation[0]])
        except Refused as refusal:
            event(f"refused: {refusal.code} {[finding.code for finding in refusal.findings]}")
        else:
            chosen.append(operation)
    assume(chosen)
    return chosen
