# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects this collection created, and what others have added to them since. Pure.

A mark of the object as it was created stands on it: what differs from it is somebody's, and then the object stays.
"""

from __future__ import annotations

import copy
import hashlib
import typing as t

from .bare import bare
from .change import Change, deletion, edit
from .destinations import version_of
from .keys import PROTOCOLS
from .patch import canonical
from .snapshot import identity, label

if t.TYPE_CHECKING:
    from .destinations import Entry
    from .hosts import ServiceRef
    from .snapshot import Object

MANAGED_BY: t.Final = "app.kubernetes.io/managed-by"
OURS: t.Final = "meshops.canary"
MARK: t.Final = "canary.meshops.io/created"


def new_object(api_version: str, kind: str, service: ServiceRef, name: str, spec: Object) -> Object:
    """Return the object to create for the service, with the mark of what it is without its versions."""
    metadata = {"name": name, "namespace": service.namespace, "labels": {MANAGED_BY: OURS}}
    obj: Object = {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}
    metadata["annotations"] = {MARK: _mark(obj, service)}
    return obj


def is_ours(obj: Object) -> bool:
    """Return whether the object was created by this collection."""
    return ((obj.get("metadata") or {}).get("labels") or {}).get(MANAGED_BY) == OURS


def is_as_created(obj: Object, service: ServiceRef) -> bool:
    """Return whether nobody else added anything; which versions there are, with what weights, does not count."""
    return is_ours(obj) and (obj["metadata"].get("annotations") or {}).get(MARK) == _mark(obj, service)


def _mark(obj: Object, service: ServiceRef) -> str:
    spec = {key: value for key, value in without_versions(obj, service)["spec"].items() if key != "subsets"}
    return hashlib.sha256(canonical(spec).encode()).hexdigest()[:10]


def unmarked(obj: Object) -> Object:
    """Return a copy that is no longer ours."""
    obj = copy.deepcopy(obj)
    for field, key in (("labels", MANAGED_BY), ("annotations", MARK)):
        there = obj["metadata"].get(field) or {}
        there.pop(key, None)
        if not there:
            obj["metadata"].pop(field, None)
    return obj


def without_versions(virtual_service: Object, service: ServiceRef) -> Object:
    """Return a copy whose routes send to the service, not to versions of it, where they say no more of these."""
    obj = copy.deepcopy(virtual_service)
    namespace, _name = identity(obj)
    for protocol in PROTOCOLS:
        for route in obj["spec"].get(protocol) or ():
            entries = route.get("route") or []
            places = {canonical(_place(entry)) for entry in entries}
            plain = len(entries) == 1 or (
                len(places) == 1 and all(entry.keys() <= {"destination", "weight"} for entry in entries)
            )
            if plain and all(version_of(entry, service, namespace) is not None for entry in entries):
                rest = {key: value for key, value in entries[0].items() if key != "weight"}
                route["route"] = [{**rest, "destination": _place(entries[0])}]
    return obj


def _place(entry: Entry) -> Object:
    return {key: value for key, value in (entry.get("destination") or {}).items() if key != "subset"}


def taken_down(virtual_service: Object, service: ServiceRef) -> Change:
    """Return the change that takes away a VirtualService of ours, or, where others added to it, our versions only."""
    base = bare(virtual_service).obj
    if is_as_created(base, service):
        return deletion(virtual_service)
    kept = unmarked(without_versions(base, service))
    said = f"{label(virtual_service)}: others have edited it, so it stays and sends to all pods of {service.name}"
    return t.cast("Change", edit(virtual_service, kept, [said]))
