# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rollout beside autoscalers, with a load spike: minReplicas is raised, and only the autoscalers set replicas."""

from __future__ import annotations

import itertools
import threading
import time
import typing as t

import pytest
from support.rollouts import LOAD

from lab.traffic import Load

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.kube import Kube, Object
    from support.lab import Lab
    from support.rollouts import Stage

pytestmark = pytest.mark.mesh

AUTOSCALING = "autoscaling/v2"
FLOOR = 1
# In percent of the 20m that a pod requests, so 120m: WORK takes two pods, more than minReplicas; the spike takes more.
TARGET, MOST = 600, 6
# Each of these requests uses CPU, so that the autoscaler of the version that answers measures load.
WORK = Load(seconds=240, rate=30, connections=2, limit=240, headers={"x-fault-cpu-ms": "6"})
SPIKE = Load(seconds=60, rate=60, connections=4, headers={"x-fault-cpu-ms": "9"})


class Watched:
    """What v2 had while its minReplicas was raised. floor: the first raised value; ready: pods since then."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube, self._namespace = kube, namespace
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.floor, self.ready = 0, list[int]()

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            ready = ready_pods(self._kube, self._namespace)
            floor = int(autoscaler(self._kube, self._namespace, "v2")["spec"]["minReplicas"])
            if floor > FLOOR:
                self.floor = self.floor or floor
                self.ready.append(ready)


@pytest.fixture
def scaled(stage: Stage, kube: Kube) -> Iterator[Stage]:
    """v2 and v3 with an autoscaler each, as the role autoscale creates them."""
    namespace = stage.shop.namespace
    stage.shop.player(
        [
            {
                "name": "Scale",
                "ansible.builtin.include_role": {"name": "meshops.canary.autoscale"},
                "vars": {
                    "autoscale_service": "reviews",
                    "autoscale_namespace": namespace,
                    "autoscale_versions": ["v2", "v3"],
                    "autoscale_min": FLOOR,
                    "autoscale_max": MOST,
                    "autoscale_cpu_percent": TARGET,
                    "autoscale_scale_down_window": 10,
                },
            }
        ]
    )
    yield stage
    for version in ("v2", "v3"):
        kube.delete(AUTOSCALING, "HorizontalPodAutoscaler", f"reviews-{version}", namespace)


def autoscaler(kube: Kube, namespace: str, version: str) -> Object:
    found = kube.get(AUTOSCALING, "HorizontalPodAutoscaler", f"reviews-{version}", namespace)
    assert found
    return found


def ready_pods(kube: Kube, namespace: str) -> int:
    """Return how many pods of v2 are ready."""
    found = kube.get("apps/v1", "Deployment", "reviews-v2", namespace)
    assert found
    return int(found["status"].get("readyReplicas") or 0)


def rescaled_by_load(kube: Kube, namespace: str, since: str) -> list[str]:
    """Return what the autoscalers did because of the measured load, not of a raised minReplicas."""
    events = kube.list("v1", "Event", namespace)
    rescaled = [one for one in events if one["reason"] == "SuccessfulRescale" and "above target" in one["message"]]
    return [one["message"] for one in rescaled if (one.get("lastTimestamp") or "") >= since]


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def test_a_load_spike_during_a_rollout_is_left_to_the_autoscalers(scaled: Stage, kube: Kube, lab: Lab) -> None:
    namespace, since = scaled.shop.namespace, now()
    sidecar = scaled.shop.sidecar
    with sidecar.background(LOAD) as load, sidecar.background(WORK) as work, Watched(kube, namespace) as watched:
        kube.wait_until(lambda: ready_pods(kube, namespace) > FLOOR, 120, "v2 has more pods than its minReplicas")
        steps = [10, {"weight": 25, "pause": 20}, 50, 100]
        begun = scaled.begin("v3", rollout_capacity=True, deadline=120, steps=steps)
        scaled.wait_for(begun, "observing", 1)
        surprise = now()
        with sidecar.background(SPIKE) as spike:
            begun.wait(seconds=240)
            for running in (load, work, spike):
                running.stop()
            seen = [running.result() for running in (load, work, spike)]
    assert scaled.run()["phase"] == "promoted"
    assert all(one.failed == 0 for one in seen), [one.reasons for one in seen]
    assert rescaled_by_load(kube, namespace, surprise), "the spike was large enough to be seen"
    assert watched.floor > FLOOR, "minReplicas of stable was raised"
    held = itertools.dropwhile(lambda ready: ready < watched.floor, watched.ready)
    assert min(held, default=0) >= watched.floor, "stable kept the pods for a rollback"
    written = [
        event
        for event in lab.audited(namespace)
        if event["requestReceivedTimestamp"] >= since
        and event["verb"] in ("patch", "update", "create")
        and (event.get("objectRef") or {}).get("resource") == "deployments"
        and not event["user"]["username"].startswith("system:")
    ]
    assert not written, f"only the autoscalers set replicas: {written[:2]}"
    for version in ("v2", "v3"):
        floor = autoscaler(kube, namespace, version)["spec"]["minReplicas"]
        assert floor == FLOOR, "minReplicas was restored"
