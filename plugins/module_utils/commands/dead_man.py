# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dead man of a rollout: a Job that takes the requests back when nobody is heard of any more.

What it is to do stands in the rollout's own record, written with it at once, so the two never disagree: the Job brings
a program that knows patches and no routes (dead_man_program.py).
"""

from __future__ import annotations

import inspect
import json
import secrets
import typing as t
from dataclasses import replace

from .. import cluster_resources as kinds
from ..errors import ApiError, CanaryError, Conflict, InvalidInput, Refused
from ..rollout import dead_man
from . import dead_man_program
from .reading import Reader

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..cluster import Cluster
    from ..routes.change import Change
    from ..routes.hosts import ServiceRef
    from ..routes.snapshot import Snapshot
    from .run_store import Stored

    Object = dict[str, t.Any]

OPTIONS: t.Final[dict[str, dict[str, t.Any]]] = {
    "image": {"type": "str", "default": "python:3.13-alpine"},
    "after": {"type": "float", "default": 60.0},
}
LARGEST: t.Final = 100_000
"""Bytes of what is kept for it: with the longest trail, what a ConfigMap can hold."""
_ROUTES: t.Final = ("virtual_services", "destination_rules", "http_routes")


class DeadMan:
    """Makes, tells and removes the Job of one service's rollout. warnings: what the user should know."""

    def __init__(
        self, cluster: Cluster, service: ServiceRef, params: Mapping[str, t.Any], lease: str, record: str
    ) -> None:
        self._cluster, self._service, self._params = cluster, service, params
        self._lease, self._record = lease, record
        self._snapshot: Snapshot | None = None
        self.warnings: list[str] = []
        asked = params["dead_man"]
        if asked and not 10 <= asked["after"] <= 86400:
            raise InvalidInput(f"dead_man.after must be between 10 and 86400 seconds, not {asked['after']:g}.")
        if asked and params["route_api"] == "replicas":
            raise InvalidInput("dead_man: with route_api=replicas there are no routes to put back; leave it out.")

    def order(self, stored: Stored) -> None:
        """Put a new Job into the record; the one of a run that was left may be about to end, so nobody relies on it.

        Raises CanaryError where the way back cannot be told; nothing was moved yet.
        """
        asked = self._params["dead_man"]
        stored.dead_man = None
        if asked and stored.rollout.by_pods:
            raise InvalidInput(
                "dead_man: by pods there are no routes to take back; leave it out with route_api=replicas."
            )
        if asked:
            name = f"{dead_man.NAME}-{self._service.name[:40].rstrip('-.')}-{secrets.token_hex(3)}"
            stored.dead_man = {"job": name, **asked}
            stored.dead_man.update(self._told(stored))

    def make(self, stored: Stored, before: Stored | None) -> None:
        """Make the Job that the written record names, and remove the one of before. Raises ApiError.

        before: the record as it was read. A Job that has acted goes by itself, after an hour for its log.
        """
        told = stored.dead_man
        if before and before.dead_man:
            last = before.dead_man["job"]
            if not any(entry.get("by") == f"dead-man/{last}" for entry in before.events):
                self._remove(last)
        if told is None:
            return
        service = self._cluster.get(kinds.SERVICE, self._service.namespace, self._service.name)
        settings = {
            "NAMESPACE": self._service.namespace,
            "SERVICE": self._service.name,
            "SERVICE_UID": str(((service or {}).get("metadata") or {}).get("uid") or ""),
            "JOB": told["job"],
            "AFTER": f"{told['after']:g}",
            "RECORD": self._record,
            "LEASE": self._lease,
        }
        space = self._service.namespace
        job = dead_man.job(told["job"], self._service, told["image"], settings)
        made = self._cluster.create(kinds.JOB, space, job)
        program = inspect.getsource(dead_man_program)
        for one in dead_man.belongings(made, self._service, program, self._touched(stored)):
            self._cluster.create(kinds.of_object(one["apiVersion"], one["kind"]), space, one)
        wake = [{"op": "replace", "path": "/spec/suspend", "value": False}]
        self._cluster.patch(kinds.JOB, space, told["job"], wake)

    def tell(self, stored: Stored) -> None:
        """Bring what the Job would do up to date; where that cannot be told it would do nothing: a warning says so."""
        if not stored.dead_man:
            return
        try:
            told = self._told(stored)
        except CanaryError as error:
            told = {"ways": [], "words": None, "trouble": error.msg}
            self.warnings.append(f"If this run dies now, the dead man will leave the routes as they are: {error.msg}")
        stored.dead_man = {**stored.dead_man, "trouble": "", **told}

    def dismiss(self, stored: Stored) -> None:
        """Remove the Job of a rollout that is over; one that is not finished is still watched."""
        if stored.dead_man and stored.run.over:
            self._remove(stored.dead_man["job"])

    def _told(self, stored: Stored) -> dict[str, t.Any]:
        """Return the ways back and the words for the record. Raises CanaryError."""
        run, rollout = stored.run, stored.rollout
        if not dead_man.takes_back(run):
            return {"ways": [], "words": None}
        service, api = self._service, self._params["route_api"]
        safe = {**dict.fromkeys((*run.written, *run.safe), 0.0), **run.safe}
        reader = Reader(self._cluster, service, wide=True)

        def ways(snapshot: Snapshot) -> list[Object]:
            states = (snapshot, *self._next(snapshot, stored))
            return dead_man.ways_back(states, service, safe, api=api)

        self._snapshot, found = reader.decide(ways, _ROUTES)
        for way in found:
            way["path"] = _path(way)
        told = {"ways": found, "words": dead_man.last_words(rollout, run, stored.dead_man["after"])}  # type: ignore[index]
        if (size := len(json.dumps(told))) > LARGEST:
            raise InvalidInput(
                f"dead_man: the routes of {service.name} are so large ({size} bytes of patches) that they do not fit "
                f"into the record beside its trail; at most {LARGEST} do. Roll out without dead_man."
            )
        return told

    def _next(self, snapshot: Snapshot, stored: Stored) -> list[Snapshot]:
        """Return the routes as the next writes will leave them, as the API server says it would store them.

        A run may die between those writes and their record. A write that cannot be made leaves no such state.
        """
        states = []
        api = self._params["route_api"]
        try:
            for changes in dead_man.coming(snapshot, self._service, stored.rollout, stored.run, api=api):
                states.append(snapshot.after([self._stored(change) for change in changes]))
        except (ApiError, Conflict, InvalidInput, Refused):
            pass
        return states

    def _stored(self, change: Change) -> Change:
        resource = kinds.of_object(change.api_version, change.kind)
        after = self._cluster.patch(resource, change.namespace, change.name, change.patch, dry_run=True)
        return replace(change, after={"apiVersion": change.api_version, "kind": change.kind, **after})

    def _touched(self, stored: Stored) -> list[tuple[str, str, str, list[str]]]:
        """Return what the Job may touch: the Lease, the record and the routing objects, by name."""
        named = [(kinds.LEASE, self._lease), (kinds.CONFIG_MAP, self._record)]
        touched = [(resource.group, resource.plural, name, ["get", "patch"]) for resource, name in named]
        told = t.cast("Object", stored.dead_man)
        named_ways = {(one["kind"], one["name"]): one for one in (*told["ways"], *self._later(stored))}
        for way in named_ways.values():
            resource = kinds.of_object(way["api_version"], way["kind"])
            touched.append((resource.group, resource.plural, way["name"], ["patch"]))
        return touched

    def _later(self, stored: Stored) -> list[Mapping[str, t.Any]]:
        """Return the objects of later steps, as ways have them."""
        try:
            api, service = self._params["route_api"], self._service
            changes = dead_man.routed_by(t.cast("Snapshot", self._snapshot), service, stored.rollout, api=api)
        except CanaryError:
            return []
        return [{"api_version": one.api_version, "kind": one.kind, "name": one.name} for one in changes]

    def _state(self, name: str) -> str:
        """Return whether the Job is `watching`, `asleep` (not made ready), `ended` or `gone`."""
        job = self._cluster.get(kinds.JOB, self._service.namespace, name)
        if job is None:
            return "gone"
        ended = (one["type"] for one in (job.get("status") or {}).get("conditions") or () if one["status"] == "True")
        if {"Complete", "Failed"} & set(ended):
            return "ended"
        return "asleep" if job["spec"].get("suspend") else "watching"

    def _remove(self, name: str) -> None:
        """Remove a Job; one that has ended is left, for its log says why, and goes by itself."""
        try:
            if self._state(name) in ("watching", "asleep"):
                self._cluster.delete(kinds.JOB, self._service.namespace, name, cascade=True)
        except ApiError as error:
            self.warnings.append(f"The dead man's Job {name} could not be removed; it ends by itself. {error.msg}")


def _path(way: Mapping[str, t.Any]) -> str:
    plural = kinds.of_object(way["api_version"], way["kind"]).plural
    return f"/apis/{way['api_version']}/namespaces/{way['namespace']}/{plural}/{way['name']}"
