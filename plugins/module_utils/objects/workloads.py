# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A version's Deployments and their HorizontalPodAutoscalers. Pure."""

from __future__ import annotations

import typing as t

from . import pods
from .metadata import identity

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .hosts import ServiceRef
    from .metadata import Object
    from .snapshot import Snapshot


def deployments_of(snapshot: Snapshot, service: ServiceRef, labels: Mapping[str, str]) -> list[Object] | None:
    """Return the Deployments whose pods a subset with `labels` selects; None if Deployments were not read."""
    if snapshot.deployments is None:
        return None
    if service.is_outside:
        return []  # what runs outside the cluster, or is selected by a ServiceEntry, is not scaled
    fits = pods.narrowed(pods.selector_of(snapshot, service), labels)
    return [
        one
        for one in snapshot.deployments
        if identity(one)[0] == service.namespace and fits(pods.labels_of((one.get("spec") or {}).get("template") or {}))
    ]


def desired(deployment: Object) -> int:
    """Return the Deployment's replicas; the API's default is 1."""
    replicas = (deployment.get("spec") or {}).get("replicas")
    return 1 if replicas is None else int(replicas)


def ready(deployment: Object) -> int:
    """Return how many of its pods are ready."""
    return int((deployment.get("status") or {}).get("readyReplicas") or 0)


def hpa_of(snapshot: Snapshot, deployment: Object) -> Object | None:
    """Return the HPA that scales the Deployment; None if there is none, or if HPAs were not read."""
    namespace, name = identity(deployment)
    for one in snapshot.hpas or ():
        target = (one.get("spec") or {}).get("scaleTargetRef") or {}
        if identity(one)[0] == namespace and (target.get("kind"), target.get("name")) == ("Deployment", name):
            return one
    return None


class Scaling(t.NamedTuple):
    """The numbers of an HPA. cpu, cpu_target: percent of the request, None where not measured or not by CPU."""

    name: str
    current: int
    desired: int
    minimum: int
    maximum: int
    cpu: int | None
    cpu_target: int | None


def scaling(hpa: Object) -> Scaling:
    """Return the numbers of an autoscaling/v2 HPA."""
    spec, status = hpa.get("spec") or {}, hpa.get("status") or {}
    target = next((_utilization(one, "target", "averageUtilization") for one in cpu_metrics(hpa)), None)
    measured = (
        _utilization(one, "current", "averageUtilization") for one in status.get("currentMetrics") or () if _is_cpu(one)
    )
    return Scaling(
        name=identity(hpa)[1],
        current=int(status.get("currentReplicas") or 0),
        desired=int(status.get("desiredReplicas") or 0),
        minimum=int(spec.get("minReplicas") or 1),
        maximum=int(spec.get("maxReplicas") or 1),
        cpu=next((value for value in measured if value is not None), None),
        cpu_target=target,
    )


def cpu_metrics(hpa: Object) -> list[Object]:
    """Return the HPA's metrics that are CPU utilization, of the pod or of one container."""
    metrics = (hpa.get("spec") or {}).get("metrics") or ()
    return [one for one in metrics if _is_cpu(one) and _utilization(one, "target", "averageUtilization") is not None]


def _source(metric: Object) -> Object:
    return metric.get("resource") or metric.get("containerResource") or {}


def _is_cpu(metric: Object) -> bool:
    return _source(metric).get("name") == "cpu"


def _utilization(metric: Object, part: str, key: str) -> int | None:
    value = (_source(metric).get(part) or {}).get(key)
    return None if value is None else int(value)
