# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rollouts of reviews under load, as a user runs them: by the playbook.

v3 replaces v2: both call ratings, so they take equally long. v1 does not, and would be faster.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
import typing as t

from lab.traffic import Load

from .direct import ISTIO, Direct, essence
from .rollout_role import ADVANCED, role_variables

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .kube import Kube, Object
    from .play import Begun, Played
    from .shop import Shop
    from .terminal import Terminal

RATE = 220
LOAD = Load(seconds=240, rate=RATE, connections=6, limit=240)
# The default metrics, but for pods that share a busy machine: there two of the same version differ by 20 ms at times.
METRICS = [
    {"name": "errors", "kind": "errors", "critical": True},
    {"name": "latency", "kind": "latency", "min_requests": 50, "slack": 60},
    {"name": "stalled", "kind": "stalled", "critical": True},
]
QUICK = {
    "stable": "v2",
    "rollout_metrics": METRICS,
    "steps": [50, 100],
    "pause": 2,
    "deadline": 60,
    "rollout_retire_after": 1,
    "rollout_drain": 1,
    "rollout_capacity": False,
    "report_dir": "",
    "rollout_force": ["CAPACITY_BELOW_SHARE"],
}
BROKEN_BY = "status 500"


def with_errors(load: Load, **rates: float) -> Load:
    """Return the load with errors (status 500) from the versions named: `v3=0.05` for 5 % of its requests."""
    return _with_fault(load, "x-fault-error-rate", rates)


def with_delay(load: Load, **milliseconds: float) -> Load:
    """Return the load with delayed answers of the versions named: `v2=60, v3=120`."""
    return _with_fault(load, "x-fault-delay-ms", milliseconds)


def _with_fault(load: Load, header: str, by_version: Mapping[str, float]) -> Load:
    value = ", ".join(f"{version}={number}" for version, number in by_version.items())
    return dataclasses.replace(load, headers={**load.headers, header: value})


@dataclasses.dataclass(frozen=True)
class Stage:
    """A shop for rollouts, and how to read what a rollout has done."""

    shop: Shop
    kube: Kube
    direct: Direct

    def reset(self) -> None:
        """Send all requests to v2, and delete the record of a rollout."""
        self.kube.delete("v1", "ConfigMap", "canary-rollout-reviews", self.shop.namespace)
        self.kube.delete("coordination.k8s.io/v1", "Lease", "canary-reviews", self.shop.namespace)
        self.direct("weight", weights={"v2": 100}, finalize=True, force=["CAPACITY_BELOW_SHARE"])

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

    @contextlib.contextmanager
    def another_version(self, version: str, *, replicas: int, **container: t.Any) -> Iterator[None]:
        """Add a subset and a Deployment like that of v2, and remove them afterwards. container: fields that differ."""
        kube, space, name = self.kube, self.shop.namespace, f"reviews-{version}"
        deployment = essence(kube.get("apps/v1", "Deployment", "reviews-v2", space))
        assert deployment
        spec = deployment["spec"]
        labels = {**spec["selector"]["matchLabels"], "version": version}
        deployment["metadata"] = {"name": name, "labels": labels}
        spec.update(replicas=replicas, selector={"matchLabels": labels})
        spec["template"]["metadata"]["labels"] = labels
        spec["template"]["spec"]["containers"][0].update(container)
        deployment.pop("status", None)
        rule = kube.get(ISTIO, "DestinationRule", "reviews", space)
        assert rule
        subsets = [*rule["spec"]["subsets"], {"name": version, "labels": {"version": version}}]
        kube.apply({"apiVersion": "apps/v1", "kind": "Deployment", **deployment}, namespace=space)
        kube.patch(ISTIO, "DestinationRule", "reviews", space, {"spec": {"subsets": subsets}})
        try:
            yield
        finally:
            self.reset()
            kube.patch(ISTIO, "DestinationRule", "reviews", space, {"spec": {"subsets": subsets[:-1]}})
            kube.delete("apps/v1", "Deployment", name, space)

    def pods(self, version: str) -> list[Object]:
        return self.kube.list("v1", "Pod", self.shop.namespace, selector=f"app=reviews,version={version}")

    def rollout(self, canary: str, *, fails: bool = False, **variables: t.Any) -> Played:
        return self.shop.player(
            "meshops.canary.rollout",
            fails=fails,
            service="reviews",
            ns=self.shop.namespace,
            canary=canary,
            **role_variables({**QUICK, **variables}),
        )

    def begin(self, canary: str, **variables: t.Any) -> Begun:
        """Start a rollout that can be killed."""
        names = {"service": "reviews", "ns": self.shop.namespace, "canary": canary}
        return self.shop.player.begin("meshops.canary.rollout", **names, **role_variables({**QUICK, **variables}))

    def on_a_terminal(self, canary: str, environment: dict[str, str], **variables: t.Any) -> t.ContextManager[Terminal]:
        """Start a rollout on a terminal where keys can be pressed."""
        names = {"service": "reviews", "ns": self.shop.namespace, "canary": canary}
        return self.shop.player.on_a_terminal(
            "meshops.canary.rollout", environment, **names, **role_variables({**QUICK, **variables})
        )

    def run(self) -> dict[str, t.Any]:
        """Return the record of the rollout, {} if there is none."""
        found = self.kube.get("v1", "ConfigMap", "canary-rollout-reviews", self.shop.namespace)
        return dict(json.loads(found["data"]["run"])) if found else {}

    def wait_for(self, begun: Begun, phase: str, at: int, seconds: float = 120) -> None:
        """Wait until the rollout that was begun is in this phase of step `at`, counted from 0.

        Raises AssertionError with what it printed if it ends before, or after `seconds`. Some phases last a moment, so
        the record is read often.
        """
        deadline = time.monotonic() + seconds
        while (seen := (run := self.run()).get("phase"), run.get("at")) != (phase, at):
            late = begun.process.poll() is not None or time.monotonic() > deadline
            reason = run.get("reason")
            assert not late, f"not seen: {phase} of step {at + 1}, but {seen}, {reason}\n{begun.printed()}"
            time.sleep(0.05)

    def audit_log(self) -> list[tuple[str, str, str]]:
        """Return the recorded events: name, phase before, phase after."""
        found = self.kube.get("v1", "ConfigMap", "canary-rollout-reviews", self.shop.namespace)
        events = json.loads(found["data"]["events"]) if found else []
        return [(entry["event"], entry["from"], entry["to"]) for entry in events]

    def weights(self) -> dict[str, float]:
        """Return the weights in the VirtualService, without those of 0."""
        found = self.kube.get(ISTIO, "VirtualService", "reviews", self.shop.namespace)
        assert found
        entries = found["spec"]["http"][-1]["route"]
        shares = {one["destination"]["subset"]: one.get("weight", 100) for one in entries}
        return {version: weight for version, weight in shares.items() if weight}

    def route(self) -> Object | None:
        return essence(self.kube.get(ISTIO, "VirtualService", "reviews", self.shop.namespace))


def report(played: Played) -> dict[str, t.Any]:
    """Return the report the rollout ended with; its chain of hashes must hold."""
    advanced = [result for name, _host, result in played.tasks if name == ADVANCED]
    assert advanced[-1]["report"]["verified"] is True
    return dict(advanced[-1]["report"])


def shown(played: Played) -> list[str]:
    """Return the lines that the rollout showed while it worked."""
    return [line for name, _host, result in played.tasks if name == ADVANCED for line in result["lines"]]
