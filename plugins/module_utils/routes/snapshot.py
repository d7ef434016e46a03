# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was read from the cluster, as it was read. Pure."""

from __future__ import annotations

import copy
import datetime
import typing as t
from dataclasses import dataclass, replace

from ..errors import CanaryError

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .change import Change

Object = dict[str, t.Any]

PLURALS: t.Final[dict[str, str]] = {
    "VirtualService": "virtual_services",
    "DestinationRule": "destination_rules",
    "HTTPRoute": "http_routes",
    "Gateway": "gateways",
    "Service": "services",
    "Pod": "pods",
    "Deployment": "deployments",
    "HorizontalPodAutoscaler": "hpas",
    "Namespace": "namespaces",
}


class NotRead(CanaryError):
    """A plan needs a list that was not read; whoever reads catches this, reads `plural` too and plans again."""

    code = "not_read"

    def __init__(self, plural: str) -> None:
        super().__init__(f"This cannot be decided without the {plural.replace('_', ' ')}, and they were not read.")
        self.plural = plural


@dataclass(frozen=True)
class Snapshot:
    """The raw API dictionaries a plan is made from, by plural.

    A list that was not read is None, an empty one (): "not looked" is never "nothing there".
    Nobody changes the dictionaries; whoever wants a changed object copies it first.
    """

    virtual_services: Sequence[Object] | None = None
    destination_rules: Sequence[Object] | None = None
    http_routes: Sequence[Object] | None = None
    gateways: Sequence[Object] | None = None
    services: Sequence[Object] | None = None
    pods: Sequence[Object] | None = None
    deployments: Sequence[Object] | None = None
    hpas: Sequence[Object] | None = None
    namespaces: Sequence[Object] | None = None

    def need(self, plural: str) -> Sequence[Object]:
        """Return the list `plural`, for decisions that would be blind without it.

        Raises NotRead if it was not read.
        """
        objects: Sequence[Object] | None = getattr(self, plural)
        if objects is None:
            raise NotRead(plural)
        return objects

    def those(self, references: Iterable[Mapping[str, t.Any]], kind: str = "") -> list[Object]:
        """Return the objects of the references (kind, namespace, name) that were read, all or those of one kind."""
        keys = {(one["kind"], one["namespace"], one["name"]) for one in references}
        lists = (getattr(self, plural) or () for known, plural in PLURALS.items() if kind in ("", known))
        return [obj for objects in lists for obj in objects if (obj["kind"], *identity(obj)) in keys]

    def after(self, changes: Iterable[Change]) -> Snapshot:
        """Return the snapshot as it will be when `changes` are written."""
        lists: dict[str, list[Object]] = {}
        for change in changes:
            plural = PLURALS[change.kind]
            objects = lists.setdefault(plural, list(getattr(self, plural) or ()))
            key = (change.namespace, change.name)
            place = next((i for i, known in enumerate(objects) if identity(known) == key), len(objects))
            objects[place : place + 1] = [] if change.after is None else [copy.deepcopy(change.after)]
        return replace(self, **{plural: tuple(objects) for plural, objects in lists.items()})


def identity(obj: Object) -> tuple[str, str]:
    """Return (namespace, name); objects of the cluster have the namespace ''."""
    metadata = obj.get("metadata") or {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")


def label(obj: Object) -> str:
    """Return the object as messages name it: `Kind namespace/name`."""
    namespace, name = identity(obj)
    return f"{obj.get('kind') or 'object'} {namespace}/{name}"


def age_order(obj: Object) -> tuple[str, str, str]:
    """Return Istio's order of objects: creation time, name, namespace (pilot/pkg/model/config.go)."""
    namespace, name = identity(obj)
    return str((obj.get("metadata") or {}).get("creationTimestamp") or ""), name, namespace


def last_write(objects: Iterable[Object]) -> datetime.datetime | None:
    """Return when one of the objects was last written, its status aside; None if that is not known."""
    times = [
        entry["time"]
        for obj in objects
        for entry in (obj.get("metadata") or {}).get("managedFields") or ()
        if entry.get("time") and entry.get("subresource") != "status"
    ]
    return moment(max(times)) if times else None


def moment(text: str) -> datetime.datetime:
    """Return a time as Kubernetes writes it."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
