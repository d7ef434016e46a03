# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Preflight: autoscalers and Deployments whose number of pods somebody else sets. Pure.

A controller that owns an autoscaler (KEDA's operator) sets minReplicas back within seconds, without a word. A tool that
applies it from Git does so only if it has written that very field, which the field managers say.
"""

from __future__ import annotations

import typing as t

from ..findings import Finding
from ..gitops import appliers, pause
from ..objects import workloads
from ..objects.metadata import full_name, identity
from ..objects.owners import OWN_MANAGER, how_to_scale, last_writer, scaling_owner

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..objects.change import Change
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot

_FIELDS: t.Final = {"HorizontalPodAutoscaler": "minReplicas", "Deployment": "replicas"}


def inspect(objects: Iterable[Object | None]) -> Iterator[Finding]:
    """Yield a finding for each autoscaler and Deployment of a version that a controller owns: nothing is written."""
    for obj in objects:
        owner = scaling_owner(obj) if obj else ""
        if obj and owner:
            yield Finding(
                "SCALED_BY_CONTROLLER",
                full_name(obj),
                f"It is written by {owner}, which reverts a change of {_field(obj)}: no rollout can start pods before "
                "requests with it.",
                how_to_scale(obj),
            )


def of_changes(snapshot: Snapshot, changes: Iterable[Change]) -> Iterator[Finding]:
    """Yield a finding for each change of a number of pods that somebody else would revert."""
    for change in changes:
        obj = _whole(snapshot, change)
        hpa = workloads.hpa_of(snapshot, obj) if change.kind == "Deployment" else None
        if hpa is not None and scaling_owner(hpa):  # it starts a Deployment with 0 replicas, or ends it
            obj = {"kind": "HorizontalPodAutoscaler", **hpa}
        owner, pods = scaling_owner(obj), ((change.after or {}).get("spec") or {}).get(_FIELDS[change.kind])
        if owner:
            yield _owned(obj, owner, pods)
        elif (applied := appliers.applier_of(obj)) and _writes_field(obj, applied.tool) and not pause.paused_for(obj):
            reason = f"{applied[0]} applies it with its {_field(obj)} ({applied[1]})"
            if applied[2]:
                yield Finding("REVERTED_BY_GITOPS", full_name(obj), f"{reason} and reverts the change.")
            else:
                yield Finding("APPLIED_BY_TOOL", full_name(obj), f"{reason}; its next run may revert the change.")


def last_share(obj: Object, pods: int, share: float) -> Finding | None:
    """Return the finding that the last share needs pods that only the owner of an autoscaler can ask for, else None."""
    owner = scaling_owner(obj)
    if not owner:
        return None
    finding = _owned(obj, owner, pods)
    reason = f"{share:g}% of the requests need {pods} pods. {finding.reason}"
    return Finding(finding.code, finding.object, reason, finding.remedy)


def is_from_git(obj: Object) -> bool:
    """Return whether a tool applies the object and was the last to write its number of pods."""
    applied = appliers.applier_of(obj)
    return applied is not None and _writes_field(obj, applied.tool)


def _owned(obj: Object, owner: str, pods: int | None) -> Finding:
    reason = f"It is written by {owner}, which reverts a change of {_field(obj)}."
    return Finding("OWNED_BY_CONTROLLER", full_name(obj), reason, how_to_scale(obj, pods))


def _field(obj: Object) -> str:
    return _FIELDS[str(obj.get("kind"))]


def _whole(snapshot: Snapshot, change: Change) -> Object:
    """Return the object that was read; a change of the scale alone has only its number."""
    plural = "hpas" if change.kind == "HorizontalPodAutoscaler" else "deployments"
    before: Object = change.before or {}
    found = (one for one in getattr(snapshot, plural) or () if identity(one) == identity(before))
    return {"kind": change.kind, **next(found, before)}


def _writes_field(obj: Object, tool: str) -> bool:
    """Return whether the tool, or nobody that is recorded, wrote the number last before us."""
    writer = last_writer(obj, "spec", _field(obj))
    if writer is None:
        return False
    return appliers.tool_of_manager(writer[0]) == tool and writer[0] != OWN_MANAGER
