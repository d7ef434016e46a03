# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for every HTTPRoute, whatever is in it."""

from __future__ import annotations

import re
import typing as t
from fractions import Fraction

import jsonpatch
import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import Refused
from ansible_collections.meshops.canary.plugins.module_utils.routes import patch, plan
from ansible_collections.meshops.canary.plugins.module_utils.routes.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.routes.snapshot import Snapshot
from hypothesis import assume, event, given
from hypothesis import strategies as st
from support.route_operations import possible

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.routes.change import Plan

Json = dict[str, t.Any]
Operation = t.Callable[[Snapshot], "Plan"]

REVIEWS = ServiceRef("reviews", "bookinfo")
VERSIONS = ("reviews-v1", "reviews-v2", "reviews-v3")
SERVICES = tuple(
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "bookinfo"},
        "spec": {"ports": [{"port": 9080}]},
    }
    for name in ("reviews", *VERSIONS, "page")
)
ALLOWED = re.compile(
    r"/metadata/annotations(/canary\.meshops\.io~1state)?"
    r"|/spec/rules/\d+(/backendRefs(/\d+(/weight)?)?|/filters(/\d+)?)?"
)

FILTERS = (
    {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x", "value": "1"}]}},
    {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/"}}},
    {"type": "CORS", "cors": {"allowOrigins": ["https://shop.example.com"], "maxAge": 5}},
    {"type": "ExtensionRef", "extensionRef": {"group": "example.com", "kind": "Wasm", "name": "w"}},
    {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "page", "port": 80}, "percent": 7}},
)


def some(values: t.Sequence[t.Any], most: int = 2) -> st.SearchStrategy[list[t.Any]]:
    return st.lists(st.sampled_from(values), max_size=most, unique_by=patch.canonical)


@st.composite
def refs(draw: t.Any, names: t.Sequence[str]) -> Json:
    ref = {"group": "", "kind": "Service", "name": draw(st.sampled_from(names)), "port": 9080}
    ref["weight"] = draw(st.sampled_from((0, 1, 1, 3, 10, 90, 100)))
    filters = draw(some(FILTERS[:1], 1))
    future = {"xFuture": draw(st.integers(0, 3))} if draw(st.booleans()) else {}
    return {**ref, **({"filters": filters} if filters else {}), **future}


@st.composite
def matches(draw: t.Any) -> Json:
    kind = draw(st.sampled_from(("PathPrefix", "Exact", "RegularExpression")))
    value = draw(st.sampled_from(("/", "/api", "/api/v2", "/old")))
    match: Json = {"path": {"type": kind, "value": value}}
    if draw(st.integers(0, 4)) == 0:
        value = draw(st.sampled_from((("Exact", "a"), ("Exact", "b"), ("RegularExpression", "a+"))))
        match["headers"] = [{"type": value[0], "name": "x-team", "value": value[1]}]
    if draw(st.integers(0, 4)) == 0:
        value = draw(st.sampled_from((("Exact", "1"), ("RegularExpression", "[0-9]+"))))
        match["queryParams"] = [{"type": value[0], "name": "debug", "value": value[1]}]
    if draw(st.integers(0, 4)) == 0:
        match["method"] = draw(st.sampled_from(("GET", "POST")))
    return match


@st.composite
def http_routes(draw: t.Any, own_only: bool = False) -> Json:
    mesh = draw(st.booleans())
    rules = []
    for number in range(draw(st.integers(1, 4))):
        ours = own_only or number == 0 or draw(st.booleans())
        names = ("reviews", *VERSIONS, *(() if own_only else ("page",))) if ours else ("page",)
        backends = draw(st.lists(refs(names), min_size=1, max_size=3, unique_by=lambda one: one["name"]))
        rule: Json = {}
        if draw(st.integers(0, 4)):
            rule["matches"] = draw(st.lists(matches(), min_size=1, max_size=2, unique_by=patch.canonical))
        if number and draw(st.integers(0, 4)) == 0:
            redirect = {"type": "RequestRedirect", "requestRedirect": {"statusCode": 301, "scheme": "https"}}
            rules.append({**rule, "filters": [redirect]})
            continue
        rule["backendRefs"] = backends
        filters = draw(some(FILTERS))
        if filters:
            rule["filters"] = filters
        if draw(st.booleans()):
            rule["timeouts"] = {"request": "3s"}
        if draw(st.integers(0, 4)) == 0:
            rule["retry"] = {"codes": [503], "attempts": 2, "backoff": "100ms"}
        if draw(st.booleans()):
            rule["name"] = f"rule-{number}"
        rules.append(rule)
    kind = {"group": "", "kind": "Service", "name": "reviews"} if mesh else {"kind": "Gateway", "name": "public"}
    metadata: Json = {"name": "shop", "namespace": "bookinfo", "resourceVersion": "1"}
    if draw(st.booleans()):
        metadata["annotations"] = {"team": "a"}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata,
        "spec": {"parentRefs": [kind], "hostnames": ["shop.example.com"], "rules": rules, "xFuture": {"a": 1}},
        "status": {"parents": []},
    }


@st.composite
def percents(draw: t.Any) -> dict[str, t.Any]:
    first = draw(st.sampled_from((0, 1, 10, 50, 99.9, 100)))
    one, other = draw(st.permutations(VERSIONS))[:2]
    return {one: first, other: round(100 - first, 1)}


@st.composite
def operations(draw: t.Any) -> list[tuple[Operation, Operation]]:
    """Four things to ask for, each with what takes it back."""
    dealt, one, other = (draw(percents()) for _turn in range(3))
    version, percent = draw(st.sampled_from(VERSIONS)), draw(st.sampled_from((10, 0.5, 100)))
    beta = draw(st.sampled_from(({"cookies": {"beta": "1"}}, {"query": {"beta": "1"}}, {"path": {"prefix": "/api"}})))
    return [
        (
            lambda s: plan.plan_weights(s, REVIEWS, dealt, api="gateway"),
            lambda s: plan.plan_weights_absent(s, REVIEWS, api="gateway"),
        ),
        (
            lambda s: plan.plan_cohort(s, REVIEWS, "staff", {"headers": {"x-staff": "1"}}, one, api="gateway"),
            lambda s: plan.plan_cohort_absent(s, REVIEWS, "staff", api="gateway"),
        ),
        (
            lambda s: plan.plan_cohort(s, REVIEWS, "beta", beta, other, order=50, api="gateway"),
            lambda s: plan.plan_cohort_absent(s, REVIEWS, "beta", api="gateway"),
        ),
        (
            lambda s: plan.plan_mirror(s, REVIEWS, version, percent, api="gateway"),
            lambda s: plan.plan_mirror_absent(s, REVIEWS, api="gateway"),
        ),
    ]


def start_of(route: Json) -> Snapshot:
    return Snapshot(virtual_services=(), http_routes=(route,), services=SERVICES)


def the_route(state: Snapshot) -> Json:
    assert state.http_routes is not None
    return state.http_routes[0]


def write(state: Snapshot, planned: Plan) -> Snapshot:
    """Write the plan as the API server would, and hold it to its patch."""
    for change in planned.changes:
        assert patch.same(jsonpatch.apply_patch(change.before, list(change.patch)), change.after)
        for one in change.patch:
            assert one["op"] == "test" or ALLOWED.fullmatch(one["path"]) or _is_inserted(change.before, one), one
    return state.after(planned.changes)


def _is_inserted(before: Json | None, one: Json) -> bool:
    """Return whether the edit is within a rule that only our cohorts have."""
    place = re.match(r"/spec/rules/(\d+)/", one["path"])
    return place is not None and any(
        word in str((before or {})["spec"]["rules"][int(place[1])]) for word in ("staff", "beta")
    )


def run(state: Snapshot, wanted: t.Iterable[Operation]) -> Snapshot:
    for operation in wanted:
        state = write(state, operation(state))
    return state


def full(state: Snapshot, chosen: list[tuple[Operation, Operation]]) -> Snapshot:
    try:
        return run(state, [one for one, _back in chosen])
    except Refused:
        # Together they can need more room than one HTTPRoute has.
        assume(False)
        raise


@given(http_routes(), percents())
def test_weights_are_dealt_exactly_and_nothing_else_changes(route: Json, wanted: dict[str, t.Any]) -> None:
    try:
        after = the_route(run(start_of(route), [lambda s: plan.plan_weights(s, REVIEWS, wanted, api="gateway")]))
    except Refused:
        assume(False)
    mesh = route["spec"]["parentRefs"][0]["kind"] == "Service"
    own = {"reviews", *wanted} | ({*VERSIONS, "page"} if mesh else set())
    assert {**after["spec"], "rules": 0} == {**route["spec"], "rules": 0}
    for before_rule, after_rule in zip(route["spec"]["rules"], after["spec"]["rules"], strict=True):
        if "backendRefs" not in before_rule:
            assert before_rule == after_rule
            continue
        assert {**before_rule, "backendRefs": 0} == {**after_rule, "backendRefs": 0}
        old, new = shares(before_rule), shares(after_rule)
        part = sum((share for name, share in old.items() if name in own), Fraction(0))
        general = any(not match.keys() & {"headers", "queryParams"} for match in before_rule.get("matches") or [{}])
        if not part or not general:
            assert old == new
            continue
        event("split")
        theirs = {name: share for name, share in old.items() if name not in own and share}
        ours = {name: Fraction(str(percent)) / 100 * part for name, percent in wanted.items() if percent}
        assert {name: share for name, share in new.items() if share} == {**theirs, **ours}


def shares(rule: Json) -> dict[str, Fraction]:
    total = sum(ref["weight"] for ref in rule["backendRefs"])
    return {ref["name"]: Fraction(ref["weight"], total or 1) for ref in rule["backendRefs"]}


@given(http_routes(), operations(), st.data())
def test_taking_everything_back_in_any_order_gives_the_original(
    route: Json, wanted: list[tuple[Operation, Operation]], data: st.DataObject
) -> None:
    chosen = possible(start_of(route), wanted, run)
    event(f"{len(chosen)} operations")
    end = full(start_of(route), chosen)
    assert the_route(run(end, [back for _do, back in data.draw(st.permutations(chosen))])) == route


@given(http_routes(), operations())
def test_a_second_run_changes_nothing(route: Json, wanted: list[tuple[Operation, Operation]]) -> None:
    """For commands that wrote something: one with nothing to change left no record of what it takes for a version."""
    end, recorded = start_of(route), []
    for one, back in possible(end, wanted, run):
        try:
            planned = one(end)
        except Refused:
            assume(False)
            raise
        recorded += [(one, back)] if planned.changes else []
        end = write(end, planned)
    event(f"{len(recorded)} operations wrote something")
    for one, back in recorded:
        assert not one(end).changes
        without = run(end, [back])
        assert not back(without).changes


@given(http_routes(own_only=True), operations(), st.data())
def test_the_order_of_commands_does_not_matter(
    route: Json, wanted: list[tuple[Operation, Operation]], data: st.DataObject
) -> None:
    """For routes of the service alone: where others share, the first command decides whose a backend is."""
    route["spec"]["parentRefs"] = [{"group": "", "kind": "Service", "name": "reviews"}]
    chosen = possible(start_of(route), wanted, run)
    shuffled = data.draw(st.permutations(chosen))
    expected = full(start_of(route), chosen)
    assert the_route(run(start_of(route), [one for one, _back in shuffled])) == the_route(expected)


def test_the_strategies_reach_what_they_are_for() -> None:
    """A property that never sees a split proves nothing."""
    rule = {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}
    backends = [{"group": "", "kind": "Service", "name": "page", "port": 9080, "weight": 1}]
    lonely = {
        "kind": "HTTPRoute",
        "apiVersion": "gateway.networking.k8s.io/v1",
        "metadata": {"name": "page", "namespace": "bookinfo"},
        "spec": {"parentRefs": [{"kind": "Gateway", "name": "public"}], "rules": [{**rule, "backendRefs": backends}]},
    }
    with pytest.raises(Refused, match="No HTTPRoute"):
        plan.plan_weights(start_of(lonely), REVIEWS, {"reviews-v1": 100}, api="gateway")
