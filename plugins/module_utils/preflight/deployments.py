# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with Deployments and their Service before pods are changed: who else writes them, what loses requests.

Pure. Only what a plan touches is judged, so a Deployment that others own may well stand beside a canary.
"""

from __future__ import annotations

import copy
import typing as t

from ..findings import Finding
from ..objects.metadata import full_name
from ..objects.patch import operations_between
from ..objects.workloads import desired
from ..replicas.deployment_pair import container_of, find_pair, image_of
from . import ownership, pod_shutdown

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..objects.change import Plan
    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot
    from ..replicas.deployment_pair import Pair, Wanted


def inspect(snapshot: Snapshot, service: ServiceRef, wanted: Wanted, plan: Plan) -> list[Finding]:
    """Return what is wrong with what `plan` changes, errors first. Raises as `find_pair`."""
    pair = find_pair(snapshot, service, wanted)
    found = list(ownership.of_objects(change.before for change in plan.changes if change.before))
    for change in plan.changes:
        if change.after is None:
            continue
        container = container_of(change.after, wanted.container)
        found += [*_of_start(change.after, container), *pod_shutdown.inspect(change.after, pair.service, container)]
        updates = change.before is not None and change.before["spec"]["template"] != change.after["spec"]["template"]
        if updates and change.name == pair.stable["metadata"]["name"]:
            found += [*_of_update(change.after), *_of_templates(pair, change.after, wanted)]
    if wanted.share is not None or wanted.replicas is not None:
        found += [*_of_service(pair.service), *_of_templates(pair, pair.stable, wanted)]
    return sorted(dict.fromkeys(found), key=lambda finding: finding.severity != "error")


def _of_start(deployment: Object, container: Object) -> Iterator[Finding]:
    """Yield what makes the container that gets the image lose requests when its pods begin."""
    if not container.get("readinessProbe"):
        reason = (
            f"Container {container['name']} has no readinessProbe, so it receives requests before it can serve them."
        )
        yield Finding("READINESS_PROBE_MISSING", full_name(deployment), reason)


def _of_update(deployment: Object) -> Iterator[Finding]:
    """Yield what the Deployment's strategy does to capacity while its pods are replaced."""
    pods, strategy = desired(deployment), deployment["spec"].get("strategy") or {}
    if not pods:
        return
    if strategy.get("type") == "Recreate":
        yield Finding(
            "UPDATE_ENDS_ALL_PODS",
            full_name(deployment),
            f"Its strategy is Recreate, which terminates all {pods} pods at once.",
        )
        return
    rolling = strategy.get("rollingUpdate") or {}
    missing = _part(rolling.get("maxUnavailable", "25%"), pods, up=False)
    if not missing and not _part(rolling.get("maxSurge", "25%"), pods, up=True):
        missing = 1  # neither more nor fewer is no update, so Kubernetes allows one to be missing
    if missing:
        reason = f"Up to {missing} of its {pods} pods may be unavailable during an update (maxUnavailable)."
        yield Finding("UPDATE_SINKS_CAPACITY", full_name(deployment), reason)


def _part(value: int | str, pods: int, *, up: bool) -> int:
    """Return a number or a percentage of pods as Kubernetes rounds it (intstr.GetScaledValueFromIntOrPercent)."""
    if isinstance(value, int):
        return value
    hundredths = int(value.rstrip("%")) * pods
    return -(-hundredths // 100) if up else hundredths // 100


def _of_templates(pair: Pair, stable: Object, wanted: Wanted) -> Iterator[Finding]:
    """Yield where the canary's pods are other ones than stable's with its image would be. stable: as it will be."""
    if pair.canary is None:
        return
    image = image_of(pair.canary, wanted.container)
    if stable is not pair.stable and image != image_of(stable, wanted.container):
        return  # stable gets an image that the canary says nothing about
    alike = copy.deepcopy(stable)
    container_of(alike, wanted.container)["image"] = image
    specs = [one["spec"]["template"]["spec"] for one in (alike, pair.canary)]
    places = sorted({str(one["path"]).lstrip("/") for one in operations_between(*specs) if one["op"] != "test"})
    if places:
        code = "PROMOTES_UNTESTED" if wanted.promotes else "CANARY_TEMPLATE_DIFFERS"
        reason = f"Its pods differ from those of {full_name(stable)} in more than the image: {', '.join(places[:5])}."
        yield Finding(code, full_name(pair.canary), reason)


def _of_service(front: Object) -> Iterator[Finding]:
    if front["spec"].get("sessionAffinity") == "ClientIP":
        reason = "It has sessionAffinity ClientIP, so new connections are not distributed over all pods."
        yield Finding("SESSION_AFFINITY", full_name(front), reason)
