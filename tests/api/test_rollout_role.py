# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role rollout on a real API server, without pods: gates, hooks, edits by others, and both ends."""

from __future__ import annotations

import typing as t

import pytest
from support.effort import rounds
from support.rollout_role import ADVANCED, PLANNED, Role, hook, hook_messages

if t.TYPE_CHECKING:
    from pathlib import Path

    from support.direct import Direct
    from support.kube import Kube
    from support.play import Player

TIMED = {"gate": "timed", "gate_seconds": 1}


@pytest.fixture
def role(play: Player, kube: Kube, direct: Direct, routed: str) -> Role:
    return Role(play, kube, direct)


def test_reports_and_metrics_that_cannot_be_written_change_nothing(role: Role, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("this is no folder")
    role(report_dir=str(tmp_path / "file"), textfile=str(tmp_path / "none" / "v2.prom"))
    assert role.state() == ("promoted", {"v2": 100})
    assert [one["event"] for one in role.report()["events"]] == [
        "opened", "ready", "shifted", "pass", "approved", "ready", "shifted", "pass", "last_step", "shifted", "drained",
        "done",
    ]  # fmt: skip


def test_a_hook_of_the_rollback_runs_once_after_everything_and_undoes_nothing(role: Role, tmp_path: Path) -> None:
    bad = hook(tmp_path, **{"ansible.builtin.fail": {"msg": "the smoke test failed"}})
    played = role(fails=True, rollout_after_step=bad, rollout_on_rollback=bad)
    assert role.state() == ("rolled_back", {"v1": 100})
    assert role.report()["reason"] == "Hook: the smoke test failed"
    names = [name for name, _host, _result in played.tasks]
    assert names.count("meshops.canary.rollout : Hook") == 2
    advanced = [result for name, _host, result in played.tasks if name == ADVANCED]
    assert [one["next"] for one in advanced] == ["after_step", "on_rollback", ""]
    assert advanced[-1]["warnings"] == ["on_rollback failed; the rollback continues: Hook: the smoke test failed"]


def test_an_edit_back_to_stable_during_the_promotion_keeps_the_old_version(role: Role, tmp_path: Path) -> None:
    back = {"service": "reviews", "namespace": role.space, "weights": {"v1": 100}, "preflight": False}
    edit = hook(tmp_path, **{"meshops.canary.canary_weight": back})
    role(fails=True, rollout_on_promote=edit)
    assert role.state() == ("stopped", {"v1": 100})
    stopped = role.report()
    assert "v1 0% -> 100%" in stopped["reason"]
    role(fails=True)
    assert role.weights() == {"v1": 100}, "the user decides what to do with the change"
    role(on_drift="restore")
    assert (role.report()["id"], role.state()) == (stopped["id"], ("promoted", {"v2": 100}))


def test_the_next_run_completes_a_promotion_whose_hook_failed(role: Role, tmp_path: Path) -> None:
    bad = hook(tmp_path, **{"ansible.builtin.fail": {"msg": "the ticket system is away"}})
    role(fails=True, rollout_on_promote=bad)
    assert role.state() == ("stopped", {"v2": 100})
    stopped = role.report()["id"]
    role(steps=[5, 25])
    assert (role.report()["id"], role.report()["phase"]) == (stopped, "promoted")


def test_a_timed_gate_opens_by_time_where_nothing_is_judged(role: Role) -> None:
    role(steps=[{"weight": 50, **TIMED}, 100])
    assert role.report()["phase"] == "promoted"


def test_a_timed_gate_without_a_verdict_stays_shut(role: Role) -> None:
    """Nobody sends a request, so the step itself is not judged here, and its gate is."""
    waits = {"deadline": 3, "pause": 1}
    steps = [{"weight": 50, **waits, **TIMED}, 100]
    left = role.leave("ready", "shifted", "pass", steps=steps, analysis=True, **waits)
    assert left["phase"] == "gated"
    role(fails=True, steps=steps, analysis=True, **waits)
    assert role.state() == ("rolled_back", {"v1": 100})
    assert role.report()["reason"].startswith("no verdict before the deadline: ")


@pytest.mark.parametrize(("default", "phase"), [("rollback", "rolled_back"), ("continue", "promoted")])
def test_a_manual_gate_without_an_answer_follows_its_default(role: Role, default: str, phase: str) -> None:
    gate = {"gate": "manual", "gate_seconds": 2, "gate_default": default}
    role(fails=default == "rollback", steps=[{"weight": 50, **gate}, 100])
    report = role.report()
    assert report["phase"] == phase
    assert "no answer before the deadline" in [one.get("note") for one in report["events"]]


@pytest.mark.parametrize(("answer", "phase"), [("approve", "promoted"), ("reject", "rolled_back")])
def test_an_answer_given_while_no_run_was_alive_ends_the_wait_at_a_manual_gate(
    role: Role, answer: str, phase: str
) -> None:
    """The run died at its gate, and somebody answered before it was run again and came to the gate again."""
    steps = [{"weight": 50, "gate": "manual", "gate_seconds": 600}, 100]
    left = role.leave("ready", "shifted", "pass", steps=steps)
    assert left["phase"] == "gated"
    annotations = {f"canary.meshops.io/{answer}": left["ticket"]}
    role.kube.patch("v1", "Service", "reviews", role.space, {"metadata": {"annotations": annotations}})
    role(fails=answer == "reject", steps=steps)
    report = role.report()
    assert (report["id"], report["phase"]) == (left["id"], phase)
    if answer == "reject":
        assert report["reason"].endswith("rejected at the gate")


def test_an_invalid_number_of_old_pods_is_refused_before_anything_moves(role: Role) -> None:
    played = role(fails=True, rollout_old_replicas="some")
    assert "old_replicas must be a number of pods, not some" in played.task(ADVANCED)["msg"]
    assert role.direct("rollout", state="present")["run"] is None


def test_check_mode_lists_what_is_planned(role: Role) -> None:
    played = role("--check", "--diff")
    assert played.task(PLANNED)["msg"][-2:] == [
        "step 1 (planned): routes v1 50%, v2 50%",
        "step 2 (planned): routes v1 0%, v2 100%",
    ]
    assert role.weights() == {"v1": 100}


def test_a_plan_may_have_a_hundred_steps(role: Role) -> None:
    """Each round of the role lies within the one before."""
    percents = list(range(1, rounds(20, 100) + 1))
    role(steps=percents)
    assert role.state() == ("promoted", {"v2": 100})
    events = role.report()["events"]
    shifted = [one["weight"] for one in events if one["event"] == "shifted" and one["to"] == "observing"]
    assert shifted[: len(percents)] == [float(percent) for percent in percents]


@pytest.mark.parametrize(("events", "again"), [((), True), (("ready",), False)], ids=["opened", "ready"])
def test_tasks_before_the_rollout_run_again_unless_its_first_step_began(
    role: Role, tmp_path: Path, events: tuple[str, ...], again: bool
) -> None:
    left = role.leave(*events)
    played = role(rollout_before=hook(tmp_path, **{"ansible.builtin.debug": {"msg": "{{ rollout_run['id'] }}"}}))
    report = role.report()
    assert (report["id"], report["phase"]) == (left["id"], "promoted")
    assert hook_messages(played) == ([left["id"]] if again else [])


def test_tasks_before_the_rollout_and_before_a_step_run_while_it_prepares(role: Role, tmp_path: Path) -> None:
    state = "{{ rollout_run['phase'] }} {{ rollout_step['weight'] }}"
    first = hook(tmp_path, **{"ansible.builtin.debug": {"msg": f"first {state}"}})
    each = hook(tmp_path, **{"ansible.builtin.debug": {"msg": state}})
    played = role(rollout_before=first, rollout_before_step=each, steps=[20, 50])
    assert hook_messages(played) == ["first preparing 20.0", "preparing 20.0", "preparing 50.0", "preparing 100.0"]
