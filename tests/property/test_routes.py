# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for every VirtualService, whatever is in it."""

from __future__ import annotations

import copy
import itertools
import typing as t
from fractions import Fraction

import jsonpatch
import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import Refused
from ansible_collections.meshops.canary.plugins.module_utils.routes import matches, patch, plan, weights
from ansible_collections.meshops.canary.plugins.module_utils.routes.keys import is_general, is_managed
from hypothesis import assume, event, given
from hypothesis import strategies as st
from support import route_oracle as oracle
from support import route_strategies as rs
from support.route_operations import REVIEWS, Operation, possible, run, six_operations, snapshot_of, the_route


@given(rs.virtual_services(), rs.percents())
def test_weights_are_dealt_exactly_and_nothing_else_changes(virtual_service: rs.Json, wanted: dict[str, str]) -> None:
    try:
        after = the_route(run(snapshot_of(virtual_service), [lambda s: plan.plan_weights(s, REVIEWS, wanted)]))
    except Refused:
        assume(False)
    share = {version: Fraction(percent) / 100 for version, percent in wanted.items() if Fraction(percent)}
    for protocol in ("http", "tcp", "tls"):
        pairs = zip(virtual_service["spec"].get(protocol) or [], after["spec"].get(protocol) or [], strict=True)
        for before_route, after_route in pairs:
            assert {**before_route, "route": 0} == {**after_route, "route": 0}
            old, new = oracle.shares(before_route), oracle.shares(after_route)
            part = sum((value for (host, _name), value in old.items() if host == "reviews"), Fraction(0))
            if part and is_general(before_route):
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
        # Only two mirrors or cookies in one place can stand in each other's way; then every order refuses.
        expected = None
    shuffled = data.draw(st.permutations(chosen))
    if expected is None:
        with pytest.raises(Refused):
            run(start, [one for one, _undo in shuffled])
        return
    assert the_route(run(start, [one for one, _undo in shuffled])) == the_route(expected)


@given(rs.virtual_services(), six_operations(), st.data())
def test_taking_everything_back_in_any_order_gives_the_original(
    virtual_service: rs.Json, operations: list[tuple[Operation, Operation]], data: st.DataObject
) -> None:
    start = snapshot_of(virtual_service)
    chosen = possible(start, operations)
    full = run(start, [one for one, _undo in chosen])
    assert the_route(run(full, [back for _do, back in data.draw(st.permutations(chosen))])) == virtual_service


@given(rs.virtual_services(), six_operations())
def test_a_second_run_changes_nothing(virtual_service: rs.Json, operations: list[tuple[Operation, Operation]]) -> None:
    start = snapshot_of(virtual_service)
    chosen = possible(start, operations)
    full = run(start, [one for one, _undo in chosen])
    for (one, back), rest in itertools.product(chosen, [chosen]):
        assert not one(full).changes
        without = run(full, [back])
        assert not back(without).changes
        assert rest


@given(rs.virtual_services(), rs.percents(), rs.percents())
def test_the_way_to_the_weights_does_not_matter(
    virtual_service: rs.Json, first: dict[str, str], last: dict[str, str]
) -> None:
    start = snapshot_of(virtual_service)
    try:
        direct = run(start, [lambda s: plan.plan_weights(s, REVIEWS, last)])
        detour = run(
            start, [lambda s: plan.plan_weights(s, REVIEWS, first), lambda s: plan.plan_weights(s, REVIEWS, last)]
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


@given(rs.virtual_services(), rs.cohort_matches(), rs.percents(), st.lists(requests(), min_size=5, max_size=20))
def test_a_cohort_gets_its_split_and_nobody_else_notices(
    virtual_service: rs.Json, match: rs.Json, wanted: dict[str, str], asked: list[oracle.Request]
) -> None:
    try:
        after = the_route(
            run(snapshot_of(virtual_service), [lambda s: plan.plan_cohort(s, REVIEWS, "testers", match, wanted)])
        )
    except Refused:
        assume(False)
    blocks = matches.istio_blocks(match)
    split = {("reviews", version): Fraction(percent) / 100 for version, percent in wanted.items() if Fraction(percent)}
    for request in asked:
        was, now = oracle.first_match(virtual_service["spec"], request), oracle.first_match(after["spec"], request)
        ours = was is not None and any(entry["destination"]["host"] in rs.OWN_HOSTS for entry in was.get("route") or ())
        if ours and any(oracle.block_matches(block, request) for block in blocks):
            event("in the cohort")
            assert now is not None
            assert is_managed(now)
            assert oracle.shares(now) == split
            inherited = [key for key in (was or {}) if key not in ("name", "match", "route")]
            assert {key: now[key] for key in inherited} == {key: (was or {})[key] for key in inherited}
        else:
            assert now == was


def foreign_edits() -> st.SearchStrategy[t.Callable[[rs.Json], None]]:
    """Edits somebody else makes, each possible on the original and on what we made of it."""

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

    return st.sampled_from(
        [
            timeout,
            new_first_route,
            new_host,
            annotation,
            destination_header,
            unknown_field,
            drop_policy,
            rename,
            other_match,
        ]
    )


@given(rs.virtual_services(), six_operations(), st.lists(foreign_edits(), min_size=1, max_size=3, unique=True))
def test_edits_of_others_outlive_us(
    virtual_service: rs.Json, operations: list[tuple[Operation, Operation]], edits: list[t.Callable[[rs.Json], None]]
) -> None:
    # An entry without subset is replaced by its versions, so an edit to the first version has no counterpart.
    assume("subset" in virtual_service["spec"]["http"][-1]["route"][0]["destination"])
    start = snapshot_of(virtual_service)
    chosen = possible(start, operations)
    edited = copy.deepcopy(the_route(run(start, [one for one, _undo in chosen])))
    # Of two routes that are split alike nobody can tell which one was renamed.
    dealt = [oracle.shares(route) for route in edited["spec"]["http"] if not is_managed(route)]
    assume(dealt.count(dealt[-1]) == 1)
    wanted = copy.deepcopy(virtual_service)
    for edit in edits:
        edit(edited)
        edit(wanted)
    after = run(snapshot_of(edited), [back for _do, back in chosen])
    assert the_route(after) == wanted


@given(rs.virtual_services(), rs.percents(), st.integers(0, 3))
def test_weights_somebody_else_changed_are_theirs(virtual_service: rs.Json, wanted: dict[str, str], bump: int) -> None:
    start = snapshot_of(virtual_service)
    try:
        edited = copy.deepcopy(the_route(run(start, [lambda s: plan.plan_weights(s, REVIEWS, wanted)])))
    except Refused:
        assume(False)
    route = edited["spec"]["http"][-1]
    assume(route != virtual_service["spec"]["http"][-1])
    theirs = route["route"][bump % len(route["route"])]
    theirs["weight"] = theirs.get("weight", 0) + 7
    after = the_route(run(snapshot_of(edited), [lambda s: plan.plan_weights_absent(s, REVIEWS)]))
    assert after["spec"]["http"][-1] == route
    assert after["spec"]["http"][:-1] == virtual_service["spec"]["http"][:-1]
    assert after["metadata"] == virtual_service["metadata"]


@given(rs.virtual_services(), rs.percents())
def test_a_patch_for_another_version_of_the_object_fails(virtual_service: rs.Json, wanted: dict[str, str]) -> None:
    try:
        planned = plan.plan_weights(snapshot_of(virtual_service), REVIEWS, wanted)
    except Refused:
        assume(False)
    assume(planned.changes)
    newer = copy.deepcopy(virtual_service)
    newer["metadata"]["resourceVersion"] = "42"
    with pytest.raises(jsonpatch.JsonPatchTestFailed):
        jsonpatch.apply_patch(newer, list(planned.changes[0].patch))


@given(rs.virtual_services(), rs.percents())
def test_settling_leaves_the_weights_and_no_book(virtual_service: rs.Json, wanted: dict[str, str]) -> None:
    start = snapshot_of(virtual_service)
    try:
        kept = the_route(run(start, [lambda s: plan.plan_weights(s, REVIEWS, wanted)]))
        settled = run(start, [lambda s: plan.plan_weights(s, REVIEWS, wanted, settle=True)])
    except Refused:
        assume(False)
    assert not plan.plan_weights(settled, REVIEWS, wanted, settle=True).changes
    assert not plan.plan_weights_absent(settled, REVIEWS).changes
    assert the_route(settled)["metadata"] == virtual_service["metadata"]
    for one, other in zip(kept["spec"]["http"], the_route(settled)["spec"]["http"], strict=True):
        assert oracle.shares(one) == oracle.shares(other)


@given(rs.json_values(), rs.json_values())
def test_a_difference_applied_is_the_other_document(one: t.Any, other: t.Any) -> None:
    before, after = {"metadata": {}, "spec": one}, {"metadata": {}, "spec": other}
    applied = jsonpatch.apply_patch(before, patch.guarded_patch(before, after))
    assert patch.same(applied, after)


@given(st.lists(rs.json_values(), max_size=6), st.data())
def test_lists_are_edited_and_not_replaced(items: list[t.Any], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(items)))
    before, after = {"list": items}, {"list": [*items[:place], {"new": True}, *items[place:]]}
    operations = list(patch.difference(before, after))
    assert [operation["op"] for operation in operations] == ["add"]
    assert patch.same(jsonpatch.apply_patch(before, operations), after)


@given(rs.percents(), st.integers(0, 1000))
def test_weights_become_the_integers_that_mean_them(wanted: dict[str, str], familiar: int) -> None:
    exact = weights.closed_set(wanted)
    integers = weights.as_integers([percent / 100 for percent in exact.values()], familiar, "route")
    assert weights.shares(integers) == [percent / 100 for percent in exact.values()] or len(integers) == 1
    assert sum(integers) <= weights.INT32_MAX
