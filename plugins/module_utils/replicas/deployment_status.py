# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the rollout of Deployments: how far is it, and if it stands still, which pod is in its way and why. Pure."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping

from .pod_problems import conditions, container_statuses, name_of, pod_problems

Object = Mapping[str, t.Any]

# Seconds for which a container may wait for a reason before it counts as one that only goes on waiting: the kubelet
# tries to pull again after 10, 20 and 40 s (source: Kubernetes documentation, Images, ImagePullBackOff).
BEARABLE = {
    "InvalidImageName": 0.0,
    "ErrImageNeverPull": 0.0,
    "ErrImagePull": 45.0,
    "ImagePullBackOff": 45.0,
    "CreateContainerConfigError": 45.0,
    "CreateContainerError": 45.0,
    "RunContainerError": 45.0,
}
CRASHES = 3


def rolled_out(deployment: Object) -> bool:
    """The test of `kubectl rollout status`: all pods are of the newest template, and all of them are available."""
    status = deployment.get("status", {})
    wanted = deployment.get("spec", {}).get("replicas", 1)
    if status.get("observedGeneration", 0) < deployment.get("metadata", {}).get("generation", 0):
        return False
    updated: int = status.get("updatedReplicas", 0)
    return bool(updated >= wanted and status.get("replicas", 0) <= updated <= status.get("availableReplicas", 0))


def _is_behind(deployment: Object) -> bool:
    """Return whether the Deployment controller has not seen the newest change yet."""
    observed = deployment.get("status", {}).get("observedGeneration", 0)
    return bool(observed < deployment.get("metadata", {}).get("generation", 0))


def _is_paused(deployment: Object) -> bool:
    return bool(deployment.get("spec", {}).get("paused"))


def _gave_up(deployment: Object) -> bool:
    """Return whether Kubernetes makes no pods of the newest template: it gave up, or somebody paused it."""
    if _is_behind(deployment):
        return False
    return (
        _is_paused(deployment)
        or conditions(deployment).get("Progressing", {}).get("reason") == "ProgressDeadlineExceeded"
    )


def progress(deployment: Object) -> str:
    """Return how far the rollout is, in the numbers `kubectl rollout status` speaks of."""
    status, wanted = deployment.get("status", {}), deployment.get("spec", {}).get("replicas", 1)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if _is_behind(deployment):
        return f"{name_of(deployment)}: waiting for the Deployment controller to see the change"
    old = max(0, status.get("replicas", 0) - updated)
    text = f"{name_of(deployment)}: {updated} of {wanted} pods updated, {available} available, {old} old ones to end"
    return f"{text}, paused" if _is_paused(deployment) else text


def deployment_status(deployments: Iterable[Object], names: Iterable[str]) -> str:
    """Return `done`, `failed` or `waiting` for the Deployments of these names taken together."""
    by_name = {name_of(deployment): deployment for deployment in deployments}
    wanted = list(names)
    if all(name in by_name and rolled_out(by_name[name]) for name in wanted):
        return "done"
    if any(name in by_name and _gave_up(by_name[name]) for name in wanted):
        return "failed"
    return "waiting"


def patience(deployment: Object, pods: Iterable[Object]) -> dict[str, float]:
    """Return `pod/container` -> seconds it may go on so, for the containers that fail again and again.

    pods: the Deployment's own; only those of its newest template count. A container that crashes gets 0 with its third
    restart, an image that cannot be pulled the time for some more attempts.
    """
    wanted, failing = _images(deployment["spec"]["template"]["spec"]), {}
    for pod in pods:
        if not wanted <= _images(pod["spec"]) or pod["metadata"].get("deletionTimestamp"):
            continue
        for one in container_statuses(pod):
            reason = str(((one.get("state") or {}).get("waiting") or {}).get("reason"))
            if reason in BEARABLE:
                failing[f"{name_of(pod)}/{one['name']}"] = BEARABLE[reason]
            elif reason == "CrashLoopBackOff" and one.get("restartCount", 0) >= CRASHES:
                failing[f"{name_of(pod)}/{one['name']}"] = 0.0
    return failing


def _images(spec: Object) -> set[tuple[str, str]]:
    """Return name and image of the containers."""
    return {(one["name"], one.get("image", "")) for one in spec["containers"]}


def _belongs(pod: Object, deployment: Object) -> bool:
    labels = pod.get("metadata", {}).get("labels") or {}
    wanted = deployment.get("spec", {}).get("selector", {}).get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items())


def deployment_problems(
    deployments: Iterable[Object],
    names: Iterable[str],
    pods: Iterable[Object] = (),
    events: Iterable[Object] = (),
) -> list[str]:
    """Return one sentence for each reason why these Deployments are not rolled out; empty when they are."""
    by_name = {name_of(deployment): deployment for deployment in deployments}
    all_pods, all_events = list(pods), list(events)
    result: list[str] = []
    for name in names:
        deployment = by_name.get(name)
        if deployment is None:
            result.append(f"Deployment {name} does not exist")
        elif not rolled_out(deployment):
            mine = [
                line
                for pod in all_pods
                if _belongs(pod, deployment) and not pod.get("metadata", {}).get("deletionTimestamp")
                for line in pod_problems(pod, all_events)
            ]
            result.extend([*own_problems(deployment), *mine] or [_numbers(deployment)])
    return result


def own_problems(deployment: Object) -> list[str]:
    """Return what the Deployment itself says, whatever its pods do."""
    name, found = name_of(deployment), conditions(deployment)
    result = []
    if _is_paused(deployment):
        where = deployment.get("metadata", {}).get("namespace", "")
        result.append(
            f"Deployment {name} is paused, so it makes no pods of its new template. To resume it: "
            f"kubectl -n {where} rollout resume deployment {name}"
        )
    if found.get("ReplicaFailure", {}).get("status") == "True":
        result.append(f"Deployment {name} cannot create pods: {found['ReplicaFailure'].get('message', '')}")
    return result


def _numbers(deployment: Object) -> str:
    """Return how far the Deployment is, where neither it nor a pod says what is wrong."""
    name, status, spec = name_of(deployment), deployment.get("status", {}), deployment.get("spec", {})
    if _is_behind(deployment):
        return f"the Deployment controller has not seen the last change of Deployment {name}"
    text = (
        f"Deployment {name} has {status.get('updatedReplicas', 0)} updated and {status.get('availableReplicas', 0)} "
        f"available of {spec.get('replicas', 1)} pods"
    )
    if spec.get("minReadySeconds"):
        text += f"; a pod is available when it has been ready for {spec['minReadySeconds']} s (minReadySeconds)"
    progressing = conditions(deployment).get("Progressing", {})
    if progressing.get("status") == "False":
        text += f"; {progressing.get('message') or progressing.get('reason')}"
    return text
