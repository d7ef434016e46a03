# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wait for a Deployment as `kubectl rollout status` does, and find out from its pods why it does not proceed."""

from __future__ import annotations

import time
import typing as t

from ..errors import ApiError
from ..kube.resources import DEPLOYMENT, EVENT, POD, REPLICA_SET
from ..objects import workloads
from ..objects.pods import is_ready, labels_of, owner_of
from ..replicas import revisions
from ..replicas.deployment_status import deployment_problems, deployment_status, patience, progress
from ..replicas.pod_labels import selects
from ..replicas.pod_problems import container_statuses

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..kube.client import Cluster

    Object = dict[str, t.Any]

PAUSE: t.Final = 0.3
CHECK_PODS_EVERY: t.Final = 10
"""Rounds of waiting between two checks of the pods."""
LOG_LINES: t.Final = 5
LOG_EVERY: t.Final = 30.0
"""Seconds after which a line that has not changed is logged again."""


class DeploymentWait:
    """Waits for Deployments of one namespace. progress: how far they were, one line for each change."""

    def __init__(self, cluster: Cluster, namespace: str, log: Callable[[str], None]) -> None:
        self._cluster, self._namespace, self._log = cluster, namespace, log
        self.progress: list[str] = []
        self._logged_at = 0.0

    def wait(self, name: str, seconds: float) -> bool:
        """Return whether the Deployment was rolled out within so many seconds.

        False as soon as Kubernetes gives up, or a pod can only go on failing. Raises ApiError if it cannot be read: at
        once where a retry cannot help, else at the deadline.
        """
        return self._wait(name, seconds, lambda found: (deployment_status([found], [name]), progress(found)))

    def wait_ready(self, name: str, pods: int, seconds: float) -> int:
        """Return how many pods of the Deployment are ready, as soon as there are so many; else as `wait` ends."""
        ready = 0

        def enough(found: Object) -> tuple[str, str]:
            nonlocal ready
            ready = workloads.ready(found)
            return "done" if ready >= pods else "waiting", f"{name}: {ready} of {pods} pods ready"

        self._wait(name, seconds, enough)
        return ready

    def _wait(self, name: str, seconds: float, check: Callable[[Object], tuple[str, str]]) -> bool:
        """Return whether the Deployment is `done` in time. check: returns done, failed or waiting, and the progress."""
        deadline, rounds = time.monotonic() + seconds, 0
        since: dict[str, float] = {}
        while True:
            state, rounds = "waiting", rounds + 1
            try:
                found = self._cluster.get(DEPLOYMENT, self._namespace, name)
                if found:
                    state, line = check(found)
                    self._report(line)
                if (
                    found
                    and state == "waiting"
                    and rounds % CHECK_PODS_EVERY == 0
                    and self._cannot_recover(found, since)
                ):
                    state = "failed"
            except ApiError as error:
                self._raise_if_final(error, deadline)
                time.sleep(PAUSE)
                continue  # what could not be read has no state, also when the deadline has passed meanwhile
            if state != "waiting" or time.monotonic() >= deadline:
                return state == "done"
            time.sleep(PAUSE)

    def wait_gone(self, selector: Object, seconds: float) -> int:
        """Return how many pods of the selector are left, 0 as soon as all have ended. Raises as `wait`."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                left = len(self._pods(selector))
            except ApiError as error:
                self._raise_if_final(error, deadline)
                time.sleep(PAUSE)
                continue
            if left:
                self._report(f"{left} of the canary's pods are still terminating")
            if not left or time.monotonic() >= deadline:
                return left
            time.sleep(PAUSE)

    def template_before(self, name: str) -> tuple[bool, Object | None]:
        """Return whether the newest template never became ready, and the template of the revision before.

        Raises ApiError where the user may not read revisions: whether there is one is then not known.
        """
        found = self._cluster.get(DEPLOYMENT, self._namespace, name)
        if found is None or not revisions.never_ended(found):
            return False, None
        return True, revisions.template_before(found, self._cluster.list(REPLICA_SET, self._namespace))

    def _cannot_recover(self, deployment: Object, since: dict[str, float]) -> bool:
        """Return whether a container has failed for too long. since: container -> when it was first seen failing."""
        failing = patience(deployment, self._pods_of(deployment))
        now = time.monotonic()
        for key in set(since) - set(failing):
            del since[key]
        return any(now - since.setdefault(key, now) >= limit for key, limit in failing.items())

    def _raise_if_final(self, error: ApiError, deadline: float) -> None:
        """Raise `error` if a retry cannot help, or the deadline has passed."""
        is_transient = error.status is None or error.status == 429 or error.status >= 500
        if not is_transient or time.monotonic() >= deadline:
            raise error
        self._report(f"cannot be read now, trying again: {error.msg}")

    def problems(self, name: str) -> list[str]:
        """Return why the Deployment is not ready: each pod's own reason, and the last lines of its log.

        What cannot be read is named instead; this never raises.
        """
        try:
            found = self._cluster.get(DEPLOYMENT, self._namespace, name)
            pods = self._pods_of(found) if found else []
        except ApiError as error:
            return [f"the reason is not known: {error.msg}"]
        if found is None:
            return deployment_problems([], [name])
        try:
            events = self._cluster.list(EVENT, self._namespace, field_selector="type=Warning")
        except ApiError:
            events = []  # an optional right; the pods' own status says most of it
        return [*deployment_problems([found], [name], pods, events), *self._last_log_lines(pods)]

    def _pods_of(self, deployment: Object) -> list[Object]:
        """Return the Deployment's own pods; a plain selector also selects those of a canary."""
        found = self._pods(deployment["spec"]["selector"])
        return [pod for pod in found if owner_of(pod) == deployment["metadata"]["name"]]

    def _pods(self, selector: Object) -> list[Object]:
        wanted = ",".join(f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items())
        found = self._cluster.list(POD, self._namespace, label_selector=wanted)
        return [pod for pod in found if selects(selector, labels_of(pod))]

    def _last_log_lines(self, pods: list[Object]) -> Iterator[str]:
        """Yield the last lines of one container that has run and is not ready; one is enough."""
        for pod in pods:
            if is_ready(pod) or pod["metadata"].get("deletionTimestamp"):
                continue
            for one in container_statuses(pod):
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

    def _report(self, line: str) -> None:
        is_new = not self.progress or self.progress[-1] != line
        if is_new:
            self.progress.append(line)
        if is_new or time.monotonic() - self._logged_at >= LOG_EVERY:
            self._logged_at = time.monotonic()
            self._log(line)
