# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Properties of the DestinationRules and first routes that canary_routing installs, whatever others add to them."""

from __future__ import annotations

import copy
import re
import typing as t

import jsonpatch
from ansible_collections.meshops.canary.plugins.module_utils.errors import Refused
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents, patch
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from hypothesis import assume, event, given
from hypothesis import strategies as st
from support import route_strategies as rs
from support.route_operations import REVIEWS

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.objects.change import Plan

ALLOWED = re.compile(r"/metadata/(annotations|labels)(/.*)?|/spec/subsets(/\d+)?")
POLICIES = ({"tls": {"mode": "ISTIO_MUTUAL"}}, {"loadBalancer": {"simple": "RANDOM"}}, {"xFuture": 1})
Edit = t.Callable[[rs.Json], None]


@st.composite
def rules(draw: t.Any) -> rs.Json:
    """An existing DestinationRule of the service."""
    names = draw(st.lists(st.sampled_from((*rs.VERSIONS, "blue")), max_size=3, unique=True))
    subsets = [{"name": one, "labels": {"version": one}, **draw(rs.unknown())} for one in names]
    spec: rs.Json = {"host": draw(st.sampled_from(rs.OWN_HOSTS)), **draw(rs.unknown())}
    if subsets:
        spec["subsets"] = subsets
    if draw(st.booleans()):
        spec["trafficPolicy"] = rs.fresh(draw(st.sampled_from(POLICIES)))
    if draw(st.booleans()):
        spec["exportTo"] = ["*"]
    metadata: rs.Json = {"name": "theirs", "namespace": rs.NAMESPACE, "resourceVersion": "7"}
    if draw(st.booleans()):
        metadata["annotations"] = {"owner": "them"}
    return {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": metadata, "spec": spec}


@st.composite
def starts(draw: t.Any) -> Snapshot:
    """A service with or without an existing rule and route."""
    own = [draw(rules())] if draw(st.booleans()) else []
    routes = [draw(rs.virtual_services())] if draw(st.integers(0, 2)) == 0 else []
    return Snapshot(virtual_services=tuple(routes), destination_rules=tuple(own), services=())


def versions() -> st.SearchStrategy[dict[str, dict[str, str]]]:
    names = st.lists(st.sampled_from(rs.VERSIONS), min_size=1, max_size=3, unique=True)
    return names.map(lambda chosen: {one: {"version": one} for one in chosen})


def edits() -> st.SearchStrategy[list[tuple[str, Edit]]]:
    """Later changes of other writers: (list of the snapshot, edit)."""

    def subset(rule: rs.Json) -> None:
        rule["spec"].setdefault("subsets", []).append({"name": "green", "labels": {"color": "green"}})

    def policy(rule: rs.Json) -> None:
        rule["spec"].setdefault("trafficPolicy", {})["outlierDetection"] = {"baseEjectionTime": "30s"}

    def label(rule: rs.Json) -> None:
        rule["metadata"].setdefault("labels", {})["team"] = "them"

    def timeout(virtual_service: rs.Json) -> None:
        virtual_service["spec"]["http"][-1]["timeout"] = "7s"

    known: list[tuple[str, Edit]] = [("destination_rules", one) for one in (subset, policy, label)]
    return st.lists(st.sampled_from([*known, ("virtual_services", timeout)]), min_size=1, max_size=3, unique=True)


def write(state: Snapshot, planned: Plan) -> Snapshot:
    """Write the plan as the API server would, and compare the changes of rules with their patches."""
    for change in planned.changes:
        if change.verb != "patch":
            continue
        assert patch.json_equal(jsonpatch.apply_patch(change.before, list(change.patch)), change.after)
        if change.kind == "DestinationRule":
            assert all(one["op"] == "test" or ALLOWED.fullmatch(one["path"]) for one in change.patch)
    return state.after(planned.changes)


def installed(start: Snapshot, wanted: dict[str, dict[str, str]]) -> Snapshot:
    try:
        return write(start, plan.plan(start, REVIEWS, intents.InstallRouting(wanted, next(iter(wanted)))))
    except Refused:
        assume(False)
        raise


@given(starts(), versions(), versions())
def test_ending_the_routing_restores_the_original_objects(
    start: Snapshot, first: dict[str, dict[str, str]], more: dict[str, dict[str, str]]
) -> None:
    wider = installed(installed(start, first), more)
    assert not plan.plan(wider, REVIEWS, intents.InstallRouting(first, next(iter(first)))).changes
    try:
        after = write(wider, plan.plan(wider, REVIEWS, intents.UninstallRouting()))
    except Refused:
        # An existing route names a subset that only our rule has.
        assume(False)
    assert after == start


@given(starts(), versions(), edits())
def test_external_changes_survive_the_end_of_the_routing(
    start: Snapshot, wanted: dict[str, dict[str, str]], edits: list[tuple[str, Edit]]
) -> None:
    edited, expected = copy.deepcopy(installed(start, wanted)), copy.deepcopy(start)
    for plural, edit in edits:
        edit(getattr(edited, plural)[0])
        for one in getattr(expected, plural):
            edit(one)
    try:
        after = write(edited, plan.plan(edited, REVIEWS, intents.UninstallRouting()))
    except Refused:
        assume(False)
    for plural in ("destination_rules", "virtual_services"):
        touched = any(one == plural for one, _edit in edits)
        left = getattr(after, plural)
        if getattr(start, plural):
            event(f"{plural} of others")
            assert left == getattr(expected, plural)
        elif not touched:
            assert not left
        elif left:
            event(f"{plural} of ours with something of theirs")
            assert not {one["name"] for one in left[0]["spec"].get("subsets") or ()} & wanted.keys()
            assert "canary.meshops.io/created" not in left[0]["metadata"].get("annotations", {})
    assert not plan.plan(after, REVIEWS, intents.UninstallRouting()).changes
