# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP service discovery for Prometheus: the proxies of all pods, with the labels of Kubernetes service discovery.

Debian builds Prometheus without Kubernetes service discovery. Each GET lists the pods from the cache of the API server
and returns their ports with the name PORT_NAME.
"""

from __future__ import annotations

import http.server
import json
import os
import pathlib
import re
import ssl
import typing as t
import urllib.request

PORT_NAME = "http-envoy-prom"
LISTEN = ("0.0.0.0", 8080)
ACCOUNT = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
META = "__meta_kubernetes_"


def pods() -> list[dict[str, t.Any]]:
    """Return all pods of the cluster from the cache of the API server."""
    address = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    token = (ACCOUNT / "token").read_text().strip()
    url, headers = f"{address}/api/v1/pods?resourceVersion=0", {"Authorization": f"Bearer {token}"}
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5, context=context) as answer:
        items: list[dict[str, t.Any]] = json.load(answer)["items"]
    return items


def targets(items: t.Iterable[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return the targets in Prometheus' HTTP discovery format: [{targets: [address], labels: {...}}]."""
    found = []
    for pod in items:
        address = pod.get("status", {}).get("podIP")
        spec = pod["spec"]
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            for port in container.get("ports", []):
                if address and port.get("name") == PORT_NAME:
                    found.append({"targets": [f"{address}:{port['containerPort']}"], "labels": labels(pod)})
    return found


def labels(pod: dict[str, t.Any]) -> dict[str, str]:
    meta = pod["metadata"]
    controller = next((owner["name"] for owner in meta.get("ownerReferences", []) if owner.get("controller")), "")
    names = {name: re.sub("[^a-zA-Z0-9_]", "_", name) for name in meta.get("labels", {})}
    own = {f"{META}pod_label_{names[name]}": text for name, text in meta.get("labels", {}).items()}
    return {
        **own,
        f"{META}pod_container_port_name": PORT_NAME,
        f"{META}pod_phase": pod["status"].get("phase", ""),
        f"{META}namespace": meta["namespace"],
        f"{META}pod_name": meta["name"],
        f"{META}pod_controller_name": controller,
    }


class Handler(http.server.BaseHTTPRequestHandler):
    """GET / answers with the targets, GET /health without a request to the API server."""

    wbufsize = -1

    def do_GET(self) -> None:
        value: object
        try:
            status, value = 200, {} if self.path == "/health" else targets(pods())
        except OSError as error:
            # After an error, Prometheus keeps its last list.
            status, value = 503, {"error": str(error)}
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: t.Any) -> None:
        """Do not log the requests of Prometheus, one every two seconds."""


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(LISTEN, Handler).serve_forever()
