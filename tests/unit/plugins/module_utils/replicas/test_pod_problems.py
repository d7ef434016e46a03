# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a pod is not ready is what its present state says, and not the last event, whatever its age."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.replicas.deployment_status import (
    deployment_problems,
    deployment_status,
    progress,
)
from ansible_collections.meshops.canary.plugins.module_utils.replicas.pod_problems import pod_problems
from support.deployments import deployment

Object = dict[str, t.Any]
NAMED = "Pod books/shop-1"
STARTED = "2026-11-22T12:00:00Z"
EARLIER, LATER = "2026-11-22T11:58:00Z", "2026-11-22T12:03:00Z"


def pod(*statuses: Object, init: tuple[Object, ...] = (), phase: str = "Running", **conditions: t.Any) -> Object:
    """Return a pod. conditions: type -> True, False, or (False, reason, message)."""
    found = [
        {"type": name, "status": str(value)}
        if isinstance(value, bool)
        else {"type": name, "status": str(value[0]), "reason": value[1], "message": value[2]}
        for name, value in {"PodScheduled": True, "Ready": False, **conditions}.items()
    ]
    status = {
        "phase": phase,
        "conditions": found,
        "containerStatuses": list(statuses),
        "initContainerStatuses": list(init),
    }
    return {"metadata": {"name": "shop-1", "namespace": "books", "uid": "u1"}, "spec": {}, "status": status}


def running(name: str = "app", *, ready: bool = False, started: bool = True) -> Object:
    return {"name": name, "ready": ready, "started": started, "state": {"running": {"startedAt": STARTED}}}


def waiting(reason: str, name: str = "app", **more: t.Any) -> Object:
    return {"name": name, "ready": False, "state": {"waiting": {"reason": reason}}, **more}


def event(reason: str, message: str, at: str = LATER, *, container: str = "app", uid: str = "u1") -> Object:
    about = {"name": "shop-1", "uid": uid, "fieldPath": f"spec.containers{{{container}}}"}
    return {"type": "Warning", "reason": reason, "message": message, "lastTimestamp": at, "involvedObject": about}


STARTUP = event("Unhealthy", "Startup probe failed: connection refused", EARLIER)
READINESS = event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
GATE = "example.com/load-balanced"


def test_a_pod_whose_containers_are_ready_waits_for_its_readiness_gates() -> None:
    found = pod(running(ready=True), running("istio-proxy", ready=True), ContainersReady=True)
    found["spec"]["readinessGates"] = [{"conditionType": GATE}]
    assert pod_problems(found, [STARTUP]) == [
        f"{NAMED} has all containers ready and waits for its readiness gates: {GATE} (nobody has set it yet)"
    ]
    found["status"]["conditions"].append({"type": GATE, "status": "False", "message": "target is unhealthy"})
    assert pod_problems(found, [STARTUP])[0].endswith(f"{GATE} (False: target is unhealthy)")


def test_without_gates_the_condition_itself_speaks() -> None:
    lost = pod(running(ready=True), ContainersReady=True, Ready=(False, "NodeLost", "Kubelet stopped posting"))
    assert pod_problems(lost, [STARTUP]) == [
        f"{NAMED} has all containers ready, but its condition Ready is False: Kubelet stopped posting"
    ]


@pytest.mark.parametrize(
    ("container", "events", "words"),
    [
        (running(), [STARTUP, READINESS], "Readiness probe failed: HTTP probe failed with statuscode: 503"),
        (running(), [STARTUP], "it runs, but its readiness probe does not pass"),
        (running(started=False), [READINESS], "it runs, but its startup probe has not passed"),
        (running(started=False), [{**STARTUP, "lastTimestamp": LATER}], "Startup probe failed: connection refused"),
        (running(), [{**READINESS, "lastTimestamp": EARLIER}], "it runs, but its readiness probe does not pass"),
        (running(), [event("FailedMount", "no such secret")], "it runs, but its readiness probe does not pass"),
        (running(), [event("Unhealthy", "Readiness probe failed", container="istio-proxy")], "readiness probe does"),
        (running(), [event("Unhealthy", "Readiness probe failed", uid="another")], "readiness probe does not pass"),
        (running(), [event("Unhealthy", "Liveness probe failed")], "it runs, but its readiness probe does not pass"),
    ],
    ids=[
        "readiness after startup", "startup has passed", "startup not yet", "startup fails", "of the run before",
        "a mount of before", "another container's", "another pod's", "liveness",
    ],
)  # fmt: skip
def test_only_an_event_that_explains_the_present_state_is_named(
    container: Object, events: list[Object], words: str
) -> None:
    (found,) = pod_problems(pod(container, ContainersReady=False), events)
    assert found.startswith(f"{NAMED}, container app: ")
    assert words in found


def test_a_failing_init_container_is_named_and_not_that_the_others_wait() -> None:
    crashed = {"terminated": {"exitCode": 3, "reason": "Error", "message": "no database"}}
    migrate = waiting("CrashLoopBackOff", "migrate", lastState=crashed, restartCount=4)
    found = pod(waiting("PodInitializing"), init=(migrate,), phase="Pending", Initialized=False)
    assert pod_problems(found, [STARTUP]) == [
        f"{NAMED}, init container migrate: CrashLoopBackOff: its last run ended with exit code 3 (Error): no database"
    ]
    just_failed = {"name": "migrate", "ready": False, "restartCount": 0, "state": crashed}
    (sentence,) = pod_problems(pod(waiting("PodInitializing"), init=(just_failed,)))
    assert "init container migrate: restarted 0 times, its last run ended with exit code 3" in sentence


def test_an_init_container_that_runs_has_no_readiness_probe() -> None:
    done = {"name": "first", "ready": True, "state": {"terminated": {"exitCode": 0}}}
    found = pod(waiting("PodInitializing"), init=(done, running("wait-for-db")), phase="Pending")
    assert pod_problems(found, [READINESS]) == [
        f"{NAMED}, init container wait-for-db: it has run since {STARTED} and has not ended, and the others wait for it"
    ]
    found["spec"]["initContainers"] = [{"name": "wait-for-db", "restartPolicy": "Always"}]
    assert pod_problems(found) == [f"{NAMED}, container wait-for-db: it runs, but its readiness probe does not pass"], (
        "a sidecar is a container like others"
    )


def test_a_container_on_its_way_names_the_event_with_its_time_but_not_one_that_is_over() -> None:
    found = pod(waiting("ContainerCreating"), phase="Pending")
    unscheduled = event("FailedScheduling", "0/1 nodes are available", LATER)
    mount = event("FailedMount", 'secret "tls" not found', EARLIER)
    assert pod_problems(found, [unscheduled, mount]) == [
        f'{NAMED} is Pending and not ready: secret "tls" not found (event of {EARLIER})'
    ]
    assert pod_problems(found, [unscheduled]) == [f"{NAMED} is Pending and not ready"]


def test_an_evicted_pod_says_so() -> None:
    found = pod(phase="Failed")
    found["status"].update(reason="Evicted", message="The node was low on resource: memory.")
    assert pod_problems(found) == [f"{NAMED} is Failed and not ready: The node was low on resource: memory."]


def unfinished(**spec: t.Any) -> Object:
    found = deployment("shop")
    found["spec"].update(spec)
    status = {"observedGeneration": 4, "replicas": 3, "updatedReplicas": 0, "availableReplicas": 3}
    return {**found, "status": status}


def test_a_paused_deployment_is_said_and_not_waited_for() -> None:
    paused = unfinished(paused=True)
    assert deployment_status([paused], ["shop"]) == "failed"
    assert progress(paused).endswith(", paused")
    (sentence,) = deployment_problems([paused], ["shop"])
    assert sentence == (
        "Deployment shop is paused, so it makes no pods of its new template. To resume it: kubectl -n books rollout "
        "resume deployment shop"
    )
    done = unfinished(paused=True)
    done["status"].update(updatedReplicas=3)
    assert deployment_status([done], ["shop"]) == "done", "paused, and nothing left to do"


def test_what_nobody_explains_is_at_least_counted() -> None:
    (sentence,) = deployment_problems([unfinished(minReadySeconds=60)], ["shop"])
    assert sentence == (
        "Deployment shop has 0 updated and 3 available of 3 pods; a pod is available when it has been ready for 60 s "
        "(minReadySeconds)"
    )
    late = unfinished()
    late["status"]["observedGeneration"] = 3
    assert deployment_problems([late], ["shop"]) == [
        "the Deployment controller has not seen the last change of Deployment shop"
    ]


def test_a_pod_of_a_node_that_is_silent_names_the_node() -> None:
    """The node's controller sets Ready to False, leaves the containers' states, and gives no reason."""
    lost = pod(running(ready=True), ContainersReady=True)
    lost["spec"]["nodeName"] = "worker-7"
    (said,) = pod_problems(lost)
    assert said == (
        f"{NAMED} has all containers ready, but its condition Ready is False: its node worker-7 may not answer "
        "(kubectl get node worker-7)"
    )


def test_an_evicted_pod_says_by_whom() -> None:
    evicted = pod(phase="Failed")
    evicted["status"].update(reason="Evicted", message="The node was low on resource: memory.")
    (said,) = pod_problems(evicted)
    assert said == f"{NAMED} is Failed and not ready: The node was low on resource: memory."
