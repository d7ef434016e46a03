# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module canary_rollout alone: a whole rollout as one task, and the points at which it returns."""

from __future__ import annotations

import json
import os
import signal
import typing as t
from pathlib import Path

import pytest
from support.direct import ISTIO

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube
    from support.play import Player

QUICK: dict[str, t.Any] = {
    "state": "promoted", "stable": "v1", "canary": "v2", "steps": [20, 50], "pause": 0, "analysis": False,
    "capacity": False, "retire_after": 0, "force": ["SUBSET_NOT_READY", "CAPACITY_BELOW_SHARE"],
}  # fmt: skip


def weights(kube: Kube, namespace: str) -> dict[str, int]:
    found = kube.get(ISTIO, "VirtualService", "reviews", namespace)
    assert found
    return {
        one["destination"]["subset"]: one["weight"] for one in found["spec"]["http"][-1]["route"] if one.get("weight")
    }


def events(result: dict[str, t.Any]) -> list[str]:
    return [one["event"] for one in result["report"]["events"]]


def test_a_whole_rollout_is_one_task(direct: Direct, routed: str) -> None:
    done = direct("rollout", **QUICK)
    assert (done["next"], done["run"]["phase"], done["changed"]) == ("", "promoted", True)
    again = direct("rollout", **QUICK)
    assert (again["run"]["phase"], again["changed"]) == ("promoted", False)


@pytest.mark.parametrize(("phase", "at"), [("shifting", 0), ("promoting", 1)])
def test_an_edit_just_before_the_routes_are_written_is_not_overwritten(
    direct: Direct, kube: Kube, routed: str, phase: str, at: int
) -> None:
    """The record says that the routes are written next, and somebody else writes first."""
    edited = []

    def edit(module: str, result: t.Mapping[str, t.Any]) -> None:
        run = result.get("run") or {}
        if not edited and (run.get("phase"), run.get("at")) == (phase, at):
            edited.append(phase)
            direct("weight", weights={"v1": 70, "v2": 30}, preflight=False, wait=False)

    direct.show = edit
    stopped = direct("rollout", fails=True, **{**QUICK, "steps": [50]})
    assert edited
    assert (stopped["error_code"], stopped["run"]["phase"]) == ("not_promoted", "stopped")
    assert "Conflict: the weights of" in stopped["run"]["reason"]
    assert weights(kube, routed) == {"v1": 70, "v2": 30}
    restored = direct("rollout", **{**QUICK, "steps": [50], "on_drift": "restore"})
    assert (restored["run"]["id"], restored["run"]["phase"]) == (stopped["run"]["id"], "promoted")
    assert weights(kube, routed) == {"v2": 100}


def test_the_audit_log_has_every_phase_and_the_record_is_written_before_each_change(
    direct: Direct, kube: Kube, routed: str
) -> None:
    done = direct("rollout", **{**QUICK, "steps": [20]})
    assert events(done) == [
        "opened", "ready", "shifted", "pass", "approved", "ready", "shifted", "pass", "last_step", "shifted", "drained",
        "done",
    ]  # fmt: skip
    assert done["report"]["verified"]
    # A dry run of the first change before lock and record, the routes at two steps and at the promotion, the record
    # before each of these and at the end, the lock's release.
    assert done["api_requests"]["patch"] == 9, done["api_requests"]
    notes = [(one["event"], one["weight"]) for one in done["report"]["events"] if "reviews: v1" in one.get("note", "")]
    assert notes == [("shifted", 20.0), ("shifted", 100.0)]
    found = [one for one in kube.list("v1", "Event", routed) if one["source"].get("component") == "meshops.canary"]
    assert {one["reason"] for one in found} >= {"CanaryOpened", "CanaryReady", "CanaryShifted", "CanaryDone"}


def test_control_returns_where_it_is_asked_for_and_the_same_call_goes_on(direct: Direct, routed: str) -> None:
    points = ["step", "before", "before_step", "after_step", "on_promote", "on_rollback"]
    seen, digest = [], ""
    while True:
        options = {**QUICK, "steps": [50], "holder": "ada@ops1/1", "record_digest": digest}
        result = direct("rollout", return_at=points, **options)
        digest = result["record_digest"]
        seen.append(result["next"])
        if not result["next"]:
            break
        assert not result["run"]["over"]
        assert len(seen) < 20, seen
    assert seen == ["before", "before_step", "after_step", "step", "before_step", "after_step", "on_promote", ""]
    assert result["run"]["phase"] == "promoted"
    assert [one["event"] for one in result["report"]["events"]].count("opened") == 1, "the calls are one run"
    assert "resumed" not in events(result)


def test_a_task_of_the_user_that_failed_rolls_back(direct: Direct, kube: Kube, routed: str) -> None:
    options = {**QUICK, "holder": "ada@ops1/1", "return_at": ["after_step", "on_rollback"], "must_promote": False}
    last = direct("rollout", **options)
    assert last["next"] == "after_step"
    refused = direct("rollout", fails=True, **options)
    assert refused["error_code"] == "invalid_input"
    assert "record_digest" in refused["msg"], "whether somebody changed the record in between cannot be known"
    back = direct("rollout", error="Smoke test: 3 of 5 failed", record_digest=last["record_digest"], **options)
    assert (back["next"], back["run"]["phase"]) == ("on_rollback", "rolling_back")
    assert weights(kube, routed) == {"v1": 100}, "requests come first"
    done = direct("rollout", error="Tell the team: no answer", record_digest=back["record_digest"], **options)
    assert (done["next"], done["run"]["phase"], done["run"]["reason"]) == (
        "",
        "rolled_back",
        "Smoke test: 3 of 5 failed",
    )
    assert done["warnings"] == ["on_rollback failed; the rollback continues: Tell the team: no answer"]


def test_tasks_of_a_killed_run_run_again(direct: Direct, routed: str) -> None:
    options = {**QUICK, "return_at": ["before_step"]}
    first = direct("rollout", holder="ada@ops1/1", lease_seconds=10, **options)
    assert first["next"] == "before_step"
    direct("rollout", state="closed", holder="ada@ops1/1")
    again = direct("rollout", holder="bob@ops2/2", **options)
    assert (again["next"], again["run"]["at"], again["resumed"]) == ("before_step", 0, True)
    last = direct("rollout", holder="bob@ops2/2", record_digest=again["record_digest"], **options)
    assert last["run"]["at"] == 1


def test_a_gate_returns_until_it_is_answered(direct: Direct, routed: str) -> None:
    gate = {"weight": 50, "gate": "manual", "gate_seconds": 600}
    options = {**QUICK, "steps": [gate], "return_at": ["gate"], "holder": "ada@ops1/1", "must_promote": False}
    digest = ""

    def call(answer: str = "") -> dict[str, t.Any]:
        nonlocal digest
        result = direct("rollout", **options, answer=answer, record_digest=digest)
        digest = result["record_digest"]
        return result

    assert call()["next"] == "gate"
    waiting = call()
    assert (waiting["next"], waiting["run"]["phase"]) == ("gate", "gated")
    assert call("rejected")["run"]["reason"] == "rejected at the gate"
    assert call()["next"] == "gate"
    assert call("approved")["run"]["phase"] == "promoted"


@pytest.mark.parametrize("killed", ["the worker by SIGTERM", "the playbook by SIGKILL"])
def test_a_task_that_is_told_to_stop_leaves_a_rollout_that_goes_on(
    direct: Direct, kube: Kube, play: Player, routed: str, killed: str
) -> None:
    plan = {**QUICK, "steps": [{"weight": 20, "pause": 12}], "namespace": routed, "service": "reviews"}
    process = play.begin([{"name": "Roll out", "meshops.canary.canary_rollout": plan}]).process
    kube.wait_until(lambda: phase_of(kube, routed) == "observing", 60, "the pause of the first step")
    worker = children(process.pid)[-1]
    if killed == "the worker by SIGTERM":
        os.kill(worker, signal.SIGTERM)
        assert process.wait(timeout=30) != 0
    else:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=10)
        kube.wait_until(lambda: not Path(f"/proc/{worker}").exists(), 10, "the end of the worker")
    assert weights(kube, routed) == {"v1": 80, "v2": 20}
    stopped = direct("rollout")
    assert (stopped["run"]["phase"], stopped["run"]["holder"]) == ("observing", "")
    ended = direct("rollout", **{**plan, "pause": 0})
    assert (ended["run"]["id"], ended["run"]["phase"]) == (stopped["run"]["id"], "promoted")


def phase_of(kube: Kube, namespace: str) -> str:
    found = kube.get("v1", "ConfigMap", "canary-rollout-reviews", namespace)
    return str(json.loads(found["data"]["run"])["phase"]) if found else ""


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [int(one) for one in listed]
