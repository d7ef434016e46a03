# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Preflight: are there pods enough for the share, and will there be? Pure.

Two questions. Where an HPA measures CPU, its own formula says how many pods a share needs: more than the HPA may
start is an error, more than are ready now a warning. Where nothing is measured only proportion is left: if a pod would
get over twice the share that any pod carries today, nobody has seen a pod carry that, and it is an error. A cohort's
share is one of an unknown number of requests, so it never is more than a warning.
"""

from __future__ import annotations

import typing as t

from ..findings import Finding
from ..istio import find
from ..objects import pods, workloads
from ..objects.metadata import full_name, identity
from ..objects.pod_counts import Load, pods_needed
from ..routing import overview
from . import scaling_ownership
from .request_shares import largest, of_all, of_cohorts

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..objects.hosts import ServiceRef
    from ..objects.metadata import Object
    from ..objects.snapshot import Snapshot
    from ..routing.overview import Place
    from .request_shares import Shares

    Places = Mapping[str, Place]

PROVEN_TIMES: t.Final = 2.0


def inspect(
    snapshot: Snapshot,
    service: ServiceRef,
    description: Mapping[str, t.Any] | None,
    more: Shares,
    later: Mapping[str, t.Any] | None = None,
) -> Iterator[Finding]:
    """Yield what is wrong with autoscaling, and with the capacity of the versions a change gives more requests.

    description, later: the routes as they are and as they will be. more: split -> version -> percent it would get;
    empty when there is no change to judge.
    """
    described = later or description
    if snapshot.deployments is None:
        return
    places = _places(snapshot, service, described)
    for owner, labels in places.values():
        for deployment in workloads.deployments_of(snapshot, owner, labels) or ():
            hpa = workloads.hpa_of(snapshot, deployment)
            yield from scaling_ownership.inspect((deployment, hpa))
            if hpa is not None:
                yield from _autoscaler(snapshot, owner, labels, deployment, hpa)
    if snapshot.pods is None or description is None:
        return
    now = {version: float(percent) for version, percent in description["weights"].items() if percent}
    judged = _Capacity(snapshot, service, places, now)
    for version, percent in largest(of_all(more)).items():
        yield from judged.of_all(version, percent)
    for cohort, versions in of_cohorts(more).items():
        for version, percent in versions.items():
            yield from judged.of_cohort(cohort, version, percent)


def _places(snapshot: Snapshot, service: ServiceRef, description: Mapping[str, t.Any] | None) -> Places:
    """A version's pods are those of a subset, or those of the version's own Service."""
    if description is not None:
        return overview.places(service, description)
    if snapshot.destination_rules is None:
        return {}
    return {version: (service, labels) for version, labels in find.subsets(snapshot, service).items()}


def _autoscaler(
    snapshot: Snapshot, service: ServiceRef, labels: Mapping[str, str], deployment: Object, hpa: Object
) -> Iterator[Finding]:
    lacking = _containers_without_request(snapshot, service, labels, deployment)
    if lacking and _needs_all_requests(hpa):
        yield Finding(
            "HPA_WITHOUT_CPU_REQUEST",
            full_name(hpa),
            f"It scales {full_name(deployment)} by CPU in percent of the request, but {', '.join(lacking)} "
            "requests none, so the HPA cannot compute the utilization and never scales.",
            f"Set the request: kubectl -n {service.namespace} set resources deployment {identity(deployment)[1]} "
            f"-c {lacking[0]} --requests=cpu=100m"
            + ("; for the sidecar use the annotation sidecar.istio.io/proxyCPU." if pods.PROXY in lacking else "."),
        )
    for condition in (hpa.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "ScalingActive" and condition.get("status") == "False":
            reason = f"{condition.get('reason')}: {str(condition.get('message')).rstrip('.')}"
            yield Finding("HPA_NOT_SCALING", full_name(hpa), f"It reports that it cannot scale: {reason}.")


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


class _Capacity:
    """What the pods carry now, and whether they could carry more. now: version -> percent of all requests."""

    def __init__(self, snapshot: Snapshot, service: ServiceRef, places: Places, now: Mapping[str, float]) -> None:
        self._snapshot, self._service, self._places, self._now = snapshot, service, places, now

    def of_all(self, version: str, percent: float) -> Iterator[Finding]:
        """Yield what is wrong if the version gets `percent` of all requests."""
        judged = self._judge(version, percent)
        if judged:
            enough, reason = judged
            code = "CAPACITY_NOT_YET" if enough else "CAPACITY_BELOW_SHARE"
            yield Finding(code, f"Version {version} of {self._service.name}", reason)

    def of_cohort(self, cohort: str, version: str, percent: float) -> Iterator[Finding]:
        """Yield a warning if the version could not carry `percent` of a cohort to which every request belongs."""
        judged = self._judge(version, percent)
        if judged and not judged[0]:
            yield Finding(
                "CAPACITY_OF_COHORT",
                f"Version {version} of {self._service.name}",
                f"It gets {percent:g}% of cohort {cohort}; how many requests that is, is not known. If all belonged to "
                f"it: {judged[1][0].lower()}{judged[1][1:]}",
            )

    def _judge(self, version: str, percent: float) -> tuple[bool, str] | None:
        """Return whether its HPA may still start the pods needed, and why they are; None if those ready suffice."""
        ready = self._ready(version)
        if not ready or percent <= self._now.get(version, 0):
            return None
        largest_now = max(self._now, key=lambda one: self._now[one], default="")
        carrier, own = self._scaling(largest_now), self._scaling(version)
        if carrier and carrier.cpu is not None and carrier.cpu_target:
            load = Load(self._ready(largest_now), carrier.cpu)
            needed = pods_needed(percent, self._now[largest_now], load, carrier.cpu_target, headroom=1.0)
            most = max(ready, own.maximum if own else 0)
            if needed <= ready:
                return None
            return needed <= most, (
                f"{percent:g}% of requests need {needed} pods at {carrier.cpu_target}% CPU by what {largest_now} "
                f"measures now; {ready} are ready and {most} is the most it may have."
            )
        proven = max((share / max(1, self._ready(one)) for one, share in self._now.items()), default=0.0)
        if not proven or percent / ready <= PROVEN_TIMES * proven:
            return None
        wanted = -int(-percent // (PROVEN_TIMES * proven))
        return bool(own and own.maximum >= wanted), (
            f"With {ready} ready pods each would get {percent / ready:.3g}% of requests, more than twice the "
            f"{proven:.3g}% that a pod of {self._service.name} gets today; {wanted} pods would keep it below that."
        )

    def _ready(self, version: str) -> int:
        if version not in self._places:
            return 0
        owner, labels = self._places[version]
        return pods.count_ready(pods.of_service(self._snapshot, owner, labels) or ())

    def _scaling(self, version: str) -> workloads.Scaling | None:
        if version not in self._places:
            return None
        owner, labels = self._places[version]
        for deployment in workloads.deployments_of(self._snapshot, owner, labels) or ():
            hpa = workloads.hpa_of(self._snapshot, deployment)
            if hpa is not None:
                return workloads.scaling(hpa)
        return None
