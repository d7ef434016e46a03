# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cohort beside a rollout's weights on a real API server: written first, gone with them, and resumed after a kill."""

from __future__ import annotations

import typing as t

import pytest
from support import http_routes as hr
from support.dead_men import AFTER, Watched
from support.direct import ISTIO, Direct, destination_rule, service, virtual_service
from support.recorded import BOB, PLAN, QUIET, Rollout, phase

if t.TYPE_CHECKING:
    from support.kube import Kube

TESTERS = {"headers": {"end-user": "testuser"}}
STAFF = {"cookies": {"staff": {"present": True}}}
WORDS = "header end-user is testuser gets v2 100%"
FIRST = {"weight": 0, "cohort": TESTERS}
STEPS = [FIRST, 50, {"weight": 60, "cohort": {}}]


class WithCohort(Rollout):
    """A rollout that writes what a step asks for, as the role does."""

    def route(self, told: dict[str, t.Any]) -> None:
        """Route the cohort that is due."""
        if told["run"]["cohort_due"]:
            self.direct("header_route", **told["run"]["cohort_wanted"], **QUIET)

    def write(self, told: dict[str, t.Any]) -> dict[str, t.Any]:
        """Write the cohort, then the weights; return the last write's result."""
        self.route(told)
        run = told["run"]
        return self.direct("weight", weights=run["weights_wanted"], end_cohorts=run["end_cohorts"], **QUIET)

    def take(self) -> dict[str, t.Any]:
        """Take the step the rollout is at."""
        self.write(self.recorded("ready"))
        self.recorded("shifted")
        return self.recorded("pass")

    def routes(self) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
        """Return the weights above 0 and the cohorts: name -> weights."""
        (told,) = self.direct("info", measure="none", proxies=False, preflight=False)["services"]
        cohorts = {name: one["weights"] for name, one in told["cohorts"].items()}
        return {version: percent for version, percent in told["weights"].items() if percent}, cohorts


@pytest.fixture
def rollout(direct: Direct, routed: str) -> WithCohort:
    return WithCohort(direct)


def test_testers_first_then_the_ramp_then_nobody_apart(rollout: WithCohort) -> None:
    rollout.direct("header_route", name="staff", weights={"v3": 100}, **STAFF, **QUIET)
    begun = rollout.opened(steps=STEPS)
    assert begun["plan_text"][1].startswith(f"1. v1 100%, v2 0%; cohort of {WORDS}")
    assert "0% and a cohort" in begun["msg"]
    rollout.route(rollout.recorded("ready"))
    assert rollout.routes() == ({"v1": 100}, {"staff": {"v3": 100}, "rollout": {"v2": 100}})
    rollout.write(rollout.present())
    assert rollout.recorded("shifted")["run"]["cohort"] == WORDS
    last = rollout.recorded("pass")
    assert (phase(last), last["run"]["cohort_due"]) == (("preparing", 1), False), "it stays, so nothing is written"
    rollout.take()
    assert rollout.routes() == ({"v1": 50, "v2": 50}, {"staff": {"v3": 100}, "rollout": {"v2": 100}})
    ended = rollout.recorded("ready")
    assert ended["run"]["end_cohorts"] == ["rollout"]
    assert rollout.write(ended)["api_requests"]["patch"] == 1, "weights and cohort are one write"
    assert rollout.routes() == ({"v1": 40, "v2": 60}, {"staff": {"v3": 100}})
    rollout.recorded("shifted")
    rollout.recorded("pass")
    promoting = rollout.take()
    rollout.write(promoting)
    rollout.recorded("done")
    assert rollout.routes() == ({"v2": 100}, {"staff": {"v3": 100}})
    assert rollout.closed()["report"]["intact"]


@pytest.mark.parametrize("end", ["promoted", "rolled_back"])
def test_both_ends_take_it_away_in_the_write_of_the_weights(rollout: WithCohort, end: str) -> None:
    rollout.opened(steps=[10], cohort=TESTERS)
    rollout.take()
    last = rollout.take() if end == "promoted" else rollout.recorded("abort")
    early = rollout.direct("rollout", state="recorded", event="done", holder=rollout.holder, fails=True)
    assert early["error_code"] == "conflict"
    assert rollout.write(last)["api_requests"]["patch"] == 1
    done = rollout.recorded("done")["run"]
    assert (done["phase"], done["cohort"]) == (end, "")
    assert rollout.routes() == ({"v2": 100} if end == "promoted" else {"v1": 100}, {})


def test_an_end_with_a_cohort_that_is_still_routed_is_refused(rollout: WithCohort) -> None:
    """Whoever has lost the lock may write last."""
    rollout.opened(steps=[FIRST])
    rollout.write(rollout.recorded("ready"))
    rollout.recorded("abort")
    refused = rollout.direct("rollout", state="recorded", event="done", holder=rollout.holder, fails=True)
    assert f"The cohort rollout of reviews is still routed: {WORDS}" in refused["msg"]


def test_killed_between_the_cohort_and_its_record_it_goes_on(rollout: WithCohort) -> None:
    rollout.opened(steps=STEPS)
    rollout.route(rollout.recorded("ready"))
    again = rollout.opened(steps=STEPS)
    assert (again["resumed"], again["drift"], again["run"]["cohort_due"]) == (True, "", True)
    written = rollout.direct("header_route", **again["run"]["cohort_wanted"], **QUIET)
    assert not written["changed"]
    rollout.write(again)
    assert rollout.recorded("shifted")["run"]["cohort"] == WORDS
    killed = rollout.recorded("abort")
    assert killed["run"]["end_cohorts"] == ["rollout"]
    rollout.write(killed)
    again = rollout.opened(steps=STEPS)
    assert phase(again) == ("rolling_back", 0)
    assert not rollout.write(again)["changed"]
    assert rollout.recorded("done")["run"]["phase"] == "rolled_back"


@pytest.mark.parametrize("edit", ["deleted", "changed"])
def test_an_edit_of_the_cohort_is_seen_and_put_back(rollout: WithCohort, direct: Direct, edit: str) -> None:
    rollout.opened(steps=STEPS)
    rollout.take()
    rollout.closed()
    if edit == "deleted":
        direct("header_route", name="rollout", state="absent", **QUIET)
    else:
        direct("header_route", name="rollout", weights={"v1": 100}, **TESTERS, **QUIET)
    (seen,) = direct("info", measure="none", proxies=False, preflight=False)["services"]
    stopped = direct("rollout", state="opened", fails=True, **{**PLAN, "steps": STEPS})
    assert stopped["error_code"] == "drift"
    assert f"cohort rollout: {WORDS} -> " in stopped["drift"]
    assert seen["rollout"]["drift"] == rollout.present()["drift"] == stopped["drift"]
    for policy in ("adopt", "restore"):
        assert rollout.opened(steps=STEPS, on_drift=policy)["run"]["cohort_due"]
    rollout.write(rollout.recorded("ready"))
    assert rollout.routes()[1] == {"rollout": {"v2": 100}}


def test_an_edit_beside_an_event_stops_it(rollout: WithCohort, direct: Direct) -> None:
    rollout.opened(steps=STEPS)
    rollout.take()
    direct("header_route", name="rollout", state="absent", **QUIET)
    stopped = rollout.recorded("ready")
    assert stopped["run"]["phase"] == "stopped"
    assert stopped["drift"].startswith(f"reviews: cohort rollout: {WORDS} -> none")


@pytest.mark.parametrize("cohort", [{}, STAFF])
def test_whoever_takes_its_place_ends_its_cohort_or_replaces_it(
    rollout: WithCohort, direct: Direct, cohort: dict[str, t.Any]
) -> None:
    rollout.opened(steps=STEPS)
    rollout.take()
    rollout.closed()
    third = WithCohort(direct, BOB)
    begun = third.opened(canary="v3", steps=[10], cohort=cohort or None, supersede=True)
    assert begun["run"]["cohort"] == WORDS
    third.write(third.recorded("ready"))
    assert third.routes() == ({"v1": 90, "v3": 10}, {"rollout": {"v3": 100}} if cohort else {})


def test_whoever_takes_its_place_and_goes_back_at_once_ends_it_too(rollout: WithCohort, direct: Direct) -> None:
    rollout.opened(steps=STEPS)
    rollout.take()
    rollout.closed()
    third = WithCohort(direct, BOB)
    third.opened(canary="v3", steps=[10], supersede=True)
    third.write(third.recorded("deadline"))
    assert third.recorded("done")["run"]["phase"] == "rolled_back"
    assert third.routes() == ({"v1": 100}, {})


def test_a_cohort_costs_nothing_where_there_is_none(rollout: WithCohort) -> None:
    def cost(**plan: t.Any) -> list[dict[str, int]]:
        asked = [rollout.opened(**plan)]
        asked += [rollout.recorded("ready"), rollout.recorded("shifted"), rollout.recorded("abort")]
        rollout.recorded("done")
        return [one["api_requests"] for one in asked]

    rollout.opened(steps=[10])
    rollout.recorded("abort")
    rollout.recorded("done")
    assert cost(steps=[10]) == cost(steps=[10], cohort=TESTERS), "it is told from routes that are read anyway"


REFUSED = [
    ({"steps": [{"weight": 10, "cohort": {"header": {}}}]}, r"steps[0].cohort"),
    ({"steps": [10], "cohort": {"methods": ["POST"]}}, "would get none"),
]


@pytest.mark.parametrize(("plan", "message"), REFUSED)
def test_what_cannot_be_routed_is_refused_before_the_first_step(
    kube: Kube, direct: Direct, namespace: str, plan: dict[str, t.Any], message: str
) -> None:
    one = virtual_service()
    one["spec"]["http"][0]["match"] = [{"method": {"exact": "GET"}}]
    kube.apply(service(), destination_rule(), one, namespace=namespace)
    refused = direct("rollout", state="opened", fails=True, **{**PLAN, **plan})
    assert message in refused["msg"]
    assert direct("rollout")["run"] is None


def test_by_pods_it_is_refused(direct: Direct, shop: str) -> None:
    asked = {"route_api": "replicas", "stable": "reviews", "canary": "reviews-canary", "image": "x:2"}
    refused = direct("rollout", state="opened", fails=True, **{**PLAN, **asked}, cohort=TESTERS)
    assert refused["error_code"] == "invalid_input"
    assert "cannot tell requests apart" in refused["msg"]


def test_the_same_on_http_routes(kube: Kube, namespace: str, direct: Direct) -> None:
    route = hr.http_route(hr.rule(hr.ref("reviews-v1")))
    route["metadata"] = {"name": "reviews"}
    services = [{**one, "metadata": {"name": one["metadata"]["name"]}} for one in hr.SERVICES]
    kube.apply(*services, route, namespace=namespace)
    rollout = WithCohort(direct)
    plan = {"stable": "reviews-v1", "canary": "reviews-v2"}
    absent = {**plan, "steps": [10], "cohort": {"headers": {"x": {"absent": True}}}}
    refused = direct("rollout", state="opened", fails=True, **{**PLAN, **absent})
    assert refused["error_code"] == "invalid_input", "an HTTPRoute cannot say it, which is no surprise at step three"
    rollout.opened(**plan, steps=STEPS)
    rollout.take()
    assert rollout.routes() == ({"reviews-v1": 100}, {"rollout": {"reviews-v2": 100}})
    assert rollout.opened(**plan, steps=STEPS)["drift"] == ""
    rollout.write(rollout.recorded("abort"))
    assert rollout.recorded("done")["run"]["phase"] == "rolled_back"
    assert rollout.routes() == ({"reviews-v1": 100}, {})


@pytest.mark.parametrize("died", ["between cohort and weights", "between weights and record", "observing"])
def test_a_dead_man_takes_the_cohort_back_too(direct: Direct, kube: Kube, routed: str, died: str) -> None:
    steps = [{"weight": 10, "cohort": TESTERS}]
    watched = Watched(direct, kube, steps=steps)
    rollout = WithCohort(direct)
    told = watched.recorded("ready")
    rollout.route(told)
    if died != "between cohort and weights":
        rollout.write(told)
    if died == "observing":
        watched.recorded("shifted")
    done, seconds = watched.watch()
    assert done.endswith("the requests are back, the next run cleans up")
    assert seconds >= AFTER
    assert rollout.routes() == ({"v1": 100}, {})
    found = kube.get(ISTIO, "VirtualService", "reviews", routed)
    assert found
    assert len(found["spec"]["http"]) == 1
    again = watched.opened()
    assert phase(again) == ("rolling_back", 0)
    assert not rollout.write(again)["changed"]
    assert watched.recorded("done")["run"]["phase"] == "rolled_back"


def test_a_dead_man_takes_back_testers_that_came_first(direct: Direct, kube: Kube, routed: str) -> None:
    watched = Watched(direct, kube, steps=STEPS)
    rollout = WithCohort(direct)
    for event in ("ready", "shifted", "pass"):
        told = watched.recorded(event)
        if event == "ready":
            rollout.write(told)
    assert phase(told) == ("preparing", 1)
    assert watched.watch()[0].endswith("the requests are back, the next run cleans up")
    assert rollout.routes() == ({"v1": 100}, {})
