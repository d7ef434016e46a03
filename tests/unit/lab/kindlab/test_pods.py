# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for pods: which states are fatal, and what the errors say."""

from __future__ import annotations

import json
import typing as t

import pytest

from lab.kindlab import pods
from lab.kindlab.errors import LabError


class FakeLab:
    """A Lab whose `kubectl get KIND` returns the given objects."""

    def __init__(self, **objects: list[dict[str, t.Any]]) -> None:
        self.objects = objects

    def kubectl(self, _verb: str, kind: str, *_arguments: str) -> str:
        return json.dumps({"items": self.objects[kind]})


def pod(name: str, **status: t.Any) -> dict[str, t.Any]:
    return {"metadata": {"name": name, "namespace": "n"}, "spec": {"containers": []}, "status": status}


def waiting(reason: str, restarts: int = 0, container: str = "app") -> dict[str, t.Any]:
    state = {"waiting": {"reason": reason, "message": "because"}}
    return {"name": container, "restartCount": restarts, "state": state}


def deployment(available: int, observed: int = 1) -> dict[str, t.Any]:
    status = {"observedGeneration": observed, "replicas": 1, "updatedReplicas": 1, "availableReplicas": available}
    return {"metadata": {"name": "web", "generation": 1}, "spec": {"replicas": 1}, "status": status}


@pytest.mark.parametrize("field", ["containerStatuses", "initContainerStatuses"])
@pytest.mark.parametrize(
    ("status", "is_fatal"),
    [
        (waiting("ImagePullBackOff"), True),
        (waiting("CreateContainerConfigError"), True),
        (waiting("ErrImagePull"), False),
        (waiting("ContainerCreating"), False),
        (waiting("CrashLoopBackOff", restarts=1), False),
        (waiting("CrashLoopBackOff", restarts=2), True),
        ({"name": "app", "restartCount": 9, "state": {"running": {}}}, False),
    ],
)
def test_only_errors_that_waiting_cannot_fix_are_fatal(field: str, status: dict[str, t.Any], is_fatal: bool) -> None:
    errors = pods.cannot_start(t.cast(t.Any, FakeLab(pods=[pod("web-1", **{field: [status]})])), "n")
    assert bool(errors) == is_fatal
    assert not is_fatal or "web-1, container app: " in errors[0]


def test_wait_fails_at_once_with_the_reason_of_a_pod_that_cannot_start() -> None:
    failing = pod("web-1", containerStatuses=[waiting("InvalidImageName")])
    lab = FakeLab(deployments=[deployment(0)], pods=[failing])
    with pytest.raises(LabError, match=r"web in n did not start: web-1, container app: InvalidImageName because"):
        pods.wait_ready(t.cast(t.Any, lab), "n", ["web"], seconds=3600)


def test_timeout_names_the_missing_pods_and_their_reason() -> None:
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no cpu"}
    lab = FakeLab(deployments=[deployment(0)], pods=[pod("web-1", conditions=[unscheduled])])
    with pytest.raises(LabError, match="web-1: Unschedulable no cpu"):
        pods.wait_ready(t.cast(t.Any, lab), "n", ["web"], seconds=-1)


def test_deployment_is_ready_when_the_newest_template_is_available() -> None:
    pods.wait_ready(t.cast(t.Any, FakeLab(deployments=[deployment(1)], pods=[])), "n", ["web"], seconds=-1)
    for outdated in (deployment(1, observed=0), deployment(0)):
        with pytest.raises(LabError):
            pods.wait_ready(t.cast(t.Any, FakeLab(deployments=[outdated], pods=[])), "n", ["web"], seconds=-1)
