# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rollout that is killed and run again ends as an undisturbed one; so it does when parts of the mesh restart."""

from __future__ import annotations

import dataclasses
import time
import typing as t

import pytest
import yaml
from ansible_collections.meshops.canary.plugins.module_utils.rollout import capacity_changes
from support.direct import essence
from support.effort import random_numbers, rounds
from support.pending_deployments import autoscaler
from support.rollouts import LOAD, Stage, report

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
# A step with a timed gate in the middle, so that every phase is there to be killed in.
STEPS = [10, {"weight": 25, "gate": "timed", "gate_seconds": 3}, 50, 100]
RANDOM_KILLS = rounds(5, 50)
# A step passes within two seconds, so that the kills hit all of them; together they last longer than a deadline.
SWIFT = {"steps": [25, 50, 100], "pause": 1, "deadline": 900}
PATIENT = {"steps": [25, 50, 100], "deadline": 120}
# More pods than a version has, so that minReplicas is raised, and seconds without a request before it is restored.
SCALED = {
    "rollout_capacity": True,
    "rollout_drain": 2,
    "deadline": 120,
    "steps": [{"weight": 50, "replicas": 2}, 100],
}
AUTOSCALING = "autoscaling/v2"


@pytest.fixture(scope="module")
def undisturbed(module_stage: Stage) -> Object | None:
    """The VirtualService as a rollout to v3 leaves it."""
    module_stage.reset()
    assert report(module_stage.rollout("v3", steps=[100], pause=0, analysis=False))["phase"] == "promoted"
    return module_stage.route()


# All kills in one rollout; in a soak run also each of them alone.
@pytest.mark.parametrize("checkpoints", [CHECKPOINTS, *([one] for one in CHECKPOINTS)][: rounds(1, 8)], ids=str)
def test_killed_at_checkpoints_it_resumes_and_ends_the_same(
    undisturbed: Object, stage: Stage, tmp_path: Path, checkpoints: list[tuple[str, int]]
) -> None:
    hook = tmp_path / "before_step.yml"  # without tasks before a step there is no phase to be killed in
    hook.write_text(yaml.safe_dump([{"name": "Wait", "ansible.builtin.wait_for": {"timeout": 1}}]))
    options = {**PATIENT, "steps": STEPS, "rollout_before_step": str(hook)}
    with stage.shop.sidecar.background(LOAD) as load:
        for phase, at in checkpoints:
            begun = stage.begin("v3", **options)
            stage.wait_for(begun, phase, at)
            begun.kill()
        ended = report(stage.rollout("v3", **options))
        load.stop()
        seen = load.result()
    assert ended["phase"] == "promoted"
    passed = {entry["step"] for entry in ended["events"] if entry["event"] == "pass"}
    assert passed == set(range(len(STEPS))), "each step was judged, some again"
    assert stage.route() == undisturbed
    assert seen.failed == 0, seen.reasons


@pytest.fixture
def scaled(stage: Stage) -> Iterator[Stage]:
    """v2 and v3 with an autoscaler each, for one to two pods."""
    names, namespace = ("reviews-v2", "reviews-v3"), stage.shop.namespace
    stage.kube.apply(*(autoscaler(name, 1, 2) for name in names), namespace=namespace)
    yield stage
    for name in names:
        stage.kube.delete(AUTOSCALING, "HorizontalPodAutoscaler", name, namespace)
        stage.kube.patch("apps/v1", "Deployment", name, namespace, {"spec": {"replicas": 1}})


def pods_of(stage: Stage) -> dict[str, Object]:
    """Return spec and own annotations of both versions' autoscalers and Deployments, without their replicas."""
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
def test_killed_with_raised_min_replicas_it_restores_them(
    undisturbed: Object, scaled: Stage, tmp_path: Path, phase: str, end: str
) -> None:
    hook = tmp_path / "after_step.yml"
    hook.write_text(yaml.safe_dump([{"name": "Check", "ansible.builtin.assert": {"that": f"'{end}' == 'promoted'"}}]))
    options = {**SCALED, "rollout_after_step": str(hook)}
    before, route = pods_of(scaled), {"promoted": undisturbed, "rolled_back": scaled.route()}[end]
    with scaled.shop.sidecar.background(LOAD) as load:
        begun = scaled.begin("v3", **options)
        scaled.wait_for(begun, phase, 0)
        begun.kill()
        raised = pods_of(scaled)["HorizontalPodAutoscaler reviews-v3"]
        own = [capacity_changes.MIN_REPLICAS_BEFORE, capacity_changes.MIN_REPLICAS_RAISED]
        assert (raised["spec"]["minReplicas"], raised["ours"]) == (2, own)
        ended = report(scaled.rollout("v3", fails=end == "rolled_back", **options))
        load.stop()
        seen = load.result()
    assert ended["phase"] == end, ended["reason"]
    assert scaled.route() == route
    assert pods_of(scaled) == before
    assert seen.failed == 0, seen.reasons


def test_killed_at_random_moments_it_ends_the_same(undisturbed: Object, stage: Stage) -> None:
    moments = random_numbers()
    with stage.shop.sidecar.background(dataclasses.replace(LOAD, seconds=900, limit=900)) as load:
        for _kill in range(RANDOM_KILLS):
            if stage.run().get("phase") == "promoted":
                stage.reset()
            begun = stage.begin("v3", **SWIFT)
            time.sleep(moments.uniform(0.5, 6))
            begun.kill()
        ended = report(stage.rollout("v3", **SWIFT))
        load.stop()
        seen = load.result()
    assert ended["phase"] == "promoted", ended["reason"]
    assert stage.route() == undisturbed
    assert seen.failed == 0, seen.reasons
    assert seen.ended_by == "stop", "requests were sent all the time"


@pytest.mark.alone
def test_a_restart_of_istiod_changes_nothing(undisturbed: Object, stage: Stage, kube: Kube) -> None:
    with stage.shop.sidecar.background(LOAD) as load:
        begun = stage.begin("v3", **PATIENT)
        stage.wait_for(begun, "observing", 0)
        for pod in kube.list("v1", "Pod", "istio-system", selector="app=istiod"):
            kube.delete("v1", "Pod", pod["metadata"]["name"], "istio-system")
        begun.wait()
        load.stop()
        seen = load.result()
    assert stage.run()["phase"] == "promoted"
    assert stage.route() == undisturbed
    assert seen.failed == 0, seen.reasons


@pytest.mark.alone
def test_a_restart_of_the_api_server_costs_time_and_no_request(undisturbed: Object, stage: Stage, lab: Lab) -> None:
    # From outside: a load in a pod would end with the API server that carries its connection.
    with stage.shop.gateway.background(Load(seconds=300, rate=60, connections=6, limit=300)) as load:
        begun = stage.begin("v3", **PATIENT)
        stage.wait_for(begun, "observing", 0)
        lab.restart_api_server()
        begun.process.wait(timeout=240)
        ended = report(stage.rollout("v3", **PATIENT))
        load.stop()
        seen = load.result()
    assert ended["phase"] == "promoted"
    assert stage.route() == undisturbed
    assert seen.failed == 0, seen.reasons
    assert seen.ended_by == "stop", "requests were sent all the time"


@pytest.mark.alone
def test_without_prometheus_the_canary_is_rolled_back(stage: Stage, kube: Kube, lab: Lab) -> None:
    namespace, scale = prometheus(kube)
    with stage.shop.sidecar.background(LOAD):
        options = {"prometheus_url": lab.facts["prometheus_url"], "pause": 8, "deadline": 14, "rollout_interval": 2}
        begun = stage.begin("v3", **options)
        stage.wait_for(begun, "observing", 0)
        try:
            scale(0)
            begun.wait(fails=True)
        finally:
            scale(1)
            kube.wait_available(["prometheus"], namespace)
    run = stage.run()
    assert run["phase"] == "rolled_back"
    assert stage.weights() == {"v2": 100}


def prometheus(kube: Kube) -> tuple[str, Callable[[int], t.Any]]:
    """Return the namespace of the lab's Prometheus, and a function that sets its replicas."""
    (found,) = [one for one in kube.list("apps/v1", "Deployment") if one["metadata"]["name"] == "prometheus"]
    namespace = found["metadata"]["namespace"]

    def scale(replicas: int) -> None:
        kube.patch("apps/v1", "Deployment", "prometheus", namespace, {"spec": {"replicas": replicas}})

    return namespace, scale
