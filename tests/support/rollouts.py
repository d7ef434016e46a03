# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rollouts of reviews under load, as a user runs them: by the playbook.

v3 takes over from v2: both ask ratings, and so take equally long. v1 does not, and would be the faster.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import typing as t

from lab.traffic import Load

from .direct import ISTIO, Direct, essence

if t.TYPE_CHECKING:
    import subprocess

    from .kube import Kube, Object
    from .play import Played
    from .shop import Shop
    from .terminal import Terminal

RATE = 220
LOAD = Load(seconds=240, rate=RATE, connections=6, limit=240)
QUICK = {
    "stable": "v2",
    "steps": [10, 25, 50, 100],
    "pause": 3,
    "deadline": 60,
    "rollout_retire_after": 1,
    "rollout_capacity": False,
    "report_dir": "",
    "rollout_force": ["CAPACITY_BELOW_SHARE"],
}
BROKEN_BY = "status 500"


@dataclasses.dataclass(frozen=True)
class Stage:
    """A shop of its own for rollouts, and what one looks at afterwards."""

    shop: Shop
    kube: Kube
    direct: Direct

    def reset(self) -> None:
        """Everybody on v2, no rollout, no record of one."""
        self.kube.delete("v1", "ConfigMap", "canary-rollout-reviews", self.shop.namespace)
        self.kube.delete("coordination.k8s.io/v1", "Lease", "canary-reviews", self.shop.namespace)
        self.direct("weight", weights={"v2": 100}, settle=True, force=["CAPACITY_BELOW_SHARE"])

    def break_version(self, version: str, **switches: t.Any) -> None:
        """Roll out a version with faults (`FAULT_ERROR_RATE=0.05`); None takes a switch away."""
        env = [
            {"name": name, "$patch": "delete"} if value is None else {"name": name, "value": str(value)}
            for name, value in switches.items()
        ]
        body = {"spec": {"template": {"spec": {"containers": [{"name": "reviews", "env": env}]}}}}
        path = f"/apis/apps/v1/namespaces/{self.shop.namespace}/deployments/reviews-{version}"
        self.kube.request("PATCH", path, body, content_type="application/strategic-merge-patch+json")
        self.kube.wait_available([f"reviews-{version}"], self.shop.namespace)
        self.kube.wait_until(lambda: len(self.pods(version)) == 1, 60, f"the only pod of {version}")

    def pods(self, version: str) -> list[Object]:
        return self.kube.list("v1", "Pod", self.shop.namespace, selector=f"app=reviews,version={version}")

    def rollout(self, canary: str, *, fails: bool = False, **variables: t.Any) -> Played:
        return self.shop.player(
            "meshops.canary.rollout",
            fails=fails,
            service="reviews",
            ns=self.shop.namespace,
            canary=canary,
            **{**QUICK, **variables},
        )

    def begin(self, canary: str, **variables: t.Any) -> subprocess.Popen[str]:
        """Start a rollout that can be killed."""
        names = {"service": "reviews", "ns": self.shop.namespace, "canary": canary}
        return self.shop.player.begin("meshops.canary.rollout", **names, **{**QUICK, **variables})

    def on_a_terminal(self, canary: str, environment: dict[str, str], **variables: t.Any) -> t.ContextManager[Terminal]:
        """Start a rollout that somebody watches, and can answer."""
        names = {"service": "reviews", "ns": self.shop.namespace, "canary": canary}
        return self.shop.player.on_a_terminal("meshops.canary.rollout", environment, **names, **{**QUICK, **variables})

    def run(self) -> dict[str, t.Any]:
        """Return the record as it stands, {} if there is none."""
        found = self.kube.get("v1", "ConfigMap", "canary-rollout-reviews", self.shop.namespace)
        return dict(json.loads(found["data"]["run"])) if found else {}

    def wait_for(self, phase: str, at: int, seconds: float = 120) -> None:
        """Wait until the rollout is in this phase of step `at`, counted from 0."""

        def there() -> bool:
            run = self.run()
            return (run.get("phase"), run.get("at")) == (phase, at)

        self.kube.wait_until(there, seconds, f"{phase} of step {at + 1}")

    def trail(self) -> list[tuple[str, str, str]]:
        """Return what was recorded so far: event, phase before, phase after."""
        found = self.kube.get("v1", "ConfigMap", "canary-rollout-reviews", self.shop.namespace)
        events = json.loads(found["data"]["events"]) if found else []
        return [(entry["event"], entry["from"], entry["to"]) for entry in events]

    def weights(self) -> dict[str, float]:
        """Return who gets what, in the VirtualService's own words."""
        found = self.kube.get(ISTIO, "VirtualService", "reviews", self.shop.namespace)
        assert found
        entries = found["spec"]["http"][-1]["route"]
        shares = {one["destination"]["subset"]: one.get("weight", 100) for one in entries}
        return {version: weight for version, weight in shares.items() if weight}

    def route(self) -> Object | None:
        return essence(self.kube.get(ISTIO, "VirtualService", "reviews", self.shop.namespace))


def report(played: Played) -> dict[str, t.Any]:
    """Return the report the rollout ended with; its chain of hashes must hold."""
    told = played.task("meshops.canary.rollout : Give the lock back")["report"]
    assert told["intact"] is True
    return dict(told)


def kill(process: subprocess.Popen[str]) -> None:
    """End the playbook and all its workers as a power cut would."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=20)
