# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who else writes an object: its owner references, the labels of controllers, and who wrote a field last. Pure."""

from __future__ import annotations

import typing as t

from .metadata import identity
from .pods import labels_of

if t.TYPE_CHECKING:
    from .metadata import Object

KEDA_NAME: t.Final = "scaledobject.keda.sh/name"
"""The label that KEDA sets on the autoscalers it makes."""
_KEDA_GROUP: t.Final = "keda.sh"
OWN_MANAGER: t.Final = "meshops.canary"


def controlling_owner(obj: Object) -> tuple[str, str, str] | None:
    """Return (kind, name, apiVersion) of the owner whose controller writes the object, None without one."""
    for one in (obj.get("metadata") or {}).get("ownerReferences") or ():
        if one.get("controller"):
            return str(one.get("kind")), str(one.get("name")), str(one.get("apiVersion"))
    return None


def scaled_object_of(hpa: Object) -> str:
    """Return the name of the KEDA ScaledObject that makes the autoscaler, empty if it is not KEDA's."""
    for one in (hpa.get("metadata") or {}).get("ownerReferences") or ():
        if one.get("kind") == "ScaledObject" and str(one.get("apiVersion") or "").startswith(f"{_KEDA_GROUP}/"):
            return str(one.get("name"))
    return str(labels_of(hpa).get(KEDA_NAME) or "")


def scaling_owner(obj: Object) -> str:
    """Return who owns the number of pods that an autoscaler or a Deployment asks for, empty if nobody does."""
    scaled_object = scaled_object_of(obj) if obj.get("kind") == "HorizontalPodAutoscaler" else ""
    if scaled_object:
        return f"KEDA (ScaledObject {scaled_object})"
    owner = controlling_owner(obj)
    return f"the controller of its owner {owner[0]} {owner[1]} ({owner[2]})" if owner else ""


def how_to_scale(obj: Object, pods: int | None = None) -> str:
    """Return what to do instead of writing an object that `scaling_owner` names. pods: that are needed."""
    number, namespace = "N" if pods is None else pods, identity(obj)[0]
    scaled_object = scaled_object_of(obj)
    if scaled_object:
        return (
            f"Raise the ScaledObject's own minimum: kubectl -n {namespace} patch scaledobject {scaled_object} "
            f'--type merge --patch \'{{"spec": {{"minReplicaCount": {number}}}}}\', or in its manifest, and set it '
            "back after the rollout. Or pause it at that number of pods: the annotation "
            f'autoscaling.keda.sh/paused-replicas: "{number}" on it.'
        )
    owner = controlling_owner(obj)
    named = f"{owner[0]} {owner[1]}" if owner else "its owner"
    return f"Ask {named} for {number} pods instead, or scale by yourself and turn the scaling off (capacity: false)."


def last_writer(obj: Object, *path: str) -> tuple[str, str] | None:
    """Return (field manager, time) of the last one that wrote a field, None if nobody is recorded.

    path: the field, as `spec`, `minReplicas`. A manager's time is that of its last write to any of its fields.
    """
    found = []
    for entry in (obj.get("metadata") or {}).get("managedFields") or ():
        fields: t.Any = entry.get("fieldsV1") or {}
        for part in path:
            fields = fields.get(f"f:{part}") if isinstance(fields, dict) else None
        if fields is not None:
            found.append((str(entry.get("time") or ""), str(entry.get("manager") or "unknown")))
    if not found:
        return None
    time, manager = max(found)
    return manager, time
