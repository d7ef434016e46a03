# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The metadata of Kubernetes objects: name, age, time of the last write. Pure."""

from __future__ import annotations

import datetime
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable

Object = dict[str, t.Any]

REVISION: t.Final = "istio.io/rev"
"""The label with the revision of istiod that an object, a namespace or a pod is for."""


def identity(obj: Object) -> tuple[str, str]:
    """Return (namespace, name); cluster-scoped objects have the namespace ''."""
    metadata = obj.get("metadata") or {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")


def typed_identity(obj: Object) -> tuple[str, str, str]:
    """Return (kind, namespace, name): objects of two kinds may have the same name."""
    return (str(obj.get("kind") or ""), *identity(obj))


def full_name(obj: Object) -> str:
    """Return the object as messages name it: `Kind namespace/name`."""
    namespace, name = identity(obj)
    return f"{obj.get('kind') or 'object'} {namespace}/{name}"


def creation_order(obj: Object) -> tuple[str, str, str]:
    """Return Istio's order of objects: creation time, name, namespace (pilot/pkg/model/config.go)."""
    namespace, name = identity(obj)
    return str((obj.get("metadata") or {}).get("creationTimestamp") or ""), name, namespace


def last_write(objects: Iterable[Object]) -> datetime.datetime | None:
    """Return when one of the objects was last written, without writes of its status; None if that is not known."""
    times = [
        entry["time"]
        for obj in objects
        for entry in (obj.get("metadata") or {}).get("managedFields") or ()
        if entry.get("time") and entry.get("subresource") != "status"
    ]
    return parse_time(max(times)) if times else None


def parse_time(text: str) -> datetime.datetime:
    """Return a timestamp of the Kubernetes API as a datetime."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
