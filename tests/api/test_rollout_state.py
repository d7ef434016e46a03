# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""canary_rollout on a real API server: one holder, one record, and the same end however often it is interrupted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.task.context import ROLLBACK_NOTE, Terminal
from support.rollout_tasks import ADA, BOB, LEASES, PLAN, Rollout, phase

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube
    from support.play import Player


@pytest.fixture
def rollout(direct: Direct, routed: str) -> Rollout:
    return Rollout(direct)


def test_a_good_rollout_is_promoted_with_a_verified_audit_log(rollout: Rollout, kube: Kube, routed: str) -> None:
    begun = rollout.opened()
    assert begun["changed"]
    assert not begun["resumed"]
    assert phase(begun) == ("preparing", 0)
    assert begun["run"]["holder"] == ADA
    assert begun["plan_text"][1].startswith("1. v1 90%, v2 10%")
    assert phase(rollout.step()) == ("preparing", 1)
    assert phase(rollout.step()) == ("preparing", 2)
    promoting = rollout.step()
    assert phase(promoting) == ("promoting", 2)
    assert promoting["run"]["desired_weights"] == {"v1": 0.0, "v2": 100.0}
    done = rollout.recorded("done")
    assert done["run"]["over"]
    closed = rollout.closed()
    assert closed["changed"]
    assert closed["run"]["holder"] == ""
    report = closed["report"]
    assert report["verified"]
    assert report["failed_requests"] == 9
    assert [one["event"] for one in report["events"]][:5] == ["opened", "ready", "shifted", "pass", "approved"]
    events = [one for one in kube.list("v1", "Event", routed) if one["source"].get("component") == "meshops.canary"]
    assert {"CanaryOpened", "CanaryShifted", "CanaryPass", "CanaryDone"} <= {one["reason"] for one in events}
    assert {one["involvedObject"]["name"] for one in events} == {"reviews"}
    again = rollout.opened()
    assert again["run"]["over"]
    assert not again["changed"]
    assert rollout.opened(steps=[50])["run"]["id"] == again["run"]["id"]  # begun anew it would be taken back


def test_a_failure_returns_to_the_safe_weights(rollout: Rollout) -> None:
    rollout.opened()
    failed = rollout.step("fail")
    assert phase(failed) == ("rolling_back", 0)
    assert failed["run"]["desired_weights"] == {"v1": 100.0, "v2": 0.0}
    assert "judged as fail" in failed["run"]["reason"]
    rollout.shift(failed["run"]["desired_weights"])
    assert rollout.recorded("done")["run"]["phase"] == "rolled_back"
    assert rollout.opened()["run"]["phase"] == "preparing", "a rollout that went back can be tried again"


def test_a_second_holder_is_refused_with_the_name_of_the_first(rollout: Rollout, direct: Direct) -> None:
    rollout.opened()
    for state, options in (("opened", PLAN), ("recorded", {"event": "ready"})):
        refused = direct("rollout", state=state, fails=True, **{**options, "holder": BOB})
        assert refused["error_code"] == "held"
        assert refused["holder"] == ADA
        assert f"{ADA} holds the Lease" in refused["msg"]
        assert refused["until"] in refused["msg"]
    assert phase(rollout.present()) == ("preparing", 0)
    assert not Rollout(direct, BOB).closed()["changed"], "nobody gives back what is not his"
    rollout.closed()
    assert Rollout(direct, BOB).opened()["resumed"]


def test_an_expired_lock_is_taken_over(rollout: Rollout, direct: Direct, kube: Kube, routed: str) -> None:
    rollout.opened()
    kube.patch(LEASES, "Lease", "canary-reviews", routed, {"spec": {"renewTime": "2020-01-01T00:00:00.000000Z"}})
    taken = Rollout(direct, BOB).opened()
    assert taken["resumed"]
    assert taken["run"]["holder"] == BOB
    lease = kube.get(LEASES, "Lease", "canary-reviews", routed)
    assert lease is not None
    assert lease["spec"]["leaseTransitions"] == 1
    assert direct("rollout", state="recorded", event="ready", holder=ADA, fails=True)["error_code"] == "held"


@pytest.mark.parametrize("event", [None, "ready", "shifted", "pass"])
def test_a_run_after_a_kill_finds_the_same_record(rollout: Rollout, direct: Direct, event: str | None) -> None:
    """Killed after each record, and after writing the weights without recording it."""
    last = rollout.opened()
    for name in ("ready", "shifted", "pass")[: ("ready", "shifted", "pass").index(event) + 1 if event else 0]:
        last = rollout.recorded(name)
        if name == "ready":
            rollout.shift(last["run"]["desired_weights"])
    before = rollout.present()["run"]
    again = rollout.opened()
    assert again["resumed"]
    assert again["drift"] == ""
    same = ["id", "written", "safe", "plan_hash"]
    same += [] if event == "pass" else ["phase", "at", "desired_weights", "consecutive_passes"]
    assert {name: again["run"][name] for name in same} == {name: before[name] for name in same}
    if event == "pass":
        assert (again["run"]["phase"], again["run"]["at"]) == ("observing", 0), "a verdict is not believed"
    assert again["events"] == last["events"] + 1


def test_the_lock_of_a_killed_process_is_taken_over_at_once(
    rollout: Rollout, direct: Direct, play: Player, kube: Kube, routed: str
) -> None:
    """The Lease of a dead ansible-playbook of this machine does not have to end first; that of a living one does."""
    options = {name: value for name, value in PLAN.items() if name != "holder"}
    task = {"service": "reviews", "namespace": routed, "state": "promoted", "lease_seconds": 3600, **options}
    task.update(return_at=["before", "before_step"], capacity=False, force=["SUBSET_NOT_READY"])
    first = play([{"name": "Open", "meshops.canary.canary_rollout": task}])
    assert first.task("Open")["run"]["holder"].split("/")[0].count("@") == 1
    second = play([{"name": "Open", "meshops.canary.canary_rollout": task}])
    assert second.task("Open")["resumed"]
    assert second.task("Open")["run"]["id"] == first.task("Open")["run"]["id"]
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        lease = kube.get(LEASES, "Lease", "canary-reviews", routed)
        assert lease is not None
        boot, space, _pid, _start = lease["metadata"]["annotations"]["canary.meshops.io/process"].split(" ")
        with open(f"/proc/{sleeper.pid}/stat", encoding="utf-8") as stat:  # noqa: PTH123
            start = stat.read().rpartition(")")[2].split()[19]
        mark = {"canary.meshops.io/process": f"{boot} {space} {sleeper.pid} {start}"}
        kube.patch(LEASES, "Lease", "canary-reviews", routed, {"metadata": {"annotations": mark}})
        assert direct("rollout", state="opened", fails=True, **{**PLAN, "holder": BOB})["error_code"] == "held"
    finally:
        sleeper.kill()
        sleeper.wait()
    assert direct("rollout", state="opened", **{**PLAN, "holder": BOB})["resumed"]


def test_the_lock_lasts_as_long_as_the_longest_wait(rollout: Rollout, kube: Kube, routed: str) -> None:
    def seconds() -> int:
        lease = kube.get(LEASES, "Lease", "canary-reviews", routed)
        assert lease is not None
        return int(lease["spec"]["leaseDurationSeconds"])

    slow = [{"weight": 10, "gate": "manual", "gate_seconds": 7000}, 100]
    rollout.opened(steps=slow)
    assert seconds() == 7240
    rollout.recorded("ready", lease_seconds=8000)
    assert seconds() == 8000
    rollout.recorded("shifted")
    assert seconds() == 7240


def test_another_holder_rolls_everything_back(rollout: Rollout, direct: Direct) -> None:
    """The playbook rollback, while a rollout lives: that one is told at its next record."""
    assert direct("rollout", state="aborted", holder=BOB)["run"] is None
    run = rollout.opened()["run"]["id"]
    rollout.step()
    aborted = direct("rollout", state="aborted", holder=BOB, note="bob took it back")
    assert aborted["changed"]
    assert phase(aborted) == ("rolling_back", 1)
    assert (aborted["run"]["holder"], aborted["run"]["reason"]) == (BOB, "bob took it back")
    lost = direct("rollout", state="recorded", event="ready", run=run, holder=ADA, fails=True)
    assert lost["error_code"] == "held"
    late = direct("rollout", state="recorded", event="done", holder=BOB, fails=True)
    assert late["error_code"] == "conflict"
    assert "v2 has 10% of the requests instead of 0%" in late["msg"], "what the other run wrote last is seen"
    rollout.shift(aborted["run"]["desired_weights"])
    assert direct("rollout", state="recorded", event="done", holder=BOB)["run"]["phase"] == "rolled_back"
    assert direct("rollout", state="closed", holder=BOB)["report"]["verified"]
    assert not direct("rollout", state="aborted", holder=BOB)["changed"], "there is nothing to abort any more"
    assert rollout.present()["run"]["holder"] == ""


def test_another_plan_is_refused_unless_it_supersedes(rollout: Rollout, direct: Direct) -> None:
    rollout.opened()
    rollout.step()
    rollout.step()
    third = {**PLAN, "canary": "v3"}
    refused = direct("rollout", state="opened", fails=True, **third)
    assert refused["error_code"] == "refused"
    assert "v2 replaces v1, preparing at 100%" in refused["msg"]
    assert "-e rollout_supersede=true (supersede: true)" in refused["msg"]
    assert f"ansible-playbook meshops.canary.rollback -e service=reviews -e ns={direct.namespace}" in refused["msg"]
    begun = rollout.opened(canary="v3", supersede=True)
    assert not begun["resumed"]
    assert begun["run"]["desired_weights"] == {"v1": 90.0, "v2": 0.0, "v3": 10.0}
    rollout.shift(rollout.recorded("ready")["run"]["desired_weights"])
    assert rollout.recorded("shifted")["run"]["written"] == {"v1": 90.0, "v2": 0.0, "v3": 10.0}


def test_check_mode_shows_the_plan_and_writes_nothing(direct: Direct, kube: Kube, routed: str) -> None:
    planned = direct("rollout", state="opened", check_mode=True, **PLAN)
    assert planned["changed"]
    assert len(planned["plan_text"]) == 5
    assert planned["diff"]["before"] == "v1 100%, v2 0%\n"
    assert kube.get(LEASES, "Lease", "canary-reviews", routed) is None
    assert kube.get("v1", "ConfigMap", "canary-rollout-reviews", routed) is None
    assert direct("rollout", state="present")["run"] is None


def test_a_tampered_audit_log_is_detected(rollout: Rollout, kube: Kube, routed: str) -> None:
    rollout.opened()
    rollout.step("inconclusive")
    rollout.recorded("inconclusive")
    stored = kube.get("v1", "ConfigMap", "canary-rollout-reviews", routed)
    assert stored is not None
    events = json.loads(stored["data"]["events"])
    assert events[-1]["count"] == 2
    assert rollout.present()["report"]["verified"]
    events[1]["reason"] = "nothing to see here"
    kube.patch("v1", "ConfigMap", "canary-rollout-reviews", routed, {"data": {"events": json.dumps(events)}})
    report = rollout.present()["report"]
    assert not report["verified"]
    assert report["first_tampered"] == 1


def test_an_unreadable_record_is_reported(rollout: Rollout, direct: Direct, kube: Kube, routed: str) -> None:
    rollout.opened()
    kube.patch("v1", "ConfigMap", "canary-rollout-reviews", routed, {"data": {"run": "<html>"}})
    refused = direct("rollout", state="opened", fails=True, **PLAN)
    assert "delete configmap canary-rollout-reviews" in refused["msg"]


def test_impossible_events_and_missing_rollouts_are_refused(rollout: Rollout, direct: Direct) -> None:
    nothing = direct("rollout", state="recorded", event="ready", fails=True)
    assert "No rollout of reviews" in nothing["msg"]
    rollout.opened()
    early = direct("rollout", state="recorded", event="pass", holder=ADA, fails=True)
    assert "'pass' is not possible while the rollout is preparing" in early["msg"]
    assert "possible now: abort, deadline, drift, error, fail, ready" in early["msg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"canary": "v1"}, "both v1"),
        ({"steps": [50, 10]}, "steps[1].weight is 10"),
        ({"steps": [{"weight": 5, "pause": "soon"}]}, "steps[0].pause cannot be 'soon'"),
        ({"keep": {"v2": 5}}, "keep: v1 and v2 share"),
        ({"keep": {"v3": 100}}, "leaves nothing"),
        ({"keep": {"v3": "some"}}, "must map versions to percents"),
    ],
)
def test_invalid_plans_are_refused(rollout: Rollout, direct: Direct, options: dict[str, t.Any], words: str) -> None:
    refused = direct("rollout", state="opened", fails=True, **{**PLAN, **options})
    assert refused["error_code"] == "invalid_input"
    assert words in refused["msg"]


def test_a_lock_that_ends_at_once_is_refused(direct: Direct) -> None:
    plan = {name: value for name, value in PLAN.items() if name != "holder"}
    refused = direct("rollout", state="promoted", fails=True, lease_seconds=1, **plan)
    assert "lease_seconds must be between" in refused["msg"]


def test_a_service_without_routes_is_refused(direct: Direct, namespace: str) -> None:
    refused = direct("rollout", state="opened", fails=True, **PLAN)
    assert refused["error_code"] in ("invalid_input", "refused"), refused
    assert os.linesep not in refused["msg"]


def test_a_rollback_requested_at_the_terminal_happens_with_the_next_record(
    rollout: Rollout, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout.opened()
    rollout.shift(rollout.recorded("ready")["run"]["desired_weights"])
    rollout.recorded("shifted")
    rollout.direct.terminal = Terminal(has_keyboard=True, rollback_requested=lambda: True)
    back = rollout.recorded("pass")
    assert (back["run"]["phase"], back["run"]["reason"]) == ("rolling_back", ROLLBACK_NOTE)
    rollout.shift(back["run"]["desired_weights"])
    assert rollout.recorded("done")["run"]["phase"] == "rolled_back", "on the way back it changes nothing"
