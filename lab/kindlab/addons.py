# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Install metrics-server, which the HPA needs, and Prometheus, which the analysis of a canary needs."""

from __future__ import annotations

import hashlib
import json
import pathlib
import typing as t

from . import images, pods, progress
from .errors import LabError

if t.TYPE_CHECKING:
    from .lab import Lab

MANIFESTS = pathlib.Path(__file__).resolve().parent.parent / "manifests"
PUBLISHED_METRICS_SERVER = "registry.k8s.io/metrics-server/metrics-server:v0.8.0"
PUBLISHED_PROMETHEUS = "docker.io/prom/prometheus:v2.53.4"
READY_SECONDS = 120
KUBERNETES_DISCOVERY = "kubernetes_sd_configs: [{role: pod}]"
HTTP_DISCOVERY = "http_sd_configs: [{url: 'http://prometheus-targets.istio-system', refresh_interval: 2s}]"


def install(lab: Lab) -> None:
    """Install both and wait for their pods; safe to repeat."""
    with progress.step("Install metrics-server and Prometheus", lab.logs) as step:
        # Prometheus may be installed before Istio.
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}}
        for text in (json.dumps(namespace), *manifests(pulled=lab.images_mode == "pull")):
            step.note(lab.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=text))
        pods.wait_ready(lab, "kube-system", ["metrics-server"], READY_SECONDS)
        pods.wait_ready(lab, "istio-system", ["prometheus"], READY_SECONDS)


def manifests(*, pulled: bool) -> list[str]:
    """Return the manifests in the order to apply, as YAML or JSON.

    pulled: published images, Kubernetes service discovery, no derived metrics, because Istio's own proxies count them.
    """
    data = configuration(pulled=pulled)
    values = {
        "@METRICS_SERVER@": PUBLISHED_METRICS_SERVER if pulled else images.METRICS_SERVER,
        "@PROMETHEUS@": PUBLISHED_PROMETHEUS if pulled else images.PROMETHEUS,
        # A changed configuration replaces the pods, because the programs read their files at the start.
        "@CONFIGURATION_HASH@": hashlib.sha256(json.dumps(data).encode()).hexdigest()[:16],
    }
    names = ["metrics-server.yaml", "prometheus.yaml"] + ([] if pulled else ["prometheus-targets.yaml"])
    metadata = {"name": "prometheus", "namespace": "istio-system"}
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    return [json.dumps(config_map), *(_render(MANIFESTS / name, values) for name in names)]


def configuration(*, pulled: bool) -> dict[str, str]:
    """Return the files of Prometheus and its target server: name -> content."""
    files = MANIFESTS / "prometheus"
    discovery = KUBERNETES_DISCOVERY if pulled else HTTP_DISCOVERY
    data = {"prometheus.yaml": _render(files / "prometheus.yaml", {"@DISCOVERY@": discovery})}
    if not pulled:
        data |= {name: (files / name).read_text() for name in ("rules-stock-envoy.yaml", "targets.py")}
    return data


def _render(path: pathlib.Path, values: dict[str, str]) -> str:
    text = path.read_text()
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    if "@" in text:
        raise LabError(f"{path.name} has a placeholder between @ signs without a value")
    return text
