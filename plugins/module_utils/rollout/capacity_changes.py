# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods before requests: raise and restore the minReplicas of an autoscaler, or the replicas of a Deployment. Pure.

Where an autoscaler owns the number of pods, its minReplicas is raised. An annotation on the autoscaler keeps the
original value until this run or another one restores it.
"""

from __future__ import annotations

import copy
import datetime
import typing as t
from dataclasses import replace

from ..errors import Refused
from ..findings import Finding
from ..objects.change import edit
from ..objects.hosts import is_outside
from ..objects.metadata import full_name, identity, last_write, parse_time
from ..objects.owners import how_to_scale, last_writer, scaling_owner
from ..objects.patch import without_version_test
from ..objects.workloads import desired, hpa_of, scaling

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..objects.change import Change
    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot

MIN_REPLICAS_BEFORE: t.Final = "canary.meshops.io/min-replicas-before"
MIN_REPLICAS_RAISED: t.Final = "canary.meshops.io/min-replicas-raised-to"
"""Annotations of an autoscaler: the minReplicas to restore, and the raised one, which shows external changes."""
METRICS_DELAY: t.Final = datetime.timedelta(seconds=45)
"""Time until an autoscaler has seen a change: kubelet, metrics-server and its own loop take up to 15 s each."""


class Goal(t.NamedTuple):
    """What to wait for: ready pods of a Deployment. needed: pods without the limit of its autoscaler's maximum."""

    deployment: str
    pods: int
    needed: int


def deployments_of(snapshot: Snapshot, service: ServiceRef, version: Mapping[str, t.Any]) -> list[Object]:
    """Return the Deployments of a version (an entry of `overview.versions`)."""
    names = version.get("deployments") or []
    return [
        one
        for one in snapshot.need("deployments")
        if identity(one)[0] == service.namespace and identity(one)[1] in names
    ]


def deployment_of(snapshot: Snapshot, service: ServiceRef, version: Mapping[str, t.Any]) -> Object:
    """Return the one Deployment of a version. Raises Refused if there is none, or several."""
    found = deployments_of(snapshot, service, version)
    if not found and (is_outside(version["version"]) or (service.is_outside and version["deployments"] is None)):
        raise Refused(
            f"Version {version['version']} of {service.namespace}/{service.name} is the host of a ServiceEntry or a "
            "subset of one, so it has no Deployment to scale. See to its capacity yourself and turn the scaling off: "
            "-e capacity=false for a playbook, rollout_capacity: false for the role rollout."
        )
    if len(found) != 1:
        names = [identity(one)[1] for one in found]
        raise Refused(
            f"Version {version['version']} of {service.namespace}/{service.name} has {len(names)} Deployments whose "
            f"pods its subset selects{' (' + ', '.join(names) + ')' if names else ''}; scaling needs exactly one. "
            "Deploy the version with the role meshops.canary.versions, or scale it yourself and turn the scaling off: "
            "-e capacity=false for a playbook, rollout_capacity: false for the role rollout."
        )
    return found[0]


def raise_pods(snapshot: Snapshot, deployment: Object, pods: int) -> list[Change]:
    """Return the changes that give the Deployment at least `pods` pods; none if it has them.

    With an autoscaler its minReplicas is raised, at most to its maximum. replicas is left to the autoscaler, except for
    a Deployment with 0 replicas, which no autoscaler scales up.
    """
    hpa = hpa_of(snapshot, deployment)
    if hpa is None:
        return _scale(deployment, pods) if desired(deployment) < pods else []
    return [*_raise_min_replicas(hpa, pods), *(_scale(deployment, 1) if pods and not desired(deployment) else [])]


def hold_pods(snapshot: Snapshot, deployment: Object, pods: int) -> list[Change]:
    """Return the changes that keep an autoscaler from scaling below the current pods, or `pods`.

    None without an autoscaler, and none for one that somebody else owns (see `unheld`).
    """
    hpa = hpa_of(snapshot, deployment)
    return [] if hpa is None or scaling_owner(hpa) else _raise_min_replicas(hpa, max(desired(deployment), pods))


def unheld(snapshot: Snapshot, deployment: Object, pods: int) -> str:
    """Return the sentence that `hold_pods` cannot keep the Deployment's pods, empty if it can or need not."""
    hpa = hpa_of(snapshot, deployment)
    needed = 0 if hpa is None else _within_maximum(hpa, max(desired(deployment), pods))
    if hpa is None or not scaling_owner(hpa) or scaling(hpa).minimum >= needed:
        return ""
    return (
        f"{full_name(hpa)} is written by {scaling_owner(hpa)}, so its minReplicas is not raised to {needed}, and it "
        f"may scale down while the canary has requests. {how_to_scale(hpa, needed)}"
    )


def is_load_current(
    snapshot: Snapshot,
    service: ServiceRef,
    version: Mapping[str, t.Any],
    now: datetime.datetime | None,
    routes: Iterable[Object] = (),
) -> bool:
    """Return whether the load that the version's autoscaler reports was measured with its current pods.

    A load measured before the last pods started would be multiplied by the new number of pods, and ask for more at
    every check. routes: their last write counts likewise. now: the API server's time, None if unknown.
    """
    hpas = (hpa_of(snapshot, one) for one in deployments_of(snapshot, service, version))
    scaled = [str((hpa.get("status") or {}).get("lastScaleTime") or "") for hpa in hpas if hpa is not None]
    times = [*(parse_time(one) for one in scaled if one), *filter(None, [last_write(routes)])]
    return now is None or all(now - time > METRICS_DELAY for time in times)


def goal_of(snapshot: Snapshot, deployment: Object, pods: int) -> Goal:
    """Return what to wait for when `pods` are needed: at most the autoscaler's maximum."""
    hpa = hpa_of(snapshot, deployment)
    return Goal(identity(deployment)[1], pods if hpa is None else _within_maximum(hpa, pods), pods)


def capacity_finding(
    snapshot: Snapshot, deployment: Object, share: float, *, needed: int, wanted: int, measured: str
) -> Finding | None:
    """Return the finding that `share` percent needs more pods than the autoscaler may start, else None.

    needed: pods for the load measured on version `measured`. wanted: the same with headroom.
    """
    hpa = hpa_of(snapshot, deployment)
    if hpa is None or needed <= scaling(hpa).maximum:
        return None
    namespace, name = identity(hpa)
    return Finding(
        "CAPACITY_BELOW_SHARE",
        full_name(hpa),
        f"Its maxReplicas is {scaling(hpa).maximum}, but {share:g}% of the requests need {needed} pods at the current "
        f"load of {measured}.",
        f"Raise maxReplicas first: kubectl -n {namespace} patch hpa {name} --patch "
        f'\'{{"spec": {{"maxReplicas": {wanted}}}}}\', or in its manifest.',
    )


def reduce_pods(snapshot: Snapshot, deployment: Object, pods: int) -> list[Change]:
    """Return the changes that leave the Deployment `pods` pods: its replicas, or its autoscaler's minReplicas.

    None where somebody else owns the autoscaler: it scales down by itself, and its minimum is that owner's.
    Raises Refused for 0 pods with an autoscaler, whose minReplicas is at least 1.
    """
    hpa = hpa_of(snapshot, deployment)
    if hpa is None:
        return _scale(deployment, pods)
    if scaling_owner(hpa) and MIN_REPLICAS_BEFORE not in (hpa["metadata"].get("annotations") or {}):
        return []
    if pods < 1:
        raise Refused(
            f"{full_name(hpa)} scales {full_name(deployment)}, and its minReplicas is at least 1. To scale to 0, first "
            "remove the autoscaler (role meshops.canary.autoscale with autoscale_state=absent); or use 1."
        )
    after = copy.deepcopy(hpa)
    _remove_annotations(after)
    after["spec"]["minReplicas"] = _within_maximum(hpa, pods)
    return _change_of(hpa, after)


def restore_min_replicas(snapshot: Snapshot, service: ServiceRef, names: Iterable[str]) -> list[Change]:
    """Return the changes that restore minReplicas of the autoscalers `names`; none for those that were not raised.

    An external change of minReplicas stays. The autoscaler removes the pods when they are idle.
    """
    wanted = set(names)
    changes: list[Change] = []
    for hpa in snapshot.need("hpas"):
        namespace, name = identity(hpa)
        before = (hpa["metadata"].get("annotations") or {}).get(MIN_REPLICAS_BEFORE)
        if namespace != service.namespace or name not in wanted or before is None:
            continue
        after = copy.deepcopy(hpa)
        _remove_annotations(after)
        if not _is_changed_externally(hpa):
            after["spec"]["minReplicas"] = int(before)
        changes += _change_of(hpa, after)
    return changes


def why_fewer(snapshot: Snapshot, deployment: Object, pods: int) -> list[str]:
    """Return why a Deployment wants fewer than the `pods` pods that were requested; empty if it does not."""
    if desired(deployment) >= pods:
        return []
    hpa, wanted = hpa_of(snapshot, deployment), desired(deployment)
    if hpa is None:
        return [f"{full_name(deployment)} asks for {wanted} pods{_written_by(deployment, 'replicas')}"]
    found = scaling(hpa)
    text = f"{full_name(hpa)} asks for {wanted} pods, its minReplicas is {found.minimum}"
    raised = (hpa["metadata"].get("annotations") or {}).get(MIN_REPLICAS_RAISED)
    if _is_changed_externally(hpa):
        text += f" although it was raised to {raised}: somebody set it back"
    text += _written_by(hpa, "minReplicas")
    reasons = [text]
    if scaling_owner(hpa):
        reasons.append(f"it is written by {scaling_owner(hpa)}. {how_to_scale(hpa, pods)}")
    for condition in (hpa.get("status") or {}).get("conditions") or ():
        limited = (condition.get("type"), condition.get("status")) in (
            ("AbleToScale", "False"),
            ("ScalingActive", "False"),
            ("ScalingLimited", "True"),
        )
        if limited:
            reasons.append(f"its condition {condition['type']}: {condition.get('message') or condition.get('reason')}")
    return reasons


def _written_by(obj: Object, field: str) -> str:
    writer = last_writer(obj, "spec", field)
    return f" (last written by {writer[0]} at {writer[1] or 'an unknown time'})" if writer else ""


def diff_lines(change: Change) -> tuple[str, str]:
    """Return the changed object with its number before and after, for a diff."""
    key, absent = ("minReplicas", 1) if change.kind == "HorizontalPodAutoscaler" else ("replicas", 0)
    before, after = ((obj or {})["spec"].get(key, absent) for obj in (change.before, change.after))
    return f"{change.object}: {key} {before}", f"{change.object}: {key} {after}"


def _within_maximum(hpa: Object, pods: int) -> int:
    return min(pods, scaling(hpa).maximum)


def _raise_min_replicas(hpa: Object, pods: int) -> list[Change]:
    now, wanted = scaling(hpa).minimum, _within_maximum(hpa, pods)
    if now >= wanted:
        return []
    after = copy.deepcopy(hpa)
    annotations = after["metadata"].setdefault("annotations", {})
    # A second raise keeps the first value: that is the one to restore.
    original = str(now) if _is_changed_externally(hpa) else annotations.get(MIN_REPLICAS_BEFORE, str(now))
    annotations.update({MIN_REPLICAS_BEFORE: original, MIN_REPLICAS_RAISED: str(wanted)})
    after["spec"]["minReplicas"] = wanted
    return _change_of(hpa, after)


def _is_changed_externally(hpa: Object) -> bool:
    """Return whether minReplicas was changed externally since it was raised."""
    raised_to = (hpa["metadata"].get("annotations") or {}).get(MIN_REPLICAS_RAISED)
    return raised_to is not None and raised_to != str(scaling(hpa).minimum)


def _remove_annotations(hpa: Object) -> None:
    for annotation in (MIN_REPLICAS_BEFORE, MIN_REPLICAS_RAISED):
        (hpa["metadata"].get("annotations") or {}).pop(annotation, None)


def _scale(deployment: Object, pods: int) -> list[Change]:
    """Return the change of the replicas alone, for which the right to scale is enough."""
    namespace, name = identity(deployment)
    common = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": namespace, "name": name}}
    # A Scale object omits replicas: 0.
    before, after = (
        {**common, "spec": {"replicas": number} if number else {}} for number in (desired(deployment), pods)
    )
    return _change_of(before, after, subresource="scale")


def _change_of(before: Object, after: Object, subresource: str = "") -> list[Change]:
    """Return the change with tests of the fields it touches: an autoscaler's resourceVersion changes at each sync."""
    change = edit(before, after, subresource=subresource)
    if change is None:
        return []
    before_text, after_text = diff_lines(change)
    same = before_text == after_text  # minReplicas was changed externally; only our annotations are removed
    patch = without_version_test(change.patch)
    if not subresource:
        annotations = before["metadata"].get("annotations")  # none: the test is that there are still none
        patch.insert(0, {"op": "test", "path": "/metadata/annotations", "value": annotations})
    return [
        replace(
            change,
            patch=tuple(patch),
            summary=(f"{before_text} stays" if same else f"{before_text} -> {after_text.rsplit(' ', 1)[1]}",),
        )
    ]
