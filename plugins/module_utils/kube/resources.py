# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds this collection touches, with fixed group, versions and plural: no discovery, nothing to cache.

Discovery costs a request per API group and task; the few kinds a canary needs are known beforehand. Where
an API changed its version within the supported releases both are listed, the newer first.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass


@dataclass(frozen=True)
class Resource:
    """One kind of the API. versions: the first that the server knows is used. product: who installs the API."""

    group: str
    versions: tuple[str, ...]
    plural: str
    kind: str
    namespaced: bool = True
    product: str = "Kubernetes"

    @property
    def qualified(self) -> str:
        """Return the name as roles and `kubectl auth can-i` write it: `virtualservices.networking.istio.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


def _istio(plural: str, kind: str) -> Resource:
    return Resource("networking.istio.io", ("v1", "v1beta1"), plural, kind, product="Istio")


def _gateway_api(plural: str, kind: str, versions: tuple[str, ...] = ("v1", "v1beta1")) -> Resource:
    return Resource("gateway.networking.k8s.io", versions, plural, kind, product="the Gateway API")


VIRTUAL_SERVICE: t.Final = _istio("virtualservices", "VirtualService")
DESTINATION_RULE: t.Final = _istio("destinationrules", "DestinationRule")
ISTIO_GATEWAY: t.Final = _istio("gateways", "Gateway")
SIDECAR: t.Final = _istio("sidecars", "Sidecar")
SERVICE_ENTRY: t.Final = _istio("serviceentries", "ServiceEntry")
WORKLOAD_ENTRY: t.Final = _istio("workloadentries", "WorkloadEntry")
REFERENCE_GRANT: t.Final = _gateway_api("referencegrants", "ReferenceGrant", ("v1beta1", "v1"))
ENDPOINT_SLICE: t.Final = Resource("discovery.k8s.io", ("v1",), "endpointslices", "EndpointSlice")
HTTP_ROUTE: t.Final = _gateway_api("httproutes", "HTTPRoute")
GRPC_ROUTE: t.Final = _gateway_api("grpcroutes", "GRPCRoute", ("v1",))
API_GATEWAY: t.Final = _gateway_api("gateways", "Gateway")

SERVICE: t.Final = Resource("", ("v1",), "services", "Service")
POD: t.Final = Resource("", ("v1",), "pods", "Pod")
CONFIG_MAP: t.Final = Resource("", ("v1",), "configmaps", "ConfigMap")
EVENT: t.Final = Resource("", ("v1",), "events", "Event")
NAMESPACE: t.Final = Resource("", ("v1",), "namespaces", "Namespace", namespaced=False)
DEPLOYMENT: t.Final = Resource("apps", ("v1",), "deployments", "Deployment")
JOB: t.Final = Resource("batch", ("v1",), "jobs", "Job")
SERVICE_ACCOUNT: t.Final = Resource("", ("v1",), "serviceaccounts", "ServiceAccount")
ROLE: t.Final = Resource("rbac.authorization.k8s.io", ("v1",), "roles", "Role")
ROLE_BINDING: t.Final = Resource("rbac.authorization.k8s.io", ("v1",), "rolebindings", "RoleBinding")
REPLICA_SET: t.Final = Resource("apps", ("v1",), "replicasets", "ReplicaSet")
HPA: t.Final = Resource("autoscaling", ("v2",), "horizontalpodautoscalers", "HorizontalPodAutoscaler")
LEASE: t.Final = Resource("coordination.k8s.io", ("v1",), "leases", "Lease")
VALIDATING_WEBHOOKS: t.Final = Resource(
    "admissionregistration.k8s.io",
    ("v1",),
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    namespaced=False,
)
APPLICATION: t.Final = Resource("argoproj.io", ("v1alpha1",), "applications", "Application", product="Argo CD")
ACCESS_REVIEW: t.Final = Resource(
    "authorization.k8s.io", ("v1",), "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)

ALL: t.Final = (
    VIRTUAL_SERVICE,
    DESTINATION_RULE,
    ISTIO_GATEWAY,
    SIDECAR,
    HTTP_ROUTE,
    GRPC_ROUTE,
    API_GATEWAY,
    SERVICE,
    POD,
    CONFIG_MAP,
    EVENT,
    NAMESPACE,
    DEPLOYMENT,
    REPLICA_SET,
    HPA,
    LEASE,
    JOB,
    SERVICE_ACCOUNT,
    ROLE,
    ROLE_BINDING,
    VALIDATING_WEBHOOKS,
    SERVICE_ENTRY,
    WORKLOAD_ENTRY,
    REFERENCE_GRANT,
    ENDPOINT_SLICE,
)


def of_object(api_version: str, kind: str) -> Resource:
    """Return the resource of an object by its `apiVersion` and `kind`; KeyError for kinds not listed here."""
    group = api_version.rpartition("/")[0]
    for resource in ALL:
        if resource.kind == kind and resource.group == group:
            return resource
    raise KeyError(f"{api_version} {kind}")
