# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Service and Deployments behind it, as snapshots for the plans of canaries by pods."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot

Object = dict[str, t.Any]
SHOP = ServiceRef("shop", "books")


def deployment(name: str, pods: int | None = 3, image: str = "shop:1", **own: str) -> Object:
    selected = {"app": "shop", **own}
    template = {
        "metadata": {
            "labels": {**selected, "team": "reading"},
            "annotations": {"kubectl.kubernetes.io/default-container": "shop"},
        },
        "spec": {"containers": [{"name": "shop", "image": image}, {"name": "helper", "image": "helper:9"}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "books", "generation": 4, "resourceVersion": "77"},
        "spec": {"replicas": pods, "selector": {"matchLabels": selected}, "template": template},
    }


def snapshot(*deployments: Object, selector: dict[str, str] | None = None, hpas: tuple[Object, ...] = ()) -> Snapshot:
    front = {
        "kind": "Service",
        "metadata": {"name": "shop", "namespace": "books"},
        "spec": {"selector": {"app": "shop"} if selector is None else selector},
    }
    return Snapshot(services=(front,), deployments=deployments, hpas=hpas)


STABLE = deployment("shop", track="stable")


def owned_pod(
    owner: str, template: str, own: str, *, ready: bool = True, since: str = "2026-11-22T12:00:00Z", **labels: str
) -> Object:
    """Return a pod as a Deployment's ReplicaSet makes it. since: when it became ready or ceased to be."""
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": since}
    metadata = {
        "name": f"{owner}-{template}-{own}",
        "namespace": "books",
        "labels": {"app": "shop", "pod-template-hash": template, **labels},
        "ownerReferences": [{"kind": "ReplicaSet", "name": f"{owner}-{template}", "controller": True}],
    }
    return {"metadata": metadata, "spec": {}, "status": {"phase": "Running", "conditions": [condition]}}
