# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Properties of all VirtualServices, whatever they contain."""

from __future__ import annotations

import copy
import dataclasses
import typing as t
from fractions import Fraction

import jsonpatch
import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import Refused
from ansible_collections.meshops.canary.plugins.module_utils.istio.route_keys import is_for_all_callers, is_managed
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents, matches, patch, weights
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from hypothesis import assume, event, given
from hypothesis import strategies as st
from support import route_oracle as oracle
from support import route_strategies as rs
from support.route_operations import REVIEWS, Operation, possible, run, six_operations, snapshot_of, the_route


@given(rs.virtual_services(), rs.percents())
def test_weights_are_exact_and_nothing_else_changes(virtual_service: rs.Json, wanted: dict[str, str]) -> None:
    try:
        after = the_route(
            run(snapshot_of(virtual_service), [lambda s: plan.plan(s, REVIEWS, intents.SetWeights(wanted))])
        )
    except Refused:
        assume(False)
    share = {version: Fraction(percent) / 100 for version, percent in wanted.items() if Fraction(percent)}
    for protocol in ("http", "tcp", "tls"):
        pairs = zip(virtual_service["spec"].get(protocol) or [], after["spec"].get(protocol) or [], strict=True)
        for before_route, after_route in pairs:
            assert {**before_route, "route": 0} == {**after_route, "route": 0}
            old, new = oracle.shares(before_route), oracle.shares(after_route)
            part = sum((value for (host, _name), value in old.items() if host == "reviews"), Fraction(0))
            if part and is_for_all_callers(before_route):
                assert {key[1]: value for key, value in new.items() if key[0] == "reviews"} == {
                    version: value * part for version, value in share.items()
                }
            else:
                assert old == new
            assert {k: v for k, v in old.items() if k[0] != "reviews"} == {
                k: v for k, v in new.items() if k[0] != "reviews"
            }
            assert (
                len(after_route.get("route") or [0, 0]) > 1
                or after_route["route"][0].get("weight", 1) > 0
                or before_route == after_route
            )
    untouched = ("hosts", "gateways", "exportTo", "xFuture", "x-vendor", "quota")
    assert all(after["spec"].get(key) == virtual_service["spec"].get(key) for key in untouched)


@given(rs.virtual_services(), six_operations(), st.data())
def test_six_operations_give_one_result_in_any_order(
    virtual_service: rs.Json, operations: list[tuple[Operation, Operation]], data: st.DataObject
) -> None:
    start = snapshot_of(virtual_service)
    chosen = possible(start, operations)
    event(f"{len(chosen)} operations")
    try:
        expected = run(start, [one for one, _undo in chosen])
    except Refused:
        # Two mirrors or two cookies of one route are a conflict; every order is refused then.
        expected = None
    shuffled = data.draw(st.permutations(chosen))
    if expected is None:
        with pytest.raises(Refused):
            run(start, [one for one, _undo in shuffled])
        return
    assert the_route(run(start, [one for one, _undo in shuffled])) == the_route(expected)


@given(rs.virtual_services(), six_operations(), st.data())
def test_undoing_all_operations_in_any_order_restores_the_route(
    virtual_service: rs.Json, operations: list[tuple[Operation, Operation]], data: st.DataObject
) -> None:
    start = snapshot_of(virtual_service)
    chosen = possible(start, operations)
    full = run(start, [one for one, _undo in chosen])
    assert the_route(run(full, [undo for _do, undo in data.draw(st.permutations(chosen))])) == virtual_service


@given(rs.virtual_services(), six_operations())
def test_a_second_run_changes_nothing(virtual_service: rs.Json, operations: list[tuple[Operation, Operation]]) -> None:
    start = snapshot_of(virtual_service)
    chosen = possible(start, operations)
    full = run(start, [one for one, _undo in chosen])
    for one, undo in chosen:
        assert not one(full).changes
        without = run(full, [undo])
        assert not undo(without).changes


@given(rs.virtual_services(), rs.percents(), rs.percents())
def test_earlier_weights_do_not_matter(virtual_service: rs.Json, first: dict[str, str], last: dict[str, str]) -> None:
    start = snapshot_of(virtual_service)
    try:
        direct = run(start, [lambda s: plan.plan(s, REVIEWS, intents.SetWeights(last))])
        detour = run(
            start,
            [
                lambda s: plan.plan(s, REVIEWS, intents.SetWeights(first)),
                lambda s: plan.plan(s, REVIEWS, intents.SetWeights(last)),
            ],
        )
    except Refused:
        assume(False)
    assert the_route(direct) == the_route(detour)


@st.composite
def requests(draw: t.Any) -> oracle.Request:
    return oracle.Request(
        path=draw(st.sampled_from((*rs.PATHS, "/api/v2/x", "/API"))),
        method=draw(st.sampled_from(("GET", "POST"))),
        port=draw(st.sampled_from((80, 9080))),
        headers=draw(
            st.dictionaries(
                st.sampled_from((*rs.HEADERS, "cookie")),
                st.sampled_from((*rs.VALUES, "canary=always", "a=b; canary=always; c=d", "canary=alwaysnot")),
                max_size=3,
            )
        ),
        query=draw(st.dictionaries(st.sampled_from(("q", "debug")), st.just("1"))),
        labels=draw(st.dictionaries(st.sampled_from(("app", "team")), st.sampled_from(("a", "b")))),
    )


def matching(request: oracle.Request, match: rs.Json) -> oracle.Request:
    """Return the request with the method, query and headers that the match of a cohort selects."""
    headers = dict(request.headers)
    for name, condition in match["headers"].items():
        if condition == {"absent": True}:
            headers.pop(name, None)
        else:
            known = {"exact": condition} if isinstance(condition, str) else condition
            headers[name] = known.get("exact", known.get("prefix", "any"))
    if "cookies" in match:
        headers["cookie"] = "canary=always"
    return dataclasses.replace(request, method="GET", query={**request.query, "q": "1"}, headers=headers)


@given(rs.virtual_services(), rs.cohort_matches(), rs.percents(), st.lists(requests(), min_size=5, max_size=20))
def test_a_cohort_gets_its_split_and_other_requests_keep_their_route(
    virtual_service: rs.Json, match: rs.Json, wanted: dict[str, str], drawn: list[oracle.Request]
) -> None:
    try:
        after = the_route(
            run(
                snapshot_of(virtual_service),
                [lambda s: plan.plan(s, REVIEWS, intents.SetCohort("testers", match, wanted))],
            )
        )
    except Refused:
        assume(False)
    blocks = matches.to_istio_blocks(match)
    split = {("reviews", version): Fraction(percent) / 100 for version, percent in wanted.items() if Fraction(percent)}
    found = 0
    for request in (*drawn, *(matching(request, match) for request in drawn)):
        was, now = oracle.first_match(virtual_service["spec"], request), oracle.first_match(after["spec"], request)
        ours = was is not None and any(entry["destination"]["host"] in rs.OWN_HOSTS for entry in was.get("route") or ())
        if ours and any(oracle.block_matches(block, request) for block in blocks):
            found += 1
            assert now is not None
            assert is_managed(now)
            assert oracle.shares(now) == split
            inherited = [key for key in (was or {}) if key not in ("name", "match", "route")]
            assert {key: now[key] for key in inherited} == {key: (was or {})[key] for key in inherited}
        else:
            assert now == was
    assume(found)


def external_changes() -> st.SearchStrategy[t.Callable[[rs.Json], None]]:
    """Changes of other writers, each possible on the original route and on the canary's."""

    def last_route(obj: rs.Json) -> rs.Json:
        return t.cast("rs.Json", obj["spec"]["http"][-1])

    def timeout(obj: rs.Json) -> None:
        last_route(obj)["timeout"] = "7s"

    def new_first_route(obj: rs.Json) -> None:
        obj["spec"]["http"].insert(0, {"match": [{"uri": {"exact": "/new"}}], "redirect": {"uri": "/"}})

    def new_host(obj: rs.Json) -> None:
        obj["spec"]["hosts"].append("later.example.com")

    def annotation(obj: rs.Json) -> None:
        obj["metadata"].setdefault("annotations", {})["owner"] = "them"

    def destination_header(obj: rs.Json) -> None:
        entry = last_route(obj)["route"][0]
        entry.setdefault("headers", {}).setdefault("request", {}).setdefault("set", {})["x-theirs"] = "1"

    def unknown_field(obj: rs.Json) -> None:
        last_route(obj)["xLater"] = {"a": [1]}

    def drop_policy(obj: rs.Json) -> None:
        last_route(obj).pop("retries", None)

    def rename(obj: rs.Json) -> None:
        last_route(obj)["name"] = "their-name"

    def other_match(obj: rs.Json) -> None:
        last_route(obj)["match"] = [{"uri": {"prefix": "/theirs"}}]

    fields = (timeout, new_host, annotation, destination_header, unknown_field, drop_policy, rename)
    return st.sampled_from((*fields, new_first_route, other_match))


@given(rs.virtual_services(), six_operations(), st.lists(external_changes(), min_size=1, max_size=3, unique=True))
def test_external_changes_survive_the_end_of_all_operations(
    virtual_service: rs.Json, operations: list[tuple[Operation, Operation]], edits: list[t.Callable[[rs.Json], None]]
) -> None:
    # An entry without subset is replaced by its versions, so an edit to the first version has no counterpart.
    assume("subset" in virtual_service["spec"]["http"][-1]["route"][0]["destination"])
    start = snapshot_of(virtual_service)
    chosen = possible(start, operations)
    edited = copy.deepcopy(the_route(run(start, [one for one, _undo in chosen])))
    # Two routes with the same split cannot be distinguished after a rename.
    splits = [oracle.shares(route) for route in edited["spec"]["http"] if not is_managed(route)]
    assume(splits.count(splits[-1]) == 1)
    wanted = copy.deepcopy(virtual_service)
    for edit in edits:
        edit(edited)
        edit(wanted)
    after = run(snapshot_of(edited), [undo for _do, undo in chosen])
    assert the_route(after) == wanted


@given(rs.virtual_services(), rs.percents(), st.integers(0, 3))
def test_externally_changed_weights_are_kept(virtual_service: rs.Json, wanted: dict[str, str], bump: int) -> None:
    start = snapshot_of(virtual_service)
    try:
        edited = copy.deepcopy(the_route(run(start, [lambda s: plan.plan(s, REVIEWS, intents.SetWeights(wanted))])))
    except Refused:
        assume(False)
    route = edited["spec"]["http"][-1]
    assume(route != virtual_service["spec"]["http"][-1])
    theirs = route["route"][bump % len(route["route"])]
    theirs["weight"] = theirs.get("weight", 0) + 7
    after = the_route(run(snapshot_of(edited), [lambda s: plan.plan(s, REVIEWS, intents.RestoreWeights())]))
    assert after["spec"]["http"][-1] == route
    assert after["spec"]["http"][:-1] == virtual_service["spec"]["http"][:-1]
    assert after["metadata"] == virtual_service["metadata"]


@given(rs.virtual_services(), rs.percents())
def test_a_patch_for_another_version_of_the_object_fails(virtual_service: rs.Json, wanted: dict[str, str]) -> None:
    try:
        planned = plan.plan(snapshot_of(virtual_service), REVIEWS, intents.SetWeights(wanted))
    except Refused:
        assume(False)
    assume(planned.changes)
    newer = copy.deepcopy(virtual_service)
    newer["metadata"]["resourceVersion"] = "42"
    with pytest.raises(jsonpatch.JsonPatchTestFailed):
        jsonpatch.apply_patch(newer, list(planned.changes[0].patch))


@given(rs.virtual_services(), rs.percents())
def test_finalizing_keeps_weights_and_removes_managed_state(virtual_service: rs.Json, wanted: dict[str, str]) -> None:
    start = snapshot_of(virtual_service)
    try:
        kept = the_route(run(start, [lambda s: plan.plan(s, REVIEWS, intents.SetWeights(wanted))]))
        finalized = run(start, [lambda s: plan.plan(s, REVIEWS, intents.SetWeights(wanted, finalize=True))])
    except Refused:
        assume(False)
    assert not plan.plan(finalized, REVIEWS, intents.SetWeights(wanted, finalize=True)).changes
    assert not plan.plan(finalized, REVIEWS, intents.RestoreWeights()).changes
    assert the_route(finalized)["metadata"] == virtual_service["metadata"]
    for one, other in zip(kept["spec"]["http"], the_route(finalized)["spec"]["http"], strict=True):
        assert oracle.shares(one) == oracle.shares(other)


@given(rs.json_values(), rs.json_values())
def test_a_difference_applied_is_the_other_document(one: t.Any, other: t.Any) -> None:
    before, after = {"metadata": {}, "spec": one}, {"metadata": {}, "spec": other}
    applied = jsonpatch.apply_patch(before, patch.guarded_patch(before, after))
    assert patch.json_equal(applied, after)


@given(st.lists(rs.json_values(), max_size=6), st.data())
def test_lists_are_edited_and_not_replaced(items: list[t.Any], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(items)))
    before, after = {"list": items}, {"list": [*items[:place], {"new": True}, *items[place:]]}
    operations = list(patch.operations_between(before, after))
    assert [operation["op"] for operation in operations] == ["add"]
    assert patch.json_equal(jsonpatch.apply_patch(before, operations), after)


@given(rs.percents(), st.integers(0, 1000))
def test_weights_become_integers_of_the_same_shares(wanted: dict[str, str], familiar: int) -> None:
    exact = weights.parse_weights(wanted)
    integers = weights.integer_weights([percent / 100 for percent in exact.values()], familiar, "route")
    assert weights.shares(integers) == [percent / 100 for percent in exact.values()] or len(integers) == 1
    assert sum(integers) <= weights.INT32_MAX
