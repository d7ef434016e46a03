# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the controller of another tool lets go of a workload: when it may be, by which change, and how to undo it. Pure.

Argo Rollouts: `spec.paused` stops the steps, but the controller still writes the weights of the routes and the
selectors of the Services that the Rollout names. So these names are removed too. What is left is a canary without
traffic routing, whose pods the controller keeps and scales. Nothing is deleted, and no pod is replaced.
Flagger: `spec.suspend` pauses the reconciliation of a Canary completely.
"""

from __future__ import annotations

import shlex
import typing as t

from ..objects.plain_text import plain_text
from .manifest import duration

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .manifest import Manifest
    from .translation import Json

ROUTED_STEPS: t.Final = ("setCanaryScale", "setHeaderRoute", "setMirrorRoute", "experiment", "plugin")
"""Steps that Argo's validation refuses in a Rollout without traffic routing."""
ROUTES: t.Final = ("trafficRouting", "canaryService", "stableService", "pingPong")
_ARGO_LABEL: t.Final = ("argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance")
_FLUX_LABEL: t.Final = ("kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name")
SETTLED: t.Final = ("Initialized", "Succeeded")
"""Phases of a Canary in which Flagger moves no requests, and the target has the version that serves."""
LONGEST_CHECK: t.Final = 600.0


def of_rollout(manifest: Manifest) -> Json:
    """Return the take-over of a Rollout as `_plan` describes it."""
    spec, status = _mapping(manifest.value, "spec"), _mapping(manifest.value, "status")
    canary = _mapping(_mapping(spec, "strategy"), "canary")
    removed: list[str] = [name for name in ROUTES if name in canary]
    steps = canary.get("steps")
    if isinstance(steps, list) and any(isinstance(one, dict) and set(one) & set(ROUTED_STEPS) for one in steps):
        removed.append("steps")
    patch = [{"op": "add", "path": "/spec/paused", "value": True}]
    patch += [{"op": "remove", "path": f"/spec/strategy/canary/{name}"} for name in removed]
    released = spec.get("paused") is True and not removed
    undo = {"paused": None, "strategy": {"canary": {name: canary[name] for name in removed}}}
    reasons = [] if released else _of_rollout(manifest, spec, status)
    what = "spec.paused: true stops its steps"
    if removed:
        what += f", and without {', '.join(removed)} it writes no routes and no Services"
    by = f"The controller of Argo Rollouts keeps the pods: {what}."
    return {**_plan(manifest, reasons, [] if released else patch, undo, by, "rollout"), "wait_seconds": 0}


def of_canary(manifest: Manifest) -> Json:
    """Return the take-over of a Canary as `_plan` describes it."""
    spec, status = _mapping(manifest.value, "spec"), _mapping(manifest.value, "status")
    released = spec.get("suspend") is True
    phase, weight = status.get("phase"), status.get("canaryWeight")
    reasons = []
    if phase not in SETTLED:
        reasons.append(f"its phase is {_text(phase)}, not {' or '.join(SETTLED)}")
    if weight not in (None, 0):
        reasons.append(f"the canary still has {_text(weight)} % of the requests")
    patch = [] if released else [{"op": "add", "path": "/spec/suspend", "value": True}]
    by = "spec.suspend: true: Flagger pauses the reconciliation of the Canary completely, and changes nothing it made."
    interval = duration(_mapping(spec, "analysis").get("interval")) or 60.0
    plan = _plan(manifest, reasons, patch, {"suspend": None}, by, "canary")
    return {**plan, "wait_seconds": int(min(max(interval, 10.0), LONGEST_CHECK))}


def _of_rollout(manifest: Manifest, spec: Mapping[str, t.Any], status: Mapping[str, t.Any]) -> list[str]:
    """Return why the Rollout cannot be taken over: it is in progress, or nobody can say that it is not."""
    reasons = []
    if "blueGreen" in _mapping(spec, "strategy"):
        reasons.append("a blue-green Rollout switches the selector of its Service, which it would still do when paused")
    phase, stable, current = status.get("phase"), status.get("stableRS"), status.get("currentPodHash")
    if phase != "Healthy":
        reasons.append(f"its phase is {_text(phase)}, not Healthy")
    if not stable or stable != current:
        reasons.append(f"its stable ReplicaSet is {_text(stable)} and its current one {_text(current)}")
    if status.get("abort") or status.get("pauseConditions"):
        reasons.append("it was aborted, or waits at a pause")
    observed = _mapping(manifest.value, "metadata").get("generation")
    if str(status.get("observedGeneration")) != str(observed):
        reasons.append("the controller has not seen its last change")
    return reasons


def _plan(
    manifest: Manifest, reasons: Sequence[str], patch: Sequence[Json], undo: Json, by: str, resource: str
) -> Json:
    """Return what a take-over is.

    refused: why not now, empty if it is possible. patch: a JSON Patch, empty if it has been done. undo: a merge patch.
    by: the documented means. warnings: who else writes the object. undo_command: kubectl, to be followed by the file.
    wait_seconds (added by the caller): how long a check that has begun before can last.
    """
    metadata = _mapping(manifest.value, "metadata")
    tested = [{"op": "test", "path": "/metadata/resourceVersion", "value": str(metadata.get("resourceVersion"))}]
    return {
        "refused": list(reasons),
        "patch": [*tested, *patch] if patch else [],
        "undo": {"spec": undo},
        "by": by,
        "warnings": _writers(manifest, metadata),
        "undo_command": (
            f"kubectl --namespace {shlex.quote(manifest.namespace)} patch {resource} {shlex.quote(manifest.name)} "
            "--type=merge --patch-file"
        ),
    }


def next_commands(result: Mapping[str, t.Any]) -> list[str]:
    """Return what a person has to do after the take-over of a translation, in this order. The last but one is final."""
    variables, source = result["variables"], result["source"]
    ns, name = shlex.quote(str(source["namespace"])), shlex.quote(str(source["name"]))
    service, stable, canary = (
        shlex.quote(str(variables.get(key, key.upper()))) for key in ("service", "stable", "canary")
    )
    by_pods = variables.get("rollout_route_api") == "replicas"
    deployment = stable if by_pods else f"{service}-{stable}"
    routing = f"ansible-playbook meshops.canary.routing -e service={service} -e ns={ns}"
    routing += f" -e versions={stable},{canary} -e stable={stable}"
    routed = [] if by_pods else [f"Route all requests to it: {routing}"]
    start = f"Begin the next release: ansible-playbook meshops.canary.rollout -e @{name}-rollout.yml"
    look = f"See that it serves alone: ansible-playbook meshops.canary.status -e service={service} -e ns={ns}"
    if source["kind"] == "Canary":
        back = '{"spec": {"suspend": false, "revertOnDeletion": true}}'
        return [
            f"Let Flagger restore the target, its Service and its routes when the Canary is deleted: "
            f"kubectl --namespace {ns} patch canary {name} --type=merge -p {shlex.quote(back)}",
            f"This cannot be undone: kubectl --namespace {ns} delete canary {name}",
            f"Give the pods of the target the label version={stable}, and wait until they are ready.",
            *routed,
            look,
            start,
        ]
    return [
        f"Run the version that serves as the Deployment {deployment}: its pods have the fields in `workload` of "
        f"{name}-translation.yml and the label version={stable}, and the Service {service} selects them.",
        f"Wait for its pods: kubectl --namespace {ns} rollout status deployment/{deployment}",
        *routed,
        look,
        f"This cannot be undone, and removes the old pods: kubectl --namespace {ns} delete rollout {name}",
        start,
    ]


def _writers(manifest: Manifest, metadata: Mapping[str, t.Any]) -> list[str]:
    """Return a sentence for each tool that applies the object from Git and would revert the change."""
    marks = {**_mapping(metadata, "annotations"), **_mapping(metadata, "labels")}
    tools = {"Argo CD": _ARGO_LABEL, "Flux": _FLUX_LABEL}
    return [
        f"{tool} applies {plain_text(manifest.title)} from Git, and reverts a change that is not made there too."
        for tool, names in tools.items()
        if any(name in marks for name in names)
    ]


def _mapping(value: Mapping[str, t.Any], name: str) -> Json:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: t.Any) -> str:
    return plain_text(str(value))[:60] if value not in (None, "") else "unknown"
