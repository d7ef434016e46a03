# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role rollout with a cohort on a real API server, and the playbooks that end a rollout somebody has left."""

from __future__ import annotations

import typing as t

import pytest
from support.blind import Role, hook
from support.recorded import ADA

if t.TYPE_CHECKING:
    from pathlib import Path

    from support.direct import Direct
    from support.kube import Kube
    from support.play import Played, Player

TESTERS = {"headers": {"end-user": "testuser"}}
STEPS = [{"weight": 0, "cohort": TESTERS}, 50]
ROUTED = "meshops.canary.rollout : Route the cohort: rollout"


@pytest.fixture
def role(play: Player, kube: Kube, direct: Direct, routed: str) -> Role:
    return Role(play, kube, direct)


def cohorts(role: Role) -> dict[str, t.Any]:
    (told,) = role.direct("info", measure="none", proxies=False, preflight=False)["services"]
    return {name: one["weights"] for name, one in told["cohorts"].items()}


def ran(played: Played) -> list[str]:
    """Return the tasks that were not skipped, without the role's name."""
    told = ((name, result) for name, _host, result in played.tasks if not result.get("skipped"))
    return [name.rpartition(" : ")[2] for name, _result in told]


def test_testers_come_first_and_nobody_is_left_apart(role: Role, tmp_path: Path) -> None:
    role.direct("header_route", name="staff", headers={"x": "y"}, weights={"v3": 100}, preflight=False, wait=False)
    look = {"service": "reviews", "namespace": role.space, "measure": "none", "proxies": False, "preflight": False}
    played = role(steps=STEPS, rollout_after_step=hook(tmp_path, **{"meshops.canary.canary_info": look}))
    seen = [result["services"][0] for name, _host, result in played.tasks if name.endswith(" : Hook")]
    assert [one["weights"]["v1"] for one in seen] == [100, 50, 0]
    assert [one["cohorts"]["rollout"]["weights"] for one in seen] == [{"v2": 100}] * 3
    names = ran(played)
    assert names.count(ROUTED.rpartition(" : ")[2]) == 1, "it is written when it changes"
    assert names.index("Route the cohort: rollout") < names.index("Send the canary its percent of requests: 0.0")
    told = role.told()
    assert (told["phase"], role.weights()) == ("promoted", {"v2": 100})
    assert cohorts(role) == {"staff": {"v3": 100}}
    assert told["plan"]["steps"][0]["cohort"] == [{"headers": {"end-user": {"exact": "testuser"}}}]


def test_a_rollback_takes_both_back_in_one_write(role: Role, tmp_path: Path) -> None:
    bad = hook(tmp_path, **{"ansible.builtin.fail": {"msg": "the testers do not like it"}})
    played = role(fails=True, steps=[50], cohort=TESTERS, rollout_after_step=bad)
    back = played.task("meshops.canary.rollout : Take the requests back")
    assert (back["cohorts"], back["api_requests"]["patch"]) == ({}, 1)
    assert (role.told()["phase"], role.weights(), cohorts(role)) == ("rolled_back", {"v1": 100}, {})


def test_a_promotion_that_failed_before_the_end_has_no_cohort_left(role: Role, tmp_path: Path) -> None:
    bad = hook(tmp_path, **{"ansible.builtin.fail": {"msg": "the ticket system is away"}})
    role(fails=True, steps=STEPS, rollout_on_promote=bad)
    assert (role.told()["phase"], role.weights(), cohorts(role)) == ("stopped", {"v2": 100}, {})
    role(steps=STEPS)
    assert (role.told()["phase"], cohorts(role)) == ("promoted", {})


def test_without_a_cohort_no_task_runs_for_one(role: Role) -> None:
    played = role()
    assert not [name for name in ran(played) if "ohort" in name]


def test_check_mode_tries_the_cohort_and_writes_nothing(role: Role) -> None:
    played = role("--check", "--diff", steps=STEPS, rollout_force=[])
    tried = played.task(ROUTED)
    assert (tried["changed"], tried["cohorts"]["rollout"]["weights"]) == (True, {"v2": 100})
    assert "cohort rollout: header end-user is testuser: v2 100%" in tried["diff"]["after"]
    assert played.task("meshops.canary.rollout : Show what would be changed, by the load of now")["msg"] == [
        "step 1 (planned): routes v1 100%, v2 0%; cohort of header end-user is testuser gets v2 100%",
        "step 2 (planned): routes v1 50%, v2 50%",
        "step 3 (planned): routes v1 0%, v2 100%",
        "at the end (planned): the cohort ends",
    ]
    assert (role.weights(), cohorts(role)) == ({"v1": 100}, {})


def test_by_pods_the_role_refuses_a_cohort(role: Role) -> None:
    played = role(fails=True, cohort=TESTERS, route_api="replicas", image="shop:2", stable="a", canary="b")
    assert (
        "cannot tell requests apart"
        in played.task("meshops.canary.rollout : Take the lock, and make or find the record")["msg"]
    )


@pytest.mark.parametrize(("verb", "version"), [("rollback", {"stable": "v1"}), ("promote", {"version": "v2"})])
def test_whoever_ends_a_rollout_that_was_left_ends_its_cohort(
    role: Role, play: Player, verb: str, version: dict[str, str]
) -> None:
    direct, quiet = role.direct, {"preflight": False, "wait": False}
    direct("header_route", name="staff", headers={"x": "y"}, weights={"v2": 100}, **quiet)
    direct("rollout", state="opened", stable="v1", canary="v2", steps=[50], cohort=TESTERS, holder=ADA)
    run = direct("rollout", state="recorded", event="ready", holder=ADA)["run"]
    direct("header_route", **run["cohort_wanted"], **quiet)
    direct("weight", weights=run["weights_wanted"], **quiet)
    # One that is under way is not promoted over; one that somebody's edit has stopped is.
    direct("rollout", state="recorded", event="shifted" if verb == "rollback" else "drift", holder=ADA)
    status = play("meshops.canary.status", ns=role.space, service="reviews", sample_seconds=0).last["msg"]
    assert any(line.startswith("cohort rollout: header end-user is testuser") for line in status)
    force = ["SUBSET_NOT_READY", "CAPACITY_BELOW_SHARE"]
    played = play(f"meshops.canary.{verb}", service="reviews", ns=role.space, capacity=False, force=force, **version)
    assert role.weights() == ({"v1": 100} if verb == "rollback" else {"v2": 100})
    assert cohorts(role) == {"staff": {"v2": 100}}
    if verb == "rollback":
        assert role.told()["phase"] == "rolled_back"
        assert "The cohorts staff still have their own weights" in " ".join(played.last["msg"])
