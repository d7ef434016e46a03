# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waits for the rollout of a Deployment as `kubectl rollout status` does, and asks its pods why it stands still."""

from __future__ import annotations

import time
import typing as t

from ..cluster_resources import DEPLOYMENT, EVENT, POD
from ..errors import ApiError
from ..replicas.labels import selects
from ..replicas.rollout import progress, rollout_state, rollout_troubles
from ..replicas.tracks import owner_of
from ..routes.pods import is_ready, labels_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..cluster import Cluster

    Object = dict[str, t.Any]

PAUSE: t.Final = 1.0
LOG_LINES: t.Final = 5


class Rollouts:
    """Watches Deployments of one namespace. told: how far they were, one line each time it changed."""

    def __init__(self, cluster: Cluster, namespace: str, log: Callable[[str], None]) -> None:
        self._cluster, self._namespace, self._log = cluster, namespace, log
        self.told: list[str] = []

    def wait(self, name: str, seconds: float) -> bool:
        """Return whether the Deployment was rolled out within so many seconds; False as soon as Kubernetes gives up."""
        deadline = time.monotonic() + seconds
        while True:
            found = self._cluster.get(DEPLOYMENT, self._namespace, name)
            deployments = [found] if found else []
            if found:
                self._tell(progress(found))
            state = rollout_state(deployments, [name])
            if state != "waiting" or time.monotonic() >= deadline:
                return state == "done"
            time.sleep(PAUSE)

    def wait_gone(self, selector: Object, seconds: float) -> int:
        """Return how many pods are left of those the selector selects; 0 as soon as all have ended."""
        deadline = time.monotonic() + seconds
        while True:
            left = len(self._pods(selector))
            if left:
                self._tell(f"{left} of the canary's pods still to end")
            if not left or time.monotonic() >= deadline:
                return left
            time.sleep(PAUSE)

    def troubles(self, name: str) -> list[str]:
        """Return why the Deployment is not rolled out: each pod's own reason, and what it last wrote."""
        found = self._cluster.get(DEPLOYMENT, self._namespace, name)
        if found is None:
            return rollout_troubles([], [name])
        # A plain selector also selects the pods of a canary.
        pods = [pod for pod in self._pods(found["spec"]["selector"]) if owner_of(pod) == name]
        try:
            events = self._cluster.list(EVENT, self._namespace, field_selector="type=Warning")
        except ApiError:
            events = []  # an optional right; the pods' own status says most of it
        return [*rollout_troubles([found], [name], pods, events), *self._last_words(pods)]

    def _pods(self, selector: Object) -> list[Object]:
        wanted = ",".join(f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items())
        found = self._cluster.list(POD, self._namespace, label_selector=wanted)
        return [pod for pod in found if selects(selector, labels_of(pod))]

    def _last_words(self, pods: list[Object]) -> Iterator[str]:
        """Yield the last lines of one container that has run and is not ready; more of them say the same."""
        for pod in pods:
            if is_ready(pod) or pod["metadata"].get("deletionTimestamp"):
                continue
            for one in (pod.get("status") or {}).get("containerStatuses") or ():
                ended = bool((one.get("lastState") or {}).get("terminated")) and not (one.get("state") or {}).get(
                    "terminated"
                )
                if one.get("ready") or not (one.get("containerID") or ended):
                    continue
                name = pod["metadata"]["name"]
                text = self._log_of(name, one["name"], previous=ended)
                if text:
                    yield f"the last lines of pod {self._namespace}/{name}, container {one['name']}: {text}"
                    return

    def _log_of(self, pod: str, container: str, *, previous: bool) -> str:
        try:
            text = self._cluster.pod_log(self._namespace, pod, container, lines=LOG_LINES, previous=previous)
        except ApiError:
            return ""  # an optional right, or a container that never ran
        return " | ".join(line.strip() for line in text.splitlines() if line.strip())

    def _tell(self, line: str) -> None:
        if not self.told or self.told[-1] != line:
            self.told.append(line)
            self._log(line)
