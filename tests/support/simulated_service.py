# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A service whose pods no scheduler takes and whose status the test writes, as a kubelet would."""

from __future__ import annotations

import functools
import typing as t

from .direct import ISTIO
from .kube import path_of

if t.TYPE_CHECKING:
    from .kube import Kube
    from .namespaces import Namespaces


class SimulatedService:
    """The service reviews of a namespace. elsewhere: a namespace of callers, taken when it is first used."""

    def __init__(self, kube: Kube, namespace: str, namespaces: Namespaces) -> None:
        self.kube, self.namespace, self._namespaces = kube, namespace, namespaces

    @functools.cached_property
    def elsewhere(self) -> str:
        return self._namespaces.take()

    def close(self) -> None:
        if "elsewhere" in self.__dict__:
            self._namespaces.give_back(self.elsewhere)

    def apply(self, *objects: dict[str, t.Any], namespace: str | None = None) -> None:
        self.kube.apply(*objects, namespace=namespace or self.namespace)

    def pod(self, name: str, app: str, version: str, *, ready: bool = True, **labels: str) -> None:
        """Create a pod that the cluster believes to be running."""
        metadata = {"name": name, "labels": {"app": app, "version": version, **labels}}
        container = {"name": "app", "image": "none", "resources": {"requests": {"cpu": "1m"}}}
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": metadata,
                "spec": {"schedulerName": "nobody", "containers": [container]},
            }
        )
        path = f"/api/v1/namespaces/{self.namespace}/pods/{name}/status"
        condition = {"type": "Ready", "status": "True" if ready else "False"}
        status = {"status": {"phase": "Running", "conditions": [condition]}}
        self.kube.request("PATCH", path, status, content_type="application/strategic-merge-patch+json")

    def label(self, **labels: str | None) -> None:
        """Set labels of the namespace; None removes one. Two underscores stand for a dot, three for a slash."""
        named = {name.replace("___", "/").replace("__", ".").replace("_", "-"): value for name, value in labels.items()}
        self.kube.patch("v1", "Namespace", self.namespace, None, {"metadata": {"labels": named}})

    def edit(self, kind: str, **metadata: t.Any) -> None:
        """Change the metadata of the routing object `reviews`."""
        self.kube.patch(ISTIO, kind, "reviews", self.namespace, {"metadata": metadata})

    def write_as(self, manager: str, kind: str) -> None:
        """Let another program write a label of the routing object `reviews`."""
        path = path_of(ISTIO, kind, "reviews", self.namespace)
        query, body = {"fieldManager": manager}, {"metadata": {"labels": {"written": "yes"}}}
        self.kube.request("PATCH", path, body, query=query, content_type="application/merge-patch+json")
