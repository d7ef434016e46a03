# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pause a GitOps tool for single objects, by the means that its documentation names, and undo that. Pure.

Flux, Kustomization: the object has the annotation `kustomize.toolkit.fluxcd.io/reconcile: disabled`.
Flux, HelmRelease: the object has the annotation `helm.toolkit.fluxcd.io/driftDetection: disabled`. That ends the
correction of drift; an upgrade of the release writes the object all the same.
Argo CD: no annotation of an object keeps it from being synced. Its Application gets an entry of `ignoreDifferences`
with the fields that we write, and the sync option `RespectIgnoreDifferences=true`, without which a sync writes them.

What has to be undone is written with it, into the annotation PAUSE of the object and of the Application. An object is
marked before its Application, and unmarked after it, so that a run that is killed in between leaves nothing unknown.
"""

from __future__ import annotations

import copy
import typing as t

from ..errors import Refused
from ..objects import json_text
from ..objects.change import edit
from ..objects.metadata import full_name, identity
from ..objects.owners import controlling_owner
from ..objects.patch import canonical_json
from ..objects.pods import annotations_of, labels_of
from .appliers import (
    ARGO,
    DRIFT_DETECTION,
    FLUX,
    HELM_RELEASE,
    KUSTOMIZATION,
    RECONCILE,
    application_of,
    applier_of,
    is_application,
    managers_of,
)

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..objects.change import Change
    from ..objects.metadata import Object

PAUSE: t.Final = "canary.meshops.io/gitops-pause"
"""The annotation with what has to be undone."""
DISABLED: t.Final = "disabled"
RESPECT: t.Final = "RespectIgnoreDifferences=true"
FIELDS: t.Final[dict[str, tuple[str, ...]]] = {
    "VirtualService": ("/spec/http", "/spec/tls", "/spec/tcp"),
    "DestinationRule": ("/spec/subsets",),
    "HTTPRoute": ("/spec/rules",),
    "GRPCRoute": ("/spec/rules",),
    "Deployment": ("/spec/replicas", "/spec/template/spec/containers"),
    "HorizontalPodAutoscaler": ("/spec/minReplicas",),
}
"""Kind -> JSON pointers of the fields that a rollout writes or depends on."""


def tool_of(obj: Object) -> str:
    """Return the tool that has to be paused for the object, empty if none writes it by itself: Helm needs a person."""
    applier = applier_of(obj)
    return applier.tool if applier and applier.tool in (ARGO, FLUX) else ""


def paused_for(obj: Object) -> tuple[str, ...]:
    """Return the services (`namespace/name`) for which the object is marked as paused; () if nobody can read that."""
    try:
        return tuple(_mark(obj).get("services", ()))
    except Refused:
        return ()


def pause(obj: Object, service: str) -> Change | None:
    """Return the change that marks the object for the service (`namespace/name`), and pauses Flux; None if it is.

    An object whose annotation somebody else has disabled is left alone. Raises Refused where it would have no effect.
    """
    tool, mark = tool_of(obj), _mark(obj)
    if not tool or service in mark.get("services", ()):
        return None
    after = copy.deepcopy(obj)
    annotations = _annotations(after)
    if not mark:
        mark = {"tool": tool, "services": []}
        if tool == ARGO:
            mark["application"] = application_of(obj)
        else:
            key = _flux_annotation(obj)
            if DISABLED in (annotations_of(obj).get(key), labels_of(obj).get(key)):
                return None
            _refuse_other_value(obj, key)
            mark["annotation"] = key
            annotations[key] = DISABLED
    annotations[PAUSE] = canonical_json({**mark, "services": sorted([*mark["services"], service])})
    return edit(obj, after, [f"pause {tool} for {full_name(obj)}"])


def resume(obj: Object, service: str) -> Change | None:
    """Return the change that undoes `pause` for the service, None if there is nothing to undo."""
    mark = _mark(obj)
    if service not in mark.get("services", ()):
        return None
    after, left = copy.deepcopy(obj), [one for one in mark["services"] if one != service]
    annotations = after["metadata"]["annotations"]
    if left:
        annotations[PAUSE] = canonical_json({**mark, "services": left})
    else:
        del annotations[PAUSE]
        key = mark.get("annotation")
        if key in (RECONCILE, DRIFT_DETECTION) and annotations.get(key) == DISABLED:
            del annotations[key]
        if not annotations:
            del after["metadata"]["annotations"]
    return edit(obj, after, [f"resume {mark.get('tool') or 'the GitOps tool'} for {full_name(obj)}"])


def is_last(obj: Object, service: str) -> bool:
    """Return whether the object is marked for this service alone, so that its Application has to be resumed too."""
    return paused_for(obj) == (service,)


def application_name(obj: Object) -> str:
    """Return the Application of an object that is marked, or would be; empty if Argo CD does not apply it."""
    mark = _mark(obj)
    if mark:
        return str(mark.get("application") or "")
    return application_of(obj) if tool_of(obj) == ARGO else ""


def find_application(obj: Object, applications: Sequence[Object] | None) -> Object:
    """Return the Application that applies the object. Raises Refused if it cannot be changed, with a way out.

    applications: all that can be read; None if they cannot.
    """
    name = application_name(obj)
    found = [one for one in applications or () if is_application(one, name)]
    if len(found) == 1:
        _refuse_managed(found[0], obj)
        return found[0]
    why = (
        "the Applications cannot be read, or Argo CD runs in another cluster"
        if applications is None
        else f"{len(found)} Applications are named {name}"
        if name
        else "nothing says which Application it is"
    )
    raise Refused(
        f"Argo CD applies {full_name(obj)} and cannot be paused for it: {why}. Nothing was written. {_BY_HAND}"
    )


def pause_application(application: Object, obj: Object) -> Change | None:
    """Return the change that makes Argo CD leave the object's fields alone, None if it does."""
    after, key, entry = copy.deepcopy(application), full_name(obj), _ignored(obj)
    spec = after.setdefault("spec", {})
    mark = _mark(application) or {"ignored": {}, "option": False}
    if key in mark["ignored"]:
        return None
    spec["ignoreDifferences"] = [*(spec.get("ignoreDifferences") or ()), entry]
    options = (spec.get("syncPolicy") or {}).get("syncOptions") or []
    if RESPECT not in options:
        policy = spec["syncPolicy"] = dict(spec.get("syncPolicy") or {})
        policy["syncOptions"] = [*options, RESPECT]
        mark["option"] = True
    mark["ignored"] = {**mark["ignored"], key: entry}
    _annotations(after)[PAUSE] = canonical_json(mark)
    return edit(application, after, [f"make {full_name(application)} leave {full_name(obj)} alone"])


def objects_of(application: Object) -> tuple[str, ...]:
    """Return the objects (`Kind namespace/name`) that the Application leaves alone because of `pause_application`."""
    return tuple(_mark(application).get("ignored") or ())


def resume_application(application: Object, key: str) -> Change | None:
    """Return the change that undoes `pause_application`, None if there is nothing to undo. key: `Kind namespace/name`.

    Raises Refused if the annotation cannot be read.
    """
    mark = _mark(application)
    ignored = dict(mark.get("ignored") or {})
    if key not in ignored:
        return None
    after, entry = copy.deepcopy(application), ignored.pop(key)
    spec, annotations = after["spec"], after["metadata"]["annotations"]
    _drop(spec, "ignoreDifferences", entry)
    if ignored:
        annotations[PAUSE] = canonical_json({**mark, "ignored": ignored})
    else:
        del annotations[PAUSE]
        if not annotations:
            del after["metadata"]["annotations"]
        if mark.get("option") and "syncPolicy" in spec:
            _drop(spec["syncPolicy"], "syncOptions", RESPECT)
            if not spec["syncPolicy"]:
                del spec["syncPolicy"]
    return edit(application, after, [f"let {full_name(application)} apply {key} again"])


def limits(obj: Object) -> str:
    """Return what the pause of this object does not cover, empty if it covers everything."""
    if tool_of(obj) == FLUX and _flux_annotation(obj) == DRIFT_DETECTION:
        return (
            f"{full_name(obj)}: Flux does not correct drift of it while it is paused, but an upgrade of its "
            "HelmRelease writes it. Do not change chart or values during the rollout, or suspend the HelmRelease."
        )
    applier = applier_of(obj)
    if applier and not tool_of(obj):
        return (
            f"{full_name(obj)}: {applier.tool} applies it ({applier.sign}) and has no pause: do not run it meanwhile."
        )
    return ""


_BY_HAND: t.Final = (
    "Set spec.ignoreDifferences for it and the sync option RespectIgnoreDifferences=true in the source of the "
    "Application, or switch its automated sync off: argocd app set APP --sync-policy none. Then run again with "
    "pause_gitops: never (rollout_pause_gitops: never)."
)


def _refuse_managed(application: Object, obj: Object) -> None:
    """Raise Refused for an Application that something else writes: it would revert the pause."""
    owner, applier = controlling_owner(application), applier_of(application)
    writer = f"{owner[0]} {owner[1]}" if owner else f"{applier.tool} ({applier.sign})" if applier else ""
    if writer:
        raise Refused(
            f"Argo CD applies {full_name(obj)} by {full_name(application)}, which {writer} writes: it would revert the "
            f"pause. Nothing was written. {_BY_HAND}"
        )


def _refuse_other_value(obj: Object, key: str) -> None:
    value = annotations_of(obj).get(key)
    if value is not None:
        raise Refused(
            f"{full_name(obj)} has the annotation {key}: {value} from its source, which overrides a pause in the "
            f"cluster. Nothing was written. Remove it from the source, or set it to {DISABLED} there during the "
            "rollout and run again with pause_gitops: never (rollout_pause_gitops: never)."
        )


def _flux_annotation(obj: Object) -> str:
    labels = labels_of(obj)
    by_helm = HELM_RELEASE in labels or ("helm-controller" in managers_of(obj) and KUSTOMIZATION not in labels)
    return DRIFT_DETECTION if by_helm and KUSTOMIZATION not in labels else RECONCILE


def _ignored(obj: Object) -> Object:
    namespace, name = identity(obj)
    group = str(obj.get("apiVersion") or "").rpartition("/")[0]
    pointers = list(FIELDS[str(obj["kind"])])
    return {"group": group, "kind": obj["kind"], "namespace": namespace, "name": name, "jsonPointers": pointers}


def _mark(obj: Object) -> Object:
    """Return what the annotation PAUSE says, {} without one. Raises Refused if it cannot be read."""
    text = annotations_of(obj).get(PAUSE)
    if text is None:
        return {}
    try:
        mark = json_text.parse_mapping(text)
    except ValueError:
        mark = {}
    services, ignored = mark.get("services"), mark.get("ignored")
    if isinstance(services, list) and all(isinstance(one, str) for one in services):
        return mark
    if isinstance(ignored, dict) and all(isinstance(one, dict) for one in ignored.values()):
        return mark
    raise Refused(
        f"{full_name(obj)}: the annotation {PAUSE} was not written by this collection. Nothing was written. See who "
        "has set it, and remove it; then check whether its GitOps tool is still paused for the object."
    )


def _annotations(obj: Object) -> dict[str, t.Any]:
    found = obj["metadata"].get("annotations")
    if found is None:
        found = obj["metadata"]["annotations"] = {}
    return found  # type: ignore[no-any-return]


def _drop(holder: Object, key: str, value: t.Any) -> None:
    """Remove a value from a list, and an empty list."""
    left = [one for one in holder.get(key) or () if one != value]
    if left:
        holder[key] = left
    else:
        holder.pop(key, None)
