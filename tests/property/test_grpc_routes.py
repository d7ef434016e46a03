# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Properties of all GRPCRoutes: which version answers a call, worked out as istiod sorts the rules."""

from __future__ import annotations

import copy
import re
import typing as t
from fractions import Fraction

from ansible_collections.meshops.canary.plugins.module_utils.errors import Refused
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents, patch
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from hypothesis import assume, given
from hypothesis import strategies as st
from support.http_routes import GATEWAY, REVIEWS, http_route, ref, snapshot, write

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot

Json = dict[str, t.Any]
VERSIONS = ("reviews-v1", "reviews-v2", "reviews-v3")
SERVICES, METHODS = ("shop.Reviews", "shop.Review", "other.Reviews"), ("Get", "List")
CALLS = [
    (f"/{service}/{method}", headers)
    for service in SERVICES
    for method in METHODS
    for headers in ({}, {"x-staff": "1"}, {"x-team": "a"}, {"x-staff": "1", "x-team": "a"})
]


@st.composite
def matches(draw: t.Any) -> Json:
    match: Json = {}
    service, method = draw(st.sampled_from((None, *SERVICES))), draw(st.sampled_from((None, *METHODS)))
    if service or method:
        kind = draw(st.sampled_from(("Exact", "Exact", "RegularExpression")))
        parts = {"service": service, "method": method}
        match["method"] = {"type": kind, **{name: value for name, value in parts.items() if value}}
    if draw(st.integers(0, 3)) == 0:
        match["headers"] = [{"type": "Exact", "name": "x-team", "value": "a"}]
    return match


@st.composite
def routes(draw: t.Any) -> Json:
    rules = []
    for number in range(draw(st.integers(1, 3))):
        names = draw(st.lists(st.sampled_from((*VERSIONS, "ratings")), min_size=1, max_size=3, unique=True))
        rule: Json = {"backendRefs": [ref(name, draw(st.sampled_from((1, 3, 90)))) for name in names]}
        found = draw(st.lists(matches(), max_size=2, unique_by=patch.canonical_json))
        if found:
            rule["matches"] = found
        if draw(st.booleans()):
            rule["name"] = f"rule-{number}"
        rules.append(rule)
    return {**http_route(*rules, parents=GATEWAY, name="calls"), "kind": "GRPCRoute"}


def answering(route: Json, path: str, headers: t.Mapping[str, str]) -> dict[str, Fraction]:
    """Return version -> share of a call; {} without a rule."""
    found = []
    for rule in route["spec"]["rules"]:
        for match in rule.get("matches") or [None]:
            rank, tests = rank_of(match)
            found.append((rank, tests, rule))
    for _rank, (pattern, wanted), rule in sorted(found, key=lambda one: one[0], reverse=True):
        if re.fullmatch(pattern, path) and wanted.items() <= headers.items():
            total = sum(one["weight"] for one in rule["backendRefs"])
            return {one["name"]: Fraction(one["weight"], total) for one in rule["backendRefs"] if one["weight"]}
    return {}


def rank_of(match: Json | None) -> tuple[tuple[int, int, int], tuple[str, dict[str, str]]]:
    """Return what istiod sorts by, and the expression for the path and the headers that Envoy compares."""
    method, given_headers = (match or {}).get("method") or {}, (match or {}).get("headers") or ()
    wanted = {one["name"]: one["value"] for one in given_headers}
    service, name = method.get("service"), method.get("method")
    if match is None:
        return (-2, 0, 0), (".*", {})
    if not service and not name:
        return (-1, 0, len(wanted)), (".*", wanted)
    if method.get("type") == "RegularExpression" or not service:
        text = f"/{service or '[^/]+'}/{name or '.+'}"
        return (1, len(text), len(wanted)), (text, wanted)
    text = f"/{service}/{name or ''}"
    return (3 if name else 2, len(text), len(wanted)), (re.escape(text) + ("" if name else ".*"), wanted)


def the_route(state: Snapshot) -> Json:
    (one,) = state.http_routes or ()
    return one


def planned(state: Snapshot, intent: t.Any) -> Snapshot:
    try:
        return write(state, plan.plan(state, REVIEWS, intent, api="gateway"))
    except Refused:
        assume(False)
        raise


@given(routes(), st.sampled_from((0, 10, 99.9, 100)))
def test_weights_change_shares_of_the_services_rules_alone(route: Json, percent: float) -> None:
    state = snapshot(copy.deepcopy(route))
    wanted = {"reviews-v1": round(100 - percent, 1), "reviews-v2": percent, "reviews-v3": 0}
    after = planned(state, intents.SetWeights(wanted))
    for path, headers in CALLS:
        before, now = answering(route, path, headers), answering(the_route(after), path, headers)
        theirs = {name: share for name, share in before.items() if name not in wanted}
        assert {name: share for name, share in now.items() if name not in wanted} == theirs
        own = 1 - sum(theirs.values(), Fraction(0))
        if now != before:
            split = {name: Fraction(str(share)) / 100 * own for name, share in wanted.items() if share}
            assert {name: share for name, share in now.items() if name in wanted} == split
    assert the_route(planned(after, intents.RestoreWeights())) == route


@given(
    routes(),
    st.sampled_from(
        (
            {"headers": {"x-staff": "1"}},
            {"path": {"exact": "/shop.Reviews/Get"}},
            {"path": {"prefix": "/shop.Review/"}},
        )
    ),
)
def test_a_cohort_gets_its_share_and_all_other_calls_theirs(route: Json, match: Json) -> None:
    state = snapshot(copy.deepcopy(route))
    named = {"reviews-v1": 0, "reviews-v2": 0, "reviews-v3": 100}
    after = planned(state, intents.SetCohort("staff", match, named))
    for path, headers in CALLS:
        before, now = answering(route, path, headers), answering(the_route(after), path, headers)
        prefix, exact = match.get("path", {}).get("prefix"), match.get("path", {}).get("exact")
        inside = (
            "x-staff" in headers if "headers" in match else (path == exact or bool(prefix and path.startswith(prefix)))
        )
        if inside and before.keys() & set(VERSIONS):
            assert now == {"reviews-v3": 1}
        else:
            assert now == before
    assert the_route(planned(after, intents.RemoveCohort("staff"))) == route
