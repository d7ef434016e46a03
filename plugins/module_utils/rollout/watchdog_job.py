# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The instructions of a watchdog: rollback patches, the final record, and the Job itself. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import asdict

from ..errors import InvalidInput
from ..objects import intents
from ..objects.change import edit
from ..objects.patch import without_version_test
from ..routing import plan
from . import cohort, record, transitions

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..objects.change import Change, Plan
    from ..objects.hosts import ServiceRef
    from ..objects.snapshot import Snapshot
    from .record import Run
    from .steps import Rollout

Object = dict[str, t.Any]
Patch = list[dict[str, t.Any]]

NAME: t.Final = "canary-watchdog"
TTL_SECONDS: t.Final = 3600
"""How long the finished Job stays, so that its log can be read."""
_USER: t.Final = 65534
_ROLLED_BACK_PHASES: t.Final = frozenset({"preparing", "shifting", "observing", "gated", "rolling_back"})


def rolls_back(run: Run) -> bool:
    """Return whether a run that dies in this phase is rolled back; a promoted or stopped one is not."""
    return run.phase in _ROLLED_BACK_PHASES


def rollback_patches(
    states: Sequence[Snapshot], service: ServiceRef, safe: Mapping[str, float], *, api: str = "auto"
) -> list[Object]:
    """Return for each routing object the patches to the weights `safe` without the rollout's cohort.

    states: the possible states of the routes at the rollback: the current one, and those after the next writes. Each
    entry is `{object, api_version, kind, namespace, name, patches, safe}`: a JSON Patch (RFC 6902) from each state,
    without resourceVersion but with a test of every replaced field, so that it applies to that state only; and `safe`,
    a patch of tests only, which applies when the object is already rolled back. Raises what the planner raises, and
    InvalidInput for an object of another namespace, where the Job has no rights.
    """
    found: dict[tuple[str, str, str], Object] = {}
    for state in states:
        for change in plan.plan(state, service, intents.SetWeights(safe, end_cohorts=(cohort.NAME,)), api=api).changes:
            if change.namespace != service.namespace:
                raise InvalidInput(
                    f"watchdog: {change.object} also routes {service.name}, but a Job in {service.namespace} has no "
                    "right to change it. Run the rollout without watchdog."
                )
            entry = found.setdefault((change.kind, change.namespace, change.name), _entry(change))
            entry["safe"] += [test for test in _safe_tests(change) if test not in entry["safe"]]
            patch = without_version_test(change.patch)
            if patch not in entry["patches"]:
                entry["patches"].append(patch)
    return list(found.values())


def upcoming_changes(
    snapshot: Snapshot, service: ServiceRef, rollout: Rollout, run: Run, *, api: str = "auto"
) -> Iterator[list[Change]]:
    """Yield the accumulated changes after each write before the next record.

    First the cohort, then the weights: a run may die between the two. Raises what the planner raises.
    """
    changes: dict[tuple[str, str, str], Change] = {}
    for planned in _upcoming_plans(snapshot, service, rollout, run, changes, api):
        if planned.changes:
            for change in planned.changes:
                key = (change.kind, change.namespace, change.name)
                before = changes[key].before if key in changes else change.before
                changes[key] = edit(before or {}, change.after or {}) or change
            yield list(changes.values())


def _upcoming_plans(
    snapshot: Snapshot,
    service: ServiceRef,
    rollout: Rollout,
    run: Run,
    changes: Mapping[t.Any, Change],
    api: str,
) -> Iterator[Plan]:
    if transitions.cohort_due(rollout, run):
        yield cohort.plan_routes(snapshot, service, transitions.desired_cohort(rollout, run), rollout.canary, api=api)
    wanted, ended = transitions.desired_weights(rollout, run), transitions.cohorts_to_end(rollout, run)
    yield plan.plan(snapshot.after(changes.values()), service, intents.SetWeights(wanted, end_cohorts=ended), api=api)


def rollback_from_all(snapshot: Snapshot, service: ServiceRef, rollout: Rollout, *, api: str = "auto") -> list[Change]:
    """Return the rollback of each object that any step will write, from all requests to the canary.

    The first step may not write all of them. The destinations that get more requests are those of stable.
    """
    forward = plan.plan(snapshot, service, intents.SetWeights(rollout.weights(100.0)), api=api).changes
    safe = {**dict.fromkeys(rollout.weights(100.0), 0.0), **transitions.safe_weights(rollout)}
    return list(plan.plan(snapshot.after(forward), service, intents.SetWeights(safe), api=api).changes)


def _safe_tests(change: Change) -> Patch:
    """Return the tests for a rolled back object. Routes are in lists of the spec; a cohort is in one of them."""
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


def final_record(rollout: Rollout, run: Run, after: float) -> Object:
    """Return the record after the watchdog's rollback: `{run, entry}`, without times and hashes."""
    note = f"the run sent no sign of life for {after:g} s, so the watchdog rolled the routes back"
    ended, entries = transitions.advance(rollout, run, "error", run.since, note=note)
    return {"run": {"version": record.VERSION, **asdict(ended)}, "entry": {**entries[0], "note": note}}


def job(
    name: str,
    service: ServiceRef,
    image: str,
    program: str,
    settings: Mapping[str, str],
    pull_secrets: Sequence[str] = (),
) -> Object:
    """Return the suspended Job; the other objects need its uid as their owner. settings: the environment.

    program: Python source. It stands in the command, which nobody can change, unlike that of a ConfigMap.
    pull_secrets: names of Secrets. The Job has all requests and limits, because a ResourceQuota may require them.
    """
    labels = _labels(service)
    container = {
        "name": "watchdog",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-u", "-c", program],
        "env": [{"name": key, "value": value} for key, value in sorted(settings.items())],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "200m", "memory": "128Mi"}},
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
        **({"imagePullSecrets": [{"name": one} for one in pull_secrets]} if pull_secrets else {}),
    }
    # A sidecar would keep running after the program, so the Job would never complete.
    template = {"metadata": {"labels": {**labels, "sidecar.istio.io/inject": "false"}}, "spec": pod}
    spec = {"suspend": True, "backoffLimit": 100, "ttlSecondsAfterFinished": TTL_SECONDS, "template": template}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": _metadata(name, service), "spec": spec}


def owned_objects(
    made: Object, service: ServiceRef, named: Sequence[tuple[str, str, str, Sequence[str]]]
) -> list[Object]:
    """Return the objects that the Job owns: ServiceAccount, Role and RoleBinding.

    made: the Job as it was created. named: API group, plural, name and verbs of each object it may access.
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
    ]


def is_watchdog(job: Object, service: ServiceRef) -> bool:
    """Return whether the Job is a watchdog of the service: by its name and its labels."""
    metadata = job["metadata"]
    labels = metadata.get("labels") or {}
    named = str(metadata.get("name") or "").startswith(f"{NAME}-")
    return named and all(labels.get(key) == value for key, value in _labels(service).items())


def _labels(service: ServiceRef) -> dict[str, str]:
    return {
        "app.kubernetes.io/managed-by": "meshops.canary",
        "canary.meshops.io/watchdog-of": service.name[:63].rstrip("-."),
    }


def _metadata(name: str, service: ServiceRef) -> Object:
    return {"name": name, "namespace": service.namespace, "labels": _labels(service)}
