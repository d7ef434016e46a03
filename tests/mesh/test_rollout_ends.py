# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How rollouts end when something beside the canary goes wrong: hands in the way, hooks and reports that fail."""

from __future__ import annotations

import typing as t

import pytest
from support.rollouts import LOAD, report

if t.TYPE_CHECKING:
    from pathlib import Path

    from support.rollouts import Stage

pytestmark = pytest.mark.mesh

TWO_STEPS: dict[str, t.Any] = {"steps": [50, 100], "pause": 2, "rollout_drain": 2}


def test_the_old_version_keeps_its_pods_when_somebody_goes_back_to_it(stage: Stage) -> None:
    """Between the promotion and the end of the old version's pods, where a rollback by hand is most likely."""
    pods = len(stage.pods("v2"))
    with stage.shop.sidecar.background(LOAD) as load:
        process = stage.begin("v3", **{**TWO_STEPS, "rollout_retire_after": 20, "rollout_old_replicas": 0})
        done = ("shifted", "promoting", "promoting")
        stage.kube.wait_until(lambda: done in stage.trail(), 120, "v3 is the normal state")
        stage.direct("weight", weights={"v2": 100}, settle=True, force=["CAPACITY_BELOW_SHARE"])
        assert process.wait(timeout=120) != 0
        load.stop()
        seen = load.result()
    run = stage.run()
    assert (run["phase"], run["stopped_in"]) == ("stopped", "promoting")
    assert stage.weights() == {"v2": 100}
    assert len(stage.pods("v2")) == pods
    assert seen.failed == 0, seen.reasons


def test_the_old_versions_pods_go_when_it_is_seen_to_get_nothing(stage: Stage) -> None:
    with stage.shop.sidecar.background(LOAD) as load:
        told = report(stage.rollout("v3", **TWO_STEPS, rollout_old_replicas=1))
        load.stop()
        seen = load.result()
    assert told["phase"] == "promoted"
    drained = [entry for entry in told["events"] if entry["event"] == "drained"]
    assert [entry["note"] for entry in drained] == ["v2: no requests in the last 2 s"]
    assert seen.failed == 0, seen.reasons


def test_nothing_that_only_tells_can_end_a_rollout(stage: Stage, tmp_path: Path) -> None:
    """A textfile in a folder that is not there, a report that cannot be written."""
    (tmp_path / "file").write_text("no folder")
    with stage.shop.sidecar.background(LOAD):
        played = stage.rollout(
            "v3", **{**TWO_STEPS, "report_dir": str(tmp_path / "file"), "textfile": str(tmp_path / "none" / "v3.prom")}
        )
    assert report(played)["phase"] == "promoted"
    assert stage.weights() == {"v3": 100}


def test_a_hook_of_the_rollback_that_fails_keeps_nothing_from_going_back(stage: Stage, tmp_path: Path) -> None:
    hook = tmp_path / "hook.yml"
    hook.write_text("- name: Tell the team\n  ansible.builtin.fail:\n    msg: nobody is there\n")
    played = stage.rollout("v3", fails=True, deadline=5, rollout_on_rollback=str(hook))
    assert report(played)["phase"] == "rolled_back"
    assert [entry["to"] for entry in report(played)["events"]].count("rolled_back") == 1
    assert stage.weights() == {"v2": 100}


def test_a_timed_gate_without_a_verdict_stays_shut(stage: Stage) -> None:
    """Requests that end with the step: the gate has nothing to open for."""
    steps = [{"weight": 50, "gate": "timed", "gate_seconds": 4, "deadline": 30}, 100]
    metrics = [{"name": "errors", "kind": "errors", "min_requests": 400}]
    load = stage.shop.sidecar.background(LOAD)
    with load as running:
        process = stage.begin("v3", steps=steps, metrics=metrics, pause=6)
        stage.kube.wait_until(lambda: stage.run().get("phase") == "gated", 90, "the gate")
        running.stop()
        assert process.wait(timeout=120) != 0
    assert stage.run()["phase"] == "rolled_back"
    assert stage.weights() == {"v2": 100}
