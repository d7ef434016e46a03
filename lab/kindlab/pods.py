# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wait for pods, and report why they do not start as soon as the kubelet knows it."""

from __future__ import annotations

import json
import time
import typing as t

from .errors import LabError

if t.TYPE_CHECKING:
    from .lab import Lab

FATAL_REASONS = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
# A container may fail once or twice while the network of the node is still being set up.
FATAL_RESTARTS = 2
POLL_SECONDS = 0.5


def cannot_start(lab: Lab, namespace: str) -> list[str]:
    """Return one line for each container that will not start without a change."""
    return [line for pod in _pods(lab, namespace) for line in _fatal_errors(pod)]


def not_ready(lab: Lab, namespace: str) -> list[str]:
    """Return one line for each pod that is not ready, with the reason that Kubernetes gives."""
    return [f"{_name(pod)}: {_reason(pod)}" for pod in _pods(lab, namespace) if not _is_ready(pod)]


def wait_ready(lab: Lab, namespace: str, deployments: t.Iterable[str], seconds: float) -> None:
    """Wait until the Deployments have all their pods; raise LabError as soon as one of the pods cannot start."""
    names = set(deployments)
    deadline = time.monotonic() + seconds
    while True:
        found = json.loads(lab.kubectl("get", "deployments", "-n", namespace, "-o", "json"))["items"]
        missing = names - {_name(item) for item in found if _is_rolled_out(item)}
        if not missing:
            return
        errors = cannot_start(lab, namespace)
        if errors or time.monotonic() > deadline:
            reasons = errors or not_ready(lab, namespace)
            raise LabError(f"{', '.join(sorted(missing))} in {namespace} did not start: {'; '.join(reasons)}")
        time.sleep(POLL_SECONDS)


def _pods(lab: Lab, namespace: str) -> list[dict[str, t.Any]]:
    items: list[dict[str, t.Any]] = json.loads(lab.kubectl("get", "pods", "-n", namespace, "-o", "json"))["items"]
    return items


def _name(item: dict[str, t.Any]) -> str:
    return str(item["metadata"]["name"])


def _fatal_errors(pod: dict[str, t.Any]) -> list[str]:
    status = pod.get("status", {})
    lines = []
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        waiting = container.get("state", {}).get("waiting", {})
        crashing = waiting.get("reason") == "CrashLoopBackOff" and container["restartCount"] >= FATAL_RESTARTS
        if crashing or waiting.get("reason") in FATAL_REASONS:
            message = waiting.get("message", "")
            if terminated := container.get("lastState", {}).get("terminated"):
                message += f" (last exit status {terminated.get('exitCode')})"
            lines.append(f"{_name(pod)}, container {container['name']}: {waiting['reason']} {message}".rstrip())
    return lines


def _reason(pod: dict[str, t.Any]) -> str:
    if errors := _fatal_errors(pod):
        return "; ".join(errors)
    for condition in pod.get("status", {}).get("conditions", []):
        if condition["type"] in ("PodScheduled", "ContainersReady") and condition["status"] != "True":
            return f"{condition.get('reason', '')} {condition.get('message', '')}".strip()
    return str(pod.get("status", {}).get("phase", "unknown"))


def _is_ready(pod: dict[str, t.Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _is_rolled_out(deployment: dict[str, t.Any]) -> bool:
    """Return whether all pods have the newest template and are available."""
    status = deployment.get("status", {})
    replicas = deployment["spec"].get("replicas", 1)
    observed = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
    return observed and counts == [replicas] * 3
