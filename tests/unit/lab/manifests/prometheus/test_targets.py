# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The targets that Prometheus gets over HTTP service discovery."""

from __future__ import annotations

from lab.manifests.prometheus import targets


def test_targets_are_the_proxy_ports_of_pods_with_an_address() -> None:
    port = {"name": "http-envoy-prom", "containerPort": 15090}
    pod = {
        "metadata": {
            "name": "reviews-v1-7d9f-x",
            "namespace": "shop",
            "labels": {"app": "reviews", "app.kubernetes.io/name": "reviews"},
            "ownerReferences": [{"name": "reviews-v1-7d9f", "controller": True}],
        },
        "spec": {
            "initContainers": [{"name": "istio-proxy", "ports": [port]}],
            "containers": [{"name": "app", "ports": [{"name": "http", "containerPort": 9080}]}],
        },
        "status": {"podIP": "10.0.0.7", "phase": "Running"},
    }
    (found,) = targets.targets([pod])
    assert found["targets"] == ["10.0.0.7:15090"]
    assert found["labels"] == {
        "__meta_kubernetes_pod_label_app": "reviews",
        "__meta_kubernetes_pod_label_app_kubernetes_io_name": "reviews",
        "__meta_kubernetes_pod_container_port_name": "http-envoy-prom",
        "__meta_kubernetes_pod_phase": "Running",
        "__meta_kubernetes_namespace": "shop",
        "__meta_kubernetes_pod_name": "reviews-v1-7d9f-x",
        "__meta_kubernetes_pod_controller_name": "reviews-v1-7d9f",
    }
    assert targets.targets([{**pod, "status": {"phase": "Pending"}}]) == []
