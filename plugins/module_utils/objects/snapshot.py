# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The objects that were read from the cluster, unchanged. Pure."""

from __future__ import annotations

import copy
import typing as t
from dataclasses import dataclass, replace

from ..errors import CanaryError
from .metadata import Object, typed_identity

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from .change import Change

PLURALS: t.Final[dict[str, str]] = {
    "VirtualService": "virtual_services",
    "DestinationRule": "destination_rules",
    "HTTPRoute": "http_routes",
    "GRPCRoute": "http_routes",
    "Gateway": "gateways",
    "Service": "services",
    "Pod": "pods",
    "Deployment": "deployments",
    "HorizontalPodAutoscaler": "hpas",
    "Namespace": "namespaces",
}
ON_DEMAND: t.Final[dict[str, str]] = {
    "EndpointSlice": "endpoint_slices",
    "ServiceEntry": "service_entries",
    "WorkloadEntry": "workload_entries",
    "ReferenceGrant": "reference_grants",
}
"""Kinds that are read only where one of the other objects makes them matter."""


class NotRead(CanaryError):
    """A plan needs a list that was not read; the reader then reads `plural` too, and the plan is made again."""

    code = "not_read"

    def __init__(self, plural: str) -> None:
        super().__init__(f"This cannot be decided without the {plural.replace('_', ' ')}, which were not read.")
        self.plural = plural


@dataclass(frozen=True)
class Snapshot:
    """The raw API dictionaries a plan is made from, by plural.

    A list that was not read is None, an empty one (): "not read" is never "nothing exists".
    http_routes: HTTPRoutes and GRPCRoutes, which differ in their matches alone.
    ignored: routing objects that no istiod of the mesh reads, because they are labeled for another revision; they are
    in none of the lists. The dictionaries must not be changed; copy an object to edit it.
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
    endpoint_slices: Sequence[Object] | None = None
    service_entries: Sequence[Object] | None = None
    workload_entries: Sequence[Object] | None = None
    reference_grants: Sequence[Object] | None = None
    ignored: Sequence[Object] = ()

    def need(self, plural: str) -> Sequence[Object]:
        """Return the list `plural`, for decisions that depend on it.

        Raises NotRead if it was not read.
        """
        objects: Sequence[Object] | None = getattr(self, plural)
        if objects is None:
            raise NotRead(plural)
        return objects

    def select(self, references: Iterable[Mapping[str, t.Any]], kinds: Collection[str] = ()) -> list[Object]:
        """Return the objects that the references (kind, namespace, name) name, of all kinds or of these."""
        keys = {(one["kind"], one["namespace"], one["name"]) for one in references}
        plurals = dict.fromkeys(plural for kind, plural in PLURALS.items() if not kinds or kind in kinds)
        lists = (getattr(self, plural) or () for plural in plurals)
        return [obj for objects in lists for obj in objects if typed_identity(obj) in keys]

    def replaced(self, objects: Iterable[Object]) -> Snapshot:
        """Return the snapshot with newer states of objects that are in it."""
        lists: dict[str, list[Object]] = {}
        for obj in objects:
            plural = PLURALS[obj["kind"]]
            known = lists.setdefault(plural, list(getattr(self, plural) or ()))
            lists[plural] = [obj if typed_identity(one) == typed_identity(obj) else one for one in known]
        return replace(self, **lists)

    def after(self, changes: Iterable[Change]) -> Snapshot:
        """Return the snapshot as it will be when `changes` are written."""
        lists: dict[str, list[Object]] = {}
        for change in changes:
            plural = PLURALS[change.kind]
            objects = lists.setdefault(plural, list(getattr(self, plural) or ()))
            key = (change.kind, change.namespace, change.name)
            place = next((i for i, known in enumerate(objects) if typed_identity(known) == key), len(objects))
            objects[place : place + 1] = [] if change.after is None else [copy.deepcopy(change.after)]
        return replace(self, **{plural: tuple(objects) for plural, objects in lists.items()})
