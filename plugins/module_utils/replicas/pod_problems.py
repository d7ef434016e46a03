# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a pod is not ready, by its present conditions and container states, in their own words. Pure.

Events are read last. They stay for an hour, so one counts only where it can explain the present state: a failed startup
probe says nothing of a container that has started, and a failed scheduling nothing of a pod that has a node.
"""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping, Sequence

Object = Mapping[str, t.Any]

ON_ITS_WAY: t.Final = frozenset({"ContainerCreating", "PodInitializing"})
"""Reasons of a waiting container that say nothing by themselves."""
SAY_LITTLE: t.Final = ("Error: ", "Back-off ")
"""Beginnings of events that only repeat a container's state; the one before them has the reason."""
_PROBE_FAILED: t.Final = "Unhealthy"
_NOT_SCHEDULED: t.Final = "FailedScheduling"
_PROBES: t.Final = ("Startup", "Readiness", "Liveness")


def name_of(thing: Object) -> str:
    """Return the name of an object."""
    return str(thing.get("metadata", {}).get("name", ""))


def conditions(thing: Object) -> dict[str, Object]:
    """Return the conditions of an object by their type."""
    return {condition["type"]: condition for condition in thing.get("status", {}).get("conditions") or []}


def container_statuses(pod: Object) -> list[Object]:
    """Return the states of all containers, those that run first first."""
    status = pod.get("status", {})
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def pod_problems(pod: Object, events: Iterable[Object] = ()) -> list[str]:
    """Return sentences about a pod that is not ready, each with the pod's own reason; empty if it is ready.

    events: of the namespace, in any order.
    """
    prefix = f"Pod {pod.get('metadata', {}).get('namespace', '')}/{name_of(pod)}"
    found = conditions(pod)
    if found.get("Ready", {}).get("status") == "True":
        return []
    scheduled = found.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return [f"{prefix} cannot be placed: {_words(scheduled)}"]
    warnings = _warnings(pod, events)
    result = [
        f"{prefix}, {kind} {container['name']}: {trouble}"
        for kind, container in _unready_containers(pod)
        if (trouble := _container_trouble(kind, container, warnings))
    ]
    return result or [f"{prefix} {_pod_trouble(pod, found, warnings)}"]


def newest_warning(thing: Object, events: Iterable[Object]) -> str:
    """Return the newest warning about an object that says something, such as why a Job cannot create its pod."""
    return next(map(_message, _warnings(thing, events)), "")


def _pod_trouble(pod: Object, found: Mapping[str, Object], warnings: Sequence[Object]) -> str:
    """Return why a pod is not ready although none of its containers says so."""
    ready = found.get("Ready", {})
    if found.get("ContainersReady", {}).get("status") == "True":
        gates = [str(one.get("conditionType")) for one in (pod.get("spec") or {}).get("readinessGates") or ()]
        unmet = [f"{gate} ({_gate(found.get(gate))})" for gate in gates if found.get(gate, {}).get("status") != "True"]
        if unmet:
            return f"has all containers ready and waits for its readiness gates: {', '.join(unmet)}"
        said = _words(ready) or _of_the_node(pod)
        return f"has all containers ready, but its condition Ready is {ready.get('status', 'missing')}: {said}"
    status = pod.get("status", {})
    said = status.get("message") or status.get("reason") or _event(warnings, without=(_PROBE_FAILED, _NOT_SCHEDULED))
    said = said or (_words(ready) if ready else "")
    return f"is {status.get('phase', 'Unknown')} and not ready{': ' + said if said else ''}"


def _of_the_node(pod: Object) -> str:
    """Return where to look: the controller that finds a node silent sets Ready of its pods to False without a word."""
    node = (pod.get("spec") or {}).get("nodeName")
    return f"its node {node} may not answer (kubectl get node {node})" if node else "nobody says why"


def _gate(condition: Object | None) -> str:
    """Return the state of a readiness gate's condition, in its own words."""
    if condition is None:
        return "nobody has set it yet"
    said = _words(condition)
    return f"{condition.get('status')}{': ' + said if said else ''}"


def _words(condition: Object) -> str:
    """Return what a condition says: its message, else its reason."""
    return str(condition.get("message") or condition.get("reason") or "").strip()


def _unready_containers(pod: Object) -> list[tuple[str, Object]]:
    """Return the containers that are not ready: `container`, or `init container` for one that must end first."""
    status, spec = pod.get("status", {}), pod.get("spec") or {}
    sidecars = {one.get("name") for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"}
    first = [
        ("container" if one["name"] in sidecars else "init container", one)
        for one in status.get("initContainerStatuses") or []
    ]
    everyone = [*first, *(("container", one) for one in status.get("containerStatuses") or [])]
    return [(kind, one) for kind, one in everyone if not one.get("ready")]


def _container_trouble(kind: str, status: Object, warnings: Sequence[Object]) -> str:
    """Return why one container is not ready, or an empty string when nothing can be said."""
    state = status.get("state") or {}
    last = (status.get("lastState") or {}).get("terminated") or {}
    waiting, running, terminated = state.get("waiting"), state.get("running"), state.get("terminated")
    if kind == "init container" and terminated and not terminated.get("exitCode"):
        return ""
    if terminated and terminated.get("exitCode"):
        last = terminated
    crash = f"its last run ended with exit code {last['exitCode']} ({last.get('reason', 'Error')})" if last else ""
    if last.get("message"):
        crash += f": {last['message'].strip()}"
    if waiting and waiting.get("reason") not in ON_ITS_WAY:
        return ": ".join(filter(None, [waiting.get("reason", "waiting"), crash or waiting.get("message", "")]))
    if crash:
        return f"restarted {status.get('restartCount', 0)} times, {crash}"
    if running is None:
        return ""
    if kind == "init container":
        since = running.get("startedAt")
        return f"it has run{' since ' + str(since) if since else ''} and has not ended, and the others wait for it"
    probe = "Startup" if status.get("started") is False else "Readiness"
    return _probe_event(status, probe, warnings) or (
        "it runs, but its startup probe has not passed"
        if probe == "Startup"
        else "it runs, but its readiness probe does not pass"
    )


def _probe_event(status: Object, probe: str, warnings: Sequence[Object]) -> str:
    """Return the newest answer of the probe that the container waits for, since it started."""
    started = str((status.get("state") or {}).get("running", {}).get("startedAt") or "")
    for event in warnings:
        message, where = _message(event), str((event.get("involvedObject") or {}).get("fieldPath") or "")
        if event.get("reason") not in (None, _PROBE_FAILED) or (where and f"{{{status['name']}}}" not in where):
            continue
        if any(message.startswith(f"{other} probe") for other in _PROBES if other != probe):
            continue
        if started and _time(event) < started and "T" in _time(event):
            continue
        return message
    return ""


def _event(warnings: Sequence[Object], without: Sequence[str]) -> str:
    """Return the newest event of another reason than those, with its time."""
    for event in warnings:
        if event.get("reason") not in without:
            at = _time(event)
            return _message(event) + (f" (event of {at})" if "T" in at else "")
    return ""


def _warnings(thing: Object, events: Iterable[Object]) -> list[Object]:
    """Return the warnings about an object that say something, the newest first."""
    metadata = thing.get("metadata", {})
    mine = [
        event
        for event in events
        if event.get("type") == "Warning"
        and _message(event)
        and (event.get("involvedObject") or {}).get("name") == name_of(thing)
        and (event.get("involvedObject") or {}).get("uid") in (None, "", metadata.get("uid"))
    ]
    newest = sorted(mine, key=_time, reverse=True)
    return [one for one in newest if not _message(one).startswith(SAY_LITTLE)] or newest


def _message(event: Object) -> str:
    return str(event.get("message") or "").strip()


def _time(event: Object) -> str:
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")
