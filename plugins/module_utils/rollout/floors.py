# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods before requests: the floor of an autoscaler, or the number of a Deployment, raised and given back. Pure.

Where an autoscaler owns the number of pods its floor is raised, and what the floor was is kept on the autoscaler until
it is given back, by this run or another one.
"""

from __future__ import annotations

import copy
import datetime
import typing as t
from dataclasses import replace

from ..errors import Refused
from ..findings import Finding
from ..routes.change import edit
from ..routes.patch import unversioned
from ..routes.snapshot import identity, label, last_write, moment
from ..routes.workloads import desired, hpa_of, scaling

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..routes.change import Change
    from ..routes.hosts import ServiceRef
    from ..routes.snapshot import Object, Snapshot

FLOOR: t.Final = "canary.meshops.io/floor"
RAISED: t.Final = "canary.meshops.io/floor-raised-to"
"""Annotations of an autoscaler: the floor to give back, and the one it has meanwhile if nobody else has set one."""
MEASURED: t.Final = datetime.timedelta(seconds=45)
"""After that an autoscaler has seen a change: kubelet, metrics-server and its own round take up to 15 s each."""


class Goal(t.NamedTuple):
    """What to wait for: so many ready pods of a Deployment. needed: more than that where its autoscaler may not."""

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
    if len(found) != 1:
        names = [identity(one)[1] for one in found]
        raise Refused(
            f"Version {version['version']} of {service.namespace}/{service.name} has {len(names)} Deployments whose "
            f"pods its subset selects{' (' + ', '.join(names) + ')' if names else ''}; exactly one is needed to give "
            "it capacity. Deploy it with the role meshops.canary.versions, or give it the pods yourself and leave the "
            "capacity out: -e capacity=false for a playbook, rollout_capacity: false for the role rollout."
        )
    return found[0]


def raised(snapshot: Snapshot, deployment: Object, pods: int) -> list[Change]:
    """Return what gives the Deployment at least so many pods; nothing if it has them.

    Of an autoscaler the floor is raised, to its maximum at most; replicas are its own, but for a Deployment that was
    scaled to nothing, which no autoscaler wakes.
    """
    hpa = hpa_of(snapshot, deployment)
    if hpa is None:
        return _scaled(deployment, pods) if desired(deployment) < pods else []
    return [*_floored(hpa, pods), *(_scaled(deployment, 1) if pods and not desired(deployment) else [])]


def kept(snapshot: Snapshot, deployment: Object, pods: int) -> list[Change]:
    """Return what keeps an autoscaler from having fewer pods than now, or than `pods`; nothing without one."""
    hpa = hpa_of(snapshot, deployment)
    return [] if hpa is None else _floored(hpa, max(desired(deployment), pods))


def steady(
    snapshot: Snapshot,
    service: ServiceRef,
    version: Mapping[str, t.Any],
    now: datetime.datetime | None,
    routes: Iterable[Object] = (),
) -> bool:
    """Return whether the load that the version's autoscaler tells is the one of the pods that it has now.

    What was measured before the last pods came would be counted once for each of them, and so ask for more of them at
    every look. routes: likewise for the share, where it has just changed. now: the API server's clock, None if unknown.
    """
    hpas = (hpa_of(snapshot, one) for one in deployments_of(snapshot, service, version))
    scaled = [str((hpa.get("status") or {}).get("lastScaleTime") or "") for hpa in hpas if hpa is not None]
    times = [*(moment(one) for one in scaled if one), *filter(None, [last_write(routes)])]
    return now is None or all(now - time > MEASURED for time in times)


def goal(snapshot: Snapshot, deployment: Object, pods: int) -> Goal:
    """Return what to wait for when so many pods are asked for: no more than the autoscaler's maximum."""
    hpa = hpa_of(snapshot, deployment)
    return Goal(identity(deployment)[1], pods if hpa is None else _possible(hpa, pods), pods)


def too_few(
    snapshot: Snapshot, deployment: Object, share: float, *, needed: int, wanted: int, measured: str
) -> Finding | None:
    """Return the finding that `share` percent needs more pods than the autoscaler may start, None if there is none.

    needed: by the load that is measured on version `measured`. wanted: with headroom, as they will be asked for.
    """
    hpa = hpa_of(snapshot, deployment)
    if hpa is None or needed <= scaling(hpa).maximum:
        return None
    namespace, name = identity(hpa)
    return Finding(
        "CAPACITY_BELOW_SHARE",
        label(hpa),
        f"Its maximum is {scaling(hpa).maximum}, and {share:g}% of requests need {needed} pods by what {measured} "
        "measures now.",
        f"Raise it before: kubectl -n {namespace} patch hpa {name} --patch "
        f'\'{{"spec": {{"maxReplicas": {wanted}}}}}\', or in the manifest it comes from.',
    )


def reduced(snapshot: Snapshot, deployment: Object, pods: int) -> list[Change]:
    """Return what leaves the Deployment so many pods: by its number, or as the floor of its autoscaler, for good.

    Raises Refused for no pods where an autoscaler has a say: its floor is 1 at least.
    """
    hpa = hpa_of(snapshot, deployment)
    if hpa is None:
        return _scaled(deployment, pods)
    if pods < 1:
        raise Refused(
            f"{label(hpa)} owns the pods of {label(deployment)}, and its floor is at least 1. For none at all remove "
            "the autoscaler first (role meshops.canary.autoscale with autoscale_state=absent), or leave 1."
        )
    after = copy.deepcopy(hpa)
    _forget(after)
    after["spec"]["minReplicas"] = _possible(hpa, pods)
    return _edited(hpa, after)


def released(snapshot: Snapshot, service: ServiceRef, names: Iterable[str]) -> list[Change]:
    """Return what gives the autoscalers of these names their floors back; nothing for those that were not raised.

    A floor that somebody else has set since is theirs, and stays. The pods stay until they are found idle.
    """
    wanted = set(names)
    changes: list[Change] = []
    for hpa in snapshot.need("hpas"):
        namespace, name = identity(hpa)
        before = (hpa["metadata"].get("annotations") or {}).get(FLOOR)
        if namespace != service.namespace or name not in wanted or before is None:
            continue
        after = copy.deepcopy(hpa)
        _forget(after)
        if not _is_anothers(hpa):
            after["spec"]["minReplicas"] = int(before)
        changes += _edited(hpa, after)
    return changes


def told(change: Change) -> tuple[str, str]:
    """Return the object of such a change with its number before and after, for a diff."""
    key, absent = ("minReplicas", 1) if change.kind == "HorizontalPodAutoscaler" else ("replicas", 0)
    before, after = ((obj or {})["spec"].get(key, absent) for obj in (change.before, change.after))
    return f"{change.object}: {key} {before}", f"{change.object}: {key} {after}"


def _possible(hpa: Object, pods: int) -> int:
    return min(pods, scaling(hpa).maximum)


def _floored(hpa: Object, pods: int) -> list[Change]:
    now, floor = scaling(hpa).minimum, _possible(hpa, pods)
    if now >= floor:
        return []
    after = copy.deepcopy(hpa)
    kept = after["metadata"].setdefault("annotations", {})
    kept[FLOOR] = str(now) if _is_anothers(hpa) else kept.get(FLOOR, str(now))  # the first floor counts
    kept[RAISED] = str(floor)
    after["spec"]["minReplicas"] = floor
    return _edited(hpa, after)


def _is_anothers(hpa: Object) -> bool:
    """Say whether somebody else has set the floor since it was raised."""
    raised_to = (hpa["metadata"].get("annotations") or {}).get(RAISED)
    return raised_to is not None and raised_to != str(scaling(hpa).minimum)


def _forget(hpa: Object) -> None:
    for mark in (FLOOR, RAISED):
        (hpa["metadata"].get("annotations") or {}).pop(mark, None)


def _scaled(deployment: Object, pods: int) -> list[Change]:
    """Return the change of the number alone, which the right to scale is enough for."""
    namespace, name = identity(deployment)
    common = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": namespace, "name": name}}
    # A Scale leaves a number of 0 out.
    before, after = (
        {**common, "spec": {"replicas": number} if number else {}} for number in (desired(deployment), pods)
    )
    return _edited(before, after, subresource="scale")


def _edited(before: Object, after: Object, subresource: str = "") -> list[Change]:
    """Return the edit, guarded by what it touches: an autoscaler's resourceVersion changes with each measurement."""
    change = edit(before, after, subresource=subresource)
    if change is None:
        return []
    was, shall_be = told(change)
    same = was == shall_be  # a floor of somebody else's, on which only our marks are taken away
    patch = unversioned(change.patch)
    if not subresource:
        annotations = before["metadata"].get("annotations")  # none: the test is that there are still none
        patch.insert(0, {"op": "test", "path": "/metadata/annotations", "value": annotations})
    return [
        replace(
            change, patch=tuple(patch), summary=(f"{was} stays" if same else f"{was} -> {shall_be.rsplit(' ', 1)[1]}",)
        )
    ]
