# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Preflight: are there pods enough for the share, and will there be? Pure.

Two questions. Where an HPA measures CPU, its own formula says how many pods a share needs: more than the HPA may
start is an error, more than are ready now a warning. Where nothing is measured only proportion is left: if a pod would
get over twice the share that any pod carries today, nobody has seen a pod carry that, and it is an error.
"""

from __future__ import annotations

import typing as t

from ..findings import Finding
from ..rollout.capacity import Load, pods_needed
from . import find, pods, workloads
from .snapshot import identity, label

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .hosts import ServiceRef
    from .snapshot import Object, Snapshot

PROVEN_TIMES: t.Final = 2.0


def inspect(
    snapshot: Snapshot, service: ServiceRef, description: Mapping[str, t.Any] | None, versions: Mapping[str, float]
) -> Iterator[Finding]:
    """Yield what is wrong with autoscaling, and with the capacity of the versions a change gives more requests.

    versions: version -> percent it would get; empty when there is no change to judge.
    """
    if snapshot.destination_rules is None or snapshot.deployments is None:
        return
    subsets = find.subsets(snapshot, service)
    for labels in subsets.values():
        for deployment in workloads.deployments_of(snapshot, service, labels) or ():
            hpa = workloads.hpa_of(snapshot, deployment)
            if hpa is not None:
                yield from _autoscaler(snapshot, service, labels, deployment, hpa)
    if snapshot.pods is not None and description is not None:
        now = {version: float(percent) for version, percent in description["weights"].items() if percent}
        for version, percent in versions.items():
            if version in subsets:
                yield from _capacity(snapshot, service, subsets, now, version, percent)


def _autoscaler(
    snapshot: Snapshot, service: ServiceRef, labels: Mapping[str, str], deployment: Object, hpa: Object
) -> Iterator[Finding]:
    lacking = _containers_without_request(snapshot, service, labels, deployment)
    if lacking and _needs_all_requests(hpa):
        yield Finding(
            "HPA_WITHOUT_CPU_REQUEST",
            label(hpa),
            f"It scales {label(deployment)} by CPU in percent of the request, but {', '.join(lacking)} requests none: "
            "the HPA cannot compute and never scales.",
            f"Set the request: kubectl -n {service.namespace} set resources deployment {identity(deployment)[1]} "
            f"-c {lacking[0]} --requests=cpu=100m"
            + ("; for the sidecar use the annotation sidecar.istio.io/proxyCPU." if pods.PROXY in lacking else "."),
        )
    for condition in (hpa.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "ScalingActive" and condition.get("status") == "False":
            reason = f"{condition.get('reason')}: {str(condition.get('message')).rstrip('.')}"
            yield Finding("HPA_NOT_SCALING", label(hpa), f"It says that it cannot scale: {reason}.")


def _needs_all_requests(hpa: Object) -> bool:
    """A Resource metric sums all containers; a ContainerResource metric looks at one."""
    return any(metric.get("type") == "Resource" for metric in workloads.cpu_metrics(hpa))


def _containers_without_request(
    snapshot: Snapshot, service: ServiceRef, labels: Mapping[str, str], deployment: Object
) -> list[str]:
    """Pods tell more than the template: they have what was injected."""
    samples = [pod for pod in pods.of_service(snapshot, service, labels) or () if pods.is_alive(pod)][:1]
    template = (deployment.get("spec") or {}).get("template") or {}
    return [
        str(one.get("name")) for one in pods.containers(samples[0] if samples else template) if not _requests_cpu(one)
    ]


def _requests_cpu(container: Object) -> bool:
    resources = container.get("resources") or {}
    return bool((resources.get("requests") or {}).get("cpu") or (resources.get("limits") or {}).get("cpu"))


def _capacity(
    snapshot: Snapshot,
    service: ServiceRef,
    subsets: Mapping[str, Mapping[str, str]],
    now: Mapping[str, float],
    version: str,
    percent: float,
) -> Iterator[Finding]:
    ready = _ready(snapshot, service, subsets[version])
    if not ready or percent <= now.get(version, 0):
        return
    largest = max(now, key=lambda one: now[one], default="")
    carrier = _scaling(snapshot, service, subsets.get(largest, {}))
    load = Load(_ready(snapshot, service, subsets.get(largest, {})), carrier.cpu if carrier else None)
    where = f"Version {version} of {service.name}"
    if carrier and carrier.cpu is not None and carrier.cpu_target:
        needed = pods_needed(percent, now[largest], load, carrier.cpu_target, headroom=1.0)
        own = _scaling(snapshot, service, subsets[version])
        most = max(ready, own.maximum if own else 0)
        reason = (
            f"{percent:g}% of requests need {needed} pods at {carrier.cpu_target}% CPU by what {largest} measures now"
        )
        if needed > most:
            yield Finding(
                "CAPACITY_BELOW_SHARE", where, f"{reason}; {ready} are ready and {most} is the most it may have."
            )
        elif needed > ready:
            yield Finding("CAPACITY_NOT_YET", where, f"{reason}; {ready} are ready, its HPA may start up to {most}.")
        return
    proven = max((now[one] / max(1, _ready(snapshot, service, subsets.get(one, {}))) for one in now), default=0.0)
    if proven and percent / ready > PROVEN_TIMES * proven:
        wanted = -int(-percent // (PROVEN_TIMES * proven))
        own = _scaling(snapshot, service, subsets[version])
        yield Finding(
            "CAPACITY_NOT_YET" if own and own.maximum >= wanted else "CAPACITY_BELOW_SHARE",
            where,
            f"With {ready} ready pods each would get {percent / ready:.3g}% of requests, more than twice the "
            f"{proven:.3g}% that a pod of {service.name} gets today; {wanted} pods would keep it below that.",
        )


def _ready(snapshot: Snapshot, service: ServiceRef, labels: Mapping[str, str]) -> int:
    return pods.ready(pods.of_service(snapshot, service, labels) or ())


def _scaling(snapshot: Snapshot, service: ServiceRef, labels: Mapping[str, str]) -> workloads.Scaling | None:
    for deployment in workloads.deployments_of(snapshot, service, labels) or ():
        hpa = workloads.hpa_of(snapshot, deployment)
        if hpa is not None:
            return workloads.scaling(hpa)
    return None
