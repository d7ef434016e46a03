# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects this collection created, and whether others have edited them since. Pure.

An annotation has the checksum of the object as it was created. If the object differs, somebody edited it, and it stays.
"""

from __future__ import annotations

import copy
import hashlib
import typing as t

from ..objects.change import Change, deletion, edit
from ..objects.metadata import full_name, identity
from ..objects.patch import canonical_json
from ..objects.snapshot import PLURALS
from .destinations import version_of
from .route_keys import PROTOCOLS
from .strip_managed import strip_managed

if t.TYPE_CHECKING:
    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot
    from .destinations import Entry

MANAGED_BY: t.Final = "app.kubernetes.io/managed-by"
MANAGER: t.Final = "meshops.canary"
CHECKSUM: t.Final = "canary.meshops.io/created"


def create_object(api_version: str, kind: str, service: ServiceRef, name: str, spec: Object) -> Object:
    """Return the object to create for the service, with the checksum of its spec without versions."""
    metadata = {"name": name, "namespace": service.namespace, "labels": {MANAGED_BY: MANAGER}}
    obj: Object = {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}
    metadata["annotations"] = {CHECKSUM: _checksum(obj, service)}
    return obj


def free_name(snapshot: Snapshot, kind: str, service: ServiceRef, wanted: str = "") -> str:
    """Return the name for a new object in the service's namespace: `wanted` or the service's, else with a suffix.

    The Service's own name is often taken by the VirtualService of a gateway.
    """
    ours = [*snapshot.need(PLURALS[kind]), *(one for one in snapshot.ignored if one.get("kind") == kind)]
    taken = {name for namespace, name in map(identity, ours) if namespace == service.namespace}
    first = wanted or service.name
    names = (first, f"{first}-mesh", *(f"{first}-mesh-{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


def is_ours(obj: Object) -> bool:
    """Return whether the object was created by this collection."""
    return ((obj.get("metadata") or {}).get("labels") or {}).get(MANAGED_BY) == MANAGER


def is_unchanged(obj: Object, service: ServiceRef) -> bool:
    """Return whether nobody else edited the object; its versions and their weights do not count."""
    return is_ours(obj) and (obj["metadata"].get("annotations") or {}).get(CHECKSUM) == _checksum(obj, service)


def _checksum(obj: Object, service: ServiceRef) -> str:
    spec = {key: value for key, value in without_subsets(obj, service)["spec"].items() if key != "subsets"}
    return hashlib.sha256(canonical_json(spec).encode()).hexdigest()[:10]


def without_marker(obj: Object) -> Object:
    """Return a copy without label and checksum, so that it no longer counts as created by this collection."""
    obj = copy.deepcopy(obj)
    for field, key in (("labels", MANAGED_BY), ("annotations", CHECKSUM)):
        there = obj["metadata"].get(field) or {}
        there.pop(key, None)
        if not there:
            obj["metadata"].pop(field, None)
    return obj


def without_subsets(virtual_service: Object, service: ServiceRef) -> Object:
    """Return a copy whose routes send to the service instead of its versions, where versions have no other settings."""
    obj = copy.deepcopy(virtual_service)
    namespace, _name = identity(obj)
    for protocol in PROTOCOLS:
        for route in obj["spec"].get(protocol) or ():
            entries = route.get("route") or []
            destinations = {canonical_json(_without_subset(entry)) for entry in entries}
            plain = len(entries) == 1 or (
                len(destinations) == 1 and all(entry.keys() <= {"destination", "weight"} for entry in entries)
            )
            if plain and all(version_of(entry, service, namespace) is not None for entry in entries):
                rest = {key: value for key, value in entries[0].items() if key != "weight"}
                route["route"] = [{**rest, "destination": _without_subset(entries[0])}]
    return obj


def _without_subset(entry: Entry) -> Object:
    return {key: value for key, value in (entry.get("destination") or {}).items() if key != "subset"}


def remove_virtual_service(virtual_service: Object, service: ServiceRef) -> Change:
    """Return the change that deletes a VirtualService we created, or removes our versions where others edited it."""
    base = strip_managed(virtual_service).obj
    if is_unchanged(base, service):
        return deletion(virtual_service)
    kept = without_marker(without_subsets(base, service))
    summary = f"{full_name(virtual_service)}: others edited it, so it is kept and sends to all pods of {service.name}"
    return t.cast("Change", edit(virtual_service, kept, [summary]))
