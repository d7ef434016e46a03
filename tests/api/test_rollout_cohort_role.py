# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role rollout with a cohort on a real API server, and the playbooks that end a rollout somebody has left."""

from __future__ import annotations

import typing as t

import pytest
from support.rollout_role import ADVANCED, PLANNED, Role, hook
from support.rollout_tasks import ADA

if t.TYPE_CHECKING:
    from pathlib import Path

    from support.direct import Direct
    from support.kube import Kube
    from support.play import Player

TESTERS = {"headers": {"end-user": "testuser"}}
STEPS = [{"weight": 0, "cohort": TESTERS}, 50]


@pytest.fixture
def role(play: Player, kube: Kube, direct: Direct, routed: str) -> Role:
    return Role(play, kube, direct)


def cohorts(role: Role) -> dict[str, t.Any]:
    (found,) = role.direct("info", measure="none", proxies=False, preflight=False)["services"]
    return {name: one["weights"] for name, one in found["cohorts"].items()}


def test_testers_come_first_and_the_cohort_ends_with_the_promotion(role: Role, tmp_path: Path) -> None:
    role.direct("header_route", name="staff", headers={"x": "y"}, weights={"v3": 100}, preflight=False, wait=False)
    options = {"service": "reviews", "namespace": role.space, "measure": "none", "proxies": False, "preflight": False}
    played = role(steps=STEPS, rollout_after_step=hook(tmp_path, **{"meshops.canary.canary_info": options}))
    seen = [result["services"][0] for name, _host, result in played.tasks if name.endswith(" : Hook")]
    assert [one["weights"]["v1"] for one in seen] == [100, 50, 0]
    assert [one["cohorts"]["rollout"]["weights"] for one in seen] == [{"v2": 100}] * 3
    lines = [line for name, _host, result in played.tasks if name == ADVANCED for line in result["lines"]]
    assert sum("cohort rollout:" in line for line in lines) == 1, "it is written when it changes"
    assert role.state() == ("promoted", {"v2": 100})
    assert cohorts(role) == {"staff": {"v3": 100}}
    assert role.report()["plan"]["steps"][0]["cohort"] == [{"headers": {"end-user": {"exact": "testuser"}}}]


def test_a_rollback_removes_weights_and_cohort_in_one_write(role: Role, tmp_path: Path) -> None:
    bad = hook(tmp_path, **{"ansible.builtin.fail": {"msg": "the testers do not like it"}})
    played = role(fails=True, steps=[50], cohort=TESTERS, rollout_after_step=bad)
    back = [result for name, _host, result in played.tasks if name == ADVANCED][-1]
    assert any(line.startswith("reviews | v1 100%, v2 0%") for line in back["lines"])
    assert (role.state(), cohorts(role)) == (("rolled_back", {"v1": 100}), {})


def test_a_promotion_that_failed_before_its_end_has_no_cohort_left(role: Role, tmp_path: Path) -> None:
    bad = hook(tmp_path, **{"ansible.builtin.fail": {"msg": "the ticket system is away"}})
    role(fails=True, steps=STEPS, rollout_on_promote=bad)
    assert (role.state(), cohorts(role)) == (("stopped", {"v2": 100}), {})
    role(steps=STEPS)
    assert (role.report()["phase"], cohorts(role)) == ("promoted", {})


def test_without_a_cohort_no_task_runs_for_one(role: Role) -> None:
    played = role()
    assert not [line for _name, _host, result in played.tasks for line in result.get("lines", []) if "ohort" in line]


def test_check_mode_tries_the_cohort_and_writes_nothing(role: Role) -> None:
    played = role("--check", "--diff", steps=STEPS)
    assert played.task(ADVANCED)["changed"]
    assert played.task(PLANNED)["msg"][-4:] == [
        "step 1 (planned): routes v1 100%, v2 0%; cohort of header end-user is testuser gets v2 100%",
        "step 2 (planned): routes v1 50%, v2 50%",
        "step 3 (planned): routes v1 0%, v2 100%",
        "at the end (planned): the cohort ends",
    ]
    assert (role.weights(), cohorts(role)) == ({"v1": 100}, {})


def test_by_pods_the_role_refuses_a_cohort(role: Role) -> None:
    played = role(fails=True, cohort=TESTERS, route_api="replicas", image="shop:2", stable="a", canary="b")
    assert "cannot select requests by their headers" in played.task(ADVANCED)["msg"]


@pytest.mark.parametrize(("verb", "version"), [("rollback", {"stable": "v1"}), ("promote", {"version": "v2"})])
def test_the_playbooks_that_end_an_abandoned_rollout_end_its_cohort(
    role: Role, play: Player, verb: str, version: dict[str, str]
) -> None:
    direct, quiet = role.direct, {"preflight": False, "wait": False}
    direct("header_route", name="staff", headers={"x": "y"}, weights={"v2": 100}, **quiet)
    direct("rollout", state="opened", stable="v1", canary="v2", steps=[50], cohort=TESTERS, holder=ADA)
    run = direct("rollout", state="recorded", event="ready", holder=ADA)["run"]
    direct("header_route", **run["desired_cohort"], **quiet)
    direct("weight", weights=run["desired_weights"], **quiet)
    # promote is refused during a rollout, and not after drift has stopped it.
    direct("rollout", state="recorded", event="shifted" if verb == "rollback" else "drift", holder=ADA)
    status = play("meshops.canary.status", ns=role.space, service="reviews", sample_seconds=0).last["msg"]
    assert any(line.startswith("cohort rollout: header end-user is testuser") for line in status)
    force = ["SUBSET_NOT_READY", "CAPACITY_BELOW_SHARE"]
    played = play(f"meshops.canary.{verb}", service="reviews", ns=role.space, capacity=False, force=force, **version)
    assert role.weights() == ({"v1": 100} if verb == "rollback" else {"v2": 100})
    assert cohorts(role) == {"staff": {"v2": 100}}
    if verb == "rollback":
        assert role.report()["phase"] == "rolled_back"
        assert "The cohorts staff keep their own weights" in " ".join(played.last["msg"])
