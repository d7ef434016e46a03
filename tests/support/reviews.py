# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A healthy `reviews` with v1 at 90 and v2 at 10, as the API server returns it, for tests to break one thing."""

from __future__ import annotations

import copy
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping

Object = dict[str, t.Any]

NAMESPACE = "bookinfo"


def healthy(namespace: str = NAMESPACE) -> dict[str, list[Object]]:
    """Return the lists of a Snapshot, by plural; every call makes new ones."""
    return {
        "virtual_services": [virtual_service(namespace)],
        "destination_rules": [destination_rule(namespace)],
        "http_routes": [],
        "gateways": [],
        "services": [service(namespace)],
        "pods": [
            *(pod(f"reviews-v1-{one}", {"app": "reviews", "version": "v1"}, namespace) for one in "abc"),
            pod("reviews-v2-a", {"app": "reviews", "version": "v2"}, namespace),
            pod("productpage-v1-a", {"app": "productpage", "version": "v1"}, namespace),
        ],
        "deployments": [deployment("reviews-v1", 3, namespace), deployment("reviews-v2", 1, namespace)],
        "hpas": [hpa("reviews-v1", namespace), hpa("reviews-v2", namespace)],
        "namespaces": [obj("v1", "Namespace", namespace, "", labels={"istio-injection": "enabled"})],
    }


def obj(version: str, kind: str, name: str, namespace: str, **metadata: t.Any) -> Object:
    """Return the frame of an object."""
    place = {"namespace": namespace} if namespace else {}
    created = {"creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **place, **created, **metadata}}


def destination(version: str | None, weight: int | None = None, host: str = "reviews") -> Object:
    """Return one entry of a route."""
    entry: Object = {"destination": {"host": host, **({"subset": version} if version else {})}}
    return entry if weight is None else {**entry, "weight": weight}


def virtual_service(
    namespace: str = NAMESPACE, weights: Mapping[str, int] | None = None, name: str = "reviews", **spec: t.Any
) -> Object:
    """Return a VirtualService for the host `reviews`; spec overrides its fields."""
    entries = [destination(version, weight) for version, weight in (weights or {"v1": 90, "v2": 10}).items()]
    frame = obj("networking.istio.io/v1", "VirtualService", name, namespace)
    return {**frame, "spec": {"hosts": ["reviews"], "http": [{"route": entries}], **spec}}


def destination_rule(
    namespace: str = NAMESPACE, versions: tuple[str, ...] = ("v1", "v2"), name: str = "reviews", host: str = "reviews"
) -> Object:
    """Return a DestinationRule with a subset per version."""
    frame = obj("networking.istio.io/v1", "DestinationRule", name, namespace)
    subsets = [{"name": version, "labels": {"version": version}} for version in versions]
    return {**frame, "spec": {"host": host, "subsets": subsets}}


def service(namespace: str = NAMESPACE, **port: t.Any) -> Object:
    """Return the Service; port overrides the fields of its only port."""
    ports = [{"port": 9080, "name": "http", "protocol": "TCP", **port}]
    return {**obj("v1", "Service", "reviews", namespace), "spec": {"selector": {"app": "reviews"}, "ports": ports}}


def pod(
    name: str, labels: Mapping[str, str], namespace: str = NAMESPACE, *, ready: bool = True, sidecar: bool = True
) -> Object:
    """Return a running pod whose containers request CPU."""
    names = ["app", *(["istio-proxy"] if sidecar else [])]
    containers = [{"name": one, "resources": {"requests": {"cpu": "100m"}}} for one in names]
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    return {
        **obj("v1", "Pod", name, namespace, labels=dict(labels)),
        "spec": {"containers": containers},
        "status": status,
    }


def deployment(name: str, replicas: int, namespace: str = NAMESPACE) -> Object:
    """Return the Deployment of `app-version`."""
    app, version = name.rsplit("-", 1)
    shutdown = {"preStop": {"sleep": {"seconds": 5}}}
    container = {"name": "app", "resources": {"requests": {"cpu": "100m"}}, "lifecycle": shutdown}
    template = {"metadata": {"labels": {"app": app, "version": version}}, "spec": {"containers": [container]}}
    return {**obj("apps/v1", "Deployment", name, namespace), "spec": {"replicas": replicas, "template": template}}


def hpa(deployment_name: str, namespace: str = NAMESPACE, *, cpu: int | None = 20, maximum: int = 10) -> Object:
    """Return an HPA for 50 % CPU; cpu: what it measures now, None if it cannot."""
    target = {"type": "Utilization", "averageUtilization": 50}
    measured = {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": cpu}}}
    return {
        **obj("autoscaling/v2", "HorizontalPodAutoscaler", deployment_name, namespace),
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": deployment_name},
            "minReplicas": 1,
            "maxReplicas": maximum,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
        "status": {"currentReplicas": 1, "desiredReplicas": 1, "currentMetrics": [measured] if cpu is not None else []},
    }


def changed(original: Object, **parts: t.Any) -> Object:
    """Return a deep copy with `metadata`, `spec` or `status` updated by what is given."""
    copied = copy.deepcopy(original)
    for part, values in parts.items():
        copied.setdefault(part, {}).update(values)
    return copied
