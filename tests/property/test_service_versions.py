# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Properties of VirtualServices whose versions are Services: the same plans as with subsets, whatever they contain."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import Refused
from ansible_collections.meshops.canary.plugins.module_utils.objects import intents
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.routing import plan
from hypothesis import assume, event, given
from hypothesis import strategies as st
from support import route_strategies as rs
from support.route_operations import REVIEWS, Operation, possible, run, snapshot_of, the_route

FULL = "reviews.bookinfo.svc.cluster.local"
BOTH_FORMS = ("v3", "v4")
"""The versions that are Services where v1 and v2 are subsets."""


def name_of(version: str) -> str:
    return f"{version}-reviews"


def named(wanted: t.Mapping[str, t.Any], services: t.Collection[str] = rs.VERSIONS) -> dict[str, t.Any]:
    return {name_of(one) if one in services else one: percent for one, percent in wanted.items()}


def complete(wanted: t.Mapping[str, str], services: t.Collection[str]) -> dict[str, t.Any]:
    """Return weights that name every Service: beside subsets, one that is not named is no version."""
    return named({**dict.fromkeys(services, "0"), **wanted}, services)


def with_services(value: t.Any, services: t.Collection[str] = rs.VERSIONS) -> t.Any:
    """Return a part of a VirtualService with a Service in the place of each subset of reviews."""
    if isinstance(value, list):
        return [with_services(one, services) for one in value]
    if not isinstance(value, dict):
        return value
    host, subset = value.get("host"), value.get("subset")
    if host in rs.OWN_HOSTS and subset in services:
        rest = {key: one for key, one in value.items() if key != "subset"}
        return {**rest, "host": host.replace("reviews", name_of(subset), 1)}
    return {key: with_services(one, services) for key, one in value.items()}


def destinations(value: t.Any) -> t.Iterator[rs.Json]:
    if isinstance(value, list):
        for one in value:
            yield from destinations(one)
    elif isinstance(value, dict):
        if isinstance(value.get("host"), str):
            yield value
        for one in value.values():
            yield from destinations(one)


@st.composite
def by_subsets(draw: t.Any) -> rs.Json:
    """A VirtualService that has every version in one route, names one for each own destination, and no other Service.

    Other Services in a route for all requests are versions too, and so is the service itself.
    """
    virtual_service = t.cast("rs.Json", draw(rs.virtual_services()))
    routes = {key: virtual_service["spec"].get(key) or [] for key in ("http", "tcp", "tls")}
    for one in destinations(routes):
        if one["host"] in rs.OWN_HOSTS:
            one.setdefault("subset", "v1")
        elif "." not in one["host"]:
            one["host"] += ".example.com"
    for route in (one for listed in routes.values() for one in listed):
        seen: set[str] = set()
        for entry in list(route.get("route") or ()):
            key = f"{entry['destination']['host'].split('.bookinfo')[0]}/{entry['destination'].get('subset')}"
            if key in seen:
                route["route"].remove(entry)
            seen.add(key)
        if route.get("route") and not any(entry.get("weight") for entry in route["route"]):
            route["route"][0]["weight"] = 100
    last = routes["http"][-1]["route"]
    there = {entry["destination"]["subset"] for entry in last}
    last += [
        {"destination": {"host": "reviews", "subset": one}, "weight": 0} for one in rs.VERSIONS if one not in there
    ]
    return virtual_service


def service(name: str) -> rs.Json:
    spec = {"ports": [{"port": 80}, {"port": 9080}], "selector": {"app": name}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "bookinfo"}, "spec": spec}


def services_of(virtual_service: rs.Json, services: t.Collection[str] = rs.VERSIONS) -> Snapshot:
    subsets = [one for one in rs.VERSIONS if one not in services]
    return Snapshot(
        virtual_services=(with_services(virtual_service, services),),
        destination_rules=(rs.destination_rule(subsets),) if subsets else (),
        services=(service("reviews"), *(service(name_of(one)) for one in services)),
    )


def outcome(snapshot: Snapshot, intent: intents.Intent) -> rs.Json | None:
    """Return the spec after the change, None if it is refused."""
    try:
        return t.cast("rs.Json", the_route(run(snapshot, [lambda s: plan.plan(s, REVIEWS, intent)]))["spec"])
    except Refused:
        return None


@st.composite
def pairs(draw: t.Any) -> tuple[t.Callable[[t.Collection[str]], intents.Intent], str]:
    """An intent for versions that are subsets or Services: those given are Services."""
    wanted, match = draw(rs.percents()), draw(rs.cohort_matches())
    version, percent = draw(st.sampled_from(rs.VERSIONS)), draw(st.sampled_from((10, 0.5, 100)))
    made: dict[str, t.Callable[[t.Collection[str]], intents.Intent]] = {
        "weights": lambda services: intents.SetWeights(complete(wanted, services)),
        "finalize": lambda services: intents.SetWeights(complete(wanted, services), finalize=True),
        "cohort": lambda services: intents.SetCohort("testers", match, complete(wanted, services)),
        "mirror": lambda services: intents.SetMirror(next(iter(named({version: ""}, services))), percent),
    }
    kind = draw(st.sampled_from(tuple(made)))
    return made[kind], kind


@pytest.mark.parametrize("services", [rs.VERSIONS, BOTH_FORMS], ids=["services", "both-forms"])
@given(by_subsets(), pairs())
def test_the_plan_is_the_one_with_subsets(
    services: tuple[str, ...],
    virtual_service: rs.Json,
    made: tuple[t.Callable[[t.Collection[str]], intents.Intent], str],
) -> None:
    intent, kind = made
    assume(kind != "mirror" or services == rs.VERSIONS)  # it names one version only
    expected = outcome(snapshot_of(virtual_service), intent(()))
    found = outcome(services_of(virtual_service, services), intent(services))
    event(f"{kind}: {'refused' if expected is None else 'planned'}")
    assert found == with_services(expected, services)


@st.composite
def six_operations(draw: t.Any) -> list[tuple[Operation, Operation]]:
    """Six operations on versions that are Services, each with the one that undoes it."""
    weights, one, other, third = (named(draw(rs.percents())) for _turn in range(4))
    match_one, match_other = draw(rs.cohort_matches()), draw(rs.cohort_matches())
    version, percent = name_of(draw(st.sampled_from(rs.VERSIONS))), draw(st.sampled_from((10, 0.5, 100)))
    beta = {"cookies": {"beta": {"present": True}}}
    pairs_of_intents: list[tuple[intents.Intent, intents.Intent]] = [
        (intents.SetWeights(weights), intents.RestoreWeights()),
        (intents.SetCohort("testers", match_one, one), intents.RemoveCohort("testers")),
        (intents.SetCohort("staff", match_other, other, order=50), intents.RemoveCohort("staff")),
        (intents.SetMirror(version, percent), intents.RemoveMirror()),
        (intents.SetSticky(), intents.RemoveSticky()),
        (intents.SetCohort("beta", beta, third), intents.RemoveCohort("beta")),
    ]
    return [(operation(do), operation(undo)) for do, undo in pairs_of_intents]


def operation(intent: intents.Intent) -> Operation:
    return lambda snapshot: plan.plan(snapshot, REVIEWS, intent)


@given(by_subsets(), six_operations(), st.data())
def test_six_operations_give_one_result_in_any_order_and_undone_in_any_order_leave_nothing(
    virtual_service: rs.Json, operations: list[tuple[Operation, Operation]], data: st.DataObject
) -> None:
    start = services_of(virtual_service)
    chosen = possible(start, operations)
    try:
        full = run(start, [one for one, _undo in chosen])
    except Refused:  # two mirrors or two cookies of one route
        assume(False)
    shuffled = run(start, [one for one, _undo in data.draw(st.permutations(chosen))])
    assert the_route(shuffled) == the_route(full)
    for one, undo in chosen:
        assert not one(full).changes
        without = run(full, [undo])
        assert not undo(without).changes
    undone = run(full, [undo for _do, undo in data.draw(st.permutations(chosen))])
    assert the_route(undone) == the_route(start)


@given(by_subsets(), rs.percents(), st.integers(0, 3))
def test_externally_changed_weights_are_kept(virtual_service: rs.Json, wanted: dict[str, str], bump: int) -> None:
    start = services_of(virtual_service)
    try:
        edited = copy.deepcopy(the_route(run(start, [operation(intents.SetWeights(named(wanted)))])))
    except Refused:
        assume(False)
    route = edited["spec"]["http"][-1]
    assume(route != the_route(start)["spec"]["http"][-1])
    theirs = route["route"][bump % len(route["route"])]
    theirs["weight"] = theirs.get("weight", 0) + 7
    left = Snapshot(virtual_services=(edited,), destination_rules=(), services=start.services)
    after = the_route(run(left, [operation(intents.RestoreWeights())]))
    assert after["spec"]["http"][-1] == route
    assert after["spec"]["http"][:-1] == the_route(start)["spec"]["http"][:-1]
    assert after["metadata"] == the_route(start)["metadata"]


@given(by_subsets(), rs.percents())
def test_the_description_is_the_one_with_subsets(virtual_service: rs.Json, wanted: dict[str, str]) -> None:
    try:
        subsets = run(snapshot_of(virtual_service), [operation(intents.SetWeights(wanted))])
        services = run(services_of(virtual_service), [operation(intents.SetWeights(named(wanted)))])
    except Refused:
        assume(False)
    expected, found = plan.describe(subsets, REVIEWS), plan.describe(services, REVIEWS)
    assert found["weights"] == named(expected["weights"])
    assert [one["weights"] for one in found["routes"]] == [named(one["weights"]) for one in expected["routes"]]
    assert [one["foreign"] for one in found["routes"]] == [one["foreign"] for one in expected["routes"]]
    assert set(found["services"]) == {name_of(one) for one in rs.VERSIONS}
    assert (found["subsets"], expected["services"]) == ({}, [])
