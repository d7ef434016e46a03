# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small Kubernetes client for tests: raw dictionaries, paths made from `apiVersion` and `kind`."""

from __future__ import annotations

import json
import time
import typing as t
from urllib.parse import urlencode

from kubernetes import config

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Object = dict[str, t.Any]

PLURALS = {
    "ServiceEntry": "serviceentries",
    "WorkloadEntry": "workloadentries",
    "Canary": "canaries",
    "Gateway": "gateways",
    "Ingress": "ingresses",
    "NetworkPolicy": "networkpolicies",
    "Endpoints": "endpoints",
}
CLUSTER_WIDE = {"Namespace", "ClusterRole", "ClusterRoleBinding", "Node", "CustomResourceDefinition", "GatewayClass"}


class KubeError(AssertionError):
    """The API server refused; a test that expects it looks at `status`."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class Kube:
    """get, list, apply, patch, delete, wait; `version` is an object's apiVersion, such as `networking.istio.io/v1`."""

    def __init__(self, kubeconfig: str) -> None:
        api = config.new_client_from_config(config_file=kubeconfig)
        self.host: str = api.configuration.host
        self.pool = api.rest_client.pool_manager

    def request(
        self,
        method: str,
        path: str,
        body: t.Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> t.Any:
        """Send one request and return the decoded answer. Raises KubeError for 400 and above."""
        url = self.host + path + ("?" + urlencode(query) if query else "")
        headers = {"Accept": "application/json", "Content-Type": content_type}
        answer = self.pool.request(method, url, body=None if body is None else json.dumps(body), headers=headers)
        if answer.status >= 400:
            raise KubeError(answer.status, f"{method} {path}: {answer.data.decode()}")
        return json.loads(answer.data or b"{}")

    def get(self, version: str, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """Return the object, None when there is no such object."""
        try:
            return t.cast(Object, self.request("GET", path_of(version, kind, name, namespace)))
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    def list(self, version: str, kind: str, namespace: str | None = None, *, selector: str = "") -> list[Object]:
        """Return the objects of a kind that the label selector matches."""
        answer = self.request("GET", path_of(version, kind, None, namespace), query={"labelSelector": selector})
        return t.cast("list[Object]", answer["items"])

    def apply(self, *objects: Object, namespace: str | None = None) -> None:
        """Create or change the objects (server-side apply); `namespace` is for those that name none."""
        for item in objects:
            meta = item["metadata"]
            path = path_of(item["apiVersion"], item["kind"], meta["name"], meta.get("namespace", namespace))
            query = {"fieldManager": "tests", "force": "true"}
            self.request("PATCH", path, item, query=query, content_type="application/apply-patch+yaml")

    def patch(self, version: str, kind: str, name: str, namespace: str | None, body: Object) -> Object:
        """Change the object by a merge patch, as somebody else would between two of our steps."""
        path = path_of(version, kind, name, namespace)
        return t.cast(Object, self.request("PATCH", path, body, content_type="application/merge-patch+json"))

    def delete(self, version: str, kind: str, name: str, namespace: str | None = None) -> None:
        """Delete the object if it is there."""
        try:
            self.request("DELETE", path_of(version, kind, name, namespace), query={"propagationPolicy": "Background"})
        except KubeError as error:
            if error.status != 404:
                raise

    def create_namespace(self, name: str, labels: Mapping[str, str]) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels)}}
        self.request("POST", "/api/v1/namespaces", body)

    def delete_namespace(self, name: str) -> None:
        self.delete("v1", "Namespace", name)

    def wait_available(self, names: Iterable[str], namespace: str, seconds: float = 120) -> None:
        """Return when every Deployment named has all its replicas available."""
        for name in names:
            self.wait_until(
                lambda name=name: self._available(name, namespace), seconds, f"Deployment {namespace}/{name}"
            )

    def wait_until(self, condition: Callable[[], t.Any], seconds: float, what: str) -> t.Any:
        """Return the condition's first true value. Raises AssertionError naming `what` when time is up."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, f"{what}: not so within {seconds:.0f} s"
            time.sleep(0.25)
        return value

    def _available(self, name: str, namespace: str) -> bool:
        found = self.get("apps/v1", "Deployment", name, namespace)
        if found is None or found["status"].get("observedGeneration") != found["metadata"]["generation"]:
            return False
        wanted = found["spec"]["replicas"]
        return bool(wanted == found["status"].get("availableReplicas", 0) == found["status"].get("updatedReplicas", 0))


def path_of(version: str, kind: str, name: str | None, namespace: str | None) -> str:
    """Return the API path of an object, or of the collection of its kind when it has no name."""
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    plural = PLURALS.get(kind) or kind.lower() + "s"
    scope = "" if namespace is None or kind in CLUSTER_WIDE else f"/namespaces/{namespace}"
    return f"{root}{scope}/{plural}" + (f"/{name}" if name else "")
