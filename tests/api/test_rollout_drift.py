# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Weights are changed externally during a rollout: the drift is detected before the next write and reported."""

from __future__ import annotations

import typing as t

import pytest
from support.rollout_tasks import PLAN, Rollout, phase

if t.TYPE_CHECKING:
    from support.direct import Direct


@pytest.fixture
def rollout(direct: Direct, routed: str) -> Rollout:
    return Rollout(direct)


def test_drift_is_reported_before_anything_else(rollout: Rollout, direct: Direct) -> None:
    rollout.opened()
    rollout.step()
    rollout.closed()
    rollout.shift({"v1": 70, "v2": 30})
    stopped = direct("rollout", state="opened", fails=True, **PLAN)
    assert stopped["error_code"] == "drift"
    assert "v1 90% -> 70%, v2 10% -> 30%" in stopped["drift"]
    assert stopped["drift"] in stopped["msg"]
    for policy in ("restore", "adopt"):
        assert f"-e rollout_on_drift={policy} (on_drift: {policy})" in stopped["msg"]
    assert rollout.present()["run"]["holder"] == "", "a refused task keeps no lock"
    assert rollout.present()["drift"] == stopped["drift"]
    restored = rollout.opened(on_drift="restore")
    assert phase(restored) == ("preparing", 0), "the last step whose share the routes have is judged again"
    assert restored["drift"] == stopped["drift"]
    adopted = rollout.opened(on_drift="adopt")
    assert phase(adopted) == ("preparing", 0)
    assert adopted["run"]["written"] == {"v1": 70.0, "v2": 30.0}
    assert rollout.opened()["drift"] == ""


def test_drift_before_a_step_stops_the_rollout(rollout: Rollout) -> None:
    rollout.opened()
    rollout.step()
    rollout.shift({"v1": 5, "v2": 95})
    stopped = rollout.recorded("ready")
    assert stopped["run"]["phase"] == "stopped"
    assert "v2 10% -> 95%" in stopped["drift"]
    assert phase(rollout.recorded("abort"))[0] == "rolling_back"


def test_a_canary_that_was_rolled_back_externally_is_not_promoted(rollout: Rollout) -> None:
    """An edit during the last step or its gate: the verdict was good, and the next write would be everything."""
    rollout.opened(steps=[{"weight": 100, "gate": "manual"}])
    rollout.step()
    rollout.shift({"v1": 100, "v2": 0})
    stopped = rollout.recorded("approved")
    assert stopped["run"]["phase"] == "stopped"
    assert "v1 0% -> 100%, v2 100% -> 0%" in stopped["drift"]


def test_no_pods_are_requested_after_drift(rollout: Rollout) -> None:
    rollout.opened()
    rollout.shift(rollout.recorded("ready")["run"]["desired_weights"])
    rollout.recorded("shifted")
    rollout.shift({"v1": 40, "v2": 60})
    assert rollout.recorded("pass")["run"]["phase"] == "stopped"


def test_the_old_version_keeps_its_pods_when_it_serves_again(rollout: Rollout) -> None:
    rollout.opened(steps=[100])
    rollout.shift(rollout.step()["run"]["desired_weights"])
    assert rollout.recorded("shifted")["run"]["phase"] == "promoting"
    rollout.shift({"v1": 100, "v2": 0})
    stopped = rollout.recorded("drained")
    assert (stopped["run"]["phase"], stopped["run"]["stopped_in"]) == ("stopped", "promoting")


@pytest.mark.parametrize("policy", ["adopt", "restore"])
def test_drift_is_recorded_and_adopted_or_restored(rollout: Rollout, policy: str) -> None:
    rollout.opened()
    rollout.step()
    rollout.shift({"v1": 45, "v2": 55})
    after = rollout.recorded("ready", on_drift=policy)
    assert phase(after) == {"adopt": ("preparing", 1), "restore": ("shifting", 1)}[policy]
    assert after["run"]["written"] == ({"v1": 45.0, "v2": 55.0} if policy == "adopt" else {"v1": 90.0, "v2": 10.0})
    drift = [one for one in rollout.present()["report"]["events"] if one["event"] == "drift"]
    assert [one["reason"].split(":")[0] for one in drift] == [policy]
    assert "v2 10% -> 55%" in drift[0]["reason"]
    if policy == "adopt":
        assert rollout.recorded("ready", on_drift="stop")["run"]["phase"] == "shifting"


def test_a_rollout_that_drift_has_stopped_resumes_where_it_was(rollout: Rollout, direct: Direct) -> None:
    rollout.opened()
    rollout.step()
    rollout.shift({"v1": 5, "v2": 95})
    stopped = rollout.recorded("ready")["run"]
    rollout.closed()
    again = direct("rollout", state="opened", fails=True, **PLAN)
    assert again["error_code"] == "drift", "the user decides what to do with the change"
    restored = rollout.opened(on_drift="restore")
    assert (restored["run"]["id"], *phase(restored)) == (stopped["id"], "preparing", 1)
    assert restored["resumed"]
    rollout.recorded("ready", on_drift="stop")
    rollout.closed()
    adopted = rollout.opened(on_drift="adopt")
    assert (adopted["run"]["id"], *phase(adopted)) == (stopped["id"], "preparing", 1)


def test_a_promotion_that_failed_is_completed(rollout: Rollout) -> None:
    """It goes on at the last step at which stable has requests to compare with, when the pods for it are ready."""
    rollout.opened()
    for _step in PLAN["steps"]:
        last = rollout.step()
    rollout.shift(last["run"]["desired_weights"])
    assert rollout.recorded("error", note="the hook failed")["run"]["phase"] == "stopped"
    rollout.closed()
    again = rollout.opened(steps=[25, 75, 100])
    assert (again["run"]["id"], *phase(again)) == (last["run"]["id"], "preparing", 1)
    for _step in (75, 100):
        last = rollout.step()
    assert last["run"]["phase"] == "promoting"
    rollout.shift(last["run"]["desired_weights"])
    assert rollout.recorded("done")["run"]["phase"] == "promoted"


def test_a_version_that_is_not_named_keeps_its_requests(rollout: Rollout, direct: Direct) -> None:
    rollout.shift({"v1": 80, "v3": 20})
    refused = direct("rollout", state="opened", fails=True, **PLAN)
    assert refused["error_code"] == "refused"
    assert "not in this rollout: v3 20%" in refused["msg"]
    assert """-e '{"rollout_keep": {"v3": 20}}' (keep: {v3: 20})""" in refused["msg"]
    assert "-e rollout_supersede=true" in refused["msg"]
    assert rollout.present()["run"] is None
    kept = rollout.opened(keep={"v3": 20})
    assert kept["run"]["desired_weights"] == {"v1": 70.0, "v2": 10.0, "v3": 20.0}


def test_drift_does_not_keep_requests_on_a_failed_version(rollout: Rollout) -> None:
    rollout.opened()
    rollout.step("fail")
    rollout.closed()
    rollout.shift({"v1": 40, "v2": 60})
    again = rollout.opened()
    assert phase(again) == ("rolling_back", 0)
    assert "v2 10% -> 60%" in again["drift"]
    assert again["run"]["desired_weights"] == {"v1": 100.0, "v2": 0.0}
