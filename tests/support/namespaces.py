# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Namespaces that one test after another has to itself, emptied in between.

To delete a namespace costs the API server and its controllers half a second of a processor, which looks for objects of
every kind there is. To delete the objects that a test can leave costs a tenth of that.
"""

from __future__ import annotations

import collections
import secrets
import typing as t

from .kube import path_of

if t.TYPE_CHECKING:
    from .kube import Kube

LABELS = {"istio-injection": "enabled"}
KINDS = (
    ("networking.istio.io/v1", "VirtualService"),
    ("networking.istio.io/v1", "DestinationRule"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("gateway.networking.k8s.io/v1beta1", "ReferenceGrant"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("batch/v1", "Job"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("v1", "Pod"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("v1", "ServiceAccount"),
    ("v1", "Event"),
    ("coordination.k8s.io/v1", "Lease"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("gateway.networking.k8s.io/v1", "GRPCRoute"),
)
"""What a test or the collection may create in a namespace, owners before what they own."""
CONTROLLED = KINDS[5:9]
KEPT = {"ConfigMap": ("kube-root-ca.crt", "istio-ca-root-cert"), "ServiceAccount": ("default",)}


class Namespaces:
    """take: an empty namespace with sidecar injection. give_back: empty it for another test. delete: all of them."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._created: list[str] = []
        self._free: collections.deque[str] = collections.deque()

    def take(self) -> str:
        while len(self._free) > 2:  # the oldest: controllers need a moment for what they own
            name = self._free.popleft()
            if not self._used(name):
                return name
        name = f"api-{secrets.token_hex(4)}"
        self._kube.create_namespace(name, labels=LABELS)
        self._created.append(name)
        return name

    def give_back(self, name: str) -> None:
        labels = self._kube.request("GET", f"/api/v1/namespaces/{name}")["metadata"]["labels"]
        wanted = {**dict.fromkeys(labels), "kubernetes.io/metadata.name": name, **LABELS}
        if wanted != labels:
            self._kube.patch("v1", "Namespace", name, None, {"metadata": {"labels": wanted}})
        for version, kind in KINDS:
            kept = ",".join(f"metadata.name!={one}" for one in KEPT.get(kind, ()))
            query = {"propagationPolicy": "Background", "fieldSelector": kept}
            self._kube.request("DELETE", path_of(version, kind, None, name), query=query)
        self._free.append(name)

    def delete(self) -> None:
        for name in self._created:
            self._kube.delete_namespace(name)

    def _used(self, name: str) -> bool:
        return any(self._kube.list(version, kind, name) for version, kind in CONTROLLED)
