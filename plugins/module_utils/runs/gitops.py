# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pauses the GitOps tools that apply the objects of a rollout, and resumes them.

What has to be undone is in the objects themselves, so a run that was killed is cleaned up by the next one, and by a
rollback, also without a record. See gitops/pause.py.
"""

from __future__ import annotations

import typing as t
from functools import partial

from ..errors import ApiError, CanaryError, Conflict, Refused
from ..gitops import pause
from ..gitops.appliers import ARGO, is_application
from ..kube.resources import APPLICATION, DEPLOYMENT, of_object
from ..objects.metadata import full_name, identity
from ..preflight import scaling_ownership
from ..rollout.plan_options import playbook_command
from ..routing import overview
from ..task.reading import ROUTES, Reader, api_of_routes
from . import checks

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..kube.client import Cluster
    from ..kube.resources import Resource
    from ..objects.change import Change
    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..rollout.steps import Rollout
    from .session import Session

NEVER: t.Final = "never"
UNTIL_END: t.Final = "until_end"
UNTIL_HANDBACK: t.Final = "until_handback"
CHOICES: t.Final = (NEVER, UNTIL_END, UNTIL_HANDBACK)
FORCED: t.Final = "REVERTED_BY_GITOPS"
"""The finding that a pause answers."""
_TRIES: t.Final = 10
_LISTS: t.Final = (*ROUTES, "deployments", "hpas")


class GitOpsPause:
    """The pauses of one service. warnings: what a pause does not cover. changed: whether something was written."""

    def __init__(self, cluster: Cluster, service: ServiceRef) -> None:
        self._cluster, self._service = cluster, service
        self._name = f"{service.namespace}/{service.name}"
        self._applications: Sequence[Object] | None = None
        self._applications_read = False
        self.warnings: list[str] = []
        self.changed = False

    def objects(self, rollout: Rollout, api: str, *, scales: bool) -> list[Object]:
        """Return the objects that the rollout writes and a tool applies by itself. Raises Refused, ApiError.

        scales: whether it writes numbers of pods. Also validates that each of them can be paused.
        """
        written = self._written(rollout, api, scales=scales)
        self.warnings += [text for one in written if (text := pause.limits(one))]
        found = [one for one in written if pause.tool_of(one)]
        for obj in found:
            if pause.tool_of(obj) == ARGO:
                pause.find_application(obj, self._read_applications())
            pause.pause(obj, self._name)
        self._check_rights(found)
        return found

    def _check_rights(self, objects: Iterable[Object]) -> None:
        """Raise Refused if an object or its Application may not be patched."""
        needed = {(_resource(one), identity(one)[0]): full_name(one) for one in objects}
        for obj in objects:
            if pause.tool_of(obj) == ARGO:
                application = pause.find_application(obj, self._read_applications())
                needed[APPLICATION, identity(application)[0]] = full_name(application)
        for (resource, namespace), name in needed.items():
            if not self._cluster.access_review("patch", resource, namespace):
                raise Refused(
                    f"A GitOps tool cannot be paused for {name}: you have no right to patch {resource.qualified} in "
                    f"{namespace}. Nothing was written. Grant it, see docs/gitops.md, or pause the tool yourself and "
                    "set pause_gitops: never (rollout_pause_gitops: never)."
                )

    def begin(self, objects: Iterable[Object]) -> list[str]:
        """Pause the tools for the objects; return a sentence for each that was not before. Raises CanaryError."""
        lines = []
        for obj in objects:
            resource, (namespace, name) = _resource(obj), identity(obj)
            wrote = self.write(resource, namespace, name, lambda one: pause.pause(one, self._name))
            if pause.tool_of(obj) == ARGO:
                application = pause.find_application(obj, self._read_applications())
                wrote |= self.write(APPLICATION, *identity(application), partial(pause.pause_application, obj=obj))
            if wrote:
                lines.append(f"{pause.tool_of(obj)} is paused for {full_name(obj)}")
        return lines

    def end(self) -> list[str]:
        """Undo all pauses for this service; return a sentence for each. Raises CanaryError after the last attempt."""
        snapshot = Reader(self._cluster, self._service, wide=True).snapshot(_LISTS, if_allowed=True)
        known = [one for plural in _LISTS for one in getattr(snapshot, plural) or () if one.get("kind") in pause.FIELDS]
        self._applications_read = False  # what was read before the pause does not show it
        if any(pause.tool_of(one) == ARGO for one in known):
            self._read_applications()
        lines, failures = [], []
        for obj in known:
            try:
                if self._name in pause.paused_for(obj):
                    self._resume(obj)
                    lines.append(f"{pause.tool_of(obj) or 'The GitOps tool'} applies {full_name(obj)} again")
            except CanaryError as error:
                failures.append(error)
        failures += self._resume_orphans(known)
        if failures:
            raise failures[0]
        return lines

    def _resume(self, obj: Object) -> None:
        name = pause.application_name(obj)
        if name and pause.is_last(obj, self._name):
            for application in self._applications_named(name):
                self.write(
                    APPLICATION, *identity(application), lambda one: pause.resume_application(one, full_name(obj))
                )
        self.write(_resource(obj), *identity(obj), lambda one: pause.resume(one, self._name))

    def _resume_orphans(self, known: Iterable[Object]) -> list[CanaryError]:
        """Let Applications apply objects again that have been replaced since, and so have lost their mark."""
        failures: list[CanaryError] = []
        if not self._applications_read:
            return failures
        marked = {full_name(one): pause.paused_for(one) for one in known}
        for application in self._applications or ():
            try:
                for key in pause.objects_of(application):
                    ours = f" {self._service.namespace}/" in key
                    if ours and not marked.get(key):
                        self.write(APPLICATION, *identity(application), partial(pause.resume_application, key=key))
            except CanaryError as error:
                failures.append(error)
        return failures

    def _applications_named(self, name: str) -> list[Object]:
        found = [one for one in self._read_applications() or () if is_application(one, name)]
        if not found:
            self.warnings.append(
                f"The Application {name} of Argo CD cannot be read, so its entries of ignoreDifferences for "
                f"{self._name} stay. Look for the annotation {pause.PAUSE} on it, and remove both."
            )
        return found

    def _written(self, rollout: Rollout, api: str, *, scales: bool) -> list[Object]:
        """Return the objects that the rollout writes."""
        if rollout.by_pods:
            names = (rollout.stable, rollout.canary)
            found = (self._cluster.get(DEPLOYMENT, self._service.namespace, name) for name in names)
            return [_typed(DEPLOYMENT, one) for one in found if one is not None]
        snapshot = Reader(self._cluster, self._service, wide=True).snapshot((*ROUTES, "hpas", "deployments"))
        # A rollout depends on the subsets of a DestinationRule, and Git may have none for the canary.
        routes = [one for one in overview.routing_objects(snapshot, self._service) if one["kind"] in pause.FIELDS]
        if not scales:
            return routes
        versions = checks.versions_of(self._cluster, self._service, api, rollout.versions)
        used = [one for one in versions if one["version"] in rollout.versions]
        hpas = {one["hpa"]["name"] for one in used if one["hpa"]}
        deployments = {name for one in used if not one["hpa"] for name in one["deployments"] or ()}
        scaled = [*self._named(snapshot.hpas, hpas), *self._named(snapshot.deployments, deployments)]
        return [*routes, *filter(scaling_ownership.is_from_git, scaled)]

    def _named(self, objects: Iterable[Object] | None, names: set[str]) -> list[Object]:
        """Return the objects of the service's namespace with these names."""
        return [one for one in objects or () if identity(one) in {(self._service.namespace, name) for name in names}]

    def _read_applications(self) -> Sequence[Object] | None:
        if not self._applications_read:
            try:
                self._applications = self._cluster.list(APPLICATION)
            except ApiError as error:
                if error.status not in (403, 404):
                    raise
            self._applications_read = True
        return self._applications

    def write(self, resource: Resource, namespace: str, name: str, decide: Callable[[Object], Change | None]) -> bool:
        """Write what `decide` returns for the object as it is now; return whether something was written.

        Controllers write the status of these objects all the time, so a conflict is planned again.
        """
        for left in reversed(range(_TRIES)):
            obj = self._cluster.get(resource, namespace, name)
            change = None if obj is None else decide(_typed(resource, obj))
            if change is None:
                return False
            try:
                self._cluster.patch(resource, namespace, name, change.patch, after=change.after)
                self.changed = True
                return True
            except Conflict:
                if not left:
                    raise
        raise RuntimeError("unreachable")


class RolloutPause(GitOpsPause):
    """The option pause_gitops of a rollout. params: of canary_rollout."""

    def __init__(self, cluster: Cluster, service: ServiceRef, params: Mapping[str, t.Any]) -> None:
        super().__init__(cluster, service)
        self._params = params

    @property
    def active(self) -> bool:
        """Return whether the tools are paused for what the rollout writes."""
        return bool(self._params["pause_gitops"] != NEVER)

    @property
    def answered(self) -> tuple[str, ...]:
        """Return the findings that do not count before the tools are paused."""
        return (FORCED,) if self.active else ()

    def check(self, rollout: Rollout) -> None:
        """Refuse what could not be paused, or not be undone. Raises CanaryError."""
        checks.check_pause(self._params)
        self._found(rollout)

    def planned(self, rollout: Rollout) -> list[str]:
        """Return what would be paused, a line each."""
        return [f"pause {pause.tool_of(one)} for {full_name(one)}" for one in self._found(rollout)]

    def start(self, session: Session, tell: Callable[[str], None]) -> None:
        """Pause the tools for the objects that the rollout writes. They are recorded first. Raises CanaryError."""
        objects = self._found(session.rollout)
        session.note_paused(map(full_name, objects))
        session.save()
        for line in self.begin(objects):
            tell(line)
        if objects and self._params["watchdog"]:
            self.warnings.append(
                "If the watchdog rolls the routes back, the GitOps tools stay paused: run the playbook rollback then."
            )

    def finish(self, session: Session, tell: Callable[[str], None]) -> None:
        """Undo the pauses after the end of the rollout, or say who does it. Raises CanaryError."""
        run, paused = session.run, session.stored.paused
        on_canary = run.phase == "promoted" or run.stopped_in == "promoting"
        if on_canary and self._params["pause_gitops"] == UNTIL_HANDBACK:
            command = playbook_command("handback", service=self._service.name, ns=self._service.namespace)
            if paused:
                tell(f"The GitOps tools stay paused for {', '.join(paused)} until Git has the new state: {command}")
            return
        for line in self.end():
            tell(line)

    def _found(self, rollout: Rollout) -> list[Object]:
        if not self.active:
            return []
        scales = self._params["capacity"] or any(step.replicas is not None for step in rollout.steps)
        return self.objects(rollout, api_of_routes(self._params["route_api"]), scales=scales)


def _typed(resource: Resource, obj: Object) -> Object:
    """Return an object that was read alone with the version and kind that a patch of it is made for."""
    group = f"{resource.group}/" if resource.group else ""
    return {"apiVersion": f"{group}{resource.versions[0]}", "kind": resource.kind, **obj}


def _resource(obj: Object) -> Resource:
    return of_object(str(obj["apiVersion"]), str(obj["kind"]))
