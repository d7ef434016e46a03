# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks promote and rollback where something is in their way: a guess, or pods that never come."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from support.unplaced import versioned

from .conftest import Writes

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.play import Played, Player
    from support.scene import Scene

ROOT = Path(__file__).parents[2]
QUIET = {"preflight": False, "wait": False}


class Verbs:
    """The playbooks on `reviews` of one namespace; v1 and v2 have half each, and their new pods never start."""

    def __init__(self, scene: Scene, direct: Direct, play: Player) -> None:
        self.namespace, self._kube = scene.namespace, scene.kube
        self._direct, self._play = direct, play
        scene.apply(versioned("v1", 1), versioned("v2", 5))
        self.weigh({"v1": 50, "v2": 50})

    def __call__(self, verb: str, *options: str, fails: bool = False, **variables: t.Any) -> Played:
        return self._play(
            f"meshops.canary.{verb}", *options, fails=fails, service="reviews", ns=self.namespace, **variables
        )

    def weigh(self, weights: dict[str, float]) -> None:
        self._direct("weight", weights=weights, **QUIET)

    @property
    def weights(self) -> dict[str, float]:
        told = self._direct("info", measure="none", proxies=False, preflight=False)["services"][0]["weights"]
        return {version: percent for version, percent in told.items() if percent}

    def record(self, stable: str, canary: str) -> None:
        self._direct("rollout", state="opened", stable=stable, canary=canary, steps=[50], holder="ada")

    def desired(self, version: str) -> int:
        found = self._kube.get("apps/v1", "Deployment", f"reviews-{version}", self.namespace)
        assert found
        return int(found["spec"]["replicas"])


@pytest.fixture
def verbs(scene: Scene, direct: Direct, play: Player) -> Verbs:
    return Verbs(scene, direct, play)


def test_a_rollback_does_not_guess_among_three_versions(verbs: Verbs) -> None:
    refused = verbs("rollback", fails=True, capacity=False).last["msg"]
    assert "does not say which version is stable" in refused
    assert "There are: v1, v2, v3. Name one of them: -e stable=v1" in refused
    assert verbs.weights == {"v1": 50, "v2": 50}


def test_a_rollback_goes_where_the_last_rollout_came_from(verbs: Verbs) -> None:
    verbs.record("v2", "v1")
    said = verbs("rollback", capacity=False).last["msg"]
    assert verbs.weights == {"v2": 100}
    assert said[0] == "The last rollout names v2 as stable."


def test_a_rollback_ends_the_rollout_of_somebody_else(verbs: Verbs, direct: Direct) -> None:
    verbs.weigh({"v1": 100})
    verbs.record("v1", "v2")
    verbs("rollback", stable="v1", capacity=False)
    assert verbs.weights == {"v1": 100}
    found = direct("rollout")
    assert (found["run"]["phase"], found["run"]["holder"]) == ("rolled_back", "")
    lost = direct("rollout", state="recorded", event="ready", holder="ada", fails=True)
    assert "possible now: none, it is over" in lost["msg"]


def test_a_run_that_was_taken_back_writes_no_more(verbs: Verbs, direct: Direct) -> None:
    verbs.weigh({"v1": 100})
    verbs.record("v1", "v2")
    run = direct("rollout", state="recorded", event="ready", holder="ada")["run"]
    planned = {"weights": run["weights_wanted"], "expected": {"v1": 100}, "rollout": run["id"]}
    verbs("rollback", stable="v1", capacity=False)
    late = direct("weight", fails=True, **planned, **QUIET)
    assert late["error_code"] == "over"
    assert "is rolled back, so nothing was written: somebody has ended it meanwhile" in late["msg"]
    testers = {"headers": {"end-user": "testuser"}, "weights": {"v2": 100}}
    assert direct("header_route", fails=True, rollout=run["id"], **testers, **QUIET)["error_code"] == "over"
    verbs.record("v1", "v3")
    assert direct("weight", fails=True, **planned, **QUIET)["error_code"] == "superseded"
    assert verbs.weights == {"v1": 100}
    now = direct("rollout")["run"]["id"]
    direct("weight", **{**planned, "rollout": now}, **QUIET)
    assert verbs.weights == run["weights_wanted"]


def test_a_rollback_that_somebody_wrote_over_is_written_again(verbs: Verbs, direct: Direct, play: Player) -> None:
    verbs.record("v1", "v2")
    direct("rollout", state="aborted", holder="ada")
    direct("rollout", state="closed", holder="ada")
    names = {"service": "reviews", "canary_namespace": verbs.namespace, "__target_name": "v1"}
    forced = {"canary_force": ["SUBSET_NOT_READY"], "__pods_to_come": []}
    tasks = str(ROOT / "playbooks" / "tasks" / "record_rollback.yml")
    play([{"ansible.builtin.include_tasks": tasks, "vars": {**names, **forced}}])
    assert verbs.weights == {"v1": 100}
    assert direct("rollout")["run"]["phase"] == "rolled_back"


def test_a_rollback_goes_back_also_beside_a_record_that_nobody_can_read(verbs: Verbs, scene: Scene) -> None:
    verbs.record("v1", "v2")
    scene.kube.patch("v1", "ConfigMap", "canary-rollout-reviews", scene.namespace, {"data": {"run": "no JSON"}})
    said = verbs("rollback", stable="v1", capacity=False).last["msg"]
    assert said[0].startswith("A rollout that may be under way could not be ended, so see to it")
    assert verbs.weights == {"v1": 100}


def test_a_rollback_for_a_canary_leaves_everything_else_as_it_is(verbs: Verbs) -> None:
    said = verbs("rollback", canary="v2").last["msg"]
    assert said.startswith("No rollout of v2 is under way, so nothing was changed. No rollout of reviews is recorded.")
    verbs.record("v1", "v2")
    assert verbs("rollback", canary="v3").last["msg"].startswith("No rollout of v3 is under way")
    assert verbs.weights == {"v1": 50, "v2": 50}
    verbs("rollback", canary="v2", capacity=False)
    assert verbs.weights == {"v1": 100}
    verbs.weigh({"v1": 50, "v2": 50})
    verbs("rollback", canary="v2", capacity=False)
    assert verbs.weights == {"v1": 50, "v2": 50}, "it was taken back already, so this is somebody's own doing"


def test_without_the_right_to_know_a_rollback_for_a_canary_fails(verbs: Verbs, scene: Scene) -> None:
    verbs.record("v1", "v2")
    scene.kube.patch("v1", "ConfigMap", "canary-rollout-reviews", scene.namespace, {"data": {"run": "no JSON"}})
    assert "cannot be read" in verbs("rollback", fails=True, canary="v2").last["msg"]


def test_a_promotion_is_refused_while_a_rollout_is_under_way_and_says_how(verbs: Verbs, direct: Direct) -> None:
    verbs.record("v1", "v2")
    refused = verbs("promote", fails=True, version="v2", capacity=False).last["msg"]
    assert "v2 takes over from v1, preparing at 50.0 %, held by ada" in refused
    command = refused.partition("without further steps: ")[2]
    assert command == (
        f"ansible-playbook meshops.canary.rollout -e service=reviews -e ns={verbs.namespace} -e stable=v1 -e canary=v2 "
        """-e '{"steps": [100], "pause": 0, "analysis": false}' -e supersede=true"""
    )
    assert verbs.weights == {"v1": 50, "v2": 50}
    verbs("rollback", canary="v2", capacity=False)
    verbs("promote", version="v2", capacity=False, force="CAPACITY_BELOW_SHARE,SUBSET_NOT_READY")
    assert verbs.weights == {"v2": 100}


def test_a_record_of_other_versions_says_nothing(verbs: Verbs) -> None:
    verbs.record("v1", "v2")
    verbs.weigh({"v3": 100})
    assert "does not say" in verbs("rollback", fails=True, capacity=False).last["msg"]


def test_a_rollback_says_how_the_version_is_called(verbs: Verbs) -> None:
    assert "called stable here, not version" in verbs("rollback", fails=True, version="v1").last["msg"]
    assert verbs.weights == {"v1": 50, "v2": 50}


def test_a_rollback_goes_back_without_the_pods_that_do_not_come(verbs: Verbs) -> None:
    played = verbs("rollback", stable="v1", capacity_timeout=3, force="CAPACITY_NOT_YET,CAPACITY_BELOW_SHARE")
    warned = played.task("Go back all the same")["msg"]
    assert "is to have 5 ready pods, and has 0 after 3 of 3 s" in warned
    assert "describe deployment reviews-v1" in warned
    assert verbs.desired("v1") == 5, "its pods were asked for"
    assert verbs.weights == {"v1": 100}


def test_a_promotion_moves_nothing_without_the_pods(verbs: Verbs) -> None:
    refused = verbs("promote", fails=True, version="v2", capacity_timeout=3).last["msg"]
    assert "is to have 5 ready pods, and has 0 after 3 of 3 s" in refused
    assert "-e capacity_timeout=SECONDS" in refused
    assert verbs.weights == {"v1": 50, "v2": 50}


@pytest.mark.parametrize(("verb", "name"), [("promote", "version"), ("rollback", "stable")])
def test_check_mode_foresees_the_pods(verbs: Verbs, scene: Scene, verb: str, name: str) -> None:
    """v3 has no pods yet: what check mode cannot start must not refuse what would go well."""
    scene.apply(versioned("v3", 0))
    writes = Writes(scene.kube, verbs.namespace)
    shown = verbs(verb, "--check", "--diff", **{name: "v3"}).last["msg"]
    assert "v3 0% -> 100%" in " ".join(shown)
    assert writes.seen() == set()
    assert verbs.desired("v3") == 0
