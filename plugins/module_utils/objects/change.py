# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan: the changes of single objects, in the order in which they must be written. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .metadata import full_name, identity
from .patch import guarded_patch

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .metadata import Object
    from .weights import Percent


@dataclass(frozen=True)
class Change:
    """The change of one object.

    before None creates, after None deletes. patch: JSON Patch (RFC 6902) that turns before into after and
    fails with a conflict if somebody else wrote the object since it was read; empty for creation and deletion.
    summary: lines for a manager. subresource: `scale` where only the number of pods is written, which needs another
    right.
    """

    api_version: str
    kind: str
    namespace: str
    name: str
    before: Object | None
    after: Object | None
    patch: tuple[dict[str, t.Any], ...] = ()
    summary: tuple[str, ...] = ()
    subresource: str = ""

    @property
    def object(self) -> str:
        """Return the object as messages name it: `Kind namespace/name`."""
        return f"{self.kind} {self.namespace}/{self.name}"

    @property
    def verb(self) -> str:
        """Return create, patch or delete."""
        if self.before is None:
            return "create"
        return "delete" if self.after is None else "patch"


@dataclass(frozen=True)
class Plan:
    """Changes in the order they must be written (make before break). No changes: nothing to do.

    weights_before, weights_after: version -> percent of the service's requests.
    diff_before, diff_after: text a manager can read. objects: every object in scope, changed or not.
    cohorts: as `describe` returns them, after the change. notes: what was not edited, and why.
    """

    changes: tuple[Change, ...] = ()
    weights_before: Mapping[str, Percent] = field(default_factory=dict)
    weights_after: Mapping[str, Percent] = field(default_factory=dict)
    summary: tuple[str, ...] = ()
    diff_before: str = ""
    diff_after: str = ""
    host: str = ""
    route_api: str = "istio"
    cohorts: Mapping[str, t.Any] = field(default_factory=dict)
    objects: tuple[dict[str, t.Any], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Return whether there is anything to write."""
        return bool(self.changes)


def edit(before: Object, after: Object, summary: Sequence[str] = (), *, subresource: str = "") -> Change | None:
    """Return the change that turns `before` into `after`, None if they are equal."""
    if before == after:
        return None
    namespace, name = identity(before)
    return Change(
        api_version=before["apiVersion"],
        kind=before["kind"],
        namespace=namespace,
        name=name,
        before=before,
        after=after,
        patch=tuple(guarded_patch(before, after)),
        summary=tuple(summary),
        subresource=subresource,
    )


def creation(obj: Object, summary: Sequence[str] = ()) -> Change:
    """Return the change that creates `obj`."""
    namespace, name = identity(obj)
    return Change(
        obj["apiVersion"],
        obj["kind"],
        namespace,
        name,
        None,
        obj,
        (),
        tuple(summary or [f"create {full_name(obj)}"]),
    )


def deletion(obj: Object, summary: Sequence[str] = ()) -> Change:
    """Return the change that deletes `obj`."""
    namespace, name = identity(obj)
    return Change(
        obj["apiVersion"],
        obj["kind"],
        namespace,
        name,
        obj,
        None,
        (),
        tuple(summary or [f"delete {full_name(obj)}"]),
    )
