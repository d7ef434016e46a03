# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands beside the mesh: metrics-server for the HPA, Prometheus for whoever judges a version by its numbers."""

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
    """Install both and wait for them; safe to repeat."""
    with progress.step("Install metrics-server and Prometheus", lab.logs) as step:
        # Prometheus may come before Istio does.
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}}
        for text in (json.dumps(namespace), *manifests(pulled=lab.images_mode == "pull")):
            step.note(lab.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=text))
        pods.wait_ready(lab, "kube-system", ["metrics-server"], READY_SECONDS)
        pods.wait_ready(lab, "istio-system", ["prometheus"], READY_SECONDS)


def manifests(*, pulled: bool) -> list[str]:
    """What is applied, in order: YAML or JSON texts. The two ways differ in names, in how Prometheus finds the pods,
    and in the derived metrics, which belong only where the proxies do not count Istio's own."""
    data = configuration(pulled=pulled)
    values = {
        "@METRICS_SERVER@": PUBLISHED_METRICS_SERVER if pulled else images.METRICS_SERVER,
        "@PROMETHEUS@": PUBLISHED_PROMETHEUS if pulled else images.PROMETHEUS,
        # A changed configuration makes new pods, as the programs read their files at the start.
        "@CONFIGURATION_HASH@": hashlib.sha256(json.dumps(data).encode()).hexdigest()[:16],
    }
    names = ["metrics-server.yaml", "prometheus.yaml"] + ([] if pulled else ["prometheus-targets.yaml"])
    metadata = {"name": "prometheus", "namespace": "istio-system"}
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    return [json.dumps(config_map), *(_filled(MANIFESTS / name, values) for name in names)]


def configuration(*, pulled: bool) -> dict[str, str]:
    """The files that Prometheus and its helper read, by name."""
    files = MANIFESTS / "prometheus"
    discovery = KUBERNETES_DISCOVERY if pulled else HTTP_DISCOVERY
    data = {"prometheus.yaml": _filled(files / "prometheus.yaml", {"@DISCOVERY@": discovery})}
    if not pulled:
        data |= {name: (files / name).read_text() for name in ("rules-stock-envoy.yaml", "targets.py")}
    return data


def _filled(path: pathlib.Path, values: dict[str, str]) -> str:
    text = path.read_text()
    for name, value in values.items():
        text = text.replace(name, value)
    if "@" in text:
        raise LabError(f"{path.name} still has a name between @ signs that nothing fills")
    return text
