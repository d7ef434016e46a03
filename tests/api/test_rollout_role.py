# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role rollout on a real API server, without pods: its ways through gates, hooks, hands in the way and ends."""

from __future__ import annotations

import typing as t

import pytest
from support.direct import ISTIO

if t.TYPE_CHECKING:
    from pathlib import Path

    from support.direct import Direct
    from support.kube import Kube
    from support.play import Played, Player

BLIND: dict[str, t.Any] = {
    "service": "reviews", "stable": "v1", "canary": "v2", "steps": [50], "pause": 0, "deadline": 30, "analysis": False,
    "report_dir": "", "rollout_capacity": False, "rollout_retire_after": 0, "rollout_drain": 1,
    "rollout_force": ["SUBSET_NOT_READY", "CAPACITY_BELOW_SHARE"],
}  # fmt: skip
SHUT = {"gate": "timed", "gate_seconds": 1}


class Role:
    """Rollouts of a service without pods. weights: what its VirtualService says."""

    def __init__(self, play: Player, kube: Kube, direct: Direct) -> None:
        self.play, self.kube, self.direct, self.space = play, kube, direct, direct.namespace

    def __call__(self, *options: str, fails: bool = False, **variables: t.Any) -> Played:
        given = {"ns": self.space, **BLIND, **variables}
        return self.play("meshops.canary.rollout", *options, fails=fails, **given)

    def weights(self) -> dict[str, int]:
        found = self.kube.get(ISTIO, "VirtualService", "reviews", self.space)
        assert found
        route = found["spec"]["http"][0]["route"]
        return {one["destination"]["subset"]: one["weight"] for one in route if one.get("weight")}

    def told(self) -> dict[str, t.Any]:
        return dict(self.direct("rollout", state="present")["report"])


@pytest.fixture
def role(play: Player, kube: Kube, direct: Direct, routed: str) -> Role:
    return Role(play, kube, direct)


def hook(path: Path, **task: t.Any) -> str:
    """Return a file with one task, by its module's name with dots as underscores."""
    module, options = next(iter(task.items()))
    lines = [f"    {name}: {value!r}" for name, value in options.items()]
    file = path / f"hook{len(list(path.iterdir()))}.yml"
    file.write_text("\n".join([f"- name: Hook\n  {module}:", *lines, ""]), encoding="utf-8")
    return str(file)


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
    annotations = {f"canary.meshops.io/{said}": f"{last['run']['id']}-1"}
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
