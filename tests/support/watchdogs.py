# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rollout with a watchdog, whose program runs on the tests' clock and with the rights of its Job."""

from __future__ import annotations

import json
import time
import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.runs import watchdog_program as program

from .direct import ISTIO
from .rollout_tasks import LEASES, PLAN, QUIET

if t.TYPE_CHECKING:
    from .direct import Direct
    from .kube import Kube

SILENCE = 30.0


class JobApi(program.Api):
    """Sends the program's requests as the Job's account, over the tests' own connection."""

    def __init__(self, kube: Kube, user: str) -> None:
        self._kube, self._user = kube, user
        self.now = time.time()

    def send(
        self, method: str, path: str, body: t.Any = None, kind: str = "application/json"
    ) -> tuple[int, dict[str, t.Any]]:
        headers = {"Content-Type": kind, "Impersonate-User": self._user}
        content = None if body is None else json.dumps(body)
        answer = self._kube.pool.request(method, self._kube.host + path, body=content, headers=headers)
        decoded = json.loads(answer.data)
        if answer.status not in (200, 201, 404, 409, 422):
            raise program.ApiFailure(f"{answer.status}: {decoded['message']}")
        self.now = time.time()
        return answer.status, decoded


class WatchedRollout:
    """A rollout with a watchdog, and the watchdog's program."""

    def __init__(self, direct: Direct, kube: Kube, **plan: t.Any) -> None:
        self.direct, self.kube, self.space = direct, kube, direct.namespace
        self.plan = {**PLAN, **plan}
        self.said: list[str] = []
        self.job = str(self.opened()["run"]["watchdog"])
        self.user = f"system:serviceaccount:{self.space}:{self.job}"

    def opened(self, **options: t.Any) -> dict[str, t.Any]:
        given = {**self.plan, "lease_seconds": 20, "watchdog": {"after": SILENCE}, **options}
        return self.direct("rollout", state="opened", **given)

    def recorded(self, event: str) -> dict[str, t.Any]:
        return self.direct("rollout", state="recorded", event=event, holder=PLAN["holder"], lease_seconds=20)

    def closed(self) -> dict[str, t.Any]:
        return self.direct("rollout", state="closed", holder=PLAN["holder"])

    def shift(self, weights: dict[str, float]) -> None:
        self.direct("weight", weights=weights, **QUIET)

    def observing(self) -> None:
        """Bring the rollout to its first step: 10 percent on v2."""
        self.shift(self.recorded("ready")["run"]["desired_weights"])
        self.recorded("shifted")

    def watch(self, sleeps: t.Callable[[float], None] = lambda _passed: None) -> tuple[str, float]:
        """Run the program; return what it says at its end, and how many seconds passed on its clock."""
        passed = [0.0]

        def sleep(seconds: float) -> None:
            passed[0] += seconds
            assert passed[0] < 3600, f"it watches forever: {self.said[-3:]}"
            sleeps(passed[0])

        job = self.kube.get("batch/v1", "Job", self.job, self.space)
        assert job is not None
        (container,) = job["spec"]["template"]["spec"]["containers"]
        settings = program.Settings.of({one["name"]: one["value"] for one in container["env"]})
        assert settings.after == SILENCE
        api = JobApi(self.kube, self.user)
        watchdog = program.Watchdog(api, settings, clock=lambda: passed[0], sleep=sleep, say=self.said.append)
        return watchdog.watch(), passed[0]

    def weights(self) -> dict[str, int]:
        found = self.kube.get(ISTIO, "VirtualService", "reviews", self.space)
        assert found is not None
        return {one["destination"]["subset"]: one.get("weight", 0) for one in found["spec"]["http"][-1]["route"]}

    def present(self) -> dict[str, t.Any]:
        return self.direct("rollout", state="present")

    def lease(self) -> dict[str, t.Any]:
        found = self.kube.get(LEASES, "Lease", "canary-reviews", self.space)
        assert found is not None
        return found

    def events(self) -> list[str]:
        listed = self.kube.list("v1", "Event", self.space)
        return [one["message"] for one in listed if one["reason"] == "CanaryWatchdog"]
