# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Killed anywhere and run again, a rollout ends as if nothing had happened; so it does when parts of a mesh restart."""

from __future__ import annotations

import dataclasses
import random
import time
import typing as t

import pytest
import yaml
from ansible_collections.meshops.canary.plugins.module_utils.rollout import floors
from support.direct import essence
from support.rollouts import LOAD, Stage, kill, report
from support.unplaced import autoscaler

from lab.traffic import Load

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.kube import Kube, Object
    from support.lab import Lab

pytestmark = pytest.mark.mesh

CHECKPOINTS = [
    ("preparing", 0),
    ("shifting", 1),
    ("observing", 1),
    ("gated", 1),
    ("preparing", 2),
    ("observing", 3),
    ("promoting", 3),
]
RANDOM_KILLS = 50
# A step passes within two seconds, so that the kills fall into all of them; in all they last longer than a deadline.
SWIFT = {"rollout_retire_after": 1, "steps": [25, 50, 100], "pause": 1, "deadline": 900}
PATIENT = {"rollout_retire_after": 3, "deadline": 120}
GATE = {"steps": [10, {"weight": 50, "gate": "timed", "gate_seconds": 3}, 100]}
# More pods than a version has, so that floors are raised; and seconds without a request before they are given back.
SCALED = {
    "rollout_capacity": True,
    "rollout_drain": 2,
    "deadline": 120,
    "steps": [{"weight": 50, "replicas": 2}, 100],
}
AUTOSCALING = "autoscaling/v2"


@pytest.fixture(scope="module")
def undisturbed(whole_stage: Stage) -> Object | None:
    """The VirtualService as a rollout to v3 leaves it."""
    whole_stage.reset()
    with whole_stage.shop.sidecar.background(LOAD):
        assert report(whole_stage.rollout("v3"))["phase"] == "promoted"
    return whole_stage.route()


@pytest.mark.parametrize(("phase", "at"), CHECKPOINTS)
def test_killed_at_a_checkpoint_it_goes_on_and_ends_the_same(
    undisturbed: Object, stage: Stage, tmp_path: Path, phase: str, at: int
) -> None:
    hook = tmp_path / "before_step.yml"  # without anything to prepare there is no such phase to be killed in
    hook.write_text(yaml.safe_dump([{"name": "Take a while", "ansible.builtin.wait_for": {"timeout": 1}}]))
    options = {**PATIENT, **(GATE if phase == "gated" else {}), "rollout_before_step": str(hook)}
    with stage.shop.sidecar.background(LOAD) as load:
        process = stage.begin("v3", **options)
        stage.wait_for(phase, at)
        kill(process)
        told = report(stage.rollout("v3", **options))
        load.stop()
        seen = load.result()
    assert told["phase"] == "promoted"
    assert stage.route() == undisturbed
    assert seen.failed == 0, seen.reasons


@pytest.fixture
def scaled(stage: Stage) -> Iterator[Stage]:
    """v2 and v3 with an autoscaler each, of one to two pods."""
    names, namespace = ("reviews-v2", "reviews-v3"), stage.shop.namespace
    stage.kube.apply(*(autoscaler(name, 1, 2) for name in names), namespace=namespace)
    yield stage
    for name in names:
        stage.kube.delete(AUTOSCALING, "HorizontalPodAutoscaler", name, namespace)
        stage.kube.patch("apps/v1", "Deployment", name, namespace, {"spec": {"replicas": 1}})


def pods_of(stage: Stage) -> dict[str, Object]:
    """Return what both versions' autoscalers and Deployments are to be; the number of pods is the autoscalers' own."""
    found = {}
    for api, kind in ((AUTOSCALING, "HorizontalPodAutoscaler"), ("apps/v1", "Deployment")):
        for name in ("reviews-v2", "reviews-v3"):
            written = essence(stage.kube.get(api, kind, name, stage.shop.namespace))
            assert written
            written["spec"].pop("replicas", None)
            own = [key for key in written["metadata"].get("annotations", {}) if key.startswith("canary.meshops.io/")]
            found[f"{kind} {name}"] = {"spec": written["spec"], "ours": own}
    return found


@pytest.mark.parametrize(("phase", "end"), [("observing", "promoted"), ("rolling_back", "rolled_back")])
def test_killed_with_raised_floors_it_gives_them_back(
    undisturbed: Object, scaled: Stage, tmp_path: Path, phase: str, end: str
) -> None:
    hook = tmp_path / "after_step.yml"
    hook.write_text(yaml.safe_dump([{"name": "Check", "ansible.builtin.assert": {"that": f"'{end}' == 'promoted'"}}]))
    options = {**SCALED, "rollout_after_step": str(hook)}
    before, route = pods_of(scaled), {"promoted": undisturbed, "rolled_back": scaled.route()}[end]
    with scaled.shop.sidecar.background(LOAD) as load:
        process = scaled.begin("v3", **options)
        scaled.wait_for(phase, 0)
        kill(process)
        raised = pods_of(scaled)["HorizontalPodAutoscaler reviews-v3"]
        assert (raised["spec"]["minReplicas"], raised["ours"]) == (2, [floors.FLOOR, floors.RAISED])
        told = report(scaled.rollout("v3", fails=end == "rolled_back", **options))
        load.stop()
        seen = load.result()
    assert told["phase"] == end, told["reason"]
    assert scaled.route() == route
    assert pods_of(scaled) == before
    assert seen.failed == 0, seen.reasons


def test_killed_at_random_moments_it_still_ends_the_same(undisturbed: Object, stage: Stage) -> None:
    seed = random.randrange(10**6)
    moments = random.Random(seed)
    with stage.shop.sidecar.background(dataclasses.replace(LOAD, seconds=900, limit=900)) as load:
        for _kill in range(RANDOM_KILLS):
            if stage.run().get("phase") == "promoted":
                stage.reset()
            process = stage.begin("v3", **SWIFT)
            time.sleep(moments.uniform(0.5, 6))
            kill(process)
        told = report(stage.rollout("v3", **SWIFT))
        load.stop()
        seen = load.result()
    assert told["phase"] == "promoted", f"seed {seed}: {told['reason']}"
    assert stage.route() == undisturbed, f"seed {seed}"
    assert seen.failed == 0, f"seed {seed}: {seen.reasons}"
    assert seen.ended_by == "stop", "requests were sent all the time"


def test_a_new_istiod_in_mid_rollout_changes_nothing(undisturbed: Object, stage: Stage, kube: Kube) -> None:
    with stage.shop.sidecar.background(LOAD) as load:
        process = stage.begin("v3", **PATIENT)
        stage.wait_for("observing", 1)
        for pod in kube.list("v1", "Pod", "istio-system", selector="app=istiod"):
            kube.delete("v1", "Pod", pod["metadata"]["name"], "istio-system")
        assert process.wait(timeout=180) == 0
        load.stop()
        seen = load.result()
    assert stage.run()["phase"] == "promoted"
    assert stage.route() == undisturbed
    assert seen.failed == 0, seen.reasons


def test_an_api_server_that_is_gone_for_a_while_costs_time_and_no_request(
    undisturbed: Object, stage: Stage, lab: Lab
) -> None:
    # From outside, for a load in a pod would end with the API server that carries it.
    with stage.shop.gateway.background(Load(seconds=300, rate=60, connections=6, limit=300)) as load:
        process = stage.begin("v3", **PATIENT)
        stage.wait_for("observing", 1)
        lab.restart_api_server()
        process.wait(timeout=240)
        told = report(stage.rollout("v3", **PATIENT))
        load.stop()
        seen = load.result()
    assert told["phase"] == "promoted"
    assert stage.route() == undisturbed
    assert seen.failed == 0, seen.reasons
    assert seen.ended_by == "stop", "requests were sent all the time"


def test_without_prometheus_there_is_no_evidence_and_the_share_goes_back(stage: Stage, kube: Kube, lab: Lab) -> None:
    namespace, scale = prometheus(kube)
    with stage.shop.sidecar.background(LOAD):
        asked = {"prometheus_url": lab.facts["prometheus_url"], "pause": 8, "deadline": 20, "rollout_interval": 2}
        process = stage.begin("v3", **asked)
        stage.wait_for("observing", 0)
        try:
            scale(0)
            assert process.wait(timeout=180) != 0
        finally:
            scale(1)
            kube.wait_available(["prometheus"], namespace)
    run = stage.run()
    assert run["phase"] == "rolled_back"
    assert stage.weights() == {"v2": 100}


def prometheus(kube: Kube) -> tuple[str, Callable[[int], t.Any]]:
    """Return the namespace of the lab's Prometheus, and what sets its replicas."""
    (found,) = [one for one in kube.list("apps/v1", "Deployment") if one["metadata"]["name"] == "prometheus"]
    namespace = found["metadata"]["namespace"]

    def scale(replicas: int) -> None:
        kube.patch("apps/v1", "Deployment", "prometheus", namespace, {"spec": {"replicas": replicas}})

    return namespace, scale
