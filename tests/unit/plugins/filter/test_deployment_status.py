# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.filter.deployment_status import deployment_problems, deployment_status

DONE: dict[str, t.Any] = {
    "metadata": {"name": "reviews-v2", "namespace": "bookinfo", "generation": 3},
    "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "reviews", "version": "v2"}}},
    "status": {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
}


def deployment(conditions: dict[str, dict[str, str]] | None = None, **status: int) -> dict[str, t.Any]:
    changed = copy.deepcopy(DONE)
    changed["status"].update(status)
    changed["status"]["conditions"] = [{"type": name, **rest} for name, rest in (conditions or {}).items()]
    return changed


def pod(status: dict[str, t.Any], version: str = "v2", **metadata: str) -> dict[str, t.Any]:
    labels = {"app": "reviews", "version": version}
    return {
        "metadata": {"name": "reviews-v2-x", "namespace": "bookinfo", "labels": labels, **metadata},
        "status": status,
    }


def event(kind: str, message: str, at: str) -> dict[str, t.Any]:
    return {"type": kind, "message": message, "lastTimestamp": at, "involvedObject": {"name": "reviews-v2-x"}}


def container(state: dict[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
    return {"phase": "Running", "containerStatuses": [{"name": "reviews", "ready": False, "state": state, **more}]}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({}, "done"),
        ({"observedGeneration": 2}, "waiting"),
        ({"updatedReplicas": 1}, "waiting"),
        # The moment after an update, when the counts are still those of the old pods: all available, none of them new.
        ({"updatedReplicas": 0}, "waiting"),
        ({"replicas": 3}, "waiting"),
        ({"availableReplicas": 1}, "waiting"),
    ],
)
def test_state_is_that_of_kubectl_rollout_status(status: dict[str, int], state: str) -> None:
    assert deployment_status([deployment(**status)], ["reviews-v2"]) == state


def test_a_deployment_scaled_to_zero_is_done() -> None:
    idle = copy.deepcopy(DONE)
    idle["spec"]["replicas"] = 0
    idle["status"] = {"observedGeneration": 3}
    assert deployment_status([idle], ["reviews-v2"]) == "done"


def test_one_that_is_missing_is_waited_for() -> None:
    assert deployment_status([DONE], ["reviews-v2", "reviews-v3"]) == "waiting"


def test_one_that_kubernetes_gave_up_ends_the_wait() -> None:
    given_up = {"Progressing": {"status": "False", "reason": "ProgressDeadlineExceeded"}}
    assert deployment_status([deployment(given_up, updatedReplicas=1)], ["reviews-v2"]) == "failed"
    assert (
        deployment_status([deployment(given_up, updatedReplicas=1, observedGeneration=2)], ["reviews-v2"]) == "waiting"
    )


@pytest.mark.parametrize(
    ("status", "events", "words"),
    [
        (
            container({"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "shop:9"'}}),
            [],
            'Pod bookinfo/reviews-v2-x, container reviews: ImagePullBackOff: Back-off pulling image "shop:9"',
        ),
        (
            container(
                {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
                lastState={"terminated": {"exitCode": 1, "reason": "Error", "message": "no such file\n"}},
            ),
            [],
            "CrashLoopBackOff: its last run ended with exit code 1 (Error): no such file",
        ),
        (
            container(
                {"running": {}}, restartCount=2, lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
            ),
            [],
            "restarted 2 times, its last run ended with exit code 137 (OOMKilled)",
        ),
        (
            container({"running": {}}),
            [
                event("Warning", "probe: 503", "2"),
                event("Warning", "probe: 500", "1"),
                event("Normal", "pulled", "3"),
            ],
            "container reviews: probe: 503",
        ),
        (
            container({"waiting": {"reason": "PodInitializing"}}),
            [event("Warning", 'Failed to pull image "shop:9"', "1"), event("Warning", "Error: ErrImagePull", "2")],
            'Failed to pull image "shop:9"',
        ),
        (container({"running": {}}), [], "its readiness probe does not pass"),
        (
            {
                "phase": "Pending",
                "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient cpu"}],
            },
            [],
            "cannot be placed: 0/1 nodes: Insufficient cpu",
        ),
        (
            container({"waiting": {"reason": "ContainerCreating"}}),
            [],
            "Pod bookinfo/reviews-v2-x is Running and not ready",
        ),
    ],
)
def test_troubles_name_the_pod_and_its_own_reason(
    status: dict[str, t.Any], events: list[dict[str, t.Any]], words: str
) -> None:
    result = deployment_problems([deployment(availableReplicas=1)], ["reviews-v2"], [pod(status)], events)
    assert len(result) == 1
    assert words in result[0]
    assert result[0].startswith("Pod bookinfo/reviews-v2-x")


def test_pods_that_are_well_leaving_or_anothers_are_not_blamed() -> None:
    broken = container({"waiting": {"reason": "CrashLoopBackOff"}})
    well = pod({"conditions": [{"type": "Ready", "status": "True"}]})
    result = deployment_problems(
        [deployment(availableReplicas=1)],
        ["reviews-v2"],
        [well, pod(broken, deletionTimestamp="2026-01-01T00:00:00Z"), pod(broken, version="v1")],
    )
    assert result == ["Deployment reviews-v2 has 2 updated and 1 available of 2 pods"]


def test_a_deployment_that_may_make_no_pods_says_why() -> None:
    refused = {"ReplicaFailure": {"status": "True", "message": "exceeded quota: pods=3"}}
    result = deployment_problems([deployment(refused, updatedReplicas=0)], ["reviews-v2"])
    assert result == ["Deployment reviews-v2 cannot create pods: exceeded quota: pods=3"]


def test_missing_and_done() -> None:
    assert deployment_problems([DONE], ["reviews-v2"]) == []
    assert deployment_problems([], ["reviews-v2"]) == ["Deployment reviews-v2 does not exist"]
