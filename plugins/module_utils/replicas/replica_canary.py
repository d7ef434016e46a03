# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans for a canary by pod ratio: a second Deployment behind the same Service, whose share is its share of pods. Pure.

What is owned: of the canary its image and its number of pods; of stable its image, and with a total its number of pods
until the canary ends (`pod_total.py`). A Deployment that others created keeps everything else. An annotation has what
it had before, until that is restored (`canary_status.py`).
"""

from __future__ import annotations

import copy
import dataclasses
import typing as t

from ..errors import InvalidInput, Refused
from ..objects.change import Change, Plan, creation, deletion, edit
from ..objects.managed_state import ANNOTATION
from ..objects.metadata import full_name
from ..objects.patch import VERSION
from ..objects.workloads import desired, hpa_of
from . import pod_labels, pod_ratio, pod_total
from .canary_status import noted, record_of
from .deployment_pair import Pair, container_of, find_pair, image_of

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot
    from .deployment_pair import Wanted


def plan_present(snapshot: Snapshot, service: ServiceRef, wanted: Wanted) -> Plan:
    """Return the plan after which the canary runs `wanted.image` with the pods its share takes.

    Raises InvalidInput for what can never work, Refused where pods would be mixed up, an autoscaler owns pods that
    would have to be set, or the nearest share of a total is further off than `wanted.max_error`.
    """
    pair = find_pair(snapshot, service, wanted)
    snapshot.need("hpas")
    count = _canary_pods(pair, wanted)
    of_stable = hpa_of(snapshot, pair.stable)
    stable = pod_total.scaled(pair, wanted, count, of_stable)
    if pair.canary is None:
        made = _new(pair, wanted, count)
        result = pod_labels.refuse_mixing(pair.stable, made, pair.service, of_stable)
        plan = _plan([_edit(pair.stable, stable), creation(made)], pair, count, stable)
        return dataclasses.replace(plan, notes=(result,) if result else ())
    pod_labels.refuse_mixing(pair.stable, pair.canary, pair.service, of_stable)
    hpa = hpa_of(snapshot, pair.canary)
    if hpa is not None and count != desired(pair.canary):
        raise Refused(
            f"{full_name(hpa)} owns the number of pods of {full_name(pair.canary)}, so the share cannot be set. "
            "Delete the autoscaler and run the task again."
        )
    return _plan([_edit(pair.stable, stable), _edited(pair.canary, wanted, count)], pair, count, stable)


def plan_updated(snapshot: Snapshot, service: ServiceRef, wanted: Wanted) -> Plan:
    """Return the plan after which stable has `wanted.image`, or the canary's if none is named, and nothing else new."""
    pair = find_pair(snapshot, service, wanted)
    image = wanted.image
    if not image and pair.canary is not None:
        image = image_of(pair.canary, wanted.container)
    if not image:
        if wanted.promotes:
            return _plan([], pair, 0)
        raise InvalidInput(f"image is required to update {full_name(pair.stable)}.")
    if pair.stable["spec"].get("paused"):
        raise Refused(
            f"{full_name(pair.stable)} is paused, so a new image would reach no pod. Resume it first: kubectl -n "
            f"{service.namespace} rollout resume deployment {pair.stable['metadata']['name']}"
        )
    after = copy.deepcopy(pair.stable)
    container_of(after, wanted.container)["image"] = image
    return _plan([_edit(pair.stable, after)], pair, _now(pair.canary))


def plan_absent(snapshot: Snapshot, service: ServiceRef, wanted: Wanted) -> Plan:
    """Return the plan after which the canary is gone, or what it was before if others had made it."""
    pair = find_pair(snapshot, service, wanted)
    record, own = record_of(pair.canary) if pair.canary else None, pod_total.given_back(pair.stable)
    if pair.canary is None or record is None:
        left = (
            ()
            if pair.canary is None
            else (f"{full_name(pair.canary)} was not created by this module and is not changed.",)
        )
        return dataclasses.replace(_plan([_edit(pair.stable, own)], pair, _now(pair.canary), own), notes=left)
    if record["created"]:
        return _plan([deletion(pair.canary), _edit(pair.stable, own)], pair, 0, own)
    after = copy.deepcopy(pair.canary)
    container_of(after, wanted.container)["image"] = record["image"]
    after["spec"]["replicas"] = record["replicas"]
    del after["metadata"]["annotations"][ANNOTATION]
    return _plan([_edit(pair.canary, after), _edit(pair.stable, own)], pair, record["replicas"], own)


def plan_back(snapshot: Snapshot, service: ServiceRef, wanted: Wanted, change: Change) -> Plan:
    """Return the plan that takes `change` back after it did not roll out; what others wrote since stays."""
    pair = find_pair(snapshot, service, wanted)
    current = next((one for one in (pair.stable, pair.canary) if one and full_name(one) == change.object), None)
    if current is None:
        return _plan([], pair, _now(pair.canary))
    if change.before is None or change.after is None:
        return _plan([deletion(current)], pair, 0)
    after = copy.deepcopy(current)
    after["spec"]["template"] = change.before["spec"]["template"]
    if desired(change.before) != desired(change.after):
        after["spec"]["replicas"] = desired(change.before)
    before, annotations = change.before["metadata"].get("annotations") or {}, after["metadata"].get("annotations") or {}
    for name in (ANNOTATION, pod_total.PODS_BEFORE):
        if name in before:
            annotations[name] = before[name]
        else:
            annotations.pop(name, None)
    return _plan([_edit(current, after)], pair, _now(after) if current is pair.canary else _now(pair.canary))


def plan_undone(snapshot: Snapshot, service: ServiceRef, wanted: Wanted, name: str, template: Object) -> Plan:
    """Return the plan after which the Deployment `name`, stable or the canary, has an earlier template again."""
    pair = find_pair(snapshot, service, wanted)
    current = next((one for one in (pair.stable, pair.canary) if one and one["metadata"]["name"] == name), None)
    if current is None:
        raise Refused(f"Deployment {service.namespace}/{name} no longer exists, so there is nothing to roll back.")
    after = copy.deepcopy(current)
    after["spec"]["template"] = template
    return _plan([_edit(current, after)], pair, _now(pair.canary))


def _canary_pods(pair: Pair, wanted: Wanted) -> int:
    if wanted.replicas is not None:
        if wanted.replicas < 0:
            raise InvalidInput(f"replicas must not be negative, not {wanted.replicas}.")
        return wanted.replicas
    if wanted.share is None:
        raise InvalidInput("share or replicas is required.")
    if pair.other_pods < 1:
        raise Refused(
            f"{full_name(pair.stable)} has no pods, so the canary would receive all requests. Scale it up first, or "
            "update it to the image directly with state: updated."
        )
    got = pod_total.chosen(pair, wanted)
    if wanted.max_error is not None and abs(got.error(wanted.share)) > wanted.max_error:
        enough = pod_ratio.within(wanted.share, wanted.max_error, pair.other_pods)
        raise Refused(
            f"max_error: {pod_ratio.advice(wanted.share, got)}. Within {wanted.max_error:g} points needs a total of "
            f"{enough.stable + enough.canary} pods; omit total to use as many as necessary."
        )
    return got.canary


def _new(pair: Pair, wanted: Wanted, count: int) -> Object:
    """Return the canary's Deployment: stable's, with its own name, labels, image and number of pods."""
    if not wanted.image:
        raise InvalidInput(f"image is required, because {full_name(pair.stable)} has no canary yet.")
    container_of(pair.stable, wanted.container)  # an error names the Deployment that exists
    own = {pod_labels.TRACK: "canary", **wanted.labels}
    spec = copy.deepcopy(pair.stable["spec"])
    spec.pop("paused", None)
    template = spec["template"]
    template.setdefault("metadata", {})["labels"] = {**pod_labels.template_labels(pair.stable), **own}
    selected = {**(spec["selector"].get("matchLabels") or {}), **pair.service["spec"]["selector"], **own}
    spec |= {"replicas": count, "selector": {"matchLabels": selected}}
    canary = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": pair.canary_name,
            "namespace": pair.stable["metadata"]["namespace"],
            "labels": dict(template["metadata"]["labels"]),
            "annotations": {ANNOTATION: noted({"created": True}, wanted, count)},
        },
        "spec": spec,
    }
    container_of(canary, wanted.container)["image"] = wanted.image
    return canary


def _edited(canary: Object, wanted: Wanted, count: int) -> Change | None:
    after = copy.deepcopy(canary)
    record = record_of(canary)
    if record is None:
        record = {"created": False, "image": image_of(canary, wanted.container), "replicas": desired(canary)}
    annotations = after["metadata"].get("annotations") or {}
    after["metadata"]["annotations"] = {**annotations, ANNOTATION: noted(record, wanted, count)}
    if wanted.image:
        container_of(after, wanted.container)["image"] = wanted.image
    after["spec"]["replicas"] = count
    return _edit(canary, after)


def _edit(before: Object, after: Object) -> Change | None:
    """Return the edit; guarded by the generation, for a Deployment's status changes with every pod."""
    change = edit(before, after)
    if change is None:
        return None
    guard = {"op": "test", "path": "/metadata/generation", "value": before["metadata"].get("generation")}
    return dataclasses.replace(change, patch=tuple(guard if one["path"] == VERSION else one for one in change.patch))


def _now(canary: Object | None) -> int:
    return desired(canary) if canary else 0


def _plan(changes: Sequence[Change | None], pair: Pair, pods: int, stable: Object | None = None) -> Plan:
    """Return the plan with shares and texts; pods: how many the canary has afterwards. stable: as it is then."""
    real = tuple(one for one in changes if one is not None)
    return Plan(
        changes=tuple(dataclasses.replace(one, summary=(_sentence(one),)) for one in real),
        weights_before=pair.shares(_now(pair.canary)),
        weights_after=dataclasses.replace(pair, stable=stable or pair.stable).shares(pods),
        summary=tuple(_sentence(one) for one in real),
        diff_before="".join(f"{_picture(one.before)}\n" for one in real if one.before),
        diff_after="".join(f"{_picture(one.after)}\n" for one in real if one.after),
        route_api="replicas",
        objects=tuple(
            {"api_version": "apps/v1", "kind": "Deployment", "namespace": one["metadata"]["namespace"]}
            | {"name": one["metadata"]["name"], "changed": full_name(one) in {change.object for change in real}}
            for one in (pair.stable, pair.canary, *(c.after for c in real if c.before is None))
            if one
        ),
    )


def _sentence(change: Change) -> str:
    before, after = _picture(change.before), _picture(change.after)
    if change.before is None:
        return f"{after}, new"
    return f"{before} -> {after.partition(': ')[2]}" if change.after else f"{change.name}: removed"


def _picture(deployment: Object | None) -> str:
    if deployment is None:
        return ""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    named = [f"{one.get('name')}={one.get('image')}" for one in containers]  # as for kubectl set image
    images = ", ".join(named) if len(named) > 1 else str(containers[0].get("image"))
    pods = desired(deployment)
    return f"{deployment['metadata']['name']}: {pods} {'pod' if pods == 1 else 'pods'}, {images}"
