# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the rollout of Deployments: how far is it, and if it stands still, which pod is in its way and why. Pure."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping

Object = Mapping[str, t.Any]

# Reasons of a waiting container that say nothing by themselves: it is only on its way.
ON_ITS_WAY = frozenset({"ContainerCreating", "PodInitializing"})

# Beginnings of events that only repeat a container's state; the one before them has the reason.
SAY_LITTLE = ("Error: ", "Back-off ")


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


def _name(thing: Object) -> str:
    return str(thing.get("metadata", {}).get("name", ""))


def _conditions(thing: Object) -> dict[str, Object]:
    return {condition["type"]: condition for condition in thing.get("status", {}).get("conditions") or []}


def rolled_out(deployment: Object) -> bool:
    """The test of `kubectl rollout status`: all pods are of the newest template, and all of them are available."""
    status = deployment.get("status", {})
    wanted = deployment.get("spec", {}).get("replicas", 1)
    if status.get("observedGeneration", 0) < deployment.get("metadata", {}).get("generation", 0):
        return False
    updated: int = status.get("updatedReplicas", 0)
    return bool(updated >= wanted and status.get("replicas", 0) <= updated <= status.get("availableReplicas", 0))


def _gave_up(deployment: Object) -> bool:
    """Return whether Kubernetes itself has given the newest template up."""
    if deployment.get("status", {}).get("observedGeneration", 0) < deployment.get("metadata", {}).get("generation", 0):
        return False
    return _conditions(deployment).get("Progressing", {}).get("reason") == "ProgressDeadlineExceeded"


def progress(deployment: Object) -> str:
    """Return how far the rollout is, in the numbers `kubectl rollout status` speaks of."""
    status, wanted = deployment.get("status", {}), deployment.get("spec", {}).get("replicas", 1)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if status.get("observedGeneration", 0) < deployment.get("metadata", {}).get("generation", 0):
        return f"{_name(deployment)}: the change is not seen yet"
    old = max(0, status.get("replicas", 0) - updated)
    return f"{_name(deployment)}: {updated} of {wanted} pods updated, {available} available, {old} old ones to end"


def rollout_state(deployments: Iterable[Object], names: Iterable[str]) -> str:
    """Return `done`, `failed` or `waiting` for the Deployments of these names taken together."""
    by_name = {_name(deployment): deployment for deployment in deployments}
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
        for one in _container_statuses(pod):
            reason = str(((one.get("state") or {}).get("waiting") or {}).get("reason"))
            if reason in BEARABLE:
                failing[f"{_name(pod)}/{one['name']}"] = BEARABLE[reason]
            elif reason == "CrashLoopBackOff" and one.get("restartCount", 0) >= CRASHES:
                failing[f"{_name(pod)}/{one['name']}"] = 0.0
    return failing


def _images(spec: Object) -> set[tuple[str, str]]:
    """Return name and image of the containers."""
    return {(one["name"], one.get("image", "")) for one in spec["containers"]}


def _container_statuses(pod: Object) -> list[Object]:
    status = pod.get("status", {})
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _container_trouble(status: Object, event: str) -> str:
    """Return why one container is not ready, or an empty string when it is, or nothing can be said."""
    state = status.get("state") or {}
    last = (status.get("lastState") or {}).get("terminated") or {}
    waiting, terminated = state.get("waiting"), state.get("terminated")
    if terminated and terminated.get("exitCode"):
        last = terminated
    crash = f"its last run ended with exit code {last['exitCode']} ({last.get('reason', 'Error')})" if last else ""
    if last.get("message"):
        crash += f": {last['message'].strip()}"
    if waiting and waiting.get("reason") not in ON_ITS_WAY:
        return ": ".join(filter(None, [waiting.get("reason", "waiting"), crash or waiting.get("message", "")]))
    if crash:
        return f"restarted {status.get('restartCount', 0)} times, {crash}"
    if state.get("running") is not None and not status.get("ready"):
        return event or "it runs but its readiness probe does not pass"
    return ""


def _pod_trouble(pod: Object, event: str) -> list[str]:
    """Return sentences about one pod, each with the pod's own reason."""
    metadata, status = pod.get("metadata", {}), pod.get("status", {})
    prefix = f"Pod {metadata.get('namespace', '')}/{_name(pod)}"
    conditions = _conditions(pod)
    if conditions.get("Ready", {}).get("status") == "True":
        return []
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return [f"{prefix} cannot be placed: {scheduled.get('message', scheduled.get('reason', ''))}"]
    told = [
        f"{prefix}, container {container['name']}: {trouble}"
        for container in _container_statuses(pod)
        if not container.get("ready") and (trouble := _container_trouble(container, event))
    ]
    return told or [f"{prefix} is {status.get('phase', 'Unknown')} and not ready{': ' + event if event else ''}"]


def _warnings(events: Iterable[Object]) -> dict[str, str]:
    """Return the newest warning that says something, by the name of the object it is about."""
    newest: dict[str, str] = {}
    for event in sorted(events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or "")):
        name, message = event.get("involvedObject", {}).get("name", ""), str(event.get("message") or "").strip()
        if event.get("type") == "Warning" and message and not (name in newest and message.startswith(SAY_LITTLE)):
            newest[name] = message
    return newest


def _belongs(pod: Object, deployment: Object) -> bool:
    labels = pod.get("metadata", {}).get("labels") or {}
    wanted = deployment.get("spec", {}).get("selector", {}).get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items())


def rollout_troubles(
    deployments: Iterable[Object],
    names: Iterable[str],
    pods: Iterable[Object] = (),
    events: Iterable[Object] = (),
) -> list[str]:
    """Return one sentence for each reason why these Deployments are not rolled out; empty when they are."""
    by_name = {_name(deployment): deployment for deployment in deployments}
    all_pods, warnings = list(pods), _warnings(events)
    told: list[str] = []
    for name in names:
        deployment = by_name.get(name)
        if deployment is None:
            told.append(f"Deployment {name} is not there")
            continue
        if rolled_out(deployment):
            continue
        mine = [
            line
            for pod in all_pods
            if _belongs(pod, deployment) and not pod.get("metadata", {}).get("deletionTimestamp")
            for line in _pod_trouble(pod, warnings.get(_name(pod), ""))
        ]
        failure = _conditions(deployment).get("ReplicaFailure", {})
        if failure.get("status") == "True":
            mine.append(f"Deployment {name} cannot make pods: {failure.get('message', '')}")
        status = deployment.get("status", {})
        told.extend(
            mine
            or [
                f"Deployment {name} has {status.get('updatedReplicas', 0)} updated and"
                f" {status.get('availableReplicas', 0)} available of {deployment['spec'].get('replicas', 1)} pods"
            ]
        )
    return told
