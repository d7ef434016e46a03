# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waits for the rollout of a Deployment as `kubectl rollout status` does, and asks its pods why it stands still."""

from __future__ import annotations

import time
import typing as t

from ..cluster_resources import DEPLOYMENT, EVENT, POD, REPLICA_SET
from ..errors import ApiError
from ..replicas import revisions
from ..replicas.labels import selects
from ..replicas.rollout import patience, progress, rollout_state, rollout_troubles
from ..routes import workloads
from ..routes.pods import is_ready, labels_of, owner_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..cluster import Cluster

    Object = dict[str, t.Any]

PAUSE: t.Final = 0.3
LOOK_EVERY: t.Final = 10
"""Rounds of waiting between two looks at the pods."""
LOG_LINES: t.Final = 5


class Rollouts:
    """Watches Deployments of one namespace. told: how far they were, one line each time it changed."""

    def __init__(self, cluster: Cluster, namespace: str, log: Callable[[str], None]) -> None:
        self._cluster, self._namespace, self._log = cluster, namespace, log
        self.told: list[str] = []

    def wait(self, name: str, seconds: float) -> bool:
        """Return whether the Deployment was rolled out within so many seconds.

        False as soon as Kubernetes gives up, or a pod can only go on failing. Raises ApiError if it cannot be read: at
        once where asking again is no use, else at the deadline.
        """
        return self._wait(name, seconds, lambda found: (rollout_state([found], [name]), progress(found)))

    def wait_ready(self, name: str, pods: int, seconds: float) -> int:
        """Return how many pods of the Deployment are ready, as soon as there are so many; else as `wait` ends."""
        ready = 0

        def enough(found: Object) -> tuple[str, str]:
            nonlocal ready
            ready = workloads.ready(found)
            return "done" if ready >= pods else "waiting", f"{name}: {ready} of {pods} pods ready"

        self._wait(name, seconds, enough)
        return ready

    def _wait(self, name: str, seconds: float, look: Callable[[Object], tuple[str, str]]) -> bool:
        """Return whether the Deployment is `done` in time. look: returns done, failed or waiting, and what to tell."""
        deadline, rounds = time.monotonic() + seconds, 0
        since: dict[str, float] = {}
        while True:
            state, rounds = "waiting", rounds + 1
            try:
                found = self._cluster.get(DEPLOYMENT, self._namespace, name)
                if found:
                    state, told = look(found)
                    self._tell(told)
                if found and state == "waiting" and rounds % LOOK_EVERY == 0 and self._is_hopeless(found, since):
                    state = "failed"
            except ApiError as error:
                self._bear(error, deadline)
            if state != "waiting" or time.monotonic() >= deadline:
                return state == "done"
            time.sleep(PAUSE)

    def wait_gone(self, selector: Object, seconds: float) -> int:
        """Return how many pods of the selector are left, 0 as soon as all have ended. Raises as `wait`."""
        deadline = time.monotonic() + seconds
        while True:
            left = -1
            try:
                left = len(self._pods(selector))
            except ApiError as error:
                self._bear(error, deadline)
            if left > 0:
                self._tell(f"{left} of the canary's pods still to end")
            if not left or time.monotonic() >= deadline:
                return left
            time.sleep(PAUSE)

    def template_before(self, name: str) -> tuple[bool, Object | None]:
        """Return whether the newest template's rollout never ended well, and the template of the revision before.

        Raises ApiError where revisions may not be read: that says nothing of whether there is one.
        """
        found = self._cluster.get(DEPLOYMENT, self._namespace, name)
        if found is None or not revisions.never_ended(found):
            return False, None
        return True, revisions.template_before(found, self._cluster.list(REPLICA_SET, self._namespace))

    def _is_hopeless(self, deployment: Object, since: dict[str, float]) -> bool:
        """Return whether a container has failed for longer than it may. since: container -> when first seen so."""
        failing = patience(deployment, self._pods_of(deployment))
        now = time.monotonic()
        for key in set(since) - set(failing):
            del since[key]
        return any(now - since.setdefault(key, now) >= bearable for key, bearable in failing.items())

    def _bear(self, error: ApiError, deadline: float) -> None:
        """Raise `error` if it will not pass, or there is no more time for it to."""
        passes = error.status is None or error.status == 429 or error.status >= 500
        if not passes or time.monotonic() >= deadline:
            raise error
        self._tell(f"not readable just now, asking again: {error.msg}")

    def troubles(self, name: str) -> list[str]:
        """Return why the Deployment is not rolled out: each pod's own reason, and what it last wrote.

        What cannot be read is said in its place, for what comes after a failure must not end with this.
        """
        try:
            found = self._cluster.get(DEPLOYMENT, self._namespace, name)
            pods = self._pods_of(found) if found else []
        except ApiError as error:
            return [f"why is not known: {error.msg}"]
        if found is None:
            return rollout_troubles([], [name])
        try:
            events = self._cluster.list(EVENT, self._namespace, field_selector="type=Warning")
        except ApiError:
            events = []  # an optional right; the pods' own status says most of it
        return [*rollout_troubles([found], [name], pods, events), *self._last_words(pods)]

    def _pods_of(self, deployment: Object) -> list[Object]:
        """Return the Deployment's own pods; a plain selector also selects those of a canary."""
        found = self._pods(deployment["spec"]["selector"])
        return [pod for pod in found if owner_of(pod) == deployment["metadata"]["name"]]

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
