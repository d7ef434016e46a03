# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A service of gRPC on the mesh, a version for each status that it answers, and a caller with a sidecar."""

from __future__ import annotations

import json
import pathlib
import threading
import time
import typing as t

import kubernetes
import kubernetes.stream

from lab.kindlab import images

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .kube import Kube, Object

PORT: t.Final = 9000
PROGRAM: t.Final = pathlib.Path(__file__).with_name("grpc_program.py")
METHOD: t.Final = "/shop.v1.Greeter/Get"
API: t.Final = "gateway.networking.k8s.io/v1"


def deployment(name: str, app: str, version: str, *command: str) -> Object:
    labels = {"app": app, "version": version}
    container = {
        "name": "app",
        "image": images.BOOKINFO,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", *command],
        "volumeMounts": [{"name": "program", "mountPath": "/program"}],
    }
    if app == "greeter":
        container["readinessProbe"] = {"tcpSocket": {"port": PORT}, "periodSeconds": 1}
    pod = {
        "containers": [container],
        "volumes": [{"name": "program", "configMap": {"name": "program"}}],
        "terminationGracePeriodSeconds": 5,
    }
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels}, "spec": spec}


def service(name: str, **selector: str) -> Object:
    spec = {"selector": {"app": "greeter", **selector}, "ports": [{"name": "grpc", "port": PORT}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def grpc_route(**weights: int) -> Object:
    """Return the route of the service, by version."""
    refs = [{"name": f"greeter-{version}", "port": PORT, "weight": weight} for version, weight in weights.items()]
    parent = {"group": "", "kind": "Service", "name": "greeter", "port": PORT}
    spec = {"parentRefs": [parent], "rules": [{"backendRefs": refs}]}
    return {"apiVersion": API, "kind": "GRPCRoute", "metadata": {"name": "greeter"}, "spec": spec}


class Greeter:
    """The service in one namespace. statuses: version -> the gRPC status of all its answers."""

    def __init__(self, kube: Kube, kubeconfig: str, namespace: str, statuses: Mapping[str, int]) -> None:
        self.namespace, self._kube = namespace, kube
        self._core = kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(kubeconfig))
        program = {"metadata": {"name": "program"}, "data": {PROGRAM.name: PROGRAM.read_text("utf-8")}}
        path = f"/program/{PROGRAM.name}"
        servers = [
            deployment(f"greeter-{version}", "greeter", version, path, "serve", str(PORT), version, str(status))
            for version, status in statuses.items()
        ]
        services = [service("greeter"), *(service(f"greeter-{version}", version=version) for version in statuses)]
        client = deployment("caller", "caller", "v1", "-c", "import time; time.sleep(1e6)")
        kube.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", **program}, *services, *servers, client, namespace=namespace
        )
        kube.wait_available([one["metadata"]["name"] for one in (*servers, client)], namespace)
        (self._caller,) = (one["metadata"]["name"] for one in kube.list("v1", "Pod", namespace, selector="app=caller"))

    def call(self, calls: int, *, rate: float = 0, method: str = METHOD, **headers: str) -> dict[str, int]:
        """Make calls from the caller's pod and return how many each version answered; none may get no message."""
        own = [f"{name.replace('_', '-')}={value}" for name, value in headers.items()]
        command = ["python3", f"/program/{PROGRAM.name}", "call", "greeter", str(PORT), method, str(calls), f"{rate:g}"]
        out = kubernetes.stream.stream(
            self._core.connect_get_namespaced_pod_exec,
            self._caller,
            self.namespace,
            container="app",
            command=[*command, *own],
            stdout=True,
            stderr=True,
            _preload_content=True,
            _request_timeout=200,
        )
        counts: dict[str, int] = {}
        for message, number in json.loads(out.replace("'", '"')).items():
            version = message.partition(" ")[0]
            counts[version] = counts.get(version, 0) + number
        return counts

    def background(self, seconds: float, rate: float) -> Load:
        """Make calls for so many seconds, or until the end of the block, in parts of two seconds."""
        return Load(self, seconds, rate)


class Load:
    """Calls in the background."""

    def __init__(self, greeter: Greeter, seconds: float, rate: float) -> None:
        self._greeter, self._rate = greeter, rate
        self._end, self._stop = time.monotonic() + seconds, threading.Event()
        self._counts: dict[str, int] = {}
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set() and time.monotonic() < self._end:
            for version, number in self._greeter.call(round(2 * self._rate), rate=self._rate).items():
                self._counts[version] = self._counts.get(version, 0) + number

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def result(self) -> dict[str, int]:
        """Return how many calls each version has answered, after the end."""
        return self._counts
