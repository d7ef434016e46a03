# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the changes of a plan and can take them back."""

from __future__ import annotations

import copy
import typing as t

from ..cluster_resources import of_object
from ..errors import CanaryError
from ..routes.patch import guarded_patch

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..cluster import Cluster
    from ..routes.change import Change

    Object = dict[str, t.Any]

_OF_ONE_LIFE: t.Final = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")
E = t.TypeVar("E", bound=CanaryError)


class Writer:
    """Writes changes one by one. written: each with the object as stored (None if deleted). surprises: warnings."""

    def __init__(self, cluster: Cluster, log: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._log = log
        self.written: list[tuple[Change, Object | None]] = []
        self.surprises: list[str] = []

    def dry_run(self, changes: Iterable[Change]) -> None:
        """Let the API server and its webhooks judge every change without storing one. Raises as writing would."""
        for change in changes:
            self._send(change, dry_run=True)

    def write(self, change: Change) -> None:
        """Write one change. Raises Conflict if the object is no longer as it was read, ApiError if refused."""
        stored = self._send(change, dry_run=False)
        self.written.append((change, stored))
        self._log(f"{change.verb} {change.object}")
        if change.after is not None and stored is not None and not _contains(stored["spec"], change.after["spec"]):
            self.surprises.append(
                f"{change.object}: the API server stored something else than was sent; another tool (a mutating "
                "webhook) changes this object. Compare it with: "
                f"kubectl -n {change.namespace} get {of_object(change.api_version, change.kind).qualified} "
                f"{change.name} -o yaml"
            )

    def undone(self, error: E) -> E:
        """Take back what was written, last first; return the error with what came of it in its message."""
        for change, stored in reversed(self.written):
            try:
                self._take_back(change, stored)
            except CanaryError as failure:
                left = ", ".join(one.object for one, _stored in self.written)
                error.msg = f"{error.msg} Undoing failed too, {left} stay as written: {failure.msg}"
                return error
            self.written.remove((change, stored))
            error.msg = f"{error.msg} {change.object} had been written before and was put back."
        return error

    def _send(self, change: Change, *, dry_run: bool) -> Object | None:
        resource = of_object(change.api_version, change.kind)
        if change.before is None:
            return self._cluster.create(resource, change.namespace, change.after or {}, dry_run=dry_run)
        if change.after is None:
            known = change.before["metadata"]
            # A Deployment's resourceVersion changes with each of its pods, so there only another object is a conflict.
            version = None if resource.group == "apps" else known.get("resourceVersion")
            self._cluster.delete(
                resource, change.namespace, change.name, resource_version=version, uid=known.get("uid"), dry_run=dry_run
            )
            return None
        return self._cluster.patch(
            resource, change.namespace, change.name, change.patch, subresource=change.subresource, dry_run=dry_run
        )

    def _take_back(self, change: Change, stored: Object | None) -> None:
        resource = of_object(change.api_version, change.kind)
        if change.before is None:
            version = (stored or {}).get("metadata", {}).get("resourceVersion")
            self._cluster.delete(resource, change.namespace, change.name, resource_version=version)
        elif change.after is None or stored is None:
            self._cluster.create(resource, change.namespace, _reborn(change.before))
        else:
            earlier = copy.deepcopy(stored)
            earlier["spec"] = change.before["spec"]
            annotations = change.before["metadata"].get("annotations")
            if annotations is None:
                earlier["metadata"].pop("annotations", None)
            else:
                earlier["metadata"]["annotations"] = annotations
            patch = guarded_patch(stored, earlier)
            self._cluster.patch(resource, change.namespace, change.name, patch, subresource=change.subresource)


def _reborn(obj: Object) -> Object:
    """Return the object without what only its deleted life had."""
    again = copy.deepcopy(obj)
    for key in _OF_ONE_LIFE:
        again["metadata"].pop(key, None)
    again.pop("status", None)
    return again


def _contains(stored: t.Any, sent: t.Any) -> bool:
    """Return whether all that was sent is stored; the API's defaults may have been added."""
    if isinstance(sent, dict) and isinstance(stored, dict):
        return all(key in stored and _contains(stored[key], value) for key, value in sent.items())
    if isinstance(sent, list) and isinstance(stored, list):
        return len(sent) == len(stored) and all(_contains(*pair) for pair in zip(stored, sent, strict=True))
    return bool(stored == sent)
