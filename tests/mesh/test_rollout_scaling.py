# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rollout beside autoscalers, with a load spike in its middle: floors are raised, and replicas are theirs alone."""

from __future__ import annotations

import threading
import time
import typing as t

import pytest
from support.rollouts import LOAD, report

from lab.traffic import Load

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.kube import Kube
    from support.lab import Lab
    from support.rollouts import Stage

pytestmark = pytest.mark.mesh

AUTOSCALING = "autoscaling/v2"
FLOOR = 1
# Each request of it uses CPU, so that the autoscaler of whoever answers has something to see.
SPIKE = Load(seconds=60, rate=60, connections=4, headers={"x-fault-cpu-ms": "6"})


@pytest.fixture
def scaled(stage: Stage, kube: Kube) -> Iterator[Stage]:
    """v2 and v3 with an autoscaler each, as the role makes them."""
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
                    "autoscale_max": 3,
                    "autoscale_scale_down_window": 10,
                },
            }
        ]
    )
    yield stage
    for version in ("v2", "v3"):
        kube.delete(AUTOSCALING, "HorizontalPodAutoscaler", f"reviews-{version}", namespace)


def ready(kube: Kube, namespace: str, version: str) -> int:
    found = kube.get("apps/v1", "Deployment", f"reviews-{version}", namespace)
    assert found
    return int(found["status"].get("readyReplicas") or 0)


def test_a_load_spike_in_mid_rollout_is_the_autoscalers_business(scaled: Stage, kube: Kube, lab: Lab) -> None:
    namespace = scaled.shop.namespace
    fewest = [ready(kube, namespace, "v2")]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            fewest.append(ready(kube, namespace, "v2"))

    watcher = threading.Thread(target=watch)
    begun = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    watcher.start()
    try:
        with scaled.shop.sidecar.background(LOAD) as load, scaled.shop.sidecar.background(SPIKE) as spike:
            told = report(scaled.rollout("v3", rollout_capacity=True, deadline=120))
            for running in (load, spike):
                running.stop()
            seen = [running.result() for running in (load, spike)]
    finally:
        over.set()
        watcher.join()
    assert told["phase"] == "promoted", told["reason"]
    assert all(one.failed == 0 for one in seen), [one.reasons for one in seen]
    assert min(fewest) >= FLOOR
    written = [
        event
        for event in lab.audited(namespace)
        if event["requestReceivedTimestamp"] >= begun
        and event["verb"] in ("patch", "update", "create")
        and (event.get("objectRef") or {}).get("resource") == "deployments"
        and not event["user"]["username"].startswith("system:")
    ]
    assert not written, f"replicas are the autoscalers': {written[:2]}"
    for version in ("v2", "v3"):
        found = kube.get(AUTOSCALING, "HorizontalPodAutoscaler", f"reviews-{version}", namespace)
        assert found
        assert found["spec"]["minReplicas"] == FLOOR, "the floor was given back"
