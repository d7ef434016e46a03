# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Properties of all HTTPRoutes, whatever they contain."""

from __future__ import annotations

import re
import typing as t
from fractions import Fraction

import jsonpatch
import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import Refused
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents, patch
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from hypothesis import assume, event, given
from hypothesis import strategies as st
from support.route_operations import possible

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.objects.change import Plan

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
    return st.lists(st.sampled_from(values), max_size=most, unique_by=patch.canonical_json)


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
            rule["matches"] = draw(st.lists(matches(), min_size=1, max_size=2, unique_by=patch.canonical_json))
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
    """Four operations, each with the one that undoes it."""
    weights, one, other = (draw(percents()) for _turn in range(3))
    version, percent = draw(st.sampled_from(VERSIONS)), draw(st.sampled_from((10, 0.5, 100)))
    beta = draw(st.sampled_from(({"cookies": {"beta": "1"}}, {"query": {"beta": "1"}}, {"path": {"prefix": "/api"}})))
    return [
        (
            lambda s: plan.plan(s, REVIEWS, intents.SetWeights(weights), api="gateway"),
            lambda s: plan.plan(s, REVIEWS, intents.RestoreWeights(), api="gateway"),
        ),
        (
            lambda s: plan.plan(
                s, REVIEWS, intents.SetCohort("staff", {"headers": {"x-staff": "1"}}, one), api="gateway"
            ),
            lambda s: plan.plan(s, REVIEWS, intents.RemoveCohort("staff"), api="gateway"),
        ),
        (
            lambda s: plan.plan(s, REVIEWS, intents.SetCohort("beta", beta, other, order=50), api="gateway"),
            lambda s: plan.plan(s, REVIEWS, intents.RemoveCohort("beta"), api="gateway"),
        ),
        (
            lambda s: plan.plan(s, REVIEWS, intents.SetMirror(version, percent), api="gateway"),
            lambda s: plan.plan(s, REVIEWS, intents.RemoveMirror(), api="gateway"),
        ),
    ]


def start_of(route: Json) -> Snapshot:
    return Snapshot(virtual_services=(), http_routes=(route,), services=SERVICES)


def the_route(state: Snapshot) -> Json:
    assert state.http_routes is not None
    return state.http_routes[0]


def write(state: Snapshot, planned: Plan) -> Snapshot:
    """Write the plan as the API server would, and compare the result with its patch."""
    for change in planned.changes:
        assert patch.json_equal(jsonpatch.apply_patch(change.before, list(change.patch)), change.after)
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
        return run(state, [one for one, _undo in chosen])
    except Refused:
        # All together can need more rules than one HTTPRoute may have.
        assume(False)
        raise


@given(http_routes(), percents())
def test_weights_are_exact_and_nothing_else_changes(route: Json, wanted: dict[str, t.Any]) -> None:
    try:
        after = the_route(
            run(start_of(route), [lambda s: plan.plan(s, REVIEWS, intents.SetWeights(wanted), api="gateway")])
        )
    except Refused:
        assume(False)
    mesh = route["spec"]["parentRefs"][0]["kind"] == "Service"
    own = {"reviews", *wanted} | (of_the_service(route, {"reviews", *wanted}) if mesh else set())
    splits = 0
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
        splits += 1
        theirs = {name: share for name, share in old.items() if name not in own and share}
        ours = {name: Fraction(str(percent)) / 100 * part for name, percent in wanted.items() if percent}
        assert {name: share for name, share in new.items() if share} == {**theirs, **ours}
    assume(splits)


def of_the_service(route: Json, named: set[str]) -> set[str]:
    """Return the backends of the rules for all requests: of those with a version, or of all if no rule has one."""
    backends = [({one["name"] for one in rule.get("backendRefs", ())}, rule) for rule in route["spec"]["rules"]]
    some = any(names & named for names, _rule in backends)
    everything = {"path": {"type": "PathPrefix", "value": "/"}}
    general = [names for names, rule in backends if everything in rule.get("matches", [everything])]
    every = set().union(*(names for names, _rule in backends))
    if not some and not general and len(every) == 1:
        return every
    return set().union(*(names for names in general if names & named or not some))


def shares(rule: Json) -> dict[str, Fraction]:
    total = sum(ref["weight"] for ref in rule["backendRefs"])
    return {ref["name"]: Fraction(ref["weight"], total or 1) for ref in rule["backendRefs"]}


@given(http_routes(), operations(), st.data())
def test_undoing_all_operations_in_any_order_restores_the_route(
    route: Json, wanted: list[tuple[Operation, Operation]], data: st.DataObject
) -> None:
    chosen = possible(start_of(route), wanted, run)
    event(f"{len(chosen)} operations")
    end = full(start_of(route), chosen)
    assert the_route(run(end, [undo for _do, undo in data.draw(st.permutations(chosen))])) == route


@given(http_routes(), operations())
def test_a_second_run_changes_nothing(route: Json, wanted: list[tuple[Operation, Operation]]) -> None:
    """For operations that changed the route: one without a change does not record which backends are versions."""
    end, recorded = start_of(route), []
    for one, undo in possible(end, wanted, run):
        try:
            planned = one(end)
        except Refused:
            assume(False)
            raise
        recorded += [(one, undo)] if planned.changes else []
        end = write(end, planned)
    event(f"{len(recorded)} operations wrote something")
    assume(recorded)
    for one, undo in recorded:
        assert not one(end).changes
        without = run(end, [undo])
        assert not undo(without).changes


@given(http_routes(own_only=True), operations(), st.data())
def test_the_order_of_operations_does_not_matter(
    route: Json, wanted: list[tuple[Operation, Operation]], data: st.DataObject
) -> None:
    """For routes of the service alone: in shared routes the first operation decides which backends are versions."""
    route["spec"]["parentRefs"] = [{"group": "", "kind": "Service", "name": "reviews"}]
    backends = [{"group": "", "kind": "Service", "name": one, "port": 9080, "weight": 1} for one in VERSIONS]
    route["spec"]["rules"].append({"name": "every-request", "backendRefs": backends})
    chosen = possible(start_of(route), wanted, run)
    shuffled = data.draw(st.permutations(chosen))
    expected = full(start_of(route), chosen)
    assert the_route(run(start_of(route), [one for one, _undo in shuffled])) == the_route(expected)


def test_a_route_that_does_not_name_the_service_is_not_found() -> None:
    rule = {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}
    backends = [{"group": "", "kind": "Service", "name": "page", "port": 9080, "weight": 1}]
    route = {
        "kind": "HTTPRoute",
        "apiVersion": "gateway.networking.k8s.io/v1",
        "metadata": {"name": "page", "namespace": "bookinfo"},
        "spec": {"parentRefs": [{"kind": "Gateway", "name": "public"}], "rules": [{**rule, "backendRefs": backends}]},
    }
    with pytest.raises(Refused, match="No HTTPRoute or GRPCRoute"):
        plan.plan(start_of(route), REVIEWS, intents.SetWeights({"reviews-v1": 100}), api="gateway")
