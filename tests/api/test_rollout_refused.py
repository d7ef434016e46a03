# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rollout that cannot work is refused by its first task, in check mode too: before lock, record and pods."""

from __future__ import annotations

import typing as t

import pytest
from support import finding_causes as causes
from support.direct import AT_ONCE
from support.pending_deployments import versioned

if t.TYPE_CHECKING:
    from support.direct import Direct
    from support.kube import Kube
    from support.play import Player
    from support.simulated_service import SimulatedService

LEASE = ("coordination.k8s.io/v1", "Lease", "canary-reviews")
PLAN: dict[str, t.Any] = {**AT_ONCE, "steps": [10], "pods_ahead": False}


@pytest.fixture
def last(simulated: SimulatedService, direct: Direct) -> str:
    """The id of the last rollout, v1 to v2, whose record must not be lost; v1 has all requests again."""
    promoted = direct("rollout", **PLAN, force=["CAPACITY_BELOW_SHARE", "SUBSET_NOT_READY"])
    direct("weight", weights={"v1": 100}, preflight=False, wait=False)
    return str(promoted["run"]["id"])


def refused(direct: Direct, kube: Kube, words: list[str], **given: t.Any) -> dict[str, t.Any]:
    """Assert that a rollout is refused in both modes with the same answer, and that nothing is left of it."""
    namespace = given.get("namespace", direct.namespace)
    before = kube.get("v1", "ConfigMap", "canary-rollout-reviews", namespace)
    answers = [direct("rollout", check_mode=check, fails=True, **{**PLAN, **given}) for check in (True, False)]
    for answer in answers:
        assert all(one in answer["msg"] for one in words), answer["msg"]
    assert answers[0]["msg"] == answers[1]["msg"]
    assert answers[0]["error_code"] == answers[1]["error_code"]
    assert kube.get("v1", "ConfigMap", "canary-rollout-reviews", namespace) == before
    lease = kube.get(*LEASE, namespace)
    assert not lease or not lease["spec"].get("holderIdentity")
    return answers[1]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"canary": "v9"}, ["has no subset v9; there are: v1, v2, v3"]),
        ({"stable": "v9"}, ["has no subset v9; there are: v1, v2, v3"]),
        ({"keep": {"v9": 5}}, ["has no subset v9; there are: v1, v2, v3"]),
        ({"service": "revews"}, ["There is no Service revews in namespace"]),
        ({"namespace": "no-such-namespace"}, ["There is no namespace no-such-namespace. Check with: kubectl get"]),
        ({"stable": "v2", "canary": "v3"}, ["[STABLE_NOT_SERVING]", "v2 has 0% of the requests, and v1 has 100%"]),
        ({"stable": "v2", "canary": "v1"}, ["[STABLE_NOT_SERVING]", "If v1 was promoted before"]),
    ],
    ids=str,
)
def test_a_wrong_name_is_refused_in_both_modes(
    direct: Direct, kube: Kube, last: str, given: dict[str, t.Any], words: list[str]
) -> None:
    assert last
    refused(direct, kube, words, **given)


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (causes.of_flux, "REVERTED_BY_GITOPS"),
        (causes.of_flagger, "OWNED_BY_CONTROLLER"),
        (causes.forgotten_sidecar, "CALLER_WITHOUT_SIDECAR"),
        (causes.unready, "SUBSET_NOT_READY"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_preflight_finds_is_found_before_the_lock(
    direct: Direct, kube: Kube, simulated: SimulatedService, last: str, cause: t.Any, code: str
) -> None:
    assert last
    cause(simulated)
    answer = refused(direct, kube, [f"[{code}]"])
    assert code in [one["code"] for one in answer["findings"]]


def test_pods_that_the_rollout_starts_itself_are_no_finding(
    direct: Direct, kube: Kube, simulated: SimulatedService
) -> None:
    simulated.apply(versioned("v1", 3), versioned("v3", 0))
    planned = direct("rollout", check_mode=True, **{**PLAN, "canary": "v3", "capacity": True})
    assert "step 1 (planned): routes v1 90%, v3 10%" in planned["planned_changes"][0]
    refused(direct, kube, ["[SUBSET_NOT_READY]"], canary="v3")


def test_a_canary_without_a_deployment_is_refused_before_the_record(direct: Direct, kube: Kube, last: str) -> None:
    assert last
    refused(direct, kube, ["v3"], canary="v3", capacity=True)


def test_a_stable_version_that_serves_nobody_can_be_forced(direct: Direct, last: str) -> None:
    assert last
    force = ["STABLE_NOT_SERVING", "CAPACITY_BELOW_SHARE", "SUBSET_NOT_READY"]
    done = direct("rollout", **{**PLAN, "stable": "v3", "canary": "v1", "force": force})
    assert done["run"]["phase"] == "promoted"


@pytest.mark.parametrize("playbook", ["rollout", "promote", "rollback", "shift", "header_test"])
def test_check_mode_of_a_playbook_gives_the_answer_of_the_real_run(
    play: Player, simulated: SimulatedService, playbook: str
) -> None:
    causes.of_flux(simulated)
    given: dict[str, t.Any] = {
        "rollout": {"stable": "v1", "canary": "v2", "rollout_analysis": False, "rollout_report_dir": ""},
        "promote": {"version": "v2", "capacity": False},
        "rollback": {"stable": "v2", "capacity": False},
        "shift": {"weights": {"v1": 90, "v2": 10}},
        "header_test": {"weights": {"v2": 100}},
    }[playbook]
    answers = []
    for options in (("--check",), ()):
        played = play(
            f"meshops.canary.{playbook}", *options, fails=True, service="reviews", ns=simulated.namespace, **given
        )
        answers.append(next(result["msg"] for _task, _host, result in played.tasks if result.get("failed")))
    assert "[REVERTED_BY_GITOPS]" in answers[0]
    assert answers[0] == answers[1]


def test_the_status_of_a_namespace_that_does_not_exist_is_an_error(play: Player) -> None:
    failed = play("meshops.canary.status", fails=True, ns="no-such-namespace").last["msg"]
    assert failed == "There is no namespace no-such-namespace. Check with: kubectl get namespaces"


@pytest.mark.parametrize(
    ("playbook", "given"),
    [("promote", {"version": "v2"}), ("rollback", {"stable": "v1"}), ("shift", {"weights": {"v1": 100}})],
)
def test_a_namespace_that_does_not_exist_is_named_by_every_playbook(
    play: Player, playbook: str, given: dict[str, t.Any]
) -> None:
    failed = play(
        f"meshops.canary.{playbook}", "--check", fails=True, service="reviews", ns="no-such-namespace", **given
    )
    assert failed.last["msg"].startswith("There is no namespace no-such-namespace. Check with: kubectl get namespaces.")
