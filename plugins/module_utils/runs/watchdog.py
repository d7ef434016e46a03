# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The watchdog of a rollout: a Job that rolls the routes back when the run sends no sign of life.

Its instructions are part of the rollout's record and are written with it, so the two never disagree. The Job's program
(watchdog_program.py) applies patches; which objects, and in favor of which destinations, is in the Job, which nobody
can change.
"""

from __future__ import annotations

import inspect
import json
import secrets
import time
import typing as t
from dataclasses import replace

from ..errors import ApiError, CanaryError, Conflict, InvalidInput, NotReady, Refused
from ..kube import resources as kinds
from ..replicas.deployment_status import patience
from ..replicas.pod_problems import newest_warning, pod_problems
from ..rollout import watchdog_job
from ..task.reading import ROUTES, Reader
from . import watchdog_program

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..kube.client import Cluster
    from ..objects.change import Change
    from ..objects.hosts import ServiceRef
    from ..objects.snapshot import Snapshot
    from .record_store import Stored

    Object = dict[str, t.Any]

OPTIONS: t.Final[dict[str, dict[str, t.Any]]] = {
    "image": {"type": "str", "default": "python:3.13-alpine"},
    "after": {"type": "float", "default": 60.0},
    "pull_secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},
}
MAX_BYTES: t.Final = 100_000
"""Maximum size of the instructions: together with the longest audit log they fit into a ConfigMap."""
READY_SECONDS: t.Final = 120.0
FAILING_SECONDS: t.Final = 10.0
"""How long a pod may fail, for example to pull its image, before the rollout ends; nothing has changed yet."""
PODS_AFTER: t.Final = 2.0
"""Seconds after which the Job's pods are looked at: usually it is ready before that."""


class Watchdog:
    """Creates, instructs and removes the Job of one service's rollout. warnings: for the result."""

    def __init__(
        self, cluster: Cluster, service: ServiceRef, params: Mapping[str, t.Any], lease: str, record: str
    ) -> None:
        self._cluster, self._service, self._params = cluster, service, params
        self._lease, self._record = lease, record
        self._snapshot: Snapshot | None = None
        self.warnings: list[str] = []
        options = params.get("watchdog")
        if options and not 10 <= options["after"] <= 86400:
            raise InvalidInput(f"watchdog.after must be between 10 and 86400 seconds, not {options['after']:g}.")
        if options and params["route_api"] == "replicas":
            raise InvalidInput("watchdog: with route_api=replicas there are no routes to restore; leave it out.")

    def assign_job(self, stored: Stored) -> None:
        """Put a new Job into the record; the Job of an interrupted run may be about to end, so it is not reused.

        Raises CanaryError if the rollback patches cannot be made; no route has changed yet.
        """
        options = self._params.get("watchdog")
        stored.watchdog = None
        if options:
            name = f"{watchdog_job.NAME}-{self._service.name[:40].rstrip('-.')}-{secrets.token_hex(3)}"
            stored.watchdog = {"job": name, **{key: value for key, value in options.items() if value != []}}
            stored.watchdog.update(self._instructions(stored))

    def create_job(self, stored: Stored, before: Stored | None) -> None:
        """Create the Job that the written record names, and remove the previous one. Raises ApiError.

        before: the record as it was read. A Job that has acted is removed by its TTL, so that its log can be read.
        """
        watchdog = stored.watchdog
        if before and before.watchdog:
            last = before.watchdog["job"]
            if not any(entry.get("by") == f"watchdog/{last}" for entry in before.events):
                self._remove(last)
        if watchdog is None:
            return
        service = self._cluster.get(kinds.SERVICE, self._service.namespace, self._service.name)
        settings = {
            "NAMESPACE": self._service.namespace,
            "SERVICE": self._service.name,
            "SERVICE_UID": str(((service or {}).get("metadata") or {}).get("uid") or ""),
            "JOB": watchdog["job"],
            "AFTER": f"{watchdog['after']:g}",
            "RECORD": self._record,
            "LEASE": self._lease,
        }
        namespace = self._service.namespace
        later = self._rollback_from_all(stored)
        settings["BACK_TO"] = json.dumps(_back_to(stored, later))
        secrets_of = watchdog.get("pull_secrets") or ()
        program = inspect.getsource(watchdog_program)
        job = watchdog_job.job(watchdog["job"], self._service, watchdog["image"], program, settings, secrets_of)
        made = self._cluster.create(kinds.JOB, namespace, job)
        for one in watchdog_job.owned_objects(made, self._service, self._accessed_objects(stored, later)):
            self._cluster.create(kinds.of_object(one["apiVersion"], one["kind"]), namespace, one)
        self._start(made)

    def _start(self, made: Object) -> None:
        """Let the Job run: the very one that was created. Raises ApiError."""
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": made["metadata"]["uid"]},
            {"op": "test", "path": "/spec/suspend", "value": True},
            {"op": "replace", "path": "/spec/suspend", "value": False},
        ]
        started = {**made, "spec": {**made["spec"], "suspend": False}}
        self._cluster.patch(kinds.JOB, self._service.namespace, made["metadata"]["name"], patch, after=started)

    def wait_until_ready(self, job: str) -> None:
        """Wait for the pod of the Job. Raises NotReady with its own reason, ApiError."""
        began, failing_since, why = time.monotonic(), 0.0, ""
        while (now := time.monotonic()) - began < READY_SECONDS:
            found = self._cluster.get(kinds.JOB, self._service.namespace, job) or {}
            if int((found.get("status") or {}).get("ready") or 0) > 0:
                return
            if found and now - began >= PODS_AFTER:
                why, limit = self._trouble(found)
                failing_since = (failing_since or now) if limit is not None else 0.0
                if limit is not None and now - failing_since >= limit:
                    break
            time.sleep(0.5)
        raise NotReady(
            f"The watchdog Job {job} has no ready pod after {time.monotonic() - began:.0f} s: "
            f"{why or 'no reason is known'}. Nothing was shifted. Check its image, pull_secrets and the quota of the "
            f"namespace: kubectl -n {self._service.namespace} describe job {job}"
        )

    def _trouble(self, job: Object) -> tuple[str, float | None]:
        """Return why the Job has no ready pod, and for how many seconds it may go on so; None if it may recover."""
        namespace, name = self._service.namespace, job["metadata"]["name"]
        pods = self._list(kinds.POD, label_selector=f"job-name={name}")
        events = (self._list(kinds.EVENT, field_selector="type=Warning") if pods is not None else None) or []
        problems = [one for pod in pods or () for one in pod_problems(pod, events)]
        why = ("; ".join(problems) or newest_warning(job, events)).rstrip(".")
        if pods == [] and why:
            return f"its pod cannot be created in {namespace}: {why}", FAILING_SECONDS
        failing = patience(job, pods or ())
        return why, min([*failing.values(), FAILING_SECONDS]) if failing else None

    def _list(self, resource: kinds.Resource, **selectors: str) -> list[Object] | None:
        """Return a list that says why; None where it may not be read."""
        try:
            return self._cluster.list(resource, self._service.namespace, **selectors)
        except ApiError:
            return None

    def update_instructions(self, stored: Stored) -> None:
        """Update the Job's instructions; if that fails, the Job would change nothing, and a warning says so."""
        if not stored.watchdog:
            return
        try:
            instructions = self._instructions(stored)
        except CanaryError as error:
            instructions = {"rollback_patches": [], "final_record": None, "problem": error.msg}
            self.warnings.append(f"If this run dies now, the watchdog cannot roll the routes back: {error.msg}")
        stored.watchdog = {**stored.watchdog, "problem": "", **instructions}

    def remove_job(self, stored: Stored) -> None:
        """Remove the Job of a rollout that has ended; an unfinished one is still watched."""
        if stored.watchdog and stored.run.over:
            self._remove(stored.watchdog["job"])

    def _instructions(self, stored: Stored) -> dict[str, t.Any]:
        """Return the rollback patches and the final record. Raises CanaryError."""
        run, rollout = stored.run, stored.rollout
        if not watchdog_job.rolls_back(run):
            return {"rollback_patches": [], "final_record": None}
        service, api = self._service, self._params["route_api"]
        safe = {**dict.fromkeys((*run.written, *run.safe), 0.0), **run.safe}
        reader = Reader(self._cluster, service, wide=True)

        def rollback_patches(snapshot: Snapshot) -> list[Object]:
            states = (snapshot, *self._next_states(snapshot, stored))
            return watchdog_job.rollback_patches(states, service, safe, api=api)

        self._snapshot, found = reader.decide(rollback_patches, ROUTES)
        for entry in found:
            entry["path"] = _api_path(*(entry[key] for key in ("api_version", "kind", "namespace", "name")))
        after = t.cast("Object", stored.watchdog)["after"]
        instructions = {"rollback_patches": found, "final_record": watchdog_job.final_record(rollout, run, after)}
        if (size := len(json.dumps(instructions))) > MAX_BYTES:
            raise InvalidInput(
                f"watchdog: the rollback patches of {service.name} have {size} bytes, but the record has space for "
                f"{MAX_BYTES}. Run the rollout without watchdog."
            )
        return instructions

    def _next_states(self, snapshot: Snapshot, stored: Stored) -> list[Snapshot]:
        """Return the routes after the next writes, as a dry run of the API server returns them.

        A run may die between these writes and their record. A write that fails leads to no such state.
        """
        states = []
        api = self._params["route_api"]
        try:
            for changes in watchdog_job.upcoming_changes(snapshot, self._service, stored.rollout, stored.run, api=api):
                states.append(snapshot.after([self._dry_run(change) for change in changes]))
        except (ApiError, Conflict, InvalidInput, Refused):
            pass
        return states

    def _dry_run(self, change: Change) -> Change:
        resource = kinds.of_object(change.api_version, change.kind)
        after = self._cluster.patch(resource, change.namespace, change.name, change.patch, dry_run=True)
        return replace(change, after={"apiVersion": change.api_version, "kind": change.kind, **after})

    def _accessed_objects(self, stored: Stored, later: list[Change]) -> list[tuple[str, str, str, list[str]]]:
        """Return the objects that the Job may access, by name: the Lease, the record and the routing objects."""
        named = [(kinds.LEASE, self._lease), (kinds.CONFIG_MAP, self._record)]
        accessed = [(resource.group, resource.plural, name, ["get", "patch"]) for resource, name in named]
        patches = t.cast("Object", stored.watchdog)["rollback_patches"]
        changes = [{"api_version": one.api_version, "kind": one.kind, "name": one.name} for one in later]
        routes = {(one["kind"], one["name"]): one for one in (*patches, *changes)}
        for route in routes.values():
            resource = kinds.of_object(route["api_version"], route["kind"])
            accessed.append((resource.group, resource.plural, route["name"], ["get", "patch"]))
        return accessed

    def _rollback_from_all(self, stored: Stored) -> list[Change]:
        """Return the rollback of each routing object that a step will write; [] for a run that is not rolled back."""
        if self._snapshot is None:
            return []
        try:
            api, service = self._params["route_api"], self._service
            return watchdog_job.rollback_from_all(self._snapshot, service, stored.rollout, api=api)
        except CanaryError:  # then no step can be written either
            return []

    def _remove(self, name: str) -> None:
        """Remove a Job; one that has ended stays for its log until its TTL.

        The name is that of the record, which others can write: only a watchdog of this service is deleted.
        """
        try:
            job = self._cluster.get(kinds.JOB, self._service.namespace, name)
            if job is None or _state_of(job) not in ("watching", "suspended"):
                return
            if not watchdog_job.is_watchdog(job, self._service):
                self.warnings.append(
                    f"The record names the Job {name} as its watchdog, but that is none of {self._service.name}: it "
                    "was not deleted. Find out who changed the record."
                )
                return
            uid = job["metadata"].get("uid")
            self._cluster.delete(kinds.JOB, self._service.namespace, name, uid=uid, cascade=True)
        except ApiError as error:
            self.warnings.append(f"The watchdog Job {name} could not be deleted; it ends without action. {error.msg}")


def _state_of(job: Object) -> str:
    """Return whether the Job is `watching`, `suspended` (not started yet) or `ended`."""
    ended = (one["type"] for one in (job.get("status") or {}).get("conditions") or () if one["status"] == "True")
    if {"Complete", "Failed"} & set(ended):
        return "ended"
    return "suspended" if job["spec"].get("suspend") else "watching"


def _back_to(stored: Stored, later: list[Change]) -> dict[str, list[str]]:
    """Return the API path of each object that the Job may patch -> the destinations that may get more requests."""
    paths: dict[str, list[str]] = {one["path"]: [] for one in t.cast("Object", stored.watchdog)["rollback_patches"]}
    for one in later:
        path = _api_path(one.api_version, one.kind, one.namespace, one.name)
        paths[path] = watchdog_program.gaining(one.before or {}, one.after or {})
    return paths


def _api_path(api_version: str, kind: str, namespace: str, name: str) -> str:
    plural = kinds.of_object(api_version, kind).plural
    return f"/apis/{api_version}/namespaces/{namespace}/{plural}/{name}"
