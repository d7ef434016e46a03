# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Istio's own metrics as its proxies write them, with all their labels; the lab's stock Envoy has none of these.

What a calling proxy knows of the pod depends on the answer. With one, it has the labels that the pod's proxy sent.
Without one, it has the workload, canonical service and canonical revision from istiod. A request that was sent to no
pod has the service only.
"""

from __future__ import annotations

import typing as t

SERVICE = "reviews.shop.svc.cluster.local"
Known = t.Literal["answer", "endpoint", "nothing"]


def labels(version: str, code: int | str = 200, known: Known = "answer", **own: str) -> dict[str, str]:
    """Return the labels of `istio_requests_total` for calls of productpage to a pod of reviews-VERSION.

    version: the pod's label `version`. own: labels that are otherwise, such as response_flags, or are removed (empty).
    """
    workload = {
        "destination_workload": f"reviews-{version}",
        "destination_workload_namespace": "shop",
        "destination_canonical_service": "reviews",
        "destination_canonical_revision": version,
        "destination_cluster": "Kubernetes",
        "destination_service_namespace": "shop",
    }
    if known == "nothing":
        workload = {**dict.fromkeys(workload, "unknown"), "destination_canonical_revision": "latest"}
    answered = known == "answer"
    principal = "spiffe://cluster.local/ns/shop/sa/{}"
    found = {
        "reporter": "source",
        "source_workload": "productpage-v1",
        "source_workload_namespace": "shop",
        "source_principal": principal.format("productpage") if answered else "unknown",
        "source_app": "productpage",
        "source_version": "v1",
        "source_canonical_service": "productpage",
        "source_canonical_revision": "v1",
        "source_cluster": "Kubernetes",
        **workload,
        "destination_principal": principal.format("reviews") if answered else "unknown",
        "destination_app": "reviews" if answered else "unknown",
        "destination_version": version if answered else "unknown",
        "destination_service": SERVICE,
        "destination_service_name": "reviews",
        "request_protocol": "grpc" if own.get("grpc_response_status") else "http",
        "response_code": str(code),
        "grpc_response_status": "",
        "response_flags": "-",
        "connection_security_policy": "unknown",
    }
    return {name: value for name, value in (found | own).items() if value or name == "grpc_response_status"}


def counted(number: float, version: str, code: int | str = 200, known: Known = "answer", **own: str) -> str:
    """Return one line of a proxy's page, with the labels of `labels`."""
    text = ",".join(f'{name}="{value}"' for name, value in labels(version, code, known, **own).items())
    return f"istio_requests_total{{{text}}} {number}\n"


def envoy_counted(number: float, version: str, code: int | str = 200) -> str:
    """Return Envoy's own counter of the same requests, which a pod's annotations may enable."""
    text = f'cluster_name="outbound|9080|{version}|{SERVICE}",response_code="{code}"'
    return f"envoy_cluster_upstream_rq{{{text}}} {number}\n"
