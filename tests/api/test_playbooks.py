# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks promote and rollback where something is in their way: a guess, or pods that never come."""

from __future__ import annotations

import typing as t

import pytest
from support.pending_deployments import versioned

from .conftest import Writes

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.play import Played, Player
    from support.simulated_service import SimulatedService

QUIET = {"preflight": False, "wait": False}


class Verbs:
    """The playbooks on `reviews` of one namespace; v1 and v2 have half each, and their new pods never start."""

    def __init__(self, simulated: SimulatedService, direct: Direct, play: Player) -> None:
        self.namespace, self._kube = simulated.namespace, simulated.kube
        self._direct, self._play = direct, play
        simulated.apply(versioned("v1", 1), versioned("v2", 5))
        self.weigh({"v1": 50, "v2": 50})

    def __call__(self, verb: str, *options: str, fails: bool = False, **variables: t.Any) -> Played:
        return self._play(
            f"meshops.canary.{verb}", *options, fails=fails, service="reviews", ns=self.namespace, **variables
        )

    def weigh(self, weights: dict[str, float]) -> None:
        self._direct("weight", weights=weights, **QUIET)

    def normal(self, weights: dict[str, float]) -> None:
        """Make the weights those that the routes have without this collection."""
        self._direct("weight", weights=weights, finalize=True, **QUIET)

    @property
    def weights(self) -> dict[str, float]:
        found = self._direct("info", measure="none", proxies=False, preflight=False)["services"][0]["weights"]
        return {version: percent for version, percent in found.items() if percent}

    def record(self, stable: str, canary: str) -> None:
        self._direct("rollout", state="opened", stable=stable, canary=canary, steps=[50], holder="ada")

    def desired(self, version: str) -> int:
        found = self._kube.get("apps/v1", "Deployment", f"reviews-{version}", self.namespace)
        assert found
        return int(found["spec"]["replicas"])


@pytest.fixture
def verbs(simulated: SimulatedService, direct: Direct, play: Player) -> Verbs:
    return Verbs(simulated, direct, play)


def test_a_rollback_does_not_guess_among_three_versions(verbs: Verbs) -> None:
    verbs.normal({"v1": 50, "v2": 50})
    refused = verbs("rollback", fails=True, capacity=False).last["msg"]
    assert "the stable version is unknown" in refused
    assert "Set one of the versions v1, v2, v3, for example -e stable=v1" in refused
    assert verbs.weights == {"v1": 50, "v2": 50}


def test_a_rollback_returns_to_the_stable_version_of_the_last_rollout(verbs: Verbs) -> None:
    verbs.normal({"v2": 100})
    verbs.weigh({"v1": 50, "v2": 50})
    verbs.record("v2", "v1")
    said = verbs("rollback", capacity=False).last["msg"]
    assert verbs.weights == {"v2": 100}
    assert said[0] == "The stable version of the last rollout is v2."


def test_without_a_record_a_rollback_returns_to_the_version_from_before(verbs: Verbs) -> None:
    said = verbs("rollback", capacity=False).last["msg"]
    assert verbs.weights == {"v1": 100}
    assert said[0] == "The stable version is v1: it had most requests before the routes were changed."
    assert "the stable version is unknown" in verbs("rollback", fails=True, capacity=False).last["msg"]


def test_a_rollback_ends_a_rollout_that_another_run_holds(verbs: Verbs, direct: Direct) -> None:
    verbs.weigh({"v1": 100})
    verbs.record("v1", "v2")
    verbs("rollback", stable="v1", capacity=False)
    assert verbs.weights == {"v1": 100}
    found = direct("rollout")
    assert (found["run"]["phase"], found["run"]["holder"]) == ("rolled_back", "")
    lost = direct("rollout", state="recorded", event="ready", holder="ada", fails=True)
    assert "possible now: none, the rollout has ended" in lost["msg"]


def test_a_run_that_was_rolled_back_writes_no_more(verbs: Verbs, direct: Direct) -> None:
    verbs.weigh({"v1": 100})
    verbs.record("v1", "v2")
    run = direct("rollout", state="recorded", event="ready", holder="ada")["run"]
    planned = {"weights": run["desired_weights"], "expected": {"v1": 100}, "rollout": run["id"]}
    verbs("rollback", stable="v1", capacity=False)
    late = direct("weight", fails=True, **planned, **QUIET)
    assert late["error_code"] == "over"
    assert "was ended by another run: it is rolled back. Nothing was written." in late["msg"]
    testers = {"headers": {"end-user": "testuser"}, "weights": {"v2": 100}}
    assert direct("header_route", fails=True, rollout=run["id"], **testers, **QUIET)["error_code"] == "over"
    verbs.record("v1", "v3")
    assert direct("weight", fails=True, **planned, **QUIET)["error_code"] == "superseded"
    assert verbs.weights == {"v1": 100}
    now = direct("rollout")["run"]["id"]
    direct("weight", **{**planned, "rollout": now}, **QUIET)
    assert verbs.weights == run["desired_weights"]


def test_a_rollback_that_was_overwritten_is_written_again(verbs: Verbs, direct: Direct) -> None:
    """The run that was aborted was just about to write, and wrote after the rollback had."""
    verbs.record("v1", "v2")
    late: list[str] = []

    def write_late(module: str, result: t.Mapping[str, t.Any]) -> None:
        if module == "canary_weight" and result["changed"] and not late:
            late.append("written")
            verbs.weigh({"v1": 50, "v2": 50})

    direct.show = write_late
    rolled_back = direct("rollout", state="rolled_back", stable="v1", capacity=False, force=["SUBSET_NOT_READY"])
    assert late == ["written"]
    assert verbs.weights == {"v1": 100}
    assert rolled_back["run"]["phase"] == "rolled_back"


def test_a_rollback_works_beside_an_unreadable_record(verbs: Verbs, simulated: SimulatedService) -> None:
    verbs.record("v1", "v2")
    simulated.kube.patch("v1", "ConfigMap", "canary-rollout-reviews", simulated.namespace, {"data": {"run": "no JSON"}})
    said = verbs("rollback", stable="v1", capacity=False).last["msg"]
    assert said[0].startswith("A rollout that may be under way could not be aborted. Make sure")
    assert verbs.weights == {"v1": 100}


def test_a_rollback_for_a_canary_changes_nothing_else(verbs: Verbs) -> None:
    said = verbs("rollback", canary="v2").last["msg"][-1]
    assert said.startswith("No rollout of v2 is under way, so nothing was changed. No rollout of reviews is recorded.")
    verbs.record("v1", "v2")
    assert verbs("rollback", canary="v3").last["msg"][-1].startswith("No rollout of v3 is under way")
    assert verbs.weights == {"v1": 50, "v2": 50}
    verbs("rollback", canary="v2", capacity=False)
    assert verbs.weights == {"v1": 100}
    verbs.weigh({"v1": 50, "v2": 50})
    verbs("rollback", canary="v2", capacity=False)
    assert verbs.weights == {"v1": 50, "v2": 50}, "it was rolled back already, so this is an external change"


def test_a_rollback_for_a_canary_fails_if_the_record_is_unreadable(verbs: Verbs, simulated: SimulatedService) -> None:
    verbs.record("v1", "v2")
    simulated.kube.patch("v1", "ConfigMap", "canary-rollout-reviews", simulated.namespace, {"data": {"run": "no JSON"}})
    assert "is not readable" in verbs("rollback", fails=True, canary="v2").last["msg"]


def test_a_promotion_is_refused_during_a_rollout_and_names_the_command(verbs: Verbs, direct: Direct) -> None:
    verbs.record("v1", "v2")
    refused = verbs("promote", fails=True, version="v2", capacity=False).last["msg"]
    assert "v2 takes over from v1, preparing at 50 %, held by ada" in refused
    command = refused.partition("without further steps: ")[2]
    assert command == (
        f"ansible-playbook meshops.canary.rollout -e service=reviews -e ns={verbs.namespace} -e stable=v1 -e canary=v2 "
        """-e '{"steps": [100], "rollout_pause": 0, "rollout_analysis": false}' -e rollout_supersede=true"""
    )
    assert verbs.weights == {"v1": 50, "v2": 50}
    verbs("rollback", canary="v2", capacity=False)
    verbs("promote", version="v2", capacity=False, force="CAPACITY_BELOW_SHARE,SUBSET_NOT_READY")
    assert verbs.weights == {"v2": 100}


def test_a_record_of_other_versions_does_not_name_the_stable_version(verbs: Verbs) -> None:
    verbs.record("v1", "v2")
    verbs.normal({"v3": 100})
    assert "the stable version is unknown" in verbs("rollback", fails=True, capacity=False).last["msg"]


def test_a_rollback_names_the_option_for_the_version(verbs: Verbs) -> None:
    assert "the variable is stable, not version" in verbs("rollback", fails=True, version="v1").last["msg"]
    assert verbs.weights == {"v1": 50, "v2": 50}


def test_a_rollback_does_not_depend_on_missing_pods(verbs: Verbs) -> None:
    played = verbs("rollback", stable="v1", capacity_timeout=3, force="CAPACITY_NOT_YET,CAPACITY_BELOW_SHARE")
    warned = " ".join(played.last["msg"])
    assert "needs 5 ready pods, and has 0 after 3 of 3 s" in warned
    assert "describe deployment reviews-v1" in warned
    assert verbs.desired("v1") == 5, "its pods were requested"
    assert verbs.weights == {"v1": 100}


def test_a_promotion_without_its_pods_moves_no_request(verbs: Verbs) -> None:
    refused = verbs("promote", fails=True, version="v2", capacity_timeout=3).last["msg"]
    assert "needs 5 ready pods, and has 0 after 3 of 3 s" in refused
    assert "-e capacity_timeout=SECONDS" in refused
    assert verbs.weights == {"v1": 50, "v2": 50}


@pytest.mark.parametrize(("verb", "name"), [("promote", "version"), ("rollback", "stable")])
def test_check_mode_expects_the_pods_that_a_run_starts(
    verbs: Verbs, simulated: SimulatedService, verb: str, name: str
) -> None:
    """v3 has no pods yet: what check mode cannot start must not refuse what would go well."""
    simulated.apply(versioned("v3", 0))
    writes = Writes(simulated.kube, verbs.namespace)
    shown = verbs(verb, "--check", "--diff", **{name: "v3"}).last["msg"]
    assert "v3 0% -> 100%" in " ".join(shown)
    assert writes.seen() == set()
    assert verbs.desired("v3") == 0
