# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role rollout on a real API server, without pods: its ways through gates, hooks, hands in the way and ends."""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

import pytest
from support.blind import Role, hook

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube
    from support.play import Player

CALLBACKS = Path(__file__).parents[1] / "support" / "callbacks"
SHUT = {"gate": "timed", "gate_seconds": 1}


@pytest.fixture
def role(play: Player, kube: Kube, direct: Direct, routed: str) -> Role:
    return Role(play, kube, direct)


def before(task: str, module: str, options: dict[str, t.Any]) -> dict[str, str]:
    """Return the environment in which a module runs just before a task that begins like this."""
    ansible = str(Path(sys.executable).with_name("ansible"))
    return {
        "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "before_task",
        "BEFORE_TASK": task,
        "BEFORE_TASK_RUNS": json.dumps([ansible, "localhost", "-m", module, "-a", json.dumps(options)]),
    }


def test_reports_and_metrics_that_cannot_be_written_change_nothing(role: Role, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("this is no folder")
    role(report_dir=str(tmp_path / "file"), textfile=str(tmp_path / "none" / "v2.prom"))
    told = role.told()
    assert told["phase"] == "promoted"
    assert [one["event"] for one in told["events"]] == [
        "opened", "ready", "shifted", "pass", "approved", "ready", "shifted", "pass", "last_step", "shifted", "drained",
        "done",
    ]  # fmt: skip
    assert role.weights() == {"v2": 100}


def test_a_hook_of_the_rollback_runs_once_after_everything_and_undoes_nothing(role: Role, tmp_path: Path) -> None:
    bad = hook(tmp_path, **{"ansible.builtin.fail": {"msg": "the smoke test failed"}})
    played = role(fails=True, rollout_after_step=bad, rollout_on_rollback=bad)
    told = role.told()
    assert (told["phase"], role.weights()) == ("rolled_back", {"v1": 100})
    assert told["reason"] == "Hook: the smoke test failed"
    names = [name for name, _host, _result in played.tasks]
    assert names.count("meshops.canary.rollout : Hook") == 2
    assert names.index("meshops.canary.rollout : Say which of them failed") > names.index(
        "meshops.canary.rollout : Take the requests back"
    )


def test_whoever_goes_back_while_it_promotes_keeps_the_old_version(role: Role, tmp_path: Path) -> None:
    back = {"service": "reviews", "namespace": role.space, "weights": {"v1": 100}, "preflight": False}
    edit = hook(tmp_path, **{"meshops.canary.canary_weight": back})
    role(fails=True, rollout_on_promote=edit)
    told = role.told()
    assert (told["phase"], role.weights()) == ("stopped", {"v1": 100})
    assert "v1 0% -> 100%" in told["reason"]
    role(fails=True)
    assert role.weights() == {"v1": 100}, "it is asked what to do with the edit"
    role(on_drift="restore")
    assert (role.told()["id"], role.told()["phase"], role.weights()) == (told["id"], "promoted", {"v2": 100})


@pytest.mark.parametrize("task", ["Send the canary its percent", "Make the new version the normal state"])
def test_an_edit_in_the_moment_before_the_routes_are_written_is_not_overwritten(role: Role, task: str) -> None:
    edit = {"service": "reviews", "namespace": role.space, "weights": {"v1": 70, "v2": 30}, "preflight": False}
    role(fails=True, environment=before(task, "meshops.canary.canary_weight", edit))
    told = role.told()
    assert (told["phase"], role.weights()) == ("stopped", {"v1": 70, "v2": 30})
    assert "Somebody else has changed the weights" in told["reason"]
    role(on_drift="restore")
    assert (role.told()["id"], role.told()["phase"], role.weights()) == (told["id"], "promoted", {"v2": 100})


def test_a_failed_hook_of_the_promotion_is_made_good_by_the_next_run(role: Role, tmp_path: Path) -> None:
    bad = hook(tmp_path, **{"ansible.builtin.fail": {"msg": "the ticket system is away"}})
    role(fails=True, rollout_on_promote=bad)
    told = role.told()
    assert (told["phase"], role.weights()) == ("stopped", {"v2": 100})
    role(steps=[5, 25])
    assert (role.told()["id"], role.told()["phase"]) == (told["id"], "promoted")


def test_a_timed_gate_opens_by_time_where_nothing_is_judged(role: Role) -> None:
    role(steps=[{"weight": 50, **SHUT}, 100])
    assert role.told()["phase"] == "promoted"


def test_a_timed_gate_without_a_verdict_stays_shut(role: Role) -> None:
    """Nobody sends anything, so the step itself is not judged here, and its gate is."""
    role.direct("rollout", state="opened", holder="ada@ops1/1", stable="v1", canary="v2",
                steps=[{"weight": 50, "deadline": 3, "pause": 1, **SHUT}, 100], deadline=3, pause=1)  # fmt: skip
    for event in ("ready", "shifted", "pass"):
        last = role.direct("rollout", state="recorded", event=event, holder="ada@ops1/1")
        role.direct("weight", weights=last["run"]["weights_wanted"], preflight=False, wait=False)
    assert last["run"]["phase"] == "gated"
    role.direct("rollout", state="closed", holder="ada@ops1/1")
    role(fails=True, steps=[{"weight": 50, "deadline": 3, "pause": 1, **SHUT}, 100], deadline=3, pause=1, analysis=True)
    told = role.told()
    assert (told["phase"], role.weights()) == ("rolled_back", {"v1": 100})
    assert told["reason"].startswith("no verdict until the deadline: ")


@pytest.mark.parametrize("default", ["rollback", "continue"])
def test_a_manual_gate_that_nobody_answers_follows_its_default(role: Role, default: str) -> None:
    gate = {"gate": "manual", "gate_seconds": 2, "gate_default": default}
    role(fails=default == "rollback", steps=[{"weight": 50, **gate}, 100])
    told = role.told()
    assert told["phase"] == {"rollback": "rolled_back", "continue": "promoted"}[default]
    assert "nobody answered in time" in [one.get("note") for one in told["events"]]


@pytest.mark.parametrize("judged", [False, True])
@pytest.mark.parametrize(("said", "phase"), [("approve", "promoted"), ("reject", "rolled_back")])
def test_whoever_has_answered_a_manual_gate_is_not_kept_waiting(
    role: Role, said: str, phase: str, judged: bool
) -> None:
    """The run died at its gate, and somebody answered until it was run again; judged or not makes no difference."""
    steps = [{"weight": 50, "gate": "manual", "gate_seconds": 600, "analysis": judged}, 100]
    role.direct("rollout", state="opened", holder="ada@ops1/1", stable="v1", canary="v2", steps=steps, deadline=30,
                pause=0, analysis=False)  # fmt: skip
    for event in ("ready", "shifted", "pass"):
        last = role.direct("rollout", state="recorded", event=event, holder="ada@ops1/1")
        role.direct("weight", weights=last["run"]["weights_wanted"], preflight=False, wait=False)
    assert last["run"]["phase"] == "gated"
    role.direct("rollout", state="closed", holder="ada@ops1/1")
    annotations = {f"canary.meshops.io/{said}": last["run"]["ticket"]}
    role.kube.patch("v1", "Service", "reviews", role.space, {"metadata": {"annotations": annotations}})
    played = role(fails=said == "reject", steps=steps)
    told = role.told()
    assert (told["id"], told["phase"]) == (last["run"]["id"], phase)
    names = [name for name, _host, _result in played.tasks]
    assert any(name.startswith("meshops.canary.rollout : Judge the canary") for name in names) == judged
    if said == "reject":
        assert told["reason"].endswith("rejected at the gate")


def test_what_the_old_version_cannot_keep_is_refused_before_anything_moves(role: Role) -> None:
    played = role(fails=True, rollout_old_replicas="some")
    assert "rollout_old_replicas is a number of pods, not some" in played.last["msg"]
    assert role.direct("rollout", state="present")["run"] is None


def test_check_mode_lists_what_is_planned(role: Role) -> None:
    played = role("--check", "--diff", rollout_force=[])
    assert played.task("meshops.canary.rollout : Show what would be changed, by the load of now")["msg"] == [
        "step 1 (planned): routes v1 50%, v2 50%",
        "step 2 (planned): routes v1 0%, v2 100%",
    ]
    assert role.weights() == {"v1": 100}


def test_as_many_steps_as_a_plan_may_have_are_gone_through(role: Role) -> None:
    """Each round of the role lies within the one before."""
    role(steps=list(range(1, 101)))
    told = role.told()
    assert (told["phase"], role.weights()) == ("promoted", {"v2": 100})
    shifted = [one["weight"] for one in told["events"] if one["event"] == "shifted" and one["to"] == "observing"]
    assert shifted == [float(percent) for percent in range(1, 101)]


def test_whoever_was_killed_before_the_first_step_runs_the_tasks_before_it(role: Role, tmp_path: Path) -> None:
    say = hook(tmp_path, **{"ansible.builtin.debug": {"msg": "{{ rollout_run['id'] }}"}})
    runs = []
    for events, again in (((), True), (("ready",), False)):
        role.direct("weight", weights={"v1": 100}, preflight=False, wait=False)
        begun = role.direct("rollout", state="opened", holder="ada@ops1/1", stable="v1", canary="v2", steps=[50],
                            deadline=30, pause=0, analysis=False)  # fmt: skip
        for event in events:
            role.direct("rollout", state="recorded", event=event, holder="ada@ops1/1")
        role.direct("rollout", state="closed", holder="ada@ops1/1")
        played = role(rollout_before=say)
        assert (role.told()["id"], role.told()["phase"]) == (begun["run"]["id"], "promoted")
        said = [result["msg"] for name, _host, result in played.tasks if name.endswith(" : Hook")]
        assert said == ([begun["run"]["id"]] if again else [])
        runs.append(begun["run"]["id"])
    assert len(set(runs)) == 2


def test_the_tasks_before_the_rollout_and_before_a_step_run_while_it_prepares(role: Role, tmp_path: Path) -> None:
    say = hook(
        tmp_path, **{"ansible.builtin.debug": {"msg": "{{ rollout_run['phase'] }} {{ rollout_step['weight'] }}"}}
    )
    for asked, said in (
        ({"rollout_before": say}, ["preparing 50.0"]),
        ({"rollout_before_step": say, "steps": [20, 50]}, ["preparing 20.0", "preparing 50.0", "preparing 100.0"]),
    ):
        role.direct("weight", weights={"v1": 100}, preflight=False, wait=False)
        played = role(**asked)
        assert [result["msg"] for name, _host, result in played.tasks if name.endswith(" : Hook")] == said
