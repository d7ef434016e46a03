# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores a shop to the state in which it was deployed: a new one costs most of a minute."""

from __future__ import annotations

import typing as t

from .direct import ISTIO, Direct, essence

if t.TYPE_CHECKING:
    from .kube import Kube, Object
    from .shop import Shop

ROUTES = (
    (ISTIO, "VirtualService"),
    (ISTIO, "DestinationRule"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("v1", "Service"),
)
RECORDS = (("v1", "ConfigMap"), ("coordination.k8s.io/v1", "Lease"))
DEPLOYMENT = ("apps/v1", "Deployment")


class ShopState:
    """The routes, Services and Deployments of the shop at the time of creation."""

    def __init__(self, shop: Shop, kube: Kube, kubeconfig: str) -> None:
        self._shop, self._kube = shop, kube
        self._direct = Direct(kubeconfig, shop.namespace)
        self._routes = {kind: self._read(*kind) for kind in ROUTES}
        self._deployments = self._read(*DEPLOYMENT)

    def restore(self) -> None:
        """Restore routes, Services and Deployments, delete records, and wait until the proxies have the routes."""
        for version, kind in RECORDS:
            for name in self._read(version, kind):
                if name.startswith("canary-"):
                    self._kube.delete(version, kind, name, self._shop.namespace)
        for (version, kind), wanted in self._routes.items():
            self._restore_routes(version, kind, wanted)
        self._restore_deployments()
        self._direct("weight", weights={"v1": 100}, force=["CAPACITY_BELOW_SHARE"])

    def _read(self, version: str, kind: str) -> dict[str, Object]:
        found = self._kube.list(version, kind, self._shop.namespace)
        return {one["metadata"]["name"]: t.cast("Object", essence(one)) for one in found}

    def _restore_routes(self, version: str, kind: str, wanted: dict[str, Object]) -> None:
        there = self._read(version, kind)
        for name in there.keys() - wanted.keys():
            self._kube.delete(version, kind, name, self._shop.namespace)
        for name, one in wanted.items():
            if there.get(name) != one:
                self._kube.delete(version, kind, name, self._shop.namespace)
                self._kube.apply({"apiVersion": version, "kind": kind, **one}, namespace=self._shop.namespace)

    def _restore_deployments(self) -> None:
        there = self._read(*DEPLOYMENT)
        changed = []
        for name, one in self._deployments.items():
            fields = [
                key for key in ("replicas", "template", "strategy") if there[name]["spec"][key] != one["spec"][key]
            ]
            if fields:
                body = [{"op": "replace", "path": f"/spec/{key}", "value": one["spec"][key]} for key in fields]
                path = f"/apis/apps/v1/namespaces/{self._shop.namespace}/deployments/{name}"
                self._kube.request("PATCH", path, body, content_type="application/json-patch+json")
                changed.append(name)
        self._kube.wait_available(changed, self._shop.namespace)
        pods = sum(one["spec"]["replicas"] for one in self._deployments.values())
        # By label: the pod of a Job that watched a rollout stays for its log.
        self._kube.wait_until(
            lambda: len(self._kube.list("v1", "Pod", self._shop.namespace, selector="app,version")) == pods,
            90,
            "no leftover pod",
        )
