# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cohort beside a rollout's weights on a real API server: written first, gone with them, and resumed after a kill."""

from __future__ import annotations

import typing as t

import pytest
from support import http_routes as hr
from support.direct import ISTIO, Direct, destination_rule, service, virtual_service
from support.rollout_tasks import BOB, PLAN, QUIET, Rollout, phase
from support.watchdogs import SILENCE, WatchedRollout

if t.TYPE_CHECKING:
    from support.kube import Kube

TESTERS = {"headers": {"end-user": "testuser"}}
STAFF = {"cookies": {"staff": {"present": True}}}
WORDS = "header end-user is testuser gets v2 100%"
FIRST = {"weight": 0, "cohort": TESTERS}
STEPS = [FIRST, 50, {"weight": 60, "cohort": {}}]


class WithCohort(Rollout):
    """A rollout that writes what a step asks for, as the role does."""

    def route(self, result: dict[str, t.Any]) -> None:
        """Route the cohort that is due."""
        if result["run"]["cohort_due"]:
            self.direct("header_route", **result["run"]["desired_cohort"], **QUIET)

    def write(self, result: dict[str, t.Any]) -> dict[str, t.Any]:
        """Write the cohort, then the weights; return the last write's result."""
        self.route(result)
        run = result["run"]
        return self.direct("weight", weights=run["desired_weights"], end_cohorts=run["end_cohorts"], **QUIET)

    def take(self) -> dict[str, t.Any]:
        """Take the step the rollout is at."""
        self.write(self.recorded("ready"))
        self.recorded("shifted")
        return self.recorded("pass")

    def routes(self) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
        """Return the weights above 0 and the cohorts: name -> weights."""
        (result,) = self.direct("info", measure="none", proxies=False, preflight=False)["services"]
        cohorts = {name: one["weights"] for name, one in result["cohorts"].items()}
        return {version: percent for version, percent in result["weights"].items() if percent}, cohorts


@pytest.fixture
def rollout(direct: Direct, routed: str) -> WithCohort:
    return WithCohort(direct)


def test_the_cohort_starts_before_the_weights_and_ends_with_its_step(rollout: WithCohort) -> None:
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
    assert rollout.closed()["report"]["verified"]


@pytest.mark.parametrize("end", ["promoted", "rolled_back"])
def test_both_ends_remove_the_cohort_in_the_write_of_the_weights(rollout: WithCohort, end: str) -> None:
    rollout.opened(steps=[10], cohort=TESTERS)
    rollout.take()
    last = rollout.take() if end == "promoted" else rollout.recorded("abort")
    early = rollout.direct("rollout", state="recorded", event="done", holder=rollout.holder, fails=True)
    assert early["error_code"] == "conflict"
    assert rollout.write(last)["api_requests"]["patch"] == 1
    done = rollout.recorded("done")["run"]
    assert (done["phase"], done["cohort"]) == (end, "")
    assert rollout.routes() == ({"v2": 100} if end == "promoted" else {"v1": 100}, {})


def test_a_rollout_with_a_routed_cohort_cannot_end(rollout: WithCohort) -> None:
    """Whoever has lost the lock may write last."""
    rollout.opened(steps=[FIRST])
    rollout.write(rollout.recorded("ready"))
    rollout.recorded("abort")
    refused = rollout.direct("rollout", state="recorded", event="done", holder=rollout.holder, fails=True)
    assert f"The cohort rollout of reviews is still routed: {WORDS}" in refused["msg"]


def test_a_run_killed_between_the_cohort_and_its_record_resumes(rollout: WithCohort) -> None:
    rollout.opened(steps=STEPS)
    rollout.route(rollout.recorded("ready"))
    again = rollout.opened(steps=STEPS)
    assert (again["resumed"], again["drift"], again["run"]["cohort_due"]) == (True, "", True)
    written = rollout.direct("header_route", **again["run"]["desired_cohort"], **QUIET)
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
def test_drift_of_the_cohort_is_reported_and_restored(rollout: WithCohort, direct: Direct, edit: str) -> None:
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


def test_drift_of_the_cohort_stops_the_rollout_at_the_next_event(rollout: WithCohort, direct: Direct) -> None:
    rollout.opened(steps=STEPS)
    rollout.take()
    direct("header_route", name="rollout", state="absent", **QUIET)
    stopped = rollout.recorded("ready")
    assert stopped["run"]["phase"] == "stopped"
    assert stopped["drift"].startswith(f"reviews: cohort rollout: {WORDS} -> none")


@pytest.mark.parametrize("cohort", [{}, STAFF])
def test_a_superseding_rollout_ends_or_replaces_the_cohort(
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


def test_a_superseding_rollout_that_rolls_back_at_once_ends_the_cohort(rollout: WithCohort, direct: Direct) -> None:
    rollout.opened(steps=STEPS)
    rollout.take()
    rollout.closed()
    third = WithCohort(direct, BOB)
    third.opened(canary="v3", steps=[10], supersede=True)
    third.write(third.recorded("deadline"))
    assert third.recorded("done")["run"]["phase"] == "rolled_back"
    assert third.routes() == ({"v1": 100}, {})


def test_a_cohort_costs_no_additional_requests(rollout: WithCohort) -> None:
    def cost(**plan: t.Any) -> list[dict[str, int]]:
        results = [rollout.opened(**plan)]
        results += [rollout.recorded("ready"), rollout.recorded("shifted"), rollout.recorded("abort")]
        rollout.recorded("done")
        return [one["api_requests"] for one in results]

    rollout.opened(steps=[10])
    rollout.recorded("abort")
    rollout.recorded("done")
    assert cost(steps=[10]) == cost(steps=[10], cohort=TESTERS), "the routes are read anyway"


REFUSED = [
    ({"steps": [{"weight": 10, "cohort": {"header": {}}}]}, r"steps[0].cohort"),
    ({"steps": [10], "cohort": {"methods": ["POST"]}}, "would get none"),
]


@pytest.mark.parametrize(("plan", "message"), REFUSED)
def test_a_cohort_that_cannot_be_routed_is_refused_before_the_first_step(
    kube: Kube, direct: Direct, namespace: str, plan: dict[str, t.Any], message: str
) -> None:
    one = virtual_service()
    one["spec"]["http"][0]["match"] = [{"method": {"exact": "GET"}}]
    kube.apply(service(), destination_rule(), one, namespace=namespace)
    refused = direct("rollout", state="opened", fails=True, **{**PLAN, **plan})
    assert message in refused["msg"]
    assert direct("rollout")["run"] is None


def test_a_cohort_is_refused_by_pods(direct: Direct, shop: str) -> None:
    options = {"route_api": "replicas", "stable": "reviews", "canary": "reviews-canary", "image": "x:2"}
    refused = direct("rollout", state="opened", fails=True, **{**PLAN, **options}, cohort=TESTERS)
    assert refused["error_code"] == "invalid_input"
    assert "cannot select requests by their headers" in refused["msg"]


def test_a_cohort_of_an_http_route(kube: Kube, namespace: str, direct: Direct) -> None:
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
def test_the_watchdog_removes_the_cohort(direct: Direct, kube: Kube, routed: str, died: str) -> None:
    steps = [{"weight": 10, "cohort": TESTERS}]
    watched = WatchedRollout(direct, kube, steps=steps)
    rollout = WithCohort(direct)
    result = watched.recorded("ready")
    rollout.route(result)
    if died != "between cohort and weights":
        rollout.write(result)
    if died == "observing":
        watched.recorded("shifted")
    done, seconds = watched.watch()
    assert done.endswith("the routes are rolled back, the next run cleans up")
    assert seconds >= SILENCE
    assert rollout.routes() == ({"v1": 100}, {})
    found = kube.get(ISTIO, "VirtualService", "reviews", routed)
    assert found
    assert len(found["spec"]["http"]) == 1
    again = watched.opened()
    assert phase(again) == ("rolling_back", 0)
    assert not rollout.write(again)["changed"]
    assert watched.recorded("done")["run"]["phase"] == "rolled_back"


def test_the_watchdog_removes_a_cohort_that_started_before_the_weights(direct: Direct, kube: Kube, routed: str) -> None:
    watched = WatchedRollout(direct, kube, steps=STEPS)
    rollout = WithCohort(direct)
    for event in ("ready", "shifted", "pass"):
        result = watched.recorded(event)
        if event == "ready":
            rollout.write(result)
    assert phase(result) == ("preparing", 1)
    assert watched.watch()[0].endswith("the routes are rolled back, the next run cleans up")
    assert rollout.routes() == ({"v1": 100}, {})
