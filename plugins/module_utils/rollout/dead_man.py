# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a dead man needs to know: how each object goes back, what the record then says, and the Job itself. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import asdict

from ..errors import InvalidInput
from ..routes import plan
from ..routes.change import edit
from ..routes.patch import unversioned
from . import cohort, record, steering

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..routes.change import Change, Plan
    from ..routes.hosts import ServiceRef
    from ..routes.snapshot import Snapshot
    from .plan import Rollout
    from .record import Run

Object = dict[str, t.Any]
Patch = list[dict[str, t.Any]]

PROGRAM: t.Final = "dead_man.py"
NAME: t.Final = "canary-dead-man"
KEPT_SECONDS: t.Final = 3600
"""How long the Job is there after its end, for whoever reads its log."""
_USER: t.Final = 65534
_TAKEN_BACK: t.Final = frozenset({"preparing", "shifting", "observing", "gated", "rolling_back"})


def takes_back(run: Run) -> bool:
    """Return whether a run that dies in this phase goes back; what was promoted or stopped stays."""
    return run.phase in _TAKEN_BACK


def ways_back(
    states: Sequence[Snapshot], service: ServiceRef, safe: Mapping[str, float], *, api: str = "auto"
) -> list[Object]:
    """Return for each routing object how it goes back to the weights `safe`, without the rollout's cohort.

    states: the routes as they may be when they are to go back: as they are now, and as the next write will make them.
    Each entry is `{object, api_version, kind, namespace, name, patches, safe}`: a JSON Patch (RFC 6902) from each
    state, without resourceVersion but with a test of all that it replaces, so that it fits that state and no other; and
    `safe`, tests alone, which fit when the object has gone back already. Raises what plan_weights raises, and
    InvalidInput for an object of another namespace, where a Job of this one has no rights.
    """
    found: dict[tuple[str, str, str], Object] = {}
    for state in states:
        for change in plan.plan_weights(state, service, safe, end_cohorts=(cohort.NAME,), api=api).changes:
            if change.namespace != service.namespace:
                raise InvalidInput(
                    f"dead_man: {change.object} routes {service.name} too, and a Job in {service.namespace} has no "
                    "right to change it. Roll out without dead_man."
                )
            entry = found.setdefault((change.kind, change.namespace, change.name), _entry(change))
            entry["safe"] += [test for test in _safe(change) if test not in entry["safe"]]
            patch = unversioned(change.patch)
            if patch not in entry["patches"]:
                entry["patches"].append(patch)
    return list(found.values())


def coming(
    snapshot: Snapshot, service: ServiceRef, rollout: Rollout, run: Run, *, api: str = "auto"
) -> Iterator[list[Change]]:
    """Yield for each write that comes before the next record what it and those before it change.

    First the cohort, then the weights: a run may die between the two. Raises what the plans raise.
    """
    changes: dict[tuple[str, str, str], Change] = {}
    for planned in _plans(snapshot, service, rollout, run, changes, api):
        if planned.changes:
            for change in planned.changes:
                key = (change.kind, change.namespace, change.name)
                before = changes[key].before if key in changes else change.before
                changes[key] = edit(before or {}, change.after or {}) or change
            yield list(changes.values())


def _plans(
    snapshot: Snapshot,
    service: ServiceRef,
    rollout: Rollout,
    run: Run,
    changes: Mapping[t.Any, Change],
    api: str,
) -> Iterator[Plan]:
    if steering.cohort_due(rollout, run):
        yield cohort.planned(snapshot, service, steering.cohort_wanted(rollout, run), rollout.canary, api=api)
    wanted, ended = steering.weights_wanted(rollout, run), steering.ending_cohorts(rollout, run)
    yield plan.plan_weights(snapshot.after(changes.values()), service, wanted, end_cohorts=ended, api=api)


def routed_by(snapshot: Snapshot, service: ServiceRef, rollout: Rollout, *, api: str = "auto") -> list[Change]:
    """Return a change of each object that some step will touch; a first step may leave some of them alone."""
    return list(plan.plan_weights(snapshot, service, rollout.weights(100.0), api=api).changes)


def _safe(change: Change) -> Patch:
    """Return what tells whether the object went back. Routes stand in lists of the spec; a cohort is in one of them."""
    fields = {one["path"].split("/")[2] for one in change.patch if one["path"].startswith("/spec/")}
    spec = (change.after or {}).get("spec") or {}
    return [{"op": "test", "path": f"/spec/{field}", "value": spec[field]} for field in sorted(fields)]


def _entry(change: Change) -> Object:
    return {
        "object": change.object,
        "api_version": change.api_version,
        "kind": change.kind,
        "namespace": change.namespace,
        "name": change.name,
        "patches": [],
        "safe": [],
    }


def last_words(rollout: Rollout, run: Run, after: float) -> Object:
    """Return what the record is to say when the run has died: `{run, entry}`, but for times and the chain of hashes."""
    note = f"the run was not heard of for {after:g} s, so the dead man took the requests back"
    ended, trail = steering.advance(rollout, run, "error", run.since, note=note)
    return {"run": {"version": record.VERSION, **asdict(ended)}, "entry": {**trail[0], "note": note}}


def job(name: str, service: ServiceRef, image: str, settings: Mapping[str, str]) -> Object:
    """Return the Job, still asleep: it owns all the rest, which needs its uid. settings: the program's environment."""
    labels = _labels(service)
    container = {
        "name": "dead-man",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-u", f"/dead-man/{PROGRAM}"],
        "env": [{"name": key, "value": value} for key, value in sorted(settings.items())],
        "volumeMounts": [{"name": "program", "mountPath": "/dead-man", "readOnly": True}],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod = {
        "serviceAccountName": name,
        "restartPolicy": "OnFailure",
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "program", "configMap": {"name": name}}],
    }
    # A sidecar would outlive the program, and the Job would never end.
    template = {"metadata": {"labels": {**labels, "sidecar.istio.io/inject": "false"}}, "spec": pod}
    spec = {"suspend": True, "backoffLimit": 100, "ttlSecondsAfterFinished": KEPT_SECONDS, "template": template}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": _metadata(name, service), "spec": spec}


def belongings(
    made: Object, service: ServiceRef, program: str, named: Sequence[tuple[str, str, str, Sequence[str]]]
) -> list[Object]:
    """Return what the Job needs, all gone when it goes: account, rights and program.

    made: the Job as it was created. named: API group, plural, name and verbs of each object it may touch.
    """
    name = made["metadata"]["name"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": made["metadata"]["uid"]}
    metadata = {**_metadata(name, service), "ownerReferences": [owner]}
    rules: list[Object] = [
        {"apiGroups": [group], "resources": [plural], "resourceNames": [one], "verbs": list(verbs)}
        for group, plural, one, verbs in named
    ]
    rules.append({"apiGroups": [""], "resources": ["events"], "verbs": ["create"]})
    group = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": service.namespace}],
        },
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {PROGRAM: program}},
    ]


def _labels(service: ServiceRef) -> dict[str, str]:
    return {"app.kubernetes.io/managed-by": "meshops.canary", "canary.meshops.io/dead-man-of": service.name[:63]}


def _metadata(name: str, service: ServiceRef) -> Object:
    return {"name": name, "namespace": service.namespace, "labels": _labels(service)}
