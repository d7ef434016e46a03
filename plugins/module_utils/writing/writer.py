# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the changes of a plan, and undoes them."""

from __future__ import annotations

import copy
import typing as t

from ..errors import CanaryError, Conflict
from ..kube.lost_answers import contains
from ..kube.resources import of_object
from ..objects.patch import guarded_patch

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..kube.client import Cluster
    from ..objects.change import Change

    Object = dict[str, t.Any]

_SERVER_FIELDS: t.Final = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")
E = t.TypeVar("E", bound=CanaryError)


class Writer:
    """Writes changes one by one. written: each with the object as stored (None if deleted).

    uncertain: changes that were sent, and may have been carried out.
    """

    def __init__(self, cluster: Cluster, log: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._log = log
        self.written: list[tuple[Change, Object | None]] = []
        self.uncertain: list[Change] = []
        self._differences: list[str] = []

    @property
    def warnings(self) -> list[str]:
        """Return which changes may have been carried out, and what was stored otherwise than it was sent."""
        return [
            *(
                f"{change.object}: this task sent a change and got no answer. It may have been carried out: "
                f"{'; '.join(change.summary) or change.verb}."
                for change in self.uncertain
            ),
            *self._differences,
        ]

    @property
    def has_written(self) -> bool:
        """Return whether something was written, or may have been, that is not undone."""
        return bool(self.written or self.uncertain)

    def dry_run(self, changes: Iterable[Change]) -> None:
        """Let the API server and its webhooks validate every change without storing it. Raises as writing would."""
        for change in changes:
            self._send(change, dry_run=True)

    def write(self, change: Change) -> None:
        """Write one change. Raises Conflict if the object is no longer as it was read, ApiError if refused."""
        try:
            stored = self._send(change, dry_run=False)
        except CanaryError as error:
            if error.maybe_written:
                self.uncertain.append(change)
            raise
        self.uncertain = [one for one in self.uncertain if one.object != change.object]
        self.written.append((change, stored))
        self._log(f"{change.verb} {change.object}")
        if change.after is not None and stored is not None and not contains(stored["spec"], change.after["spec"]):
            self._differences.append(
                f"{change.object}: the API server stored something other than what was sent; another tool (a mutating "
                "webhook) changes this object. Compare it with: "
                f"kubectl -n {change.namespace} get {of_object(change.api_version, change.kind).qualified} "
                f"{change.name} -o yaml"
            )

    def undone(self, error: E) -> E:
        """Undo what was written, last first; return the error with the outcome added to its message.

        Nothing is undone that a change may need of which nobody knows whether it was carried out.
        """
        if self.uncertain:
            return self._left(error)
        for change, stored in reversed(self.written):
            try:
                self._undo_although_status_moved(change, stored)
            except CanaryError as failure:
                left = ", ".join(one.object for one, _stored in self.written)
                error.msg = f"{error.msg} Undoing failed too, so {left} stay as written: {failure.msg}"
                if failure.maybe_written:
                    error.msg += f" {change.object} may have been restored."
                return error
            self.written.remove((change, stored))
            error.msg = f"{error.msg} {change.object} had been written and was restored."
        return error

    def _left(self, error: E) -> E:
        """Return the error with what stays because the outcome of a write is unknown."""
        error.msg += " Run the task again: it reads what is there and continues."
        left = ", ".join(one.object for one, _stored in self.written)
        if left:
            error.msg += f" {left} had been written before and was kept, for what may have been written needs it."
        return error

    def _send(self, change: Change, *, dry_run: bool) -> Object | None:
        resource = of_object(change.api_version, change.kind)
        if change.before is None:
            return self._cluster.create(resource, change.namespace, change.after or {}, dry_run=dry_run)
        if change.after is None:
            known = change.before["metadata"]
            # The resourceVersion of a Deployment changes with each of its pods, so only its uid is compared.
            version = None if resource.group == "apps" else known.get("resourceVersion")
            self._cluster.delete(
                resource, change.namespace, change.name, resource_version=version, uid=known.get("uid"), dry_run=dry_run
            )
            return None
        return self._cluster.patch(
            resource,
            change.namespace,
            change.name,
            change.patch,
            after=change.after,
            subresource=change.subresource,
            dry_run=dry_run,
        )

    def _undo_although_status_moved(self, change: Change, stored: Object | None) -> None:
        """Undo one change, also where a controller has written the object's status since; nothing else may differ."""
        try:
            self._undo(change, stored)
        except Conflict:
            if stored is None or change.subresource:
                raise
            now = self._cluster.get(of_object(change.api_version, change.kind), change.namespace, change.name)
            if now is None or _without_status(now) != _without_status(stored):
                raise
            self._undo(change, now)

    def _undo(self, change: Change, stored: Object | None) -> None:
        resource = of_object(change.api_version, change.kind)
        if change.before is None:
            version = (stored or {}).get("metadata", {}).get("resourceVersion")
            self._cluster.delete(resource, change.namespace, change.name, resource_version=version)
        elif change.after is None or stored is None:
            self._cluster.create(resource, change.namespace, _without_server_fields(change.before))
        else:
            earlier = copy.deepcopy(stored)
            earlier["spec"] = change.before["spec"]
            annotations = change.before["metadata"].get("annotations")
            if annotations is None:
                earlier["metadata"].pop("annotations", None)
            else:
                earlier["metadata"]["annotations"] = annotations
            patch = guarded_patch(stored, earlier)
            self._cluster.patch(
                resource, change.namespace, change.name, patch, after=earlier, subresource=change.subresource
            )


def _without_status(obj: Object) -> t.Any:
    """Return what others than the controller of the status write."""
    metadata = obj["metadata"]
    return {
        **{key: value for key, value in obj.items() if key not in ("status", "metadata")},
        **{key: metadata.get(key) for key in ("uid", "generation", "labels", "annotations", "deletionTimestamp")},
    }


def _without_server_fields(obj: Object) -> Object:
    """Return the object without the fields that the API server set, so that it can be created again."""
    again = copy.deepcopy(obj)
    for key in _SERVER_FIELDS:
        again["metadata"].pop(key, None)
    again.pop("status", None)
    return again
