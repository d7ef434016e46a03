# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deployments of reviews whose pods stay pending: the controller works, and no pod starts."""

from __future__ import annotations

import typing as t

from support.direct import essence

if t.TYPE_CHECKING:
    from support.kube import Kube

Object = dict[str, t.Any]
APPS = "apps/v1"
OLD, NEW = "shop.invalid/reviews:1.14.2", "shop.invalid/reviews:1.16.1"
QUICK: Object = {"wait": False}


def deployment(name: str = "reviews", *, pods: int = 3, **labels: str) -> Object:
    own = {"app": "reviews", **(labels or {"track": "stable"})}
    container = {"name": "reviews", "image": OLD, "env": [{"name": "COLOUR", "value": "red"}]}
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 2}}
    template = {
        "metadata": {"labels": own, "annotations": {"sidecar.istio.io/inject": "false"}},
        "spec": {"nodeSelector": {"meshops.io/none": "such"}, "containers": [container], "hostname": "kept"},
    }
    spec = {"replicas": pods, "minReadySeconds": 1, "strategy": strategy, "selector": {"matchLabels": own}}
    metadata = {"name": name, "annotations": {"team": "reading"}}
    return {"apiVersion": APPS, "kind": "Deployment", "metadata": metadata, "spec": {**spec, "template": template}}


def versioned(version: str, pods: int) -> Object:
    """Return the Deployment of a version of reviews as a mesh has it, whose pods no scheduler takes."""
    labels = {"app": "reviews", "version": version}
    container = {"name": "reviews", "image": "none", "resources": {"requests": {"cpu": "1m"}}}
    pod = {"schedulerName": "nobody", "containers": [container]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"reviews-{version}"},
        "spec": {
            "replicas": pods,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def autoscaler(name: str, minimum: int = 3, maximum: int = 10) -> Object:
    target = {"apiVersion": APPS, "kind": "Deployment", "name": name}
    spec = {"scaleTargetRef": target, "minReplicas": minimum, "maxReplicas": maximum}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": spec}


def stored(kube: Kube, namespace: str, name: str = "reviews") -> Object | None:
    """Return what the authors of a Deployment wrote; None if there is none."""
    found = essence(kube.get(APPS, "Deployment", name, namespace))
    if found:
        found.pop("status", None)
        found["metadata"]["annotations"].pop("deployment.kubernetes.io/revision", None)
    return found
